//! `keys rotate`, `keys revoke --version` and `keys test`.

use serde_json::{Value, json};

use super::canned::{Admin, json as answer};
use super::{KEY, key, problem};

const SECRET: &str = "pk_live_3fXk29QmZa_000000000000000000000000000000AbCdEf";

fn rotated() -> Value {
    let mut rotated = key("billing-worker");
    rotated["version"] = json!(2);
    json!({
        "key": rotated, "secret": SECRET,
        "previous": {"number": 1, "fingerprint": "9f86d081884c", "retires_at": "2026-02-01T12:00:00.000Z"},
    })
}

/// The new secret is alone on standard output; what becomes of the old one is said beside it.
// S1-08 S2-02 S2-03 S0-14
#[test]
fn a_rotation_in_a_script_takes_flags_and_prints_the_secret_alone() {
    for (flags, body) in [
        (&[][..], json!({})),
        (
            &["--grace", "1h", "--reason", "regular"][..],
            json!({"grace": "1h", "reason": "regular"}),
        ),
        (&["--grace", "3d"], json!({"grace": "72h"})),
        (
            &["--revoke-earlier", "--reason", "it leaked"],
            json!({"revoke_earlier": true, "reason": "it leaked"}),
        ),
        (
            &["--expires-at", "2030-01-01T00:00:00Z"],
            json!({"expires_at": "2030-01-01T00:00:00.000Z"}),
        ),
    ] {
        let admin = Admin::answering([answer(200, &rotated())]);
        let line = [&["keys", "rotate", KEY, "--yes"], flags].concat();
        let run = admin.run(&line).ends(0);
        assert_eq!(run.stdout, format!("{SECRET}\n"));
        assert!(!run.stderr.contains(SECRET), "{}", run.stderr);
        for words in [
            "9f86d081884c",
            "until 2026-02-01T12:00:00Z",
            "cannot be read again",
        ] {
            assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        }
        let request = admin.request();
        assert_eq!(
            request.line,
            format!("POST /admin/keys/{KEY}/rotate HTTP/1.1")
        );
        assert_eq!(request.json(), body);
    }
}

#[test]
fn as_json_a_rotation_is_the_whole_answer() {
    let admin = Admin::answering([answer(200, &rotated())]);
    let line = [
        "keys",
        "rotate",
        KEY,
        "--yes",
        "--json",
        "--idempotency-key",
        "a-1",
    ];
    let run = admin.run(&line).ends(0);
    assert_eq!(
        serde_json::from_str::<Value>(&run.stdout).unwrap(),
        rotated()
    );
    assert_eq!(admin.request().header("idempotency-key"), Some("a-1"));
}

// S2-04 S2-10
#[test]
fn nothing_is_rotated_unasked() {
    let admin = Admin::answering([]);
    let run = admin.run(&["keys", "rotate", KEY, "--grace", "1h"]).ends(2);
    assert!(run.stderr.contains("say --yes"), "{}", run.stderr);
    assert!(admin.requests().is_empty());
}

#[test]
fn a_repeated_rotation_has_no_secret_to_print() {
    let mut again = rotated();
    again["secret"] = Value::Null;
    let admin = Admin::answering([answer(200, &again)]);
    let line = ["keys", "rotate", KEY, "--yes", "--idempotency-key", "a-1"];
    let run = admin.run(&line).ends(1);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("shown then"), "{}", run.stderr);
}

#[test]
fn a_refused_rotation_is_told_with_its_place() {
    let errors = json!([{"pointer": "/expires_at", "code": "past", "detail": "lies behind"}]);
    let body = problem(422, "invalid", "Invalid request", "lies behind", errors);
    let admin = Admin::answering([answer(422, &body)]);
    let run = admin.run(&["keys", "rotate", KEY, "--yes"]).ends(1);
    assert!(
        run.stderr.contains("/expires_at: lies behind"),
        "{}",
        run.stderr
    );
}

// S1-11
#[test]
fn one_version_is_revoked_by_its_number() {
    let revocation = json!({
        "revision": 7, "durable_on": ["store"], "applied_on": ["gate-1"], "pending": [],
    });
    let revoked = json!({"key": key("k"), "revocation": revocation});
    let admin = Admin::answering([answer(200, &revoked)]);
    let line = [
        "keys",
        "revoke",
        KEY,
        "--version",
        "1",
        "--reason",
        "quiet",
        "--yes",
    ];
    let run = admin.run(&line).ends(0);
    let path = format!("DELETE /admin/keys/{KEY}/versions/1?reason=quiet HTTP/1.1");
    assert_eq!(admin.request().line, path);
    assert!(
        run.stdout
            .starts_with(&format!("version 1 of {KEY} (k) is revoked\n"))
    );
}

/// What the gate would answer is also the command's exit code.
// S0-08
#[test]
fn a_test_says_what_the_gate_would_say() {
    let mut tested = json!({
        "admitted": true, "status": null, "code": null, "detail": null, "route": "orders",
        "upstream": "api", "path": "/v1/orders", "version": 2,
        "limits": [{"name": "key-1", "rate": "10/second", "burst": 20, "remaining": 19,
            "whole_in_ms": 100, "enforced": true}],
        "quotas": [{"name": "key-day", "limit": 1000, "per": "day", "remaining": 3,
            "renews_at": "2026-01-02T00:00:00.000Z", "hard": true}],
    });
    let admin = Admin::answering([answer(200, &tested)]);
    let run = admin.run(&["keys", "test", KEY, "/v1/orders"]).ends(0);
    assert_eq!(
        run.stdout,
        "verdict   admitted\nroute     orders\nupstream  api\npath      /v1/orders\nversion   2\n\
         limits    key-1: 19 left of 10/second burst 20\nquotas    key-day: 3 left of 1000 per day\n"
    );
    let request = admin.request();
    assert_eq!(
        request.line,
        format!("POST /admin/keys/{KEY}/test HTTP/1.1")
    );
    assert_eq!(
        request.json(),
        json!({"method": "GET", "path": "/v1/orders"})
    );

    tested["admitted"] = json!(false);
    tested["status"] = json!(403);
    tested["code"] = json!("scope_missing");
    tested["detail"] = json!("the key lacks orders:write");
    let admin = Admin::answering([answer(200, &tested)]);
    let line = [
        "keys",
        "test",
        KEY,
        "/v1",
        "--method",
        "POST",
        "--host",
        "a.example",
        "--address",
        "::1",
    ];
    let run = admin.run(&line).ends(1);
    assert!(
        run.stdout
            .starts_with("verdict   refused: 403 scope_missing\nbecause   the key lacks")
    );
    assert!(run.stderr.contains("would refuse"), "{}", run.stderr);
    assert_eq!(
        admin.request().json(),
        json!({"method": "POST", "host": "a.example", "path": "/v1", "address": "::1"})
    );
}

#[test]
fn a_path_that_no_route_has_for_any_host_is_answered_with_the_flag_for_one() {
    let refused = json!({"admitted": false, "status": 404, "code": "no_route", "detail": null,
        "route": null, "upstream": null, "path": null, "version": null, "limits": [], "quotas": []});
    let admin = Admin::answering([answer(200, &refused), answer(200, &refused)]);
    let line = ["keys", "test", KEY, "/v1/orders"];
    let told = admin.run(&line).ends(1).stderr;
    assert!(told.contains("--host says which one"), "{told}");
    let named = [&line[..], &["--host", "api.example.com"]].concat();
    let told = admin.run(&named).ends(1).stderr;
    assert!(!told.contains("--host"), "{told}");
}
