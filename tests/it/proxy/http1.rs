//! HTTP/1 at its edges: bytes in, bytes out.

use std::time::Duration;

use crate::support::raw::{code, field, status};
use crate::support::{Gateway, Upstream, eventually, within};

async fn open_gate(upstream: &Upstream) -> Gateway {
    Gateway::routing("/", upstream)
        .asking("key: none")
        .start()
        .await
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let mut raw = gateway.raw().await;
    let request =
        |n: usize| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{n}");
    raw.write((0..5).map(request).collect::<String>()).await;
    for n in 0..5 {
        let reply = raw.reply().await;
        assert_eq!(status(&reply), 200);
        assert!(reply.ends_with(&n.to_string()), "{reply}");
    }
    let lines: Vec<String> = upstream
        .seen()
        .iter()
        .map(|it| it.line().to_owned())
        .collect();
    assert_eq!(lines[4], "POST /4 HTTP/1.1");
}

/// Good requests before a bad one are served, and the bad one is the last.
#[tokio::test]
async fn a_bad_request_behind_good_ones_ends_the_connection_after_their_answers() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
    let replies = gateway
        .send_raw(format!(
            "{good}{good}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{good}"
        ))
        .await;
    let statuses: Vec<&str> = replies
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &replies[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "200", "400"]);
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test]
async fn each_fault_of_a_head_has_its_status() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = "x".repeat(8 * 1024);
    for (request, expected, name) in [
        (
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            414,
            "target_too_long",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}{long}\r\n\r\n"),
            431,
            "head_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            431,
            "head_too_large",
        ),
        (
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(),
            505,
            "version_not_supported",
        ),
        (
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(),
            505,
            "version_not_supported",
        ),
        ("GET /\r\n\r\n".into(), 505, "version_not_supported"),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
            505,
            "version_not_supported",
        ),
        (
            "BREW / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            501,
            "method_unknown",
        ),
        (
            "get / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            501,
            "method_unknown",
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            405,
            "method_not_allowed",
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into(),
            405,
            "method_not_allowed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n".into(),
            417,
            "expectation_failed",
        ),
    ] {
        let reply = gateway.send_raw(&request).await;
        let shown = &request[..request.len().min(60)];
        assert_eq!(status(&reply), expected, "{shown}: {reply}");
        assert_eq!(code(&reply), name, "{shown}");
        assert_eq!(field(&reply, "connection"), Some("close"), "{shown}");
        assert_eq!(
            field(&reply, "content-type"),
            Some("application/problem+json")
        );
    }
    assert_eq!(upstream.connections(), 0);
    let lines = gateway.log_lines(12).await;
    assert!(
        lines
            .iter()
            .all(|line| line["code"].is_string() && line["route"].is_null())
    );
}

/// RFC 9110 §10.2.1 wants `Allow` on every 405.
#[tokio::test]
async fn a_method_that_is_never_served_is_told_what_is() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let reply = gateway
        .send_raw("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let allow = field(&reply, "allow");
    assert_eq!(allow, Some("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
}

#[tokio::test]
async fn heads_up_to_the_bounds_pass() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let long = "x".repeat(8 * 1024 - 1);
    let many: String = (0..99).map(|n| format!("X-{n}: y\r\n")).collect();
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\nY: {}\r\n\r\n",
            &long[..8_000]
        ),
    ] {
        let mut raw = gateway.raw().await;
        raw.write(&request).await;
        assert_eq!(status(&raw.reply().await), 200, "{}", &request[..60]);
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_whole_in_time_is_answered_408() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("deadlines: { head: 200ms }")
        .start()
        .await;
    let reply = gateway.send_raw("GET / HTTP/1.1\r\nHost: a\r\n").await;
    assert_eq!((status(&reply), &*code(&reply)), (408, "request_timeout"));
    assert_eq!(field(&reply, "connection"), Some("close"));
    assert_eq!(gateway.log_lines(1).await[0]["code"], "request_timeout");
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_is_closed_without_a_word() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .setting("deadlines: { idle: 200ms }")
        .start()
        .await;
    assert_eq!(gateway.send_raw("").await, "");
    let mut raw = gateway.raw().await;
    raw.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&raw.reply().await), 200);
    assert_eq!(raw.rest_in_order().await, "");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_408_and_given_up_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .setting("deadlines: { body_idle: 200ms }")
        .h2c()
        .start()
        .await;
    let mut raw = gateway.raw().await;
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
        .await;
    let reply = raw.rest().await;
    assert_eq!((status(&reply), &*code(&reply)), (408, "request_timeout"));
    let mut connection = gateway.http2().await;
    let (ask, feed) = gateway.post("/").feeding();
    let answer = connection.begin(ask);
    feed.send("hel").await;
    let reply = within("an answer", answer).await.unwrap().reply().await;
    assert_eq!((reply.status, &*reply.refusal()), (408, "request_timeout"));
    gateway.is_quiet().await;
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on_when_its_body_is_wanted() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let head = |secret: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nX-API-Key: {secret}\r\nExpect: 100-continue\r\n\
             Content-Length: 5\r\n\r\n"
        )
    };
    let mut raw = gateway.raw().await;
    raw.write(head(&key.secret)).await;
    let go_on = raw.until_text("\r\n\r\n").await;
    assert_eq!(status(&go_on), 100);
    raw.write("hello").await;
    assert!(raw.reply().await.ends_with("hello"));
    assert_eq!(upstream.last().header("expect"), None);

    // Whoever is refused is not asked for a body first.
    let mut raw = gateway.raw().await;
    raw.write(head("nobody")).await;
    assert_eq!(status(&raw.reply().await), 401);
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn http_1_0_is_served_and_its_connection_closed() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let reply = gateway
        .send_raw("POST /x HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    assert_eq!(reply.split("\r\n\r\n").nth(1), Some("hi"));
    assert!(reply.starts_with("HTTP/1.0 200 ") || reply.starts_with("HTTP/1.1 200 "));
    assert_eq!(upstream.last().line(), "POST /x HTTP/1.1");
    assert_eq!(gateway.log_lines(1).await[0]["status"], 200);
}

/// Chunks are not for a client that speaks 1.0 (RFC 9112 §6.1): the answer ends with the connection.
#[tokio::test]
async fn an_answer_without_a_length_reaches_a_1_0_client_without_chunks() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let gateway = open_gate(&upstream).await;
    let reply = gateway.send_raw("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(reply.split("\r\n\r\n").nth(1), Some("ok"));
    assert_eq!(field(&reply, "transfer-encoding"), None);
}

#[tokio::test]
async fn a_client_that_says_close_is_closed_after_its_answer() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let mut raw = gateway.raw().await;
    raw.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let reply = raw.rest_in_order().await;
    assert_eq!(status(&reply), 200);
    assert_eq!(field(&reply, "connection"), Some("close"));
}

#[tokio::test]
async fn head_and_204_and_304_have_no_body_and_the_connection_goes_on() {
    let upstream = Upstream::serving(|mut socket| async move {
        while let Some(seen) = socket.request().await {
            let answer: &[u8] = if seen.line().starts_with("HEAD /long ") {
                b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
            } else if seen.line().contains("/none") {
                b"HTTP/1.1 204 No Content\r\n\r\n"
            } else {
                b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"
            };
            socket.write(answer).await;
        }
    })
    .await;
    let gateway = open_gate(&upstream).await;
    let mut raw = gateway.raw().await;
    for (line, expected, length) in [
        ("HEAD /long", 200, Some("1000")),
        ("GET /none", 204, None),
        ("GET /same", 304, None),
        ("HEAD /same", 304, None),
    ] {
        raw.write(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let head = raw.until_text("\r\n\r\n").await;
        assert_eq!(status(&head), expected, "{line}");
        assert_eq!(field(&head, "content-length"), length, "{line}: {head}");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_closed_after_so_many_requests() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .setting("bounds: { requests_per_connection_max: 2 }")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    for _ in 0..2 {
        assert_eq!(connection.send(gateway.get("/")).await.status, 200);
    }
    connection.closed().await;
}

#[tokio::test]
async fn so_many_connections_from_one_address_and_no_more() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .setting("bounds: { connections_per_address_max: 2 }")
        .start()
        .await;
    let mut first = gateway.connect().await;
    let mut second = gateway.connect().await;
    assert_eq!(first.send(gateway.get("/")).await.status, 200);
    assert_eq!(second.send(gateway.get("/")).await.status, 200);

    let turned_away = gateway.send_raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(turned_away, "");
    assert_eq!(upstream.requests(), 2);
    let count = "portcullis_connections_turned_away_total";
    assert_eq!(gateway.metric(count).await, 1.0);

    drop(first);
    eventually("a place for a connection", async || {
        let reply = gateway.send_raw("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        reply.contains(" 200 ").then_some(())
    })
    .await;
}

/// A reader that takes nothing holds a connection no longer than it may.
#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let upstream = Upstream::serving(|mut socket| async move {
        socket.request().await;
        socket
            .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while socket.try_write(chunk.as_bytes()).await {}
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .setting("deadlines: { write_stall: 200ms }")
        .start()
        .await;
    let mut raw = gateway.raw().await;
    raw.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let line = gateway.log_lines(1).await.remove(0);
    assert_eq!((&line["status"], &line["cut"]), (&200.into(), &true.into()));
    gateway.is_quiet().await;
}

/// Whoever connects to the wrong port learns so at once, not after a deadline.
#[tokio::test]
async fn a_tls_handshake_on_a_plain_port_is_refused_at_once() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let began = tokio::time::Instant::now();
    let reply = gateway
        .send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .await;
    assert_eq!(status(&reply), 400);
    assert!(began.elapsed() < Duration::from_secs(5));
}
