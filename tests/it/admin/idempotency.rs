//! A creation that is asked for twice under one idempotency key happens once.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::admin::harness::{Admin, Reply, request};

async fn create(admin: &Admin, token: &str, idempotency: &str, name: &str) -> Reply {
    let field = format!("Bearer {token}");
    let headers = [
        ("authorization", field.as_str()),
        ("idempotency-key", idempotency),
    ];
    let body = json!({"name": name, "owner": {"name": "Billing", "type": "team"}});
    admin
        .ask(request(Method::POST, "/admin/keys", &headers, Some(body)))
        .await
}

#[tokio::test]
async fn a_repetition_answers_alike_without_the_secret() {
    let admin = Admin::start();
    let token = admin.make_token("operator", None).await;
    let first = create(&admin, &token, "a-1", "k").await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = create(&admin, &token, "a-1", "k").await;
    assert_eq!(again.status, 201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json["key"], first.json["key"]);
    assert_eq!(again.json["secret"], Value::Null);
    assert_eq!(admin.get("/admin/keys").await.names(), ["k"]);
}

#[tokio::test]
async fn two_at_once_make_one_key() {
    let admin = Admin::start();
    let token = admin.make_token("operator", None).await;
    let (a, b) = tokio::join!(
        create(&admin, &token, "a-1", "k"),
        create(&admin, &token, "a-1", "k")
    );
    assert_eq!(a.json["key"]["id"], b.json["key"]["id"]);
    let secrets = [&a, &b].map(|reply| reply.json["secret"].is_string());
    assert_eq!(secrets.iter().filter(|shown| **shown).count(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_mistake() {
    let admin = Admin::start();
    let token = admin.make_token("operator", None).await;
    create(&admin, &token, "a-1", "k").await;
    let other = create(&admin, &token, "a-1", "other").await;
    assert_eq!(other.problem(), (422, "invalid"));
    assert_eq!(admin.get("/admin/keys").await.names(), ["k"]);
}

#[tokio::test]
async fn another_caller_or_another_day_is_another_call() {
    let admin = Admin::start();
    let token = admin.make_token("operator", None).await;
    let first = create(&admin, &token, "a-1", "k").await;
    let someone = admin.make_token("operator", None).await;
    let theirs = create(&admin, &someone, "a-1", "k").await;
    assert_ne!(theirs.json["key"]["id"], first.json["key"]["id"]);

    admin.clock.turn(Duration::from_secs(24 * 3_600 - 1));
    let replayed = create(&admin, &token, "a-1", "k").await;
    assert_eq!(replayed.json["key"]["id"], first.json["key"]["id"]);
    admin.clock.turn(Duration::from_secs(1));
    let anew = create(&admin, &token, "a-1", "k").await;
    assert_ne!(anew.json["key"]["id"], first.json["key"]["id"]);
    assert!(anew.json["secret"].is_string());
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii() {
    let admin = Admin::start();
    let token = admin.make_token("operator", None).await;
    let long = "x".repeat(256);
    for key in ["", "a b", &long] {
        let reply = create(&admin, &token, key, "k").await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{key}");
    }
    let longest = "x".repeat(255);
    assert_eq!(create(&admin, &token, &longest, "k").await.status, 201);
}
