//! Policies: made, changed, taken away, tried out, and held to.

use http::Method;
use serde_json::{Value, json};

use crate::admin::harness::{Admin, bearer, request};

const POLICIES: &str = "/admin/policies";

async fn make(admin: &Admin, asked: Value) -> Value {
    let made = admin.call(Method::POST, POLICIES, asked).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json
}

#[tokio::test]
async fn a_policy_is_told_as_it_was_made_changed_and_taken_away() {
    let admin = Admin::start();
    let made = make(
        &admin,
        json!({"name": "unused", "revoke_unused_after": "180d", "selector": {"risk": "low"}}),
    )
    .await;
    let path = format!("{POLICIES}/{}", made["id"].as_str().unwrap());
    assert_eq!(
        made,
        json!({
            "id": made["id"], "name": "unused", "description": null, "enabled": true,
            "selector": {"risk": "low"}, "max_age": null, "require_expiry": false,
            "require_description": false, "require_reason": false, "owner_types": [],
            "allowed_scopes": null, "unused_alert_after": null, "stale_after": null,
            "revoke_unused_after": "180d", "revoke_warning": null,
            "created_at": "2026-01-01T00:00:00.000Z", "source": "api",
        })
    );
    assert_eq!(admin.get(&path).await.json, made);
    assert_eq!(admin.get(POLICIES).await.json["items"], json!([made]));

    let seen = admin.get(&path).await;
    let tag = seen.header("etag").unwrap().to_owned();
    let change = json!({"selector": null, "revoke_warning": "7d", "enabled": false});
    let changed = admin.call(Method::PATCH, &path, change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json["selector"], Value::Null);
    assert_eq!(changed.json["revoke_unused_after"], "180d");
    let headers = [bearer(), ("if-match", tag.as_str())];
    let stale = admin
        .ask(request(Method::DELETE, &path, &headers, None))
        .await;
    assert_eq!(stale.problem(), (412, "precondition_failed"));

    let taken = admin.call(
        Method::POST,
        POLICIES,
        json!({"name": "unused", "require_expiry": true}),
    );
    assert_eq!(taken.await.problem(), (409, "conflict"));
    assert_eq!(admin.call(Method::DELETE, &path, None).await.status, 200);
    assert_eq!(admin.get(&path).await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_with_its_field() {
    let admin = Admin::start();
    for (asked, pointers) in [
        (json!({"name": ""}), vec!["/name", ""]),
        (json!({"name": "p", "max_age": "1h"}), vec!["/max_age"]),
        (
            json!({"name": "p", "stale_after": "soon"}),
            vec!["/stale_after"],
        ),
        (
            json!({"name": "p", "revoke_unused_after": "6d"}),
            vec!["/revoke_unused_after"],
        ),
        (
            json!({"name": "p", "revoke_warning": "0s"}),
            vec!["/revoke_warning"],
        ),
        (
            json!({"name": "p", "owner_types": ["team", "robot"]}),
            vec!["/owner_types/1"],
        ),
        (
            json!({"name": "p", "allowed_scopes": ["a b"]}),
            vec!["/allowed_scopes/0"],
        ),
    ] {
        let reply = admin.call(Method::POST, POLICIES, asked.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{asked}");
        assert_eq!(reply.pointers(), pointers, "{asked}");
    }
    assert_eq!(admin.store.revision().await.unwrap().0, 0);
}

/// S4-15
#[tokio::test]
async fn a_key_that_breaks_a_policy_is_told_where() {
    let admin = Admin::start();
    make(
        &admin,
        json!({
            "name": "strict", "max_age": "90d", "require_description": true,
            "owner_types": ["system"], "allowed_scopes": ["orders:read"],
        }),
    )
    .await;
    let mut asked = json!({
        "name": "k", "owner": {"name": "Billing", "type": "team"},
        "scopes": ["orders:read", "orders:write"], "products": ["starter"],
    });
    let refused = admin.call(Method::POST, "/admin/keys", asked.clone()).await;
    assert_eq!(refused.problem(), (422, "invalid"));
    let expected = ["/expires_at", "/description", "/owner_id", "/scopes/1"];
    assert_eq!(refused.pointers(), expected);

    for (field, value) in [
        ("owner", json!({"name": "export", "type": "system"})),
        ("scopes", json!(["orders:read"])),
        ("description", json!("nightly export")),
        ("expires_at", json!("2026-04-01T00:00:00Z")),
    ] {
        asked[field] = value;
    }
    let made = admin.call(Method::POST, "/admin/keys", asked).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/admin/keys/{}", made.json["key"]["id"].as_str().unwrap());
    let later = json!({"expires_at": "2026-04-01T00:00:00.001Z"});
    let refused = admin.call(Method::PATCH, &path, later).await;
    assert_eq!(refused.pointers(), ["/expires_at"]);
}

/// S4-12: what would be done, before it is.
#[tokio::test]
async fn a_preview_tells_what_would_be_done_and_does_nothing() {
    let admin = Admin::start();
    let made = admin.make_key("old").await;
    admin
        .clock
        .turn(std::time::Duration::from_secs(200 * 24 * 3_600));
    admin.make_key("new").await;
    let before = admin.store.revision().await.unwrap();
    let asked = json!({"policy": {
        "name": "unused", "revoke_unused_after": "180d", "unused_alert_after": "7d",
        "require_expiry": true,
    }});
    let path = "/admin/policies/preview";
    let told = admin.call(Method::POST, path, asked).await.json;
    assert_eq!(
        (&told["keys"], &told["revoked"], &told["violating"]),
        (&json!(2), &json!(1), &json!(2))
    );
    let old = &told["items"][0];
    assert_eq!(old["key_id"], made["key"]["id"]);
    assert_eq!(old["unused"], true);
    assert_eq!(
        old["revoked_at"], "2026-08-03T00:00:00.000Z",
        "fourteen days from now"
    );
    assert_eq!(old["violations"][0]["pointer"], "/expires_at");
    assert_eq!(told["items"][1]["revoked_at"], Value::Null);
    assert_eq!(admin.store.revision().await.unwrap(), before);
    assert_eq!(admin.get(POLICIES).await.json["items"], json!([]));
    let none = admin.call(Method::POST, path, None).await.json;
    assert_eq!(none["items"], json!([]));
}
