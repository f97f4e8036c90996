//! `keys update`, names in the place of ids, and what a key's end looks like.

use serde_json::json;

use super::canned::{Admin, json as answer};
use super::keys::nobody;
use super::{KEY, OWNER, key, problem};

fn created() -> String {
    let secret = "pk_live_3fXk29QmZa_000000000000000000000000000000AbCdEf";
    answer(
        201,
        &json!({"key": key("billing-worker"), "secret": secret, "previous": null}),
    )
}

/// What was given replaces the field, what is to be cleared becomes empty, the rest is not sent.
#[test]
fn all_that_may_be_changed_of_a_key_is_changed_from_the_command_line() {
    let tagged = answer(200, &key("shop")).replacen("\r\n", "\r\netag: \"abc\"\r\n", 1);
    let admin = Admin::answering([tagged.clone(), tagged]);
    let line = "keys update KEY --name s --description d --scope a --scope b --product p --rate 5/second:9 \
                --quota 9/day --concurrency 4 --allow-ip ::1 --allow-path /v1 --allow-method GET --risk low \
                --expires-at 2030-01-01T00:00:00Z --label a=b --metadata {\"n\":1} --protected=false \
                --self-rotation --rotation-days 30 --newest-only --rotation-grace 1h --if-match abc";
    let line = line.replace("KEY", KEY);
    let run = admin
        .run(&line.split_whitespace().collect::<Vec<_>>())
        .ends(0);
    assert!(run.stdout.contains("tag          abc\n"), "{}", run.stdout);
    let line = [
        "keys",
        "update",
        KEY,
        "--clear",
        "labels",
        "--clear",
        "expires_at",
        "--clear",
        "rotation",
    ];
    admin.run(&line).ends(0);

    let requests = admin.requests();
    assert_eq!(
        requests[0].line,
        format!("PATCH /admin/keys/{KEY} HTTP/1.1")
    );
    assert_eq!(requests[0].header("if-match"), Some("\"abc\""));
    assert_eq!(
        requests[0].json(),
        json!({
            "name": "s", "description": "d", "scopes": ["a", "b"], "products": ["p"],
            "rate_limits": [{"rate": "5/second", "burst": 9}], "quotas": [{"limit": 9, "per": "day"}],
            "concurrency": 4, "allowed_ips": ["::1"], "allowed_paths": ["/v1"],
            "allowed_methods": ["GET"], "risk": "low", "expires_at": "2030-01-01T00:00:00.000Z",
            "labels": {"a": "b"}, "metadata": {"n": 1}, "protected": false, "self_rotation": true,
            "rotation": {"interval_days": 30, "keep_previous": false, "grace": "1h"},
        })
    );
    assert_eq!(requests[1].header("if-match"), None);
    assert_eq!(
        requests[1].json(),
        json!({"labels": {}, "expires_at": null, "rotation": null})
    );
    let nothing = admin.run(&["keys", "update", KEY]).ends(2);
    assert!(
        nothing.stderr.contains("nothing to change"),
        "{}",
        nothing.stderr
    );
}

/// An owner that is there is the one that is meant, whatever it is; of several, none is guessed.
#[test]
fn a_key_for_an_owner_of_that_name_makes_no_second_one() {
    let owner = |id: &str, kind: &str| {
        json!({"id": id, "name": "Anna", "type": kind, "created_at": "2026-01-31T12:00:00.000Z",
            "disabled_at": null})
    };
    let owners =
        |items: serde_json::Value| answer(200, &json!({"items": items, "next_cursor": null}));
    let admin = Admin::answering([
        owners(json!([owner(OWNER, "user")])),
        created(),
        owners(json!([
            owner(OWNER, "user"),
            owner("usr_0000000xyz", "team")
        ])),
        created(),
    ]);
    let line = ["keys", "create", "--name", "k", "--owner", "Anna"];
    admin.run(&line).ends(0);
    let two = admin.run(&line).ends(2);
    let typed = [&line[..], &["--owner-type", "team"]].concat();
    admin.run(&typed).ends(0);

    let requests = admin.requests();
    assert_eq!(
        requests[1].json()["owner"],
        json!({"name": "Anna", "type": "user"})
    );
    for id in [OWNER, "usr_0000000xyz"] {
        assert!(two.stderr.contains(id), "{id}: {}", two.stderr);
    }
    assert_eq!(
        requests[3].json()["owner"],
        json!({"name": "Anna", "type": "team"})
    );
}

/// A name does wherever an id does; one that nothing has is told with the form of an id and where to look.
#[test]
fn a_name_that_is_the_only_one_stands_for_an_id() {
    let mut old = key("shop");
    old["id"] = json!("key_0000000old");
    old["status"] = json!("revoked");
    let page =
        |items: serde_json::Value| answer(200, &json!({"items": items, "next_cursor": null}));
    let admin = Admin::answering([
        page(json!([old, key("shop"), key("shop-eu")])),
        answer(200, &key("shop")),
        page(json!([])),
        page(json!([{"id": "pol_0000000001", "name": "exp"}])),
        answer(
            404,
            &problem(
                404,
                "not_found",
                "Not found",
                "there is nothing here",
                json!(null),
            ),
        ),
    ]);
    admin.run(&["keys", "suspend", "shop"]).ends(0);
    let none = admin.run(&["owners", "show", "Anna"]).ends(2);
    admin.run(&["policies", "delete", "exp"]).ends(1);

    let lines: Vec<String> = admin.requests().into_iter().map(|it| it.line).collect();
    assert_eq!(
        lines,
        [
            "GET /admin/keys?name=shop&limit=1000 HTTP/1.1".to_owned(),
            format!("POST /admin/keys/{KEY}/suspend HTTP/1.1"),
            "GET /admin/users?name=Anna&limit=1000 HTTP/1.1".to_owned(),
            "GET /admin/policies?limit=1000 HTTP/1.1".to_owned(),
            "DELETE /admin/policies/pol_0000000001 HTTP/1.1".to_owned(),
        ]
    );
    for words in [
        "no owner is called `Anna`",
        "usr_",
        "portcullis owners list",
    ] {
        assert!(none.stderr.contains(words), "{words}: {}", none.stderr);
    }
}

/// When, by whom and why a key ended is what one wants to know of it then.
#[test]
fn a_revoked_key_is_shown_with_its_end() {
    let mut ended = key("shop");
    ended["status"] = json!("revoked");
    ended["versions"][0]["state"] = json!("revoked");
    let entry = |version: serde_json::Value, reason: &str| {
        json!({"type": "key_revocation", "timestamp": "2026-02-01T12:00:00.000Z", "key_version": version,
            "actor": {"type": "token", "id": "tok_1", "name": "ci"}, "reason": reason})
    };
    let entries = json!([entry(json!(1), "of a version"), entry(json!(null), "left")]);
    let page = json!({"items": entries, "next_cursor": null});
    let admin = Admin::answering([answer(200, &ended), answer(200, &page)]);

    let run = admin.run(&["keys", "show", KEY]).ends(0);

    for words in [
        "revoked      2026-02-01T12:00:00.000Z by ci (tok_1)",
        "because      left",
    ] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
}

#[test]
fn a_refusal_is_told_with_every_place_it_points_at() {
    let body = problem(
        422,
        "invalid",
        "Invalid request",
        "2 fields are wrong",
        json!([
            {"pointer": "/scopes/0", "code": "format", "detail": "no scope"},
            {"pointer": "/env", "code": "unknown", "detail": "`prod` is not `live` or `test`"},
        ]),
    );
    let admin = Admin::answering([nobody(), answer(422, &body)]);

    let run = admin
        .run(&[
            "keys", "create", "--name", "k", "--owner", "o", "--env", "prod",
        ])
        .ends(1);

    assert_eq!(run.stdout, "");
    assert_eq!(
        run.stderr,
        "error: Invalid request (422 invalid): 2 fields are wrong\n  /scopes/0: no scope\n  \
         /env: `prod` is not `live` or `test`\n  request req_0000000001\n"
    );
}
