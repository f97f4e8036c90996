//! What a key may do: its own permissions and those of its products.

use http::Method;
use serde_json::json;

use crate::support::{Gateway, Upstream};

#[tokio::test]
async fn a_key_needs_every_scope_of_its_route_from_itself_or_its_products() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("scopes: [orders:read, orders:write]")
        .setting("products: { reader: { scopes: [orders:read] }, x: { scopes: [orders:writer] } }")
        .start()
        .await;
    for (fields, status) in [
        (json!({}), 403),
        (json!({"scopes": ["orders:read"]}), 403),
        (json!({"products": ["reader"]}), 403),
        (json!({"scopes": ["orders:read", "orders:write"]}), 200),
        (
            json!({"scopes": ["orders:write"], "products": ["reader"]}),
            200,
        ),
        (
            json!({"scopes": ["orders:writer"], "products": ["reader"]}),
            403,
        ),
    ] {
        let key = gateway.create_key_with(fields.clone()).await;
        let reply = gateway.get("/").with(&key).await;
        assert_eq!(reply.status, status, "{fields}");
        if status == 403 {
            assert_eq!(reply.refusal(), "scope_missing");
        }
    }
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test]
async fn a_key_may_use_the_methods_it_names_or_all() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let reading = json!({"allowed_methods": ["GET", "HEAD"]});
    let reading = gateway.create_key_with(reading).await;
    let any = gateway.create_key().await;
    for (method, status) in [
        (Method::GET, 200),
        (Method::HEAD, 200),
        (Method::POST, 403),
        (Method::DELETE, 403),
        (Method::OPTIONS, 403),
    ] {
        let ask = gateway.ask(method.clone(), "/").with(&reading);
        assert_eq!(ask.await.status, status, "{method}");
        let ask = gateway.ask(method.clone(), "/").with(&any);
        assert_eq!(ask.await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn a_key_may_reach_the_paths_it_names_by_whole_segments() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let fields = json!({"allowed_paths": ["/v1/orders", "/v2/"]});
    let key = gateway.create_key_with(fields).await;
    for (path, status) in [
        ("/v1/orders", 200),
        ("/v1/orders/7", 200),
        ("/v1/%6Frders", 200),
        ("/v1/orders?x=/v3", 200),
        ("/v1/orders2", 403),
        ("/v1", 403),
        ("/v1//orders", 403),
        ("/v2/", 200),
        ("/v2/x", 200),
        ("/v2", 403),
        ("/x?/v2/x", 403),
    ] {
        let ask = gateway.get(path).with(&key);
        assert_eq!(ask.await.status, status, "{path}");
    }
}

/// Networks of both families, judged by who stands behind the trusted proxies and by nobody else's word.
#[tokio::test]
async fn a_key_may_be_used_from_the_networks_it_names() {
    let upstream = Upstream::echo().await;
    let nets = json!({"allowed_ips": ["203.0.113.0/24", "2001:db8::/32", "::ffff:198.51.100.7"]});
    let trusting = Gateway::routing("/", &upstream)
        .setting("trusted_proxies: [127.0.0.1]")
        .start()
        .await;
    let key = trusting.create_key_with(nets.clone()).await;
    for (client, status) in [
        ("203.0.113.255", 200),
        ("203.0.114.0", 403),
        ("2001:db8:ffff::1", 200),
        ("2001:db9::1", 403),
        ("198.51.100.7", 200),
        ("198.51.100.8", 403),
        ("::ffff:203.0.113.9", 200),
    ] {
        let ask = trusting
            .get("/")
            .with(&key)
            .header("x-forwarded-for", client);
        let reply = ask.await;
        assert_eq!(reply.status, status, "{client}");
        if status == 403 {
            assert_eq!(reply.refusal(), "ip_not_allowed");
        }
    }
    assert_eq!(upstream.requests(), 4);

    let alone = Gateway::routing("/", &upstream).start().await;
    let key = alone.create_key_with(nets).await;
    let ask = alone.get("/").with(&key);
    let reply = ask.header("x-forwarded-for", "203.0.113.1").await;
    assert_eq!(reply.refusal(), "ip_not_allowed", "its word is not taken");
    assert_eq!(upstream.requests(), 4);
}

#[tokio::test]
async fn a_route_may_be_for_keys_of_one_environment() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("envs: [test]")
        .start()
        .await;
    let live = gateway.create_key_with(json!({"env": "live"})).await;
    let test = gateway.create_key_with(json!({"env": "test"})).await;
    let reply = gateway.get("/").with(&live).await;
    assert_eq!(reply.refusal(), "env_not_allowed");
    assert_eq!(gateway.get("/").with(&test).await.status, 200);
}

#[tokio::test]
async fn a_changed_permission_holds_from_the_next_request_on() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("scopes: [a]")
        .start()
        .await;
    let key = gateway.create_key().await;
    let mut connection = gateway.connect().await;
    let reply = connection.send(gateway.get("/").with(&key)).await;
    assert_eq!(reply.refusal(), "scope_missing");
    gateway.patch(&key, json!({"scopes": ["a"]})).await;
    let reply = connection.send(gateway.get("/").with(&key)).await;
    assert_eq!(reply.status, 200);
    gateway.patch(&key, json!({"scopes": []})).await;
    let reply = connection.send(gateway.get("/").with(&key)).await;
    assert_eq!(reply.refusal(), "scope_missing");
}
