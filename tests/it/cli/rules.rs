//! `rotation …` and `policies …`: what is asked of the admin API, and what is said of its answers.

use serde_json::{Value, json};

use super::KEY;
use super::canned::{Admin, json as answer};

fn policy() -> Value {
    json!({
        "id": "pol_0000000001", "name": "unused", "description": null, "enabled": true,
        "selector": {"risk": "low"}, "max_age": null, "require_expiry": true,
        "require_description": false, "require_reason": false, "owner_types": [],
        "allowed_scopes": null, "unused_alert_after": null, "stale_after": null,
        "revoke_unused_after": "180d", "revoke_warning": null,
        "created_at": "2026-01-31T12:00:00.123Z", "source": "api",
    })
}

/// S3-05, S4-07
#[test]
fn rotation_is_enabled_shown_and_disabled_for_all_or_some() {
    let rules = json!({"items": [{
        "id": "rot_0000000001", "interval_days": 90, "keep_previous": false, "grace": "24h",
        "selector": {"label": "team=billing"}, "due": 3,
    }]});
    let none = json!({"items": []});
    let admin = Admin::answering([
        answer(200, &rules),
        answer(200, &rules),
        answer(200, &rules),
        answer(200, &none),
    ]);
    let enable = [
        "rotation",
        "enable",
        "--interval-days",
        "90",
        "--newest-only",
    ];
    let some = ["--grace", "24h", "--label", "team=billing"];
    let made = admin.run(&[&enable[..], &some[..]].concat()).ends(0);
    let shown = admin.run(&["rotation", "show"]).ends(0);
    let ended = admin.run(&["rotation", "disable", "--yes"]).ends(0);

    assert_eq!(
        made.stdout,
        "ID              KEYS                EVERY    THE ONE BEFORE  DUE\n\
         rot_0000000001  label team=billing  90 days  24h             3\n"
    );
    assert_eq!(shown.stdout, made.stdout);
    assert_eq!(
        ended.stdout,
        "rot_0000000001 (label team=billing, every 90 days) is removed\n"
    );
    let requests = admin.requests();
    assert_eq!(
        requests[0].line,
        "POST /admin/keys/rotation/enable HTTP/1.1"
    );
    assert_eq!(
        requests[0].json(),
        json!({
            "interval_days": 90, "keep_previous": false, "grace": "24h",
            "selector": {"label": "team=billing"},
        })
    );
    assert_eq!(requests[1].line, "GET /admin/keys/rotation HTTP/1.1");
    assert_eq!(requests[2].line, requests[1].line);
    assert_eq!(
        requests[3].line,
        "POST /admin/keys/rotation/disable HTTP/1.1"
    );
    assert_eq!(requests[3].json(), json!({}));
}

/// S3-05
#[test]
fn every_rule_goes_only_when_that_is_meant_and_a_selector_without_a_rule_says_so() {
    let rules = json!({"items": [{
        "id": "rot_0000000001", "interval_days": 90, "keep_previous": true, "grace": "0s",
        "selector": null, "due": 0,
    }]});
    let admin = Admin::answering([answer(200, &rules), answer(200, &rules)]);

    let unasked = admin.run(&["rotation", "disable"]).ends(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let none = admin
        .run(&["rotation", "disable", "--label", "team=billing"])
        .ends(0);

    let said = "No rule is for label team=billing alone; nothing was changed.\n";
    assert!(none.stderr.contains(said), "{}", none.stderr);
    assert!(!none.stdout.contains("removed"), "{}", none.stdout);
    let requests = admin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[1].json(),
        json!({"selector": {"label": "team=billing"}})
    );
}

/// S4-07, S4-12
#[test]
fn policies_are_listed_made_tried_out_and_taken_away() {
    let preview = json!({
        "keys": 20, "revoked": 1, "violating": 0,
        "items": [{
            "key_id": KEY, "key_name": "billing-worker", "owner_id": "usr_0000000abc",
            "last_used_at": null, "unused": true, "stale": false,
            "revoked_at": "2026-08-03T00:00:00.000Z", "violations": [],
        }],
    });
    let admin = Admin::answering([
        answer(200, &json!({"items": [policy()], "next_cursor": null})),
        answer(201, &policy()),
        answer(200, &preview),
        answer(200, &policy()),
    ]);
    let terms = [
        "--name",
        "unused",
        "--revoke-unused-after",
        "180d",
        "--risk",
        "low",
    ];
    let listed = admin.run(&["policies", "list"]).ends(0);
    let create = [&["policies", "create", "--require-expiry"][..], &terms[..]].concat();
    let made = admin.run(&create).ends(0);
    let tried = admin
        .run(&[&["policies", "preview"][..], &terms[..]].concat())
        .ends(0);
    let gone = admin.run(&["policies", "delete", "pol_0000000001"]).ends(0);

    assert_eq!(
        listed.stdout,
        "ID              NAME    KEYS      IN FORCE  ASKS\n\
         pol_0000000001  unused  risk low  yes       revoked unused after 180d, an end\n"
    );
    assert_eq!(made.stdout, listed.stdout);
    assert_eq!(
        tried.stdout,
        "ID              NAME            LAST USED  REVOKED               WHAT\n\
         key_3fXk29QmZa  billing-worker  never      2026-08-03T00:00:00Z  unused\n"
    );
    assert!(
        tried
            .stderr
            .contains("Of 20 keys in force, 1 would be warned"),
        "{}",
        tried.stderr
    );
    assert!(gone.stderr.contains("pol_0000000001"), "{}", gone.stderr);
    let requests = admin.requests();
    let expected = json!({
        "name": "unused", "selector": {"risk": "low"}, "require_expiry": true,
        "require_description": false, "require_reason": false, "revoke_unused_after": "180d",
    });
    assert_eq!(requests[1].json(), expected);
    let mut tried = expected;
    tried["require_expiry"] = json!(false);
    assert_eq!(requests[2].json(), json!({"policy": tried}));
    assert_eq!(
        requests[3].line,
        "DELETE /admin/policies/pol_0000000001 HTTP/1.1"
    );
}

/// What is asked for is tried, or it is said that it is not.
#[test]
fn a_preview_without_a_name_takes_no_terms_in_silence() {
    let preview = json!({"keys": 1, "revoked": 0, "violating": 0, "items": []});
    let admin = Admin::answering([answer(200, &preview)]);
    for terms in [["--max-age", "30d"], ["--risk", "low"]] {
        let told = admin.run(&[&["policies", "preview"][..], &terms[..]].concat());
        let told = told.ends(2);
        assert!(told.stderr.contains("--name"), "{}", told.stderr);
    }
    assert!(admin.requests().is_empty());
    admin.run(&["policies", "preview"]).ends(0);
    assert_eq!(admin.request().json(), json!({}));
}
