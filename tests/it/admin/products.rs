//! Products over the admin API.

use http::Method;
use serde_json::json;

use crate::admin::harness::{Admin, bearer, request};

const PRODUCTS: &str = "/admin/products";

/// S0-13
#[tokio::test]
async fn a_product_is_made_found_changed_and_taken_away() {
    let admin = Admin::start();
    let body = json!({
        "name": "pro", "description": "for those who pay", "scopes": ["orders:read", "orders:write"],
        "routes": ["orders"], "rate_limits": [{"rate": "100/second"}],
        "quotas": [{"limit": 1000, "per": "month", "on_day": 31}],
    });
    let made = admin.call(Method::POST, PRODUCTS, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), Some("/admin/products/pro"));
    assert_eq!(made.json["source"], "api");
    let id = made.json["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("prd_"));
    for name in ["pro", &id] {
        let found = admin.get(&format!("{PRODUCTS}/{name}")).await;
        assert_eq!(found.json, made.json, "{name}");
        assert_eq!(found.header("etag"), made.header("etag"));
    }
    assert_eq!(admin.get(PRODUCTS).await.names(), ["pro", "starter"]);

    let path = format!("{PRODUCTS}/pro");
    let patch = json!({"scopes": ["orders:read"], "description": null});
    let changed = admin.call(Method::PATCH, &path, patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json["scopes"], json!(["orders:read"]));
    assert!(changed.json["description"].is_null());
    assert_eq!(changed.json["quotas"], made.json["quotas"]);
    assert_ne!(changed.header("etag"), made.header("etag"));

    let gone = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    assert_eq!(admin.get(&path).await.problem(), (404, "not_found"));
    let again = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(again.problem(), (404, "not_found"));
    assert_eq!(admin.get(PRODUCTS).await.names(), ["starter"]);
}

#[tokio::test]
async fn a_product_that_others_changed_meanwhile_is_left_as_it_is() {
    let admin = Admin::start();
    let made = admin
        .call(Method::POST, PRODUCTS, json!({"name": "pro"}))
        .await;
    let seen = made.header("etag").unwrap().to_owned();
    let path = format!("{PRODUCTS}/pro");
    let with = async |method: Method, body| {
        let headers = [bearer(), ("if-match", seen.as_str())];
        admin.ask(request(method, &path, &headers, body)).await
    };
    let first = with(Method::PATCH, Some(json!({"scopes": ["a"]}))).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let late = with(Method::PATCH, Some(json!({"scopes": ["b"]}))).await;
    assert_eq!(late.problem(), (412, "precondition_failed"));
    let late = with(Method::DELETE, None).await;
    assert_eq!(late.problem(), (412, "precondition_failed"));
    assert_eq!(admin.get(&path).await.json, first.json);
}

#[tokio::test]
async fn what_the_file_defines_is_read_only_and_its_name_is_taken() {
    let admin = Admin::start();
    let path = format!("{PRODUCTS}/starter");
    let before = admin.get(&path).await;
    assert_eq!(before.json["source"], "config");
    assert!(before.json["id"].is_null());
    for (method, path, body) in [
        (Method::PATCH, path.as_str(), Some(json!({"scopes": []}))),
        (Method::DELETE, path.as_str(), None),
        (Method::POST, PRODUCTS, Some(json!({"name": "starter"}))),
    ] {
        let reply = admin.call(method, path, body).await;
        assert_eq!(reply.problem(), (409, "conflict"));
    }
    assert_eq!(admin.get(&path).await.json, before.json);
}

#[tokio::test]
async fn a_product_stays_and_keeps_its_name_while_a_living_key_has_it() {
    let admin = Admin::start();
    admin
        .call(Method::POST, PRODUCTS, json!({"name": "pro"}))
        .await;
    let body =
        json!({"name": "k", "owner": {"name": "Billing", "type": "team"}, "products": ["pro"]});
    let key = admin.call(Method::POST, "/admin/keys", body).await.json;
    let key = format!("/admin/keys/{}", key["key"]["id"].as_str().unwrap());
    let path = format!("{PRODUCTS}/pro");
    let rename = json!({"name": "max"});
    for state in ["suspend", "resume"] {
        admin
            .call(Method::POST, &format!("{key}/{state}"), None)
            .await;
        let reply = admin.call(Method::DELETE, &path, None).await;
        assert_eq!(reply.problem(), (409, "conflict"), "{state}");
        let reply = admin.call(Method::PATCH, &path, rename.clone()).await;
        assert_eq!(reply.problem(), (409, "conflict"), "{state}");
    }
    admin.call(Method::DELETE, &key, None).await;
    let renamed = admin.call(Method::PATCH, &path, rename).await;
    assert_eq!(renamed.json["name"], "max", "{}", renamed.text);
    let path = format!("{PRODUCTS}/max");
    let gone = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(gone.status, 200);
}

#[tokio::test]
async fn a_bad_product_is_refused_by_its_fields_and_nothing_is_made() {
    let admin = Admin::start();
    for (body, pointers) in [
        (json!({"name": "Pro"}), vec!["/name"]),
        (json!({"name": ""}), vec!["/name"]),
        (json!({"name": "x".repeat(65)}), vec!["/name"]),
        (json!({"name": "p", "colour": 1}), vec!["/colour"]),
        (
            json!({"name": "p", "scopes": ["a", "a b"], "routes": ["orders", "nowhere"],
                   "rate_limits": [{"rate": "1/fortnight"}],
                   "quotas": [{"limit": 1, "per": "year"}, {"limit": 1, "per": "week", "on_day": 8},
                              {"limit": 1, "per": "month", "on_day": 31}]}),
            vec![
                "/scopes/1",
                "/rate_limits/0/rate",
                "/quotas/0/per",
                "/quotas/1/on_day",
                "/routes/1",
            ],
        ),
    ] {
        let reply = admin.call(Method::POST, PRODUCTS, body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{body}");
        assert_eq!(reply.pointers(), pointers);
    }
    let made = admin
        .call(Method::POST, PRODUCTS, json!({"name": "pro"}))
        .await;
    assert_eq!(made.status, 201);
    let twin = admin
        .call(Method::POST, PRODUCTS, json!({"name": "pro"}))
        .await;
    assert_eq!(twin.problem(), (409, "conflict"));
    assert_eq!(admin.get(PRODUCTS).await.names(), ["pro", "starter"]);
}
