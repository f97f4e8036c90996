//! `keys rotate` on a real terminal: what it asks, what it shows, and what Ctrl-C does.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::canned::{Admin, TOKEN, json as answer};
use super::{KEY, key};

const SECRET: &str = "pk_live_3fXk29QmZa_000000000000000000000000000000AbCdEf";

/// Runs a command on a terminal of its own: waits for each text, then types what follows it. Prints what
/// was to be seen and how the command ended, below zero for a signal.
const TERMINAL: &str = r"
import json, os, pty, signal, sys
signal.alarm(60)
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, found = '', 0
def more():
    global seen
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        piece = b''
    seen += piece.decode()
    return bool(piece)
for wanted, typed in json.loads(sys.argv[1]):
    while wanted not in seen[found:]:
        if not more():
            sys.exit('never saw %r in %r' % (wanted, seen))
    found = seen.index(wanted, found) + len(wanted)
    os.write(terminal, typed.encode())
while more():
    pass
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({'seen': seen.replace('\r\n', '\n'), 'status': status}))
";

/// What is to be seen when someone who reads these texts types these answers, and how it ends.
fn typed(admin: &Admin, line: &[&str], steps: &Value) -> (String, i64) {
    let url = admin.url();
    let output = Command::new("python3")
        .args(["-c", TERMINAL, &steps.to_string()])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .args(line)
        .env_clear()
        .envs([
            ("PORTCULLIS_ADMIN_URL", &*url),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ])
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let seen = told["seen"].as_str().unwrap().to_owned();
    assert!(!seen.contains(TOKEN), "the token is shown: {seen}");
    (seen, told["status"].as_i64().unwrap())
}

fn rotated() -> Value {
    json!({
        "key": key("billing-worker"), "secret": SECRET,
        "previous": {"number": 1, "fingerprint": "60303ae22b99", "retires_at": null},
        "sink": {"name": "files", "delivered": false},
    })
}

/// The choice, the review, the acknowledgement, and only then the call.
// S2-03 S2-04 S2-11 S2-13
#[test]
fn on_a_terminal_a_rotation_is_chosen_reviewed_and_acknowledged() {
    let admin = Admin::answering([answer(200, &key("billing-worker")), answer(200, &rotated())]);
    let steps = json!([
        ["1 to 6 [4]:", "2\n"],
        ["[1]:", "the laptop is gone\n"],
        ["works for 1h more", ""],
        ["cannot be undone", ""],
        ["Type yes to acknowledge", "yes\n"],
    ]);
    let (seen, status) = typed(&admin, &["keys", "rotate", KEY], &steps);
    assert_eq!(status, 0, "{seen}");
    for words in [
        "60303ae22b99",
        "72 hours",
        "Caution",
        "the laptop is gone",
        SECRET,
    ] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert!(
        seen.contains("`files` does not hold the new secret yet"),
        "{seen}"
    );
    let requests = admin.requests();
    let lines: Vec<&str> = requests.iter().map(|request| &*request.line).collect();
    assert_eq!(
        lines,
        [
            format!("GET /admin/keys/{KEY} HTTP/1.1"),
            format!("POST /admin/keys/{KEY}/rotate HTTP/1.1")
        ]
    );
    assert_eq!(
        requests[1].json(),
        json!({"grace": "1h", "reason": "the laptop is gone"})
    );
}

/// At each question: nothing but the key was asked for, and the command is gone by the signal.
// S2-04 S2-10
#[test]
fn ctrl_c_at_any_question_changes_nothing() {
    let questions = [
        ["1 to 6 [4]:", "4\n"],
        ["[1]:", "1\n"],
        ["Type yes to acknowledge", "yes\n"],
    ];
    for answered in 0..questions.len() {
        let admin =
            Admin::answering([answer(200, &key("billing-worker")), answer(200, &rotated())]);
        let mut steps = questions[..=answered].to_vec();
        steps[answered][1] = "\u{3}";
        let (seen, status) = typed(&admin, &["keys", "rotate", KEY], &json!(steps));
        assert_eq!(status, -2, "{seen}");
        assert!(!seen.contains(SECRET), "{seen}");
        let request = admin.request();
        assert_eq!(request.line, format!("GET /admin/keys/{KEY} HTTP/1.1"));
    }
}
