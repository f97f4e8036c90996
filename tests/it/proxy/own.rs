//! The gate's own paths: what they answer, to whom, and that nothing of them is forwarded.

use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::{Ask, Gateway, Reply, Upstream, eventually};

fn me(gateway: &Gateway, key: &Key) -> Ask {
    gateway.get("/.portcullis/me").with(key)
}

fn names(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn only_what_is_served_there_is_answered_and_nothing_is_forwarded() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("encoded_slashes: keep")
        .start()
        .await;
    let key = gateway.create_key().await;
    for path in [
        "/.portcullis",
        "/.portcullis/",
        "/.portcullis/me/",
        "/.portcullis/other",
        "/.portcullis/ready/x",
        "/.portcullis%2Fme",
        "/.portcullis%2fother",
        "/.portcullis;v=1/me",
        "/.portcullis%3b/me",
        "/.portcullis/me;v=1",
        "/%2Eportcullis/me",
    ] {
        assert_eq!(
            gateway.get(path).with(&key).await.refusal(),
            "no_route",
            "{path}"
        );
    }
    for (path, allow) in [("ready", "GET, HEAD"), ("me", "GET, HEAD")] {
        for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            let path = format!("/.portcullis/{path}");
            let reply = gateway.ask(method, &path).with(&key).await;
            assert_eq!(reply.refusal(), "method_not_allowed");
            assert_eq!(reply.header("allow"), Some(allow));
        }
    }
    assert_eq!(
        me(&gateway, &key).header("x_api_key", "x").await.refusal(),
        "bad_request"
    );
    // A path that only begins like ours is the API's.
    assert_eq!(gateway.get("/.portcullisx/me").with(&key).await.status, 200);
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn a_load_balancer_needs_no_key_to_ask_whether_the_gate_is_ready() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let reply = gateway.get("/.portcullis/ready").await;
    assert_eq!((reply.status, reply.text()), (200, "{\"ready\":true}"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let reply = gateway.ask(Method::HEAD, "/.portcullis/ready").await;
    assert_eq!((reply.status, reply.text()), (200, ""));
    let lines = gateway.log_lines(2).await;
    assert_eq!(lines[0]["path"], "/.portcullis/ready");
}

#[tokio::test]
async fn a_holder_is_told_of_its_key_and_no_more_than_it_may_know() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .setting(
            "products: { starter: { scopes: [orders:read], rate_limits: [{ rate: 100/hour }] }, \
              writer: { scopes: [orders:write] } }",
        )
        .start()
        .await;
    let key = gateway
        .create_key_with(json!({
            "name": "billing-worker", "description": "nightly export", "products": ["starter"],
            "scopes": ["orders:write"], "allowed_paths": ["/v1"], "allowed_ips": ["127.0.0.0/8"],
            "rate_limits": [{"rate": "10/minute", "burst": 5}, {"rate": "1/day", "enforce": "shadow"}],
            "expires_at": "2026-02-01T00:00:00Z", "metadata": {"note": "m"}, "labels": {"team": "l"},
            "risk": "high", "protected": true,
        }))
        .await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/v1").with(&key).await.status, 200);
    }

    let reply = me(&gateway, &key).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.header("x-request-id").is_some());
    let told = reply.json();
    assert_eq!(
        told,
        json!({
            "key": {
                "id": key.id, "name": "billing-worker", "description": "nightly export",
                "owner": {"id": key.owner, "name": "Billing", "type": "team"}, "env": "live",
                "products": ["starter"], "scopes": ["orders:read", "orders:write"],
                "allowed_methods": [], "allowed_paths": ["/v1"], "allowed_ips": ["127.0.0.0/8"],
                "concurrency": null, "self_rotation": false, "version": 1,
                "fingerprint": key.fingerprint, "retires_at": null,
                "expires_at": "2026-02-01T00:00:00.000Z",
            },
            "limits": [
                {"name": "key-1", "rate": "10/minute", "burst": 5, "remaining": 3,
                 "whole_at": "2026-01-01T00:00:12.000Z"},
                {"name": "product-starter-1", "rate": "100/hour", "burst": 100, "remaining": 98,
                 "whole_at": "2026-01-01T00:01:12.000Z"},
            ],
            "quotas": [],
        })
    );
    assert_eq!(names(&told), ["key", "limits", "quotas"]);
    assert_eq!(upstream.requests(), 2);

    let head = gateway
        .ask(Method::HEAD, "/.portcullis/me")
        .with(&key)
        .await;
    assert_eq!((head.status, head.text()), (200, ""));
}

#[tokio::test]
async fn asking_spends_nothing_of_the_keys_limits_and_has_a_limit_of_its_own() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let limits = json!({"rate_limits": [{"rate": "2/hour"}]});
    let key = gateway.create_key_with(limits).await;
    let other = gateway.create_key().await;
    for remaining in [2, 1, 0] {
        assert_eq!(
            me(&gateway, &key).await.json()["limits"][0]["remaining"],
            remaining
        );
        let _: Reply = gateway.get("/").with(&key).await;
    }
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");
    assert_eq!(upstream.requests(), 2);

    for _ in 3..10 {
        assert_eq!(me(&gateway, &key).await.status, 200);
    }
    let reply = me(&gateway, &key).await;
    assert_eq!(
        (&*reply.refusal(), reply.retry_after()),
        ("rate_limited", Some(1))
    );
    assert_eq!(me(&gateway, &other).await.status, 200);
    gateway.clock.turn_ms(99);
    assert_eq!(me(&gateway, &key).await.refusal(), "rate_limited");
    gateway.clock.turn_ms(1);
    assert_eq!(me(&gateway, &key).await.status, 200);
}

/// S2-12: a lost secret that was replaced cannot use up what its key's holder needs to rotate it away.
#[tokio::test]
async fn a_replaced_secret_keeps_nobody_from_rotating_the_current_one() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway
        .create_key_with(json!({"self_rotation": true}))
        .await;
    let (new, _) = gateway.rotate(&old, json!({"grace": "1h"})).await;
    let rotate = |key: &Key| gateway.post("/.portcullis/rotate").with(key);
    for _ in 0..10 {
        assert_eq!(rotate(&old).await.status, 403);
    }
    assert_eq!(rotate(&old).await.refusal(), "rate_limited");
    assert_eq!(rotate(&new).await.status, 200);
    for _ in 0..10 {
        assert_eq!(me(&gateway, &old).await.status, 200);
    }
    assert_eq!(me(&gateway, &old).await.refusal(), "rate_limited");
}

#[tokio::test]
async fn whoever_is_not_the_holder_or_may_not_come_from_there_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: { header: X-Own }")
        .start()
        .await;
    let key = gateway.create_key().await;
    let ask = |name: &str, value: &str| gateway.get("/.portcullis/me").header(name, value);
    let bearer = format!("Bearer {}", key.secret);
    assert_eq!(ask("authorization", &bearer).await.status, 200);
    assert_eq!(ask("accept", "*/*").await.refusal(), "missing_key");
    assert_eq!(ask("x-own", &key.secret).await.refusal(), "missing_key");
    assert_eq!(ask("x-api-key", "guess").await.refusal(), "unknown_key");
    let twice = ask("authorization", &bearer).with(&key);
    assert_eq!(twice.await.refusal(), "ambiguous_credential");

    let elsewhere = json!({"allowed_ips": ["10.0.0.0/8"]});
    let elsewhere = gateway.create_key_with(elsewhere).await;
    assert_eq!(me(&gateway, &elsewhere).await.refusal(), "ip_not_allowed");
    gateway.pause(&key, "suspend").await;
    assert_eq!(me(&gateway, &key).await.refusal(), "key_suspended");
    gateway.revoke(&key).await;
    assert_eq!(me(&gateway, &key).await.refusal(), "key_revoked");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn asking_is_a_use_of_the_key_that_is_counted_apart_from_its_routes() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    assert_eq!(me(&gateway, &key).await.status, 200);
    gateway.pause(&key, "suspend").await;
    assert_eq!(me(&gateway, &key).await.refusal(), "key_suspended");
    let lines = gateway.log_lines(2).await;
    for line in &lines {
        assert_eq!(
            (&line["key_id"], &line["route"]),
            (&json!(key.id), &Value::Null)
        );
    }
    assert_eq!(lines[1]["code"], "key_suspended");

    let path = format!("/admin/keys/{}/usage?by=route,version", key.id);
    let bucket = eventually("both are counted", async || {
        let usage = gateway.admin(Method::GET, &path, None).await.json();
        let bucket = usage["buckets"][0].clone();
        (bucket["refused"]["key_suspended"] == 1).then_some(bucket)
    })
    .await;
    assert_eq!(bucket["route"], "/.portcullis");
    assert_eq!(
        (&bucket["requests"], &bucket["cost"]),
        (&json!(1), &json!(0))
    );
}
