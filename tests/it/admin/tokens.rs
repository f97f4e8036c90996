//! Admin tokens: made, shown once, recognised, ended.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::admin::harness::{Admin, CONFIGURED, Setup, request};

#[tokio::test]
async fn the_first_start_makes_one_admin_token_and_no_later_one() {
    let admin = Admin::with(Setup {
        token: None,
        ..Setup::default()
    });
    let secret = admin.tokens.bootstrap().await.unwrap().unwrap();
    let reply = admin
        .call_as(secret.reveal(), Method::GET, "/admin/tokens", None)
        .await;
    assert_eq!(reply.names(), ["bootstrap"]);
    assert!(!reply.text.contains(secret.reveal()));
    assert!(admin.tokens.bootstrap().await.unwrap().is_none());
    let wrong = admin
        .call_as(CONFIGURED, Method::GET, "/admin/tokens", None)
        .await;
    assert_eq!(wrong.problem(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_configured_token_is_accepted_and_never_stored() {
    let admin = Admin::start();
    assert!(admin.tokens.bootstrap().await.unwrap().is_none());
    let reply = admin.get("/admin/tokens").await;
    assert_eq!(reply.status, 200);
    assert!(reply.names().is_empty());
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_the_next_call() {
    let admin = Admin::start();
    let body = json!({"name": "ci", "role": "viewer"});
    let made = admin.call(Method::POST, "/admin/tokens", body).await.json;
    let secret = made["secret"].as_str().unwrap();
    let ask = async || {
        admin
            .call_as(secret, Method::GET, "/admin/keys", None)
            .await
    };
    assert_eq!(ask().await.status, 200);
    let path = format!("/admin/tokens/{}", made["token"]["id"].as_str().unwrap());
    let ended = admin
        .call(Method::DELETE, &format!("{path}?reason=left"), None)
        .await;
    assert_eq!(ended.status, 200);
    assert!(ended.json["revoked_at"].is_string());
    assert_eq!(ask().await.problem(), (401, "unauthenticated"));
    let again = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(again.json, ended.json);
    let none = admin
        .call(Method::DELETE, "/admin/tokens/tok_0000000000", None)
        .await;
    assert_eq!(none.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_token_works_until_its_end_and_not_at_it() {
    let admin = Admin::start();
    let body = json!({"name": "ci", "role": "viewer", "expires_at": "2026-01-01T01:00:00Z"});
    let made = admin.call(Method::POST, "/admin/tokens", body).await.json;
    let secret = made["secret"].as_str().unwrap();
    admin.clock.turn(Duration::from_millis(3_599_999));
    let reply = admin
        .call_as(secret, Method::GET, "/admin/keys", None)
        .await;
    assert_eq!(reply.status, 200);
    admin.clock.turn(Duration::from_millis(1));
    let reply = admin
        .call_as(secret, Method::GET, "/admin/keys", None)
        .await;
    assert_eq!(reply.problem(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_bad_token_is_refused_by_its_fields() {
    let admin = Admin::start();
    for (body, pointer) in [
        (json!({"name": "", "role": "viewer"}), "/name"),
        (json!({"name": "a", "role": "root"}), "/role"),
        (
            json!({"name": "a", "role": "viewer", "owner_id": "me"}),
            "/owner_id",
        ),
        (
            json!({"name": "a", "role": "viewer", "owner_id": "usr_0000000000"}),
            "/owner_id",
        ),
        (
            json!({"name": "a", "role": "viewer", "expires_at": "soon"}),
            "/expires_at",
        ),
        (
            json!({"name": "a", "role": "viewer", "expires_at": "2026-01-01T00:00:00Z"}),
            "/expires_at",
        ),
    ] {
        let reply = admin
            .call(Method::POST, "/admin/tokens", body.clone())
            .await;
        assert_eq!(reply.problem(), (422, "invalid"), "{body}");
        assert_eq!(reply.pointers(), [pointer]);
    }
    assert!(admin.get("/admin/tokens").await.names().is_empty());
}

#[tokio::test]
async fn too_many_wrong_tokens_are_told_to_wait_and_a_right_one_never_is() {
    let admin = Admin::start();
    let wrong = async || {
        let reply = admin.call_as("wrong", Method::GET, "/admin/keys", None);
        let reply = reply.await;
        (
            reply.status.as_u16(),
            reply.header("retry-after").map(str::to_owned),
        )
    };
    for _ in 0..10 {
        assert_eq!(wrong().await, (401, None));
    }
    assert_eq!(wrong().await, (429, Some("6".to_owned())));
    assert_eq!(admin.get("/admin/keys").await.status, 200);
    // Entering takes nothing back of what others did.
    assert_eq!(wrong().await.0, 429);
    admin.clock.turn(Duration::from_secs(6));
    assert_eq!(wrong().await, (401, None));
    assert_eq!(wrong().await.0, 429);
    let open = admin.ask(request(Method::GET, "/healthz", &[], None)).await;
    assert_eq!(open.status, 200);
}

#[tokio::test]
async fn a_token_is_given_another_name_role_and_end_until_it_is_revoked() {
    let admin = Admin::start();
    let body = json!({"name": "ci", "role": "viewer"});
    let made = admin.call(Method::POST, "/admin/tokens", body).await.json;
    let secret = made["secret"].as_str().unwrap();
    let path = format!("/admin/tokens/{}", made["token"]["id"].as_str().unwrap());
    let make = async || {
        let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
        let reply = admin.call_as(secret, Method::POST, "/admin/keys", body);
        reply.await.status.as_u16()
    };
    assert_eq!(make().await, 403);

    let patch = json!({"role": "operator", "name": "deploy", "expires_at": "2026-01-01T01:00:00Z"});
    let reply = admin.call(Method::PATCH, &path, patch).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json["name"], "deploy");
    assert_eq!(reply.json["fingerprint"], made["token"]["fingerprint"]);
    assert_eq!(make().await, 201);

    for (body, pointer) in [
        (json!({"role": "root"}), "/role"),
        (json!({"name": ""}), "/name"),
        (json!({"name": null}), "/name"),
        (json!({"expires_at": "2026-01-01T00:00:00Z"}), "/expires_at"),
        (json!({"expires_at": "soon"}), "/expires_at"),
        (json!({"owner_id": null}), "/owner_id"),
    ] {
        let reply = admin.call(Method::PATCH, &path, body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{body}");
        assert_eq!(reply.pointers(), [pointer]);
    }
    let endless = admin.call(Method::PATCH, &path, json!({"expires_at": null}));
    assert!(endless.await.json["expires_at"].is_null());

    admin.call(Method::DELETE, &path, None).await;
    let reply = admin.call(Method::PATCH, &path, json!({"name": "back"}));
    assert_eq!(reply.await.problem(), (409, "conflict"));
    let none = admin.call(Method::PATCH, "/admin/tokens/tok_0000000000", json!({}));
    assert_eq!(none.await.problem(), (404, "not_found"));
}
