//! The command line and a real gate: both are the built binary.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use portcullis::domain::audit::chain::Head;
use portcullis::domain::audit::checkpoint::Checkpoint;
use portcullis::domain::audit::form::{hex, unhex};
use portcullis::domain::time::Timestamp;
use serde_json::Value;

use super::canned::{Run, TOKEN, command, run};

/// A gate in front of its own echo, on free ports, with a store of its own.
struct Gate {
    child: Child,
    address: String,
    admin: String,
    _data: tempfile::TempDir,
}

impl Gate {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let line = [
            "quickstart",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
            data.path().to_str().unwrap(),
        ];
        let mut child = command(&line, &[("PORTCULLIS_ADMIN_TOKEN", TOKEN)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Read to the last line: a gate whose greeting nobody reads ends.
        let said: Vec<String> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .take_while(|line| !line.starts_with("Ctrl-C"))
            .collect();
        let after = |name: &str| {
            let mut found = said
                .iter()
                .filter_map(|line| line.trim().strip_prefix(name));
            found.next().unwrap().trim().to_owned()
        };
        let gate = after("gate ").replace("http://", "");
        let admin = after("admin API ");
        Self {
            child,
            address: gate,
            admin,
            _data: data,
        }
    }

    fn run(&self, line: &[&str]) -> Run {
        run(line, &self.environment())
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [
            ("PORTCULLIS_ADMIN_URL", &self.admin),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ]
    }

    /// What a request with this secret gets: the status, and the code if it is refused.
    fn ask(&self, secret: &str) -> (u16, Option<String>) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET /hello HTTP/1.1\r\nhost: gate\r\nx-api-key: {secret}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let problem: Option<Value> = serde_json::from_str(body).ok();
        let code = problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned()));
        (status, code)
    }

    /// SIGTERM; the gate ends by itself, and well.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Already gone where the test came to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// S1-07, S1-13, S1-14, S4-07: made, used, counted, paused, ended, all from the command line.
#[test]
fn a_key_lives_and_ends_by_the_command_line_alone() {
    let gate = Gate::start();

    let line = [
        "keys",
        "create",
        "--name",
        "ci",
        "--owner",
        "Billing",
        "--scope",
        "a:b",
        "--rate",
        "1000/second",
    ];
    let secret = gate.run(&line).ends(0).stdout;
    let secret = secret.trim();
    let line = [
        "keys", "list", "--owner", "billing", "--status", "active", "--all", "--json",
    ];
    let listed = gate.run(&line).ends(0).json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    for _ in 0..20 {
        assert_eq!(gate.ask(secret).0, 200);
    }
    let counted = (0..1000).any(|_| {
        let usage = gate.run(&["usage", id, "--json"]).ends(0).json();
        usage["total"]["requests"] == 20
    });
    assert!(counted, "20 requests were never counted as 20");

    gate.run(&["keys", "suspend", id]).ends(0);
    assert_eq!(gate.ask(secret), (403, Some("key_suspended".to_owned())));
    gate.run(&["keys", "resume", id]).ends(0);
    assert_eq!(gate.ask(secret).0, 200);
    let ended = gate
        .run(&["keys", "revoke", id, "--reason", "done", "--yes", "--wait"])
        .ends(0);
    assert_eq!(gate.ask(secret), (401, Some("key_revoked".to_owned())));
    assert!(ended.stdout.contains("is revoked"), "{ended:?}");

    let again = gate.run(&["keys", "resume", id]).ends(1);
    assert!(again.stderr.contains("409 key_revoked"), "{again:?}");
    assert!(
        !gate
            .run(&["keys", "show", id])
            .ends(0)
            .stdout
            .contains(secret)
    );
    gate.stop();
}

/// A repetition of a creation makes no second key, and does not pretend to have a secret.
#[test]
fn a_creation_may_be_repeated_without_harm() {
    let gate = Gate::start();
    let line = [
        "keys",
        "create",
        "--name",
        "ci",
        "--owner",
        "Billing",
        "--idempotency-key",
        "run-7",
    ];

    gate.run(&line).ends(0);
    let again = gate.run(&line).ends(1);

    assert!(again.stderr.contains("shown then"), "{again:?}");
    let listed = gate
        .run(&["keys", "list", "--name", "ci", "--json"])
        .ends(0)
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    gate.stop();
}

#[test]
fn tail_tells_of_requests_as_they_finish() {
    let gate = Gate::start();
    let secret = gate
        .run(&["keys", "create", "--name", "ci", "--owner", "Billing"])
        .ends(0)
        .stdout;
    let secret = secret.trim();
    let mut tail = command(
        &["tail", "--owner", "Billing", "--status", "2xx", "--json"],
        &gate.environment(),
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut notes = BufReader::new(tail.stderr.take().unwrap()).lines();
    let (lines, told) = mpsc::sync_channel(100);
    let said = BufReader::new(tail.stdout.take().unwrap()).lines();
    thread::spawn(move || {
        said.map_while(Result::ok)
            .try_for_each(|line| lines.send(line))
    });

    // Only what finishes after the stream has begun is told, so ask until something is.
    let line = (0..200).find_map(|_| {
        assert_eq!(gate.ask(secret).0, 200);
        told.recv_timeout(Duration::from_millis(50)).ok()
    });
    let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert_eq!(
        (&request["status"], &request["path"]),
        (&Value::from(200), &Value::from("/hello"))
    );
    assert!(!request.to_string().contains(secret));

    // It outlives the gate, and waits for it to come back.
    gate.stop();
    let note = notes.next().unwrap().unwrap();
    assert!(note.contains("connecting again"), "{note}");
    assert!(tail.try_wait().unwrap().is_none());
    tail.kill().unwrap();
    tail.wait().unwrap();
}

/// S4-16, S3-17: who has the file needs no gate to know that nothing in it was altered.
#[test]
fn the_audit_log_is_exported_and_verified_without_the_gate() {
    let gate = Gate::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.ndjson");
    let path = file.to_str().unwrap();
    for name in ["a", "b"] {
        let line = ["keys", "create", "--name", name, "--owner", "Billing"];
        gate.run(&line).ends(0);
    }
    let listed = gate.run(&["audit", "list", "--type", "key_creation", "--json"]);
    // One more than was made here: the key that `quickstart` shows.
    assert_eq!(listed.ends(0).json()["items"].as_array().unwrap().len(), 3);
    let shown = gate.run(&["audit", "list"]).ends(0).stdout;
    assert!(
        shown.contains("key_creation") && shown.contains("done"),
        "{shown}"
    );

    gate.run(&["audit", "export", "--out", path]).ends(0);
    gate.run(&["audit", "export", "--out", path]).ends(2);
    let verified = gate.run(&["audit", "verify", "--json"]).ends(0).json();
    assert_eq!(verified["valid"], true);
    gate.stop();

    let verified = run(&["audit", "verify", path], &[]).ends(0);
    assert!(verified.stdout.starts_with("valid: "), "{verified:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let seq = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64();
    let place = lines.iter().position(|line| seq(line) == Some(2)).unwrap();

    // Whoever makes a file makes its checkpoints: they prove something to whoever knows the key alone.
    assert!(verified.stdout.contains("signed by nobody"), "{verified:?}");
    let last = lines.iter().max_by_key(|line| seq(line)).unwrap();
    let (checkpoint, key) = checkpoint_of(last);
    std::fs::write(&file, format!("{}\n{checkpoint}\n", text.trim_end())).unwrap();
    let told = run(&["audit", "verify", path], &[]).ends(0);
    let unchecked = format!("{key}: not checked against any key that is known");
    assert!(told.stdout.contains(&unchecked), "{told:?}");
    let told = run(&["audit", "verify", path, "--key", &key], &[]).ends(0);
    assert!(
        told.stdout.contains(&format!("{key}: a key that is known")),
        "{told:?}"
    );
    let other = "1".repeat(64);
    let told = run(&["audit", "verify", path, "--key", &other], &[]).ends(1);
    assert!(told.stderr.contains("was forged"), "{told:?}");
    std::fs::write(&file, &text).unwrap();
    let told = run(&["audit", "verify", path, "--key", &key], &[]).ends(1);
    assert!(
        told.stderr.contains("signed with a key that was named"),
        "{told:?}"
    );

    let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    changed[place] = changed[place].replace("\"done\"", "\"gone\"");
    std::fs::write(&file, changed.join("\n")).unwrap();
    let told = run(&["audit", "verify", path], &[]).ends(1);
    assert!(
        told.stderr.contains("entry 2 of the audit log was changed"),
        "{told:?}"
    );

    let mut cut = lines.clone();
    cut.remove(place);
    std::fs::write(&file, cut.join("\n")).unwrap();
    let told = run(&["audit", "verify", path, "--json"], &[])
        .ends(1)
        .json();
    assert_eq!(
        told["fault"],
        serde_json::json!({"seq": 2, "kind": "removed"})
    );
}

/// A checkpoint of the entry on this line by a key made here, and the public half of that, in hex digits.
fn checkpoint_of(line: &str) -> (Value, String) {
    let entry: Value = serde_json::from_str(line).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let head = Head {
        seq: entry["seq"].as_u64().unwrap(),
        hash: unhex(entry["hash"].as_str().unwrap()).unwrap(),
    };
    let at = Timestamp::from_millis(1);
    let text = Checkpoint::text(head, at, "gate-1");
    let checkpoint = Checkpoint {
        head,
        at,
        node: "gate-1".to_owned(),
        public_key: pair.public_key().as_ref().try_into().unwrap(),
        signature: pair.sign(text.as_bytes()).as_ref().try_into().unwrap(),
    };
    (checkpoint.form(), hex(&checkpoint.public_key))
}

/// Kong's clients go on with the keys they have: tried first, then done, and done once.
#[test]
fn keys_of_kong_and_of_a_table_are_taken_over() {
    let gate = Gate::start();
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let kong = write(
        "kong.yaml",
        "_format_version: \"3.0\"\nconsumers:\n- username: billing\n  keyauth_credentials:\n  \
         - key: old-CANARY-of-billing\n  - key: other-CANARY\n",
    );
    let table = write(
        "keys.csv",
        "name,secret,owner\nreports,table-CANARY,Reports\ntwin,old-CANARY-of-billing,Reports\n",
    );

    let tried = gate.run(&["keys", "import", &kong, "--dry-run"]).ends(0);
    assert!(
        tried.stderr.contains("2 would be taken over, 0 refused"),
        "{}",
        tried.stderr
    );
    assert_eq!(gate.ask("old-CANARY-of-billing").0, 401);
    let done = gate.run(&["keys", "import", &kong]).ends(0);
    assert!(
        done.stdout.contains("consumer billing, key 2"),
        "{}",
        done.stdout
    );
    let some = gate.run(&["keys", "import", &table]).ends(1);
    assert!(some.stdout.contains("duplicate_secret"), "{}", some.stdout);
    assert!(
        some.stderr.contains("1 of 2 were not done"),
        "{}",
        some.stderr
    );

    for secret in ["old-CANARY-of-billing", "other-CANARY", "table-CANARY"] {
        assert_eq!(gate.ask(secret).0, 200);
    }
    let owners = gate.run(&["owners", "list", "--json"]).ends(0).json();
    let owners = owners["items"].as_array().unwrap();
    assert!(owners.iter().any(|owner| owner["name"] == "billing"));
}

/// The README's own placeholder, pasted as it stands.
#[test]
fn a_quickstart_with_a_token_that_no_client_can_send_names_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let line = ["quickstart", "--data-dir", data.to_str().unwrap()];
    let said = run(&line, &[("PORTCULLIS_ADMIN_TOKEN", "…")])
        .ends(2)
        .stderr;
    assert!(
        said.contains("PORTCULLIS_ADMIN_TOKEN holds other than visible ASCII characters"),
        "{said}"
    );
    assert!(!data.exists());
}

/// What it prints to be pasted opens both the gate and the admin API.
#[test]
fn a_quickstart_prints_both_secrets_to_be_pasted() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let line = [&["quickstart", "--data-dir", path][..], &ports].concat();
    let mut child = command(&line, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let said: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("Ctrl-C"))
        .collect();
    let after = |name: &str| {
        let mut found = said
            .iter()
            .filter_map(|line| line.trim().strip_prefix(name));
        found.next().unwrap_or_default().trim().to_owned()
    };
    let (admin, token) = (after("admin API "), after("export PORTCULLIS_ADMIN_TOKEN="));
    let listed = run(
        &["keys", "list"],
        &[
            ("PORTCULLIS_ADMIN_URL", &*admin),
            ("PORTCULLIS_ADMIN_TOKEN", &*token),
        ],
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(after("export PORTCULLIS_API_KEY=").starts_with("pk_"));
    assert!(listed.ends(0).stdout.contains("quickstart"));
}
