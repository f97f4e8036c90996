//! Holders who rotate their own keys at the gate.

use http::Method;
use serde_json::json;

use crate::support::admin::Key;
use crate::support::{Ask, Gateway, Upstream, within};

pub(super) fn rotate_mine(gateway: &Gateway, key: &Key) -> Ask {
    gateway.post("/.portcullis/rotate").with(key)
}

/// S2-01, S2-02, S1-08: where the key permits it, and the secret is shown to its holder alone, once.
#[tokio::test]
async fn a_holder_rotates_its_own_key_where_that_is_permitted() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let own = json!({"self_rotation": true, "metadata": {"note": "m"}, "scopes": ["a"]});
    let old = gateway.create_key_with(own).await;

    let body = json!({"grace": "1h", "reason": "regular"});
    let reply = rotate_mine(&gateway, &old).json(&body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let told = reply.json();
    assert_eq!(told["key"]["id"], *old.id);
    assert_eq!(
        (&told["key"]["version"], &told["key"]["scopes"]),
        (&json!(2), &json!(["a"]))
    );
    assert_eq!(told["key"].get("metadata"), None);
    assert_eq!(
        told["previous"],
        json!({"number": 1, "fingerprint": old.fingerprint, "retires_at": "2026-01-01T01:00:00.000Z"})
    );
    let new = Key {
        secret: told["secret"].as_str().unwrap().to_owned(),
        ..old.clone()
    };
    for key in [&old, &new] {
        assert_eq!(gateway.get("/").with(key).await.status, 200);
    }

    // A secret that was replaced is no way to the next one.
    assert_eq!(
        rotate_mine(&gateway, &old).await.refusal(),
        "path_not_allowed"
    );
    let reply = rotate_mine(&gateway, &new).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json()["previous"]["retires_at"],
        "2026-01-02T00:00:00.000Z"
    );
    gateway.clock.turn_ms(3_600_000);
    assert_eq!(gateway.get("/").with(&old).await.refusal(), "key_retired");
    assert_eq!(gateway.get("/").with(&new).await.status, 200);
    let log = gateway.log_text();
    assert!(!log.contains(&new.secret) && !log.contains(&old.secret));
}

#[tokio::test]
async fn what_a_holder_may_not_or_cannot_rotate_stays_as_it_is() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let plain = gateway.create_key().await;
    let reply = rotate_mine(&gateway, &plain).await;
    assert_eq!((reply.status, &*reply.refusal()), (403, "path_not_allowed"));
    assert_eq!(
        gateway.post("/.portcullis/rotate").await.refusal(),
        "missing_key"
    );

    let own = gateway
        .create_key_with(json!({"self_rotation": true}))
        .await;
    let ask = || rotate_mine(&gateway, &own);
    let reply = ask().json(&json!({"grace": "73h"})).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let problem = reply.json();
    assert_eq!(
        (&problem["code"], &problem["errors"][0]["pointer"]),
        (&json!("invalid"), &json!("/grace"))
    );
    assert_eq!(problem["request_id"], reply.header("x-request-id").unwrap());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    // Ending other secrets, or moving the key's own end, is not a holder's to do.
    for body in [json!({"revoke_earlier": true}), json!({"expires_at": null})] {
        assert_eq!(ask().json(&body).await.status, 422);
    }
    assert_eq!(ask().body("grace").await.status, 415);
    assert_eq!(
        ask()
            .header("content-type", "application/json")
            .body("{")
            .await
            .status,
        400
    );
    let large = "x".repeat(8 * 1_024 + 1);
    assert_eq!(ask().body(large.clone()).await.refusal(), "body_too_large");
    let (chunked, feed) = ask().feeding();
    let mut connection = gateway.connect().await;
    let answer = connection.begin(chunked);
    feed.send(large).await;
    drop(feed);
    let reply = within("an answer", answer).await.unwrap().reply().await;
    assert_eq!(reply.refusal(), "body_too_large");

    let told = gateway
        .admin(Method::GET, &format!("/admin/keys/{}", own.id), None)
        .await
        .json();
    assert_eq!(told["versions"].as_array().unwrap().len(), 1);
    assert_eq!(upstream.requests(), 0);
}

/// A policy that asks for reasons keeps no holder from its own key: that it holds it is the reason.
// S4-08 S2-01
#[tokio::test]
async fn a_holder_rotates_where_a_policy_asks_for_a_reason_and_its_holding_is_one() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let policy = json!({"name": "grave", "require_reason": true});
    let made = gateway.admin(Method::POST, "/admin/policies", Some(policy));
    assert_eq!(made.await.status, 201);
    let own = gateway
        .create_key_with(json!({"self_rotation": true}))
        .await;
    let path = format!("/admin/keys/{}/rotate", own.id);
    let by_hand = gateway.admin(Method::POST, &path, Some(json!({}))).await;
    assert_eq!(by_hand.json()["errors"][0]["pointer"], "/reason");
    let reply = rotate_mine(&gateway, &own).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let secret = reply.json()["secret"].as_str().unwrap().to_owned();
    let new = Key { secret, ..own };
    gateway.clock.turn_ms(1);
    let body = json!({"reason": "monthly"});
    let again = rotate_mine(&gateway, &new).json(&body).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let path = "/admin/audit-logs?type=key_rotation&outcome=done";
    let log = gateway.admin(Method::GET, path, None).await.json();
    let items = log["items"].as_array().unwrap().iter();
    let reasons: Vec<_> = items.map(|it| it["reason"].clone()).collect();
    assert_eq!(reasons, [json!("monthly"), json!("by its holder")]);
}
