//! HTTP/2 in front of an upstream that speaks HTTP/1.1.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Connection, Gateway, Upstream, within};

async fn gate(upstream: &Upstream) -> Gateway {
    Gateway::routing("/", upstream).h2c().start().await
}

#[tokio::test]
async fn a_request_arrives_as_http_1_1_with_its_authority_as_host() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    let ask = gateway
        .post("/x?y=z")
        .host("API.example:8443")
        .with(&key)
        .body("hello");
    let reply = connection.send(ask).await;
    assert_eq!((reply.status, reply.text()), (200, "hello"));
    let seen = upstream.last();
    assert_eq!(seen.line(), "POST /x?y=z HTTP/1.1");
    assert_eq!(
        (seen.header("content-length"), seen.text()),
        (Some("5"), "hello")
    );
    // RFC 9113 §8.3.1: Host is a copy of :authority, port and all.
    assert_eq!(seen.header("host"), Some("API.example:8443"));
    assert_eq!(seen.header("x-forwarded-host"), Some("API.example:8443"));
    assert_eq!(seen.header("x-portcullis-key-id"), Some(&*key.id));
    let line = gateway.log_lines(1).await.remove(0);
    assert_eq!(
        (&line["protocol"], &line["host"]),
        (&"h2".into(), &"api.example".into())
    );
}

#[tokio::test]
async fn host_and_authority_must_not_disagree() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    let ask = gateway.get("/").host("a.example").with(&key);
    let reply = connection.send(ask.header("host", "b.example")).await;
    assert_eq!(reply.refusal(), "bad_request");
    let ask = gateway.get("/").host("a.example").with(&key);
    let reply = connection.send(ask.header("host", "a.example")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.last().header("host"), Some("a.example"));
}

/// As over HTTP/1, where the byte gate refuses such a Host.
#[tokio::test]
async fn an_authority_that_is_no_host_is_not_forwarded() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    for host in ["x:99999", "x:", "x,y", "x;a=b", "*.x"] {
        let reply = connection
            .send(gateway.get("/").host(host).with(&key))
            .await;
        assert_eq!(reply.refusal(), "bad_request", "{host}");
    }
    let ask = gateway.get("/").host("x:99999").with(&key);
    let reply = connection.send(ask.header("host", "x:88888")).await;
    assert_eq!(reply.refusal(), "bad_request");
    assert_eq!(upstream.connections(), 0);
}

/// Over HTTP/1 the byte gate sees to both.
#[tokio::test]
async fn a_value_with_space_at_its_ends_and_a_second_length_are_refused() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    for (name, value) in [("x-note", " a"), ("x-note", "a "), ("x-note", "a\t")] {
        let ask = gateway.get("/").with(&key).header(name, value);
        let reply = connection.send(ask).await;
        assert_eq!(reply.refusal(), "bad_request", "{value:?}");
    }
    let ask = gateway.post("/").with(&key).header("content-length", "5");
    let ask = ask.header("content-length", "5").body("hello");
    assert_eq!(connection.send(ask).await.refusal(), "bad_request");
    assert_eq!(upstream.connections(), 0);
    let ask = gateway.get("/").with(&key).header("x-note", "a b");
    assert_eq!(connection.send(ask).await.status, 200);
}

/// Clients may send a cookie in crumbs; HTTP/1.1 has one line (RFC 9113 §8.2.3).
#[tokio::test]
async fn the_crumbs_of_a_cookie_are_put_together() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    let ask = gateway
        .get("/")
        .with(&key)
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    assert_eq!(connection.send(ask).await.status, 200);
    assert_eq!(upstream.last().header("cookie"), Some("a=1; b=2"));
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().h2c();
    let gateway = gateway.start().await;
    let limits = json!({"rate_limits": [{"rate": "60/hour"}]});
    let key = gateway.create_key_with(limits).await;
    let mut connection = gateway.http2().await;
    let body = |n: usize| format!("{n} ").repeat(5_000);
    let answers: Vec<_> = (0..80)
        .map(|n| connection.begin(gateway.post("/").with(&key).body(body(n))))
        .collect();
    let replies = join_all(
        answers
            .into_iter()
            .map(async |answer| within("an answer", answer).await.unwrap().reply().await),
    )
    .await;
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(passed, 60);
    for (n, reply) in replies.iter().enumerate() {
        match reply.status {
            200 => assert_eq!(reply.text(), body(n)),
            _ => assert_eq!(reply.refusal(), "rate_limited"),
        }
    }
    assert_eq!(
        gateway
            .metric("portcullis_connections_accepted_total{core=\"0\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_refused_stream_leaves_the_others_alone() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    let (ask, feed) = gateway.post("/").with(&key).feeding();
    let open = connection.begin(ask);
    feed.send("hello").await;
    for code in ["missing_key", "missing_key"] {
        let reply = connection.send(gateway.get("/")).await;
        assert_eq!((reply.status, &*reply.refusal()), (401, code));
    }
    let reply = connection.send(gateway.get("/a/../b").with(&key)).await;
    assert_eq!(reply.refusal(), "bad_request");
    drop(feed);
    let reply = within("an answer", open).await.unwrap().reply().await;
    assert_eq!(reply.text(), "hello");
}

#[tokio::test]
async fn a_stream_that_its_client_resets_gives_its_place_back() {
    let upstream = Upstream::stalling().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key_with(json!({"concurrency": 1})).await;
    let mut connection = gateway.http2().await;
    for n in 1..=3 {
        let answer = connection.begin(gateway.get("/").with(&key));
        upstream.has_seen(n).await;
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.refusal(), "concurrency_exceeded");
        drop(answer);
        gateway.is_quiet().await;
    }
}

#[tokio::test]
async fn a_listener_with_h2c_speaks_http_1_too() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    // A method that begins like HTTP/2's preface, in pieces.
    let mut raw = gateway.raw().await;
    raw.write("P").await;
    raw.write("OST / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(raw.reply().await.starts_with("HTTP/1.1 401 "));
    assert_eq!(
        gateway
            .http2()
            .await
            .send(gateway.get("/").with(&key))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused_and_costs_no_one_else() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream).await;
    let key = gateway.create_key().await;
    let long = "x".repeat(9 * 1024);
    let mut connection = gateway.http2().await;
    let path = format!("/{long}");
    let reply = connection.send(gateway.get(&path).with(&key)).await;
    assert_eq!((reply.status, &*reply.refusal()), (414, "target_too_long"));
    let ask = gateway
        .get("/")
        .with(&key)
        .header("x", &long)
        .header("y", &long);
    let answer = within("an end", connection.begin(ask)).await;
    // The stream is refused or answered 431; either way nothing is forwarded.
    assert!(answer.is_err() || answer.unwrap().status == 431);
    assert_eq!(upstream.connections(), 0);
    let mut other = Connection::http2(gateway.address()).await;
    assert_eq!(other.send(gateway.get("/").with(&key)).await.status, 200);
}
