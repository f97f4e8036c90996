//! What a product that is made and changed over the admin API does at the gate.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Gateway, Upstream};

async fn product(gateway: &Gateway, method: Method, path: &str, body: Value) {
    let path = format!("/admin/products{path}");
    let reply = gateway.admin(method, &path, Some(body)).await;
    assert!([200, 201].contains(&reply.status), "{}", reply.text());
}

/// S0-13: a key has what its product says, from the next request on, whoever had it before.
#[tokio::test]
async fn a_changed_product_changes_what_its_keys_may_do_at_once() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("scopes: [orders:read]")
        .start()
        .await;
    product(&gateway, Method::POST, "", json!({"name": "pro"})).await;
    let given = gateway.create_key_with(json!({"products": ["pro"]})).await;
    let own = gateway
        .create_key_with(json!({"scopes": ["orders:read"]}))
        .await;
    let mut connection = gateway.connect().await;
    let reply = connection.send(gateway.get("/").with(&given)).await;
    assert_eq!(reply.refusal(), "scope_missing");

    product(
        &gateway,
        Method::PATCH,
        "/pro",
        json!({"scopes": ["orders:read"]}),
    )
    .await;
    let reply = connection.send(gateway.get("/").with(&given)).await;
    assert_eq!(reply.status, 200);
    product(&gateway, Method::PATCH, "/pro", json!({"scopes": []})).await;
    let reply = connection.send(gateway.get("/").with(&given)).await;
    assert_eq!(reply.refusal(), "scope_missing");
    let reply = connection.send(gateway.get("/").with(&own)).await;
    assert_eq!(reply.status, 200);
}

/// A change of a product refills no limit that it leaves as it was.
#[tokio::test]
async fn a_changed_product_refills_no_limit() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let limits = json!([{"rate": "3/hour"}]);
    let body = json!({"name": "pro", "rate_limits": limits});
    product(&gateway, Method::POST, "", body).await;
    let key = gateway
        .create_key_with(json!({"products": ["pro"], "rate_limits": [{"rate": "5/hour"}]}))
        .await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
    }
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");

    product(&gateway, Method::PATCH, "/pro", json!({"scopes": ["a"]})).await;
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");
    // Without it, only what is left of the key's own: five, of which three are spent.
    product(&gateway, Method::PATCH, "/pro", json!({"rate_limits": []})).await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
    }
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");
    assert_eq!(upstream.requests(), 5);
}

/// A key whose products name routes reaches those and no others; also after the gate started anew.
#[tokio::test]
async fn a_key_reaches_the_routes_that_its_products_open() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .route("{ name: orders, match: { path_prefix: /orders }, upstream: api }")
        .route("{ name: users, match: { path_prefix: /users }, upstream: api }")
        .start()
        .await;
    let body = json!({"name": "orders-only", "routes": ["orders"]});
    product(&gateway, Method::POST, "", body).await;
    product(&gateway, Method::POST, "", json!({"name": "everywhere"})).await;
    let bound = gateway
        .create_key_with(json!({"products": ["orders-only"]}))
        .await;
    let both = json!({"products": ["orders-only", "everywhere"]});
    let both = gateway.create_key_with(both).await;
    let free = gateway.create_key().await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/orders").with(&bound).await.status, 200);
        for path in ["/users", "/other"] {
            let reply = gateway.get(path).with(&bound).await;
            assert_eq!(reply.refusal(), "path_not_allowed", "{path}");
            assert_eq!(gateway.get(path).with(&both).await.status, 200);
            assert_eq!(gateway.get(path).with(&free).await.status, 200);
        }
        gateway.restart().await;
    }
}

/// A product of the configuration names routes too, and is told so.
#[tokio::test]
async fn a_product_of_the_configuration_opens_the_routes_it_names() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .route("{ name: orders, match: { path_prefix: /orders }, upstream: api }")
        .setting("products: { orders-only: { description: orders alone, routes: [orders] } }")
        .start()
        .await;
    let key = gateway
        .create_key_with(json!({"products": ["orders-only"]}))
        .await;
    assert_eq!(gateway.get("/orders").with(&key).await.status, 200);
    let reply = gateway.get("/other").with(&key).await;
    assert_eq!(reply.refusal(), "path_not_allowed");
    assert_eq!(upstream.requests(), 1);
    let told = gateway.admin(Method::GET, "/admin/products/orders-only", None);
    let told = told.await.json();
    assert_eq!(told["routes"], json!(["orders"]));
    assert_eq!(
        (&told["source"], &told["description"]),
        (&json!("config"), &json!("orders alone"))
    );
}
