//! `keys rotate` on a real terminal: what it asks, what it shows, and what Ctrl-C does.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::canned::{Admin, TOKEN, json as answer};
use super::{KEY, key};

const SECRET: &str = "pk_live_3fXk29QmZa_000000000000000000000000000000AbCdEf";

/// Runs a command on a terminal of its own: waits for each text, then types what follows it; where that is
/// asked for, not before no connection of the command is open any more. Prints what was to be seen and how
/// the command ended, below zero for a signal.
const TERMINAL: &str = r"
import fcntl, json, os, pty, select, signal, struct, sys, termios
signal.alarm(60)
child, terminal = pty.fork()
if child == 0:
    size = struct.pack('HHHH', 50, int(os.environ.pop('WIDTH')), 0, 0)
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
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
def connected():
    files = f'/proc/{child}/fd'
    sockets = {os.readlink(f'{files}/{name}') for name in os.listdir(files)}
    lines = open(f'/proc/{child}/net/tcp').readlines()[1:]
    lines = [line.split() for line in lines]
    return any(line[3] == '01' and f'socket:[{line[9]}]' in sockets for line in lines)
for wanted, typed, *parted in json.loads(sys.argv[1]):
    while wanted not in seen[found:]:
        if not more():
            sys.exit('never saw %r in %r' % (wanted, seen))
    found = seen.index(wanted, found) + len(wanted)
    while parted and connected():
        select.select([], [], [], 0.01)
    os.write(terminal, typed.encode())
while more():
    pass
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({'seen': seen.replace('\r\n', '\n'), 'status': status}))
";

/// What is to be seen when someone who reads these texts types these answers, and how it ends.
fn typed(admin: &Admin, line: &[&str], steps: &Value) -> (String, i64) {
    typed_at(&admin.url(), line, steps)
}

/// What is to be seen on a terminal so many characters wide, without colours.
fn seen_at(width: u16, admin: &Admin, line: &[&str]) -> String {
    let (seen, status) = on_terminal(width, &admin.url(), line, &json!([]));
    assert_eq!(status, 0, "{seen}");
    anstream::adapter::strip_str(&seen).to_string()
}

/// The same with the admin API at this address.
pub(super) fn typed_at(url: &str, line: &[&str], steps: &Value) -> (String, i64) {
    on_terminal(100, url, line, steps)
}

fn on_terminal(width: u16, url: &str, line: &[&str], steps: &Value) -> (String, i64) {
    let output = Command::new("python3")
        .args(["-c", TERMINAL, &steps.to_string()])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .args(line)
        .env_clear()
        .envs([
            ("PORTCULLIS_ADMIN_URL", url),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ])
        .env("PATH", "/usr/bin:/bin")
        .env("WIDTH", width.to_string())
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

/// Lists are read on a terminal of 80 columns as on one of 120: nothing is wider, no word and no id is cut.
#[test]
fn lists_can_be_read_on_80_columns_and_on_120() {
    let names = ["billing-worker", "nightly export of all orders"];
    let keys: Vec<Value> = names.iter().map(|name| key(name)).collect();
    let entry = json!({
        "timestamp": "2026-01-31T12:00:00.123Z", "type": "key_revocation", "outcome": "done", "code": null,
        "actor": {"type": "token", "id": "tok_0000000xyz", "name": "quickstart"}, "key_id": KEY,
        "key_version": 12, "reason": "the laptop was left on the train",
    });
    let keys = json!({"items": keys, "next_cursor": null});
    let entries = json!({"items": [entry], "next_cursor": null});
    let of_keys = [
        "billing", "nightly", "export", "orders", "Billing", KEY, "active",
    ];
    let of_entries = [
        "2026-01-31",
        "12:00:00.123Z",
        "key_revocation",
        "laptop",
        "train",
        KEY,
    ];
    for (line, page, words) in [
        (["keys", "list"], &keys, &of_keys[..]),
        (["audit", "list"], &entries, &of_entries),
    ] {
        for width in [80, 120] {
            let admin = Admin::answering([answer(200, page)]);
            let seen = seen_at(width, &admin, &line);
            for text in seen.lines() {
                assert!(
                    text.chars().count() <= usize::from(width),
                    "{width}: {seen}"
                );
            }
            for word in words {
                assert!(seen.contains(word), "{width}, {word}: {seen}");
            }
            assert_eq!(seen.contains("No room for"), width == 80, "{width}: {seen}");
        }
    }
}

/// S3-05: what would go is shown before the question.
#[test]
fn on_a_terminal_all_rules_go_after_a_question_only() {
    let rule = json!({"id": "rot_0000000001", "interval_days": 90, "keep_previous": true,
        "grace": "0s", "selector": null, "due": 0});
    let (rules, none) = (json!({"items": [rule]}), json!({"items": []}));
    let admin = Admin::answering([answer(200, &rules), answer(200, &rules), answer(200, &none)]);
    let line = ["rotation", "disable"];

    let no = json!([
        ["rot_0000000001 (all keys, every 90 days)", ""],
        ["Type yes", "no\n"]
    ]);
    let (seen, status) = typed(&admin, &line, &no);
    assert_eq!(status, 1, "{seen}");
    assert_eq!(admin.requests().len(), 1);

    let (seen, status) = typed(&admin, &line, &json!([["Type yes", "yes\n"]]));
    assert_eq!(status, 0, "{seen}");
    assert!(
        seen.contains("rot_0000000001 (all keys, every 90 days) is removed"),
        "{seen}"
    );
}

#[test]
fn on_a_terminal_the_last_token_that_administers_is_said_to_be_that() {
    let token = |id: &str, role: &str, revoked: Option<&str>| {
        json!({"id": id, "name": role, "role": role, "owner_id": null, "fingerprint": "9f86d081884c",
            "created_at": "2026-01-31T12:00:00.123Z", "expires_at": null, "revoked_at": revoked})
    };
    let ended = token("tok_0000000001", "admin", Some("2026-02-01T00:00:00.000Z"));
    let (last, reads) = (
        token("tok_0000000002", "admin", None),
        token("tok_0000000003", "viewer", None),
    );
    let page = json!({"items": [ended, last, reads], "next_cursor": null});
    let admin = Admin::answering([answer(200, &page), answer(200, &page), answer(200, &reads)]);

    let steps = json!([
        ["the last one there with the role admin", ""],
        ["Type yes", "no\n"]
    ]);
    let (seen, status) = typed(&admin, &["tokens", "revoke", "tok_0000000002"], &steps);
    assert_eq!(status, 1, "{seen}");
    let steps = json!([
        ["tok_0000000003 (viewer, viewer)", ""],
        ["Type yes", "yes\n"]
    ]);
    let (seen, status) = typed(&admin, &["tokens", "revoke", "tok_0000000003"], &steps);
    assert_eq!(status, 0, "{seen}");
    assert!(!seen.contains("the last one"), "{seen}");
    assert_eq!(admin.requests().len(), 3);
}
