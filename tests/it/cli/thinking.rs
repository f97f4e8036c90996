//! Questions of a real gate's commands that are thought about for longer than it keeps a connection.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::thread;

use serde_json::json;

use super::canned::{TOKEN, command, run};
use super::terminal::typed_at;

/// A gate that closes a connection on which nothing comes for a tenth of a second.
struct Gate {
    child: Child,
    admin: String,
    _files: tempfile::TempDir,
}

impl Gate {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let data = files.path().join("data");
        let config = json!({
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0", "token": "${PORTCULLIS_ADMIN_TOKEN}"},
            "store": {"embedded": {"path": data}},
            "deadlines": {"head": "100ms"},
            "access_log": {"to": "none"},
            "upstreams": {"api": {"endpoints": ["http://127.0.0.1:1"]}},
            "routes": [{"name": "api", "match": {"path_prefix": "/"}, "upstream": "api"}],
        });
        let path = files.path().join("gate.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        let line = ["serve", "--config", path.to_str().unwrap()];
        let mut child = command(&line, &[("PORTCULLIS_ADMIN_TOKEN", TOKEN)])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let admin = said.by_ref().map(Result::unwrap).find_map(|line| {
            let address = line.strip_prefix("admin API: ")?;
            Some(address.to_owned())
        });
        // Read on: a gate whose log nobody reads stands still.
        thread::spawn(move || said.map_while(Result::ok).for_each(drop));
        Self {
            child,
            admin: admin.unwrap(),
            _files: files,
        }
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [
            ("PORTCULLIS_ADMIN_URL", &self.admin),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ]
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each answer comes when the connection of the question is gone.
#[test]
fn who_thinks_for_longer_than_a_connection_is_kept_is_still_understood() {
    let gate = Gate::start();
    let line = ["keys", "create", "--name", "shop", "--owner", "Anna"];
    run(&line, &gate.environment()).ends(0);
    let yes = |question: &str| json!([[question, "yes\n", "when parted"]]);
    let grace = [
        "keys", "rotate", "shop", "--grace", "1h", "--reason", "regular",
    ];
    for (line, question, said) in [
        (&grace[..], "Type yes to acknowledge", "version      2"),
        (
            &["keys", "revoke", "shop", "--version", "1"],
            "Type yes to revoke",
            "is revoked",
        ),
        (
            &["owners", "disable", "Anna"],
            "Type yes to do it",
            "disabled",
        ),
    ] {
        let (seen, status) = typed_at(&gate.admin, line, &yes(question));
        assert_eq!(status, 0, "{line:?}: {seen}");
        assert!(seen.contains(said), "{line:?}: {seen}");
    }
}
