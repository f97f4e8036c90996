//! Where a key is read from, and that no upstream ever sees it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;

use crate::support::admin::Key;
use crate::support::upstream::Seen;
use crate::support::{Ask, Gateway, Upstream};

/// The request arrived, and nothing of the key with it.
async fn arrives_without(upstream: &Upstream, ask: Ask, key: &Key) -> Seen {
    let before = upstream.requests();
    let reply = ask.await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(upstream.requests(), before + 1);
    let seen = upstream.last();
    assert!(!seen.head.contains(&key.secret), "{}", seen.head);
    assert_eq!(seen.header("x-portcullis-key-id"), Some(&*key.id));
    seen
}

async fn keyed(key_source: &str) -> (Upstream, Gateway, Key) {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking(&format!("key: {key_source}"))
        .start()
        .await;
    let key = gateway.create_key().await;
    (upstream, gateway, key)
}

#[tokio::test]
async fn a_key_in_the_usual_places_is_taken_out_before_forwarding() {
    let (upstream, gateway, key) = keyed("default").await;
    let seen = arrives_without(&upstream, gateway.get("/").with(&key), &key).await;
    assert_eq!(seen.header("x-api-key"), None);
    for scheme in ["Bearer ", "bearer ", "BEARER  "] {
        let ask = gateway
            .get("/")
            .header("authorization", &format!("{scheme}{}", key.secret));
        let seen = arrives_without(&upstream, ask, &key).await;
        assert_eq!(seen.header("authorization"), None);
    }
}

#[tokio::test]
async fn the_apis_own_token_beside_a_key_is_forwarded() {
    let (upstream, gateway, key) = keyed("default").await;
    let ask = gateway.get("/").with(&key);
    let ask = ask.header("authorization", "Bearer eyJhbGciOi.x.y");
    let seen = arrives_without(&upstream, ask, &key).await;
    assert_eq!(seen.header("authorization"), Some("Bearer eyJhbGciOi.x.y"));
    let ask = gateway.get("/").with(&key);
    let ask = ask.header("authorization", "Basic dXNlcjpwYXNz");
    let seen = arrives_without(&upstream, ask, &key).await;
    assert_eq!(seen.header("authorization"), Some("Basic dXNlcjpwYXNz"));
}

#[tokio::test]
async fn a_key_in_another_header_is_taken_out_and_the_usual_ones_are_not_read() {
    let (upstream, gateway, key) = keyed("{ header: X-Token }").await;
    let ask = gateway.get("/").header("x-token", &key.secret);
    let seen = arrives_without(&upstream, ask, &key).await;
    assert_eq!(seen.header("x-token"), None);
    let reply = gateway.get("/").with(&key).await;
    assert_eq!(reply.refusal(), "missing_key");
    let both = gateway.get("/").with(&key).header("x-token", &key.secret);
    assert_eq!(both.await.refusal(), "ambiguous_credential");
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn a_key_in_a_cookie_is_taken_out_and_the_other_cookies_stay() {
    let (upstream, gateway, key) = keyed("{ cookie: session }").await;
    let cookies = format!("theme=dark; session={}; lang=de", key.secret);
    let ask = gateway.get("/").header("cookie", &cookies);
    let seen = arrives_without(&upstream, ask, &key).await;
    assert_eq!(seen.header("cookie"), Some("theme=dark; lang=de"));
    let alone = format!("session=\"{}\"", key.secret);
    let ask = gateway.get("/").header("cookie", &alone);
    let seen = arrives_without(&upstream, ask, &key).await;
    assert_eq!(seen.header("cookie"), None);
    let twice = format!("session={0}; session={0}", key.secret);
    let reply = gateway.get("/").header("cookie", &twice).await;
    assert_eq!(reply.refusal(), "ambiguous_credential");
}

/// A browser knows no ports: what opens the dashboard also comes to the gate's routes, and is for no upstream.
#[tokio::test]
async fn a_session_of_the_dashboard_reaches_no_upstream() {
    for source in ["{ header: X-Token }", "{ cookie: session }", "none"] {
        let (upstream, gateway, key) = keyed(source).await;
        let cookies = [
            format!(
                "a=1; __Host-portcullis=opens-the-door; session={}",
                key.secret
            ),
            "__Host-portcullis=once-more; __Host-portcullisx=b".to_owned(),
        ];
        let mut ask = gateway.get("/").header("x-token", &key.secret);
        for line in &cookies {
            ask = ask.header("cookie", line);
        }
        assert_eq!(ask.await.status, 200, "{source}");
        let seen = upstream.last();
        let left = seen.header("cookie").unwrap();
        assert!(
            left.starts_with("a=1; ") && left.ends_with("__Host-portcullisx=b"),
            "{left}"
        );
        assert!(!left.contains("__Host-portcullis="), "{left}");
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_taken_out_and_the_rest_is_forwarded_as_it_is() {
    let (upstream, gateway, key) = keyed("{ query: api_key }").await;
    for (sent, forwarded) in [
        ("?a=1&api_key=KEY&b=%20x", "/x?a=1&b=%20x"),
        ("?api_key=KEY", "/x"),
        ("?api_key=KEY&a", "/x?a"),
    ] {
        let path = format!("/x{}", sent.replace("KEY", &key.secret));
        let seen = arrives_without(&upstream, gateway.get(&path), &key).await;
        assert_eq!(seen.line(), format!("GET {forwarded} HTTP/1.1"));
    }
    let path = format!("/x?api_key={0}&api_key={0}", key.secret);
    assert_eq!(gateway.get(&path).await.refusal(), "ambiguous_credential");
    let lines = gateway.log_lines(4).await;
    let logged = serde_json::to_string(&lines).unwrap();
    assert!(!logged.contains(&key.secret) && !logged.contains("api_key"));
}

#[tokio::test]
async fn a_key_in_the_query_is_not_read_where_no_route_says_so() {
    let (upstream, gateway, key) = keyed("default").await;
    let path = format!("/?api_key={}", key.secret);
    assert_eq!(gateway.get(&path).await.refusal(), "missing_key");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn a_keyless_route_asks_for_no_key_and_passes_none_on() {
    let (upstream, gateway, key) = keyed("none").await;
    assert_eq!(gateway.get("/").await.status, 200);
    for ask in [
        gateway.get("/").with(&key),
        gateway
            .get("/")
            .header("authorization", &format!("Bearer {}", key.secret)),
    ] {
        assert_eq!(ask.await.status, 200);
        let seen = upstream.last();
        assert!(!seen.head.contains(&key.secret), "{}", seen.head);
        assert!(!seen.head.contains("x-portcullis-"), "{}", seen.head);
    }
    let own = gateway.get("/").header("authorization", "Bearer eyJ");
    assert_eq!(own.await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("authorization"), Some("Bearer eyJ"));
}

#[tokio::test]
async fn a_key_under_another_scheme_is_neither_used_nor_passed_on() {
    let (upstream, gateway, key) = keyed("none").await;
    let values = [
        format!("Token {}", key.secret),
        format!("ApiKey\t{}", key.secret),
        key.secret.clone(),
        format!("Basic {}", STANDARD.encode(format!("{}:", key.secret))),
    ];
    for value in &values {
        let reply = gateway.get("/").header("authorization", value).await;
        assert_eq!(reply.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.header("authorization"), None, "{}", seen.head);
    }
    let (upstream, gateway, key) = keyed("default").await;
    let tab = format!("Bearer\t{}", key.secret);
    let reply = gateway.get("/").header("authorization", &tab).await;
    assert_eq!((reply.status, upstream.requests()), (200, 1));
    assert_eq!(upstream.last().header("authorization"), None);
    let token = format!("Token {}", key.secret);
    let reply = gateway.get("/").header("authorization", &token).await;
    assert_eq!(reply.refusal(), "missing_key");
    let both = gateway.get("/").with(&key).header("authorization", &token);
    assert_eq!(both.await.refusal(), "ambiguous_credential");
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let (upstream, gateway, key) = keyed("default").await;
    let bearer = format!("Bearer {}", key.secret);
    let listed = format!("{0},{0}", key.secret);
    for ask in [
        gateway.get("/").with(&key).with(&key),
        gateway.get("/").with(&key).header("authorization", &bearer),
        gateway.get("/").header("x-api-key", &listed),
        gateway
            .get("/")
            .header("authorization", &bearer)
            .header("authorization", &bearer),
    ] {
        assert_eq!(ask.await.refusal(), "ambiguous_credential");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn what_is_too_long_for_a_key_is_not_looked_up() {
    let (upstream, gateway, _) = keyed("default").await;
    for length in [512, 513, 4_000] {
        let long = "x".repeat(length);
        let reply = gateway.get("/").header("x-api-key", &long).await;
        assert_eq!(reply.refusal(), "unknown_key", "{length}");
    }
    let reply = gateway.get("/").header("x-api-key", "").await;
    assert_eq!(reply.refusal(), "missing_key");
    assert_eq!(upstream.connections(), 0);
}
