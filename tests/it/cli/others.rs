//! `owners …`, `tokens …` and `usage`: what is asked of the admin API, and what is said of its answers.

use serde_json::{Value, json};

use super::canned::{Admin, json as answer, run};
use super::{KEY, OWNER};

fn owner() -> Value {
    json!({"id": OWNER, "name": "Billing", "type": "team", "created_at": "2026-01-31T12:00:00.123Z",
        "disabled_at": null})
}

fn token() -> Value {
    json!({"id": "tok_0000000xyz", "name": "ci", "role": "operator", "owner_id": null,
        "fingerprint": "9f86d081884c", "created_at": "2026-01-31T12:00:00.123Z", "expires_at": null,
        "revoked_at": null})
}

#[test]
fn owners_are_listed_made_and_shown() {
    let admin = Admin::answering([
        answer(200, &json!({"items": [owner()], "next_cursor": null})),
        answer(201, &owner()),
        answer(200, &owner()),
    ]);

    let listed = admin
        .run(&["owners", "list", "--name", "bill", "--limit", "5"])
        .ends(0);
    let made = admin
        .run(&["owners", "create", "--name", "Billing", "--type", "team"])
        .ends(0);
    let shown = admin.run(&["owners", "show", OWNER]).ends(0);

    assert_eq!(
        listed.stdout,
        "ID              NAME     TYPE  STANDING  CREATED\n\
         usr_0000000abc  Billing  team  good      2026-01-31\n"
    );
    assert_eq!(made.stdout, shown.stdout);
    assert_eq!(
        shown.stdout,
        "id       usr_0000000abc\nname     Billing\ntype     team\ncreated  2026-01-31T12:00:00Z\n"
    );
    let requests = admin.requests();
    assert_eq!(
        requests[0].line,
        "GET /admin/users?name=bill&limit=5 HTTP/1.1"
    );
    assert_eq!(requests[1].line, "POST /admin/users HTTP/1.1");
    assert_eq!(
        requests[1].json(),
        json!({"name": "Billing", "type": "team"})
    );
    assert_eq!(
        requests[2].line,
        format!("GET /admin/users/{OWNER} HTTP/1.1")
    );
}

#[test]
fn a_new_token_is_the_only_thing_on_standard_output() {
    let secret = "pct_live_0000000xyz_new";
    let admin = Admin::answering([
        answer(201, &json!({"token": token(), "secret": secret})),
        answer(200, &json!({"items": [token()], "next_cursor": null})),
        answer(200, &token()),
    ]);

    let made = admin
        .run(&[
            "tokens", "create", "--name", "ci", "--role", "operator", "--owner", OWNER,
        ])
        .ends(0);
    let listed = admin.run(&["tokens", "list"]).ends(0);
    let ended = admin
        .run(&["tokens", "revoke", "tok_0000000xyz", "--yes"])
        .ends(0);

    assert_eq!(made.stdout, format!("{secret}\n"));
    assert!(!made.stderr.contains(secret), "{}", made.stderr);
    assert!(listed.stdout.contains("9f86d081884c"), "{}", listed.stdout);
    assert_eq!(ended.stdout, "tok_0000000xyz is revoked\n");
    let requests = admin.requests();
    assert_eq!(requests[0].line, "POST /admin/tokens HTTP/1.1");
    assert_eq!(
        requests[0].json(),
        json!({"name": "ci", "role": "operator", "owner_id": OWNER})
    );
    assert_eq!(
        requests[2].line,
        "DELETE /admin/tokens/tok_0000000xyz HTTP/1.1"
    );
}

#[test]
fn a_token_that_ended_without_a_word_is_ended_too() {
    let nothing = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned();
    let admin = Admin::answering([nothing]);

    let run = admin
        .run(&["tokens", "revoke", "tok_0000000xyz", "--yes"])
        .ends(0);

    assert_eq!(run.stdout, "tok_0000000xyz is revoked\n");
}

#[test]
fn a_token_is_not_ended_unasked() {
    let admin = Admin::answering([]);
    let run = admin.run(&["tokens", "revoke", "tok_0000000xyz"]).ends(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(admin.requests().is_empty());
}

/// S1-14: how much, how it went, when last.
#[test]
fn usage_is_told_in_sum_and_by_bucket() {
    let body = json!({"key_id": KEY, "from": "2026-01-31T00:00:00.000Z", "to": "2026-02-01T00:00:00.000Z",
        "step": "1h", "last_used_at": "2026-01-31T12:00:00.000Z",
        "total": {"requests": 20000, "refused": {"rate_limited": 3}, "status": {"2xx": 19990, "4xx": 10},
            "cost": 20000, "bytes_in": 0, "bytes_out": 512_000},
        "buckets": [{"start": "2026-01-31T12:00:00.000Z", "version": 2, "route": null, "requests": 118,
            "refused": {}, "status": {"2xx": 118}, "cost": 118, "bytes_in": 0, "bytes_out": 3020}]});
    let admin = Admin::answering([answer(200, &body), answer(200, &body)]);

    let run = admin
        .run(&[
            "usage",
            KEY,
            "--from",
            "2026-01-31T00:00:00Z",
            "--step",
            "1h",
            "--by",
            "version,route",
        ])
        .ends(0);
    let json = admin.run(&["usage", KEY, "--json"]).ends(0);

    let requests = admin.requests();
    assert_eq!(
        requests[0].line,
        format!(
            "GET /admin/keys/{KEY}/usage?from=2026-01-31T00%3A00%3A00Z&step=1h&by=version%2Croute HTTP/1.1"
        )
    );
    assert_eq!(
        requests[1].line,
        format!("GET /admin/keys/{KEY}/usage HTTP/1.1")
    );
    assert_eq!(
        run.stdout,
        "key        key_3fXk29QmZa\n\
         from       2026-01-31T00:00:00Z\n\
         to         2026-02-01T00:00:00Z\n\
         last used  2026-01-31T12:00:00Z\n\
         requests   20000\n\
         refused    rate_limited 3\n\
         status     2xx 19990, 4xx 10\n\
         cost       20000\n\
         bytes in   0 B\n\
         bytes out  500.0 KiB\n\
         \n\
         START                 VERSION  REQUESTS  STATUS   REFUSED  COST  IN   OUT\n\
         2026-01-31T12:00:00Z        2       118  2xx 118  -         118  0 B  2.9 KiB\n"
    );
    assert_eq!(json.json(), body);
}

#[test]
fn an_id_of_another_kind_is_wrong_usage() {
    for line in [
        ["owners", "show", KEY],
        ["tokens", "revoke", OWNER],
        ["keys", "show", "tok_0000000xyz"],
    ] {
        run(&line, &[]).ends(2);
    }
}

/// S4-17: an owner who leaves is switched off in one call, after a question.
#[test]
fn an_owner_is_seen_off_only_when_that_is_meant() {
    let gone = json!({"id": OWNER, "name": "Billing", "type": "team",
        "created_at": "2026-01-31T12:00:00.123Z", "disabled_at": "2026-02-01T00:00:00.000Z"});
    let disabled = json!({"owner": gone, "revoked": 3, "tokens_ended": 1, "revocation":
        {"revision": 7, "durable_on": [], "applied_on": [], "pending": []}});
    let admin = Admin::answering([
        answer(200, &disabled),
        answer(200, &owner()),
        answer(200, &gone),
    ]);
    for line in [["owners", "disable", OWNER], ["owners", "erase", OWNER]] {
        let run = admin.run(&line).ends(2);
        assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    }
    assert!(admin.requests().is_empty(), "nothing is asked unasked");

    let line = ["owners", "disable", OWNER, "--reason", "left", "--yes"];
    let off = admin.run(&line).ends(0);
    let back = admin.run(&["owners", "enable", OWNER]).ends(0);
    admin.run(&["owners", "erase", OWNER, "--yes"]).ends(0);

    assert!(off.stdout.contains("disabled"), "{}", off.stdout);
    assert!(
        off.stderr
            .contains("3 keys revoked and 1 admin token ended"),
        "{}",
        off.stderr
    );
    assert!(!back.stdout.contains("disabled"), "{}", back.stdout);
    let requests = admin.requests();
    let path = format!("/admin/users/{OWNER}");
    assert_eq!(
        requests[0].line,
        format!("POST {path}/keys/disable HTTP/1.1")
    );
    assert_eq!(requests[0].json(), json!({"reason": "left"}));
    assert_eq!(requests[1].line, format!("PATCH {path} HTTP/1.1"));
    assert_eq!(requests[1].json(), json!({"disabled": false}));
    assert_eq!(requests[2].line, format!("DELETE {path} HTTP/1.1"));
}

#[test]
fn products_are_made_shown_changed_and_taken_away() {
    let pro = json!({"id": "prd_0000000abc", "name": "pro", "description": null,
        "scopes": ["orders:read"], "routes": [], "quotas": [], "source": "api",
        "rate_limits": [{"rate": "10/second", "burst": 20, "mode": "shared", "enforce": "on"}],
        "created_at": "2026-01-31T12:00:00.123Z"});
    let page = json!({"items": [pro], "next_cursor": null});
    let admin = Admin::answering([
        answer(201, &pro),
        answer(200, &page),
        answer(200, &pro),
        answer(200, &pro),
    ]);
    let line = "products create pro --scope orders:read --rate 10/second:20 --quota 5000/month@15 --quota 9/total:soft";
    let made = admin.run(&words(line)).ends(0);
    let listed = admin.run(&words("products list")).ends(0);
    let line =
        "products update pro --scope a --scope b --clear routes --clear description --clear quotas";
    admin.run(&words(line)).ends(0);
    let gone = admin
        .run(&words("products delete pro --reason over"))
        .ends(0);

    assert!(made.stdout.contains("10/second:20"), "{}", made.stdout);
    assert_eq!(
        listed.stdout,
        "NAME  SOURCE  SCOPES       ROUTES  LIMITS\npro   api     orders:read  all     10/second:20\n"
    );
    assert_eq!(gone.stdout, "pro is gone\n");
    let requests = admin.requests();
    assert_eq!(
        requests[0].json(),
        json!({"name": "pro", "scopes": ["orders:read"],
               "rate_limits": [{"rate": "10/second", "burst": 20}],
               "quotas": [{"limit": 5000, "per": "month", "on_day": 15},
                          {"limit": 9, "per": "total", "hard": false}]})
    );
    assert_eq!(requests[2].line, "PATCH /admin/products/pro HTTP/1.1");
    assert_eq!(
        requests[2].json(),
        json!({"scopes": ["a", "b"], "routes": [], "description": null, "quotas": []})
    );
    assert_eq!(
        requests[3].line,
        "DELETE /admin/products/pro?reason=over HTTP/1.1"
    );
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The newest entries come first, so an export that breaks off has those alone: it must not lie there under
/// the name of a whole one.
#[test]
fn an_export_that_breaks_off_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.ndjson");
    let path = file.to_str().unwrap();
    let page = |text: &str, next: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\n{next}content-length: {}\r\n\r\n{text}",
            text.len()
        )
    };
    let more = "x-next-cursor: next\r\n";
    let admin = Admin::answering([page("{}\n", more)]);
    admin.run(&["audit", "export", "--out", path]).ends(1);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is left");

    let admin = Admin::answering([page("{}\n", more), page("{}\n", "")]);
    admin.run(&["audit", "export", "--out", path]).ends(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n{}\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// What an import did is told, though the gate fails at what came after it.
#[test]
fn an_import_that_breaks_off_reports_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.ndjson");
    let row = "{\"name\": \"k\", \"secret\": \"CANARY\"}\n";
    std::fs::write(&file, row.repeat(501)).unwrap();
    let done = |line: u64, outcome: &str| {
        json!({"line": line, "outcome": outcome, "key_id": null, "fingerprint": null,
               "code": "store_unavailable", "detail": "try again", "errors": []})
    };
    let lines = |lines: Vec<Value>| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
    };
    let whole = || lines((1..=500).map(|line| done(line, "done")).collect());
    let path = file.to_str().unwrap();
    let problem = json!({"type": "urn:portcullis:problem:internal", "title": "Internal error", "status": 503,
                         "code": "internal", "detail": "broken", "request_id": "req_1"});
    for (second, why) in [
        (lines(vec![done(1, "stopped")]), "the gate stopped there"),
        (answer(503, &problem), "Internal error"),
    ] {
        let admin = Admin::answering([whole(), second]);
        let told = admin.run(&["keys", "import", path, "--json"]).ends(1);
        assert_eq!(told.stdout.lines().count(), 500);
        assert!(told.stderr.contains(why), "{}", told.stderr);
        assert!(!told.stdout.contains("CANARY"));
    }
}

#[test]
fn gates_are_listed_and_struck_off() {
    let node = |name, state, this| {
        json!({"node": name, "state": state, "revision": 1812, "last_contact_at": "2026-01-31T12:00:00.123Z",
            "version": "0.1.0", "index": 0, "this": this})
    };
    let items = [
        node("gate-1", "live", true),
        node("gate-2", "silent", false),
    ];
    let status = |state: &str| {
        json!({"node": "gate-1", "version": "0.1.0", "ready": true, "keys": 1,
            "store": {"kind": "redis", "state": state, "revision": 1812,
                "last_contact_at": "2026-01-31T12:00:00.123Z", "staleness_ms": 90_000},
            "usage": {"queued": 0, "spooled": 0, "lost": 0}, "limits": {"leases": 0, "away": false},
            "nodes": [], "quarantined": 0,
            "config": {"loaded_at": "2026-01-31T12:00:00.123Z", "digest": ""}, "alarms": []})
    };
    let page = json!({"items": items, "next_cursor": null});
    let admin = Admin::answering([
        answer(200, &page),
        answer(200, &status("up")),
        answer(200, &items[1]),
        answer(200, &page),
        answer(200, &status("away")),
    ]);

    let listed = admin.run(&["nodes", "list"]).ends(0);
    let struck = admin
        .run(&["nodes", "forget", "gate-2", "--reason", "burnt"])
        .ends(0);

    assert_eq!(
        listed.stdout,
        "NODE    STATE   REVISION  LAST CONTACT          VERSION\n\
         gate-1  live    1812      2026-01-31T12:00:00Z  0.1.0\n\
         gate-2  silent  1812      2026-01-31T12:00:00Z  0.1.0\n"
    );
    assert_eq!(struck.stdout, "gate-2 is struck off\n");
    let away = admin.run(&["nodes", "list"]).ends(0);
    assert_eq!(
        (&*listed.stderr, &*away.stderr),
        (
            "",
            "The store is away. The table is as it was at 2026-01-31T12:00:00Z, when it last answered.\n"
        )
    );
    assert_eq!(away.stdout, listed.stdout);
    let requests = admin.requests();
    assert_eq!(requests[0].line, "GET /admin/nodes HTTP/1.1");
    assert_eq!(
        requests[2].line,
        "DELETE /admin/nodes/gate-2?reason=burnt HTTP/1.1"
    );
}
