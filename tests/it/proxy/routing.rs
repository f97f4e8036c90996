//! Which route a request takes, and that what was matched is what is forwarded.

use http::Method;

use crate::support::{Gateway, Upstream};

#[tokio::test]
async fn the_most_particular_route_is_taken() {
    let (wide, exact, below, template, orders) = (
        Upstream::echo().await,
        Upstream::echo().await,
        Upstream::echo().await,
        Upstream::echo().await,
        Upstream::echo().await,
    );
    let pool = |name: &str, upstream: &Upstream| {
        format!(
            "{name}: {{ endpoints: [\"http://{}\"] }}",
            upstream.address()
        )
    };
    let mut builder = Gateway::routing("/", &wide).asking("key: none");
    for (name, upstream, matched) in [
        ("exact", &exact, "host: api.example, path: /v1"),
        ("below", &below, "host: \"*.example\", path_prefix: /v1"),
        (
            "template",
            &template,
            "path_template: \"/users/{id}/orders\"",
        ),
        ("orders", &orders, "path_prefix: /users/me, methods: [GET]"),
    ] {
        builder = builder.upstream(&pool(name, upstream)).route(&format!(
            "{{ name: {name}, match: {{ {matched} }}, upstream: {name}, key: none }}"
        ));
    }
    let gateway = builder.start().await;

    for (method, host, path, expected) in [
        (Method::GET, "api.example", "/v1", &exact),
        (Method::GET, "API.EXAMPLE:80", "/v1", &exact),
        (Method::GET, "api.example", "/v1/x", &below),
        (Method::GET, "a.b.example", "/v1/x", &below),
        (Method::GET, "example", "/v1/x", &wide),
        (Method::GET, "other", "/v10", &wide),
        (Method::GET, "other", "/users/7/orders", &template),
        (Method::GET, "other", "/users/7/orders/1", &wide),
        (Method::GET, "other", "/users/me/orders", &orders),
        (Method::POST, "other", "/users/me/orders", &template),
        (Method::POST, "other", "/users/me", &wide),
    ] {
        let before = expected.requests();
        let reply = gateway.ask(method.clone(), path).host(host).await;
        assert_eq!(reply.status, 200, "{method} {host}{path}");
        assert_eq!(expected.requests(), before + 1, "{method} {host}{path}");
    }
}

#[tokio::test]
async fn what_was_matched_is_forwarded_byte_for_byte() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/v1", &upstream)
        .asking("key: none")
        .start()
        .await;
    for (sent, forwarded) in [
        ("/v1", "/v1"),
        ("/v1/", "/v1/"),
        ("/v1//a///b", "/v1//a///b"),
        (
            "/v1/a%20b?q=%2e%2e%2f&r=/../",
            "/v1/a%20b?q=%2e%2e%2f&r=/../",
        ),
        ("/v1/a;v=1,2/b", "/v1/a;v=1,2/b"),
        ("/v1?", "/v1?"),
        ("/v1/caf%c3%a9", "/v1/caf%C3%A9"),
        // Escapes of what needs none are the same path (RFC 3986 §6.2.2.2).
        ("/%76%31/%7Ea", "/v1/~a"),
        ("http://other.example/v1/x?y", "/v1/x?y"),
    ] {
        let host = if sent.starts_with("http") {
            "other.example"
        } else {
            "a"
        };
        let mut raw = gateway.raw().await;
        raw.write(format!("GET {sent} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        let reply = raw.reply().await;
        assert!(reply.starts_with("HTTP/1.1 200 "), "{sent}: {reply}");
        assert_eq!(
            upstream.last().line(),
            format!("GET {forwarded} HTTP/1.1"),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for path in [
        "/a/../b",
        "/a/./b",
        "/..",
        "/%2e%2e/b",
        "/a/.%2E/b",
        "/..;x/b",
        "/..%3b/b",
        "/a/..%3Bx",
        "/a%2fb",
        "/a%5Cb",
        "/a%00",
        "/a%0d%0aX:%20y",
        "/%zz",
        "/a%7f",
    ] {
        let mut raw = gateway.raw().await;
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let reply = raw.reply().await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{path}: {reply}");
        assert!(
            reply.contains("\"code\":\"bad_request\""),
            "{path}: {reply}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}

/// Some APIs have names with slashes in them; to the gate such a name is one segment.
#[tokio::test]
async fn an_escaped_slash_is_kept_where_a_route_says_so() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/v1", &upstream)
        .asking("key: none, encoded_slashes: keep")
        .start()
        .await;
    let reply = gateway.get("/v1/groups%2fa%2Fb").await;
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.last().line(), "GET /v1/groups%2Fa%2Fb HTTP/1.1");
    assert_eq!(gateway.get("/v1%2Fx").await.refusal(), "no_route");
    for path in ["/v1/a%2f..%2fb", "/v1/..%2Fb", "/v1/a%2F%2e"] {
        assert_eq!(gateway.get(path).await.refusal(), "bad_request", "{path}");
    }
    assert_eq!(upstream.requests(), 1);
}

/// An upstream that leaves parameters aside, or reads an escaped slash, serves there what another route is for.
#[tokio::test]
async fn no_spelling_of_a_path_leads_round_what_a_route_asks() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .route("{ match: { path_prefix: /secret }, upstream: api, scopes: [secret:read] }")
        .route("{ match: { path_prefix: /keep }, upstream: api, encoded_slashes: keep }")
        .route("{ match: { path_prefix: /keep/secret }, upstream: api, scopes: [secret:read] }")
        .route("{ match: { path_prefix: /open }, upstream: api, key: none, encoded_slashes: keep }")
        .route("{ match: { path_prefix: /open/keyed }, upstream: api }")
        .start()
        .await;
    let key = gateway.create_key().await;
    for (path, code) in [
        ("/secret", "scope_missing"),
        ("/secret;a", "scope_missing"),
        ("/secret;a=1/x", "scope_missing"),
        ("/secret%3ba", "scope_missing"),
        ("/keep/secret;a/x", "scope_missing"),
        ("/keep/secret%2fx", "bad_request"),
        ("/keep/secret;a%2Fx", "bad_request"),
        ("/keep%2Fx", "bad_request"),
        ("/open/keyed%2Fx", "bad_request"),
    ] {
        let reply = gateway.get(path).with(&key).await;
        assert_eq!(reply.refusal(), code, "{path}");
    }
    assert_eq!(gateway.get("/open/keyed;a").await.refusal(), "missing_key");
    assert_eq!(upstream.connections(), 0);
    // What leads round nothing passes, as it came.
    for path in [
        "/x;a=1/b",
        "/keep/secre%2Ft",
        "/open/a%2Fb",
        "/keep/a;b%2Fc",
    ] {
        assert_eq!(gateway.get(path).with(&key).await.status, 200, "{path}");
        assert_eq!(upstream.last().line(), format!("GET {path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn the_gates_own_paths_are_never_forwarded() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for path in [
        "/.portcullis",
        "/.portcullis/",
        "/.portcullis/x",
        "/%2eportcullis/ready",
    ] {
        assert_eq!(gateway.get(path).await.refusal(), "no_route", "{path}");
    }
    let ready = gateway.get("/.portcullis/ready").await;
    assert_eq!((ready.status, ready.text()), (200, "{\"ready\":true}"));
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.get("/.portcullish").await.status, 200);
}
