//! What the upstream is told of a caller, and what a caller cannot make it believe.

use serde_json::json;

use crate::support::{Gateway, Upstream};

const NETWORK_OF_THE_CLIENT: &str = "trusted_proxies: [127.0.0.0/8]";

#[tokio::test]
async fn the_upstream_is_told_whose_request_it_is() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let scopes = json!({"scopes": ["orders:write", "orders:read"], "env": "test"});
    let key = gateway.create_key_with(scopes).await;

    let reply = gateway.get("/a?b=c").host("api.example").with(&key).await;

    assert_eq!(reply.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.line(), "GET /a?b=c HTTP/1.1");
    for (name, value) in [
        ("x-portcullis-key-id", &*key.id),
        ("x-portcullis-key-version", "1"),
        ("x-portcullis-owner", &*key.owner),
        ("x-portcullis-scopes", "orders:read orders:write"),
        ("x-portcullis-env", "test"),
        ("host", "api.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "api.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=127.0.0.1;host=\"api.example\";proto=http"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let id = seen.header("x-request-id").unwrap();
    assert_eq!(reply.header("x-request-id"), Some(id));
    assert!(id.starts_with("req_"));
    let trace = seen.header("traceparent").unwrap();
    let parts: Vec<&str> = trace.split('-').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("00", 32, 16));
}

#[tokio::test]
async fn what_a_client_says_in_our_name_never_arrives() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting(NETWORK_OF_THE_CLIENT)
        .route("{ match: { path_prefix: /open }, upstream: api, key: none }")
        .start()
        .await;
    let key = gateway.create_key().await;
    let spoofed = [
        "X-Portcullis-Key-Id",
        "X-Portcullis-Owner",
        "x-portcullis-scopes",
        "X-PORTCULLIS-ANYTHING",
    ];
    for path in ["/", "/open"] {
        let mut ask = gateway.get(path).with(&key);
        for name in spoofed {
            ask = ask.header(name, "spoofed");
        }
        assert_eq!(ask.await.status, 200);
        let seen = upstream.last();
        assert!(!seen.head.contains("spoofed"), "{}", seen.head);
    }
    assert!(!upstream.last().head.contains("x-portcullis-"));
}

/// A server that reads `_` as `-`, as CGI does, would take it for ours.
#[tokio::test]
async fn a_twin_of_a_field_of_ours_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    for name in [
        "X_Portcullis_Owner",
        "X-Portcullis_Scopes",
        "X_API_Key",
        "X_Forwarded_For",
        "X.Portcullis.Owner",
        "X-Portcullis!Key-Id",
        "X-HTTP.Method-Override",
    ] {
        let reply = gateway.get("/").with(&key).header(name, "x").await;
        assert_eq!(reply.refusal(), "bad_request", "{name}");
    }
    assert_eq!(upstream.connections(), 0);
    let reply = gateway.get("/").with(&key).header("x_other", "x").await;
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.last().header("x_other"), Some("x"));
}

#[tokio::test]
async fn forwarding_fields_of_a_stranger_are_replaced() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let ask = gateway
        .get("/")
        .host("a.example")
        .with(&key)
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-port", "1")
        .header("forwarded", "for=203.0.113.7")
        .header("x-real-ip", "203.0.113.7")
        .header("x-request-id", "mine");
    assert_eq!(ask.await.status, 200);
    let seen = upstream.last();
    assert!(!seen.head.contains("203.0.113.7"), "{}", seen.head);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("a.example"));
    assert_eq!(seen.header("x-forwarded-port"), None);
    assert_ne!(seen.header("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn forwarding_fields_of_a_trusted_proxy_are_continued() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting(NETWORK_OF_THE_CLIENT)
        .start()
        .await;
    let key = gateway.create_key().await;
    let ask = gateway
        .get("/")
        .host("a.example")
        .with(&key)
        .header("x-forwarded-for", "198.51.100.9, 203.0.113.7")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example")
        .header("forwarded", "for=203.0.113.7;proto=https")
        .header("x-request-id", "edge-1")
        .header(
            "traceparent",
            "00-11111111111111111111111111111111-2222222222222222-01",
        );
    let reply = ask.await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-request-id"), Some("edge-1"));
    let seen = upstream.last();
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.9, 203.0.113.7, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        (
            "forwarded",
            "for=203.0.113.7;proto=https, for=127.0.0.1;host=\"a.example\";proto=http",
        ),
        ("x-request-id", "edge-1"),
        (
            "traceparent",
            "00-11111111111111111111111111111111-2222222222222222-01",
        ),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(gateway.log_lines(1).await[0]["client"], "203.0.113.7");
}

/// A trusted proxy's list may have several lines; only the last one was written by the proxy.
#[tokio::test]
async fn a_list_in_several_lines_is_continued_not_forked() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting(NETWORK_OF_THE_CLIENT)
        .start()
        .await;
    let key = gateway.create_key().await;
    let ask = gateway
        .get("/")
        .with(&key)
        .header("x-forwarded-for", "198.51.100.9")
        .header("x-forwarded-for", "203.0.113.7");
    assert_eq!(ask.await.status, 200);
    assert_eq!(
        upstream.last().header("x-forwarded-for"),
        Some("198.51.100.9, 203.0.113.7, 127.0.0.1")
    );
    assert_eq!(gateway.log_lines(1).await[0]["client"], "203.0.113.7");
}

#[tokio::test]
async fn an_address_a_key_may_be_used_from_is_the_one_behind_the_trusted_proxies() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("trusted_proxies: [127.0.0.1, 10.0.0.0/8]")
        .start()
        .await;
    let inside = json!({"allowed_ips": ["203.0.113.0/24", "2001:db8::/32"]});
    let key = gateway.create_key_with(inside).await;
    for (list, status) in [
        ("203.0.113.7", 200),
        ("203.0.113.7, 10.1.2.3", 200),
        ("2001:db8::1", 200),
        ("::ffff:203.0.113.7", 200),
        // What stands before the nearest stranger is the stranger's own word.
        ("203.0.113.7, 198.51.100.9", 403),
        ("198.51.100.9", 403),
        ("203.0.113.7, unknown", 403),
        ("203.0.113.7:443", 200),
        ("[2001:db8::1]:443", 200),
    ] {
        let ask = gateway.get("/").with(&key).header("x-forwarded-for", list);
        assert_eq!(ask.await.status, status, "{list}");
    }
    // The proxy's own address is no way in for those it cannot name.
    let own = json!({"allowed_ips": ["127.0.0.0/8", "0.0.0.0/0"]});
    let own = gateway.create_key_with(own).await;
    assert_eq!(gateway.get("/").with(&own).await.status, 200);
    for (field, value) in [
        ("x-forwarded-for", "unknown"),
        ("x-forwarded-for", "127.0.0.1:x"),
        ("forwarded", "for=_hidden"),
        ("forwarded", "proto=https"),
    ] {
        let reply = gateway.get("/").with(&own).header(field, value).await;
        assert_eq!(reply.refusal(), "ip_not_allowed", "{field}: {value}");
    }
    let ask = gateway.get("/").with(&key);
    let told = ask.header("forwarded", "for=\"203.0.113.7:1\"").await;
    assert_eq!(told.status, 200);
    // A proxy that writes one of the two lets the other through as a client sent it.
    let ask = gateway.get("/").with(&key);
    let ask = ask.header("x-forwarded-for", "203.0.113.7");
    let told = ask.header("forwarded", "for=198.51.100.9").await;
    assert_eq!(told.refusal(), "ip_not_allowed");
}

/// RFC 9110 §7.6.1, in both directions.
#[tokio::test]
async fn what_is_meant_for_one_hop_goes_no_further() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\n\
         proxy-connection: x\r\netag: e\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let ask = gateway
        .get("/")
        .with(&key)
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1")
        .header("keep-alive", "1")
        .header("te", "trailers")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABk")
        .header("proxy-authorization", "Basic eA==")
        .header("proxy-connection", "x")
        .header("x-original-url", "/admin")
        .header("x-http-method-override", "DELETE")
        .header("accept", "text/plain");
    let reply = ask.await;
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    let seen = upstream.last();
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "proxy-connection",
        "x-original-url",
        "x-http-method-override",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("accept"), Some("text/plain"));
    for name in ["connection", "keep-alive", "x-hop", "proxy-connection"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("etag"), Some("e"));
}

#[tokio::test]
async fn connection_cannot_have_the_gate_drop_what_it_says_itself() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    for name in [
        "x-portcullis-owner",
        "x-api-key",
        "x-forwarded-for",
        "authorization",
    ] {
        let ask = gateway.get("/").with(&key).header("connection", name);
        assert_eq!(ask.await.refusal(), "bad_request", "{name}");
    }
    assert_eq!(upstream.connections(), 0);
}
