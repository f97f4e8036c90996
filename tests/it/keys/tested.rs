//! `POST /admin/keys/{key_id}/test` says what the gate would say, and costs nothing.

use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::{Gateway, Upstream};

async fn test(gateway: &Gateway, key: &Key, request: Value) -> Value {
    let path = format!("/admin/keys/{}/test", key.id);
    let reply = gateway.admin(Method::POST, &path, Some(request)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Each request is thought through first, then made: both come to the same.
// S0-08
#[tokio::test]
async fn what_is_thought_through_is_what_the_gate_then_answers() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/v1", &upstream)
        .route("{ match: { path_prefix: /reads, methods: [GET, HEAD] }, upstream: api }")
        .route("{ match: { path_prefix: /orders }, upstream: api, scopes: [orders:read] }")
        .route("{ match: { path_prefix: /sandbox }, upstream: api, envs: [test] }")
        .route("{ match: { path_prefix: /open }, upstream: api, key: none }")
        .route("{ match: { host: a.example, path_prefix: /hosted }, upstream: api }")
        .start()
        .await;
    let key = gateway.create_key().await;
    let suspended = gateway.create_key().await;
    gateway.pause(&suspended, "suspend").await;
    let gone = gateway.create_key().await;
    gateway.revoke(&gone).await;
    let reading = json!({"allowed_methods": ["GET"], "allowed_paths": ["/v1/in"]});
    let reading = gateway.create_key_with(reading).await;
    let elsewhere = json!({"allowed_ips": ["10.0.0.0/8"]});
    let elsewhere = gateway.create_key_with(elsewhere).await;
    let limited = json!({"rate_limits": [{"rate": "1/hour"}]});
    let limited = gateway.create_key_with(limited).await;
    gateway.get("/v1").with(&limited).await;

    for (key, method, path) in [
        (&key, "GET", "/v1/x?y=z"),
        (&key, "POST", "/reads"),
        (&key, "GET", "/orders"),
        (&key, "GET", "/sandbox"),
        (&key, "GET", "/open"),
        (&key, "GET", "/nowhere"),
        (&key, "GET", "/hosted"),
        (&key, "GET", "/v1/../x"),
        (&key, "GET", "/v1/%2fx"),
        (&key, "BREW", "/v1"),
        (&key, "GET", "/.portcullis/x"),
        (&suspended, "GET", "/v1"),
        (&gone, "GET", "/v1"),
        (&reading, "POST", "/v1/in"),
        (&reading, "GET", "/v1/inside"),
        (&reading, "GET", "/v1/in"),
        (&elsewhere, "GET", "/v1"),
        (&limited, "GET", "/v1"),
    ] {
        let asked = json!({"method": method, "path": path, "address": "127.0.0.1"});
        let told = test(&gateway, key, asked).await;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let reply = gateway.ask(method, path).with(key).await;
        let (status, code) = match reply.status {
            200 => (Value::Null, Value::Null),
            status => (json!(status), json!(reply.refusal())),
        };
        assert_eq!(
            (&told["status"], &told["code"]),
            (&status, &code),
            "{path}: {told}"
        );
        assert_eq!(told["admitted"], json!(reply.status == 200), "{path}");
    }

    let hosted = json!({"method": "GET", "host": "A.example:80", "path": "/hosted"});
    assert_eq!(
        test(&gateway, &key, hosted).await["route"],
        "a.example/hosted"
    );
    let lacking = test(&gateway, &key, json!({"method": "GET", "path": "/orders"})).await;
    assert_eq!(lacking["detail"], "the key lacks orders:read");
}

#[tokio::test]
async fn nothing_is_spent_sent_or_counted() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let limited = json!({"rate_limits": [{"rate": "1/hour"}], "concurrency": 1});
    let key = gateway.create_key_with(limited).await;
    let asked = json!({"method": "GET", "path": "/"});
    for _ in 0..3 {
        let told = test(&gateway, &key, asked.clone()).await;
        assert_eq!(told["admitted"], true);
        assert_eq!(told["version"], 1);
        assert_eq!(told["limits"][0]["remaining"], 1);
    }
    assert_eq!(upstream.requests(), 0);
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    let told = test(&gateway, &key, asked.clone()).await;
    assert_eq!(
        (&told["admitted"], &told["status"]),
        (&json!(false), &json!(429))
    );

    let (_, rotated) = gateway.rotate(&key, json!({})).await;
    assert_eq!(rotated["key"]["version"], 2);
    assert_eq!(test(&gateway, &key, asked).await["version"], 2);
}

/// A quota is judged as the gate would, also by a gate that holds nothing of it, and stays as it is.
// S0-08
#[tokio::test]
async fn an_exhausted_quota_is_told_of_and_none_is_spent() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .asking("cost: 2")
        .setting("products: { starter: { quotas: [{ limit: 5, per: week }] } }")
        .start()
        .await;
    let fields = json!({
        "products": ["starter"],
        "quotas": [{"limit": 9, "per": "day"}, {"limit": 1, "per": "total", "hard": false}],
    });
    let key = gateway.create_key_with(fields).await;
    let asked = json!({"method": "GET", "path": "/"});
    let left = |told: &Value| {
        let quotas = told["quotas"].as_array().unwrap().iter();
        let left = quotas.map(|it| (it["name"].clone(), it["remaining"].as_u64().unwrap()));
        left.collect::<Vec<_>>()
    };
    let week = "product-starter-week";
    for (passed, rest) in [(0, [9, 1, 5]), (1, [7, 0, 3]), (2, [5, 0, 1])] {
        for _ in 0..3 {
            let told = test(&gateway, &key, asked.clone()).await;
            let names = ["key-day", "key-total", week].map(|name| json!(name));
            assert_eq!(left(&told), names.into_iter().zip(rest).collect::<Vec<_>>());
            assert_eq!(told["admitted"], passed < 2, "{told}");
            if passed == 2 {
                assert_eq!(told["status"], 429);
                assert_eq!(told["code"], "quota_exhausted");
                assert_eq!(told["detail"], format!("`{week}` has 1 left"));
            }
        }
        let status = gateway.get("/").with(&key).await.status;
        assert_eq!(status, if passed < 2 { 200 } else { 429 });
        gateway.restart().await;
    }
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test]
async fn what_is_no_request_is_told_at_its_place() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let path = format!("/admin/keys/{}/test", key.id);
    let bad = json!({"method": "A B", "host": "a b", "path": "x", "address": "here"});
    let reply = gateway.admin(Method::POST, &path, Some(bad)).await.json();
    let errors = reply["errors"].as_array().unwrap().iter();
    let pointers: Vec<&Value> = errors.map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/method", "/host", "/path", "/address"]);
}
