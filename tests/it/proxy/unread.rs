//! Bodies that nobody reads to the end: what their connection hears of it, and whether it goes on.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Notify;

use crate::support::raw::{code, field, status};
use crate::support::{Gateway, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";

/// RFC 9112 §9.6: a client that keeps the connection would send its next request to nobody.
#[tokio::test]
async fn an_answer_that_leaves_a_body_unread_says_that_the_connection_closes() {
    let upstream = Upstream::serving(|mut socket| async move {
        socket.head().await;
        socket.write(OK).await;
        socket.closed().await;
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for body in [
        "Content-Length: 100000\r\n\r\nsome",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
    ] {
        let mut raw = gateway.raw().await;
        raw.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"))
            .await;
        let reply = raw.rest().await;
        assert_eq!(status(&reply), 200, "{reply}");
        assert_eq!(field(&reply, "connection"), Some("close"), "{reply}");
        assert!(reply.ends_with("early"), "{reply}");
    }
}

/// What the upstream has not taken yet still goes to it after its answer has begun.
#[tokio::test]
async fn an_upload_goes_on_while_its_answer_comes() {
    let (go_on, taken) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upstream = Upstream::serving({
        let (go_on, taken) = (Arc::clone(&go_on), Arc::clone(&taken));
        move |mut socket| {
            let (go_on, taken) = (Arc::clone(&go_on), Arc::clone(&taken));
            async move {
                let head = socket.head().await.unwrap();
                socket
                    .write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n")
                    .await;
                go_on.notified().await;
                let body = socket.body(&head).await;
                assert_eq!(body, b"sometimes");
                taken.notify_one();
                socket.write("in full.").await;
            }
        }
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    let mut raw = gateway.raw().await;
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome")
        .await;
    let head = raw.until_text("\r\n\r\n").await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    go_on.notify_one();
    raw.write("times").await;
    taken.notified().await;
    assert!(raw.rest().await.ends_with("in full."));
}

/// A client that was refused tries again, on the connection it has.
#[tokio::test]
async fn a_refusal_reads_a_small_body_and_keeps_the_connection() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("body_max: 1KiB")
        .start()
        .await;
    let key = gateway.create_key().await;
    let bodies = [
        format!("Content-Length: 60000\r\n\r\n{}", "x".repeat(60_000)),
        "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\r\n".to_owned(),
    ];
    for body in &bodies {
        for (path, fields) in [
            ("/", "X-API-Key: nobody"),
            ("/", "X-API-Key: nobody\r\nX-API-Key: twice"),
            ("/.portcullis/rotate", "X-API-Key: nobody"),
            ("/.portcullis/nothing", "X-API-Key: nobody"),
        ] {
            let mut raw = gateway.raw().await;
            raw.write(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}"
            ))
            .await;
            let refusal = raw.reply().await;
            assert!((400..500).contains(&status(&refusal)), "{refusal}");
            assert_eq!(field(&refusal, "connection"), None, "{refusal}");
            raw.write(format!(
                "GET /next HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\n\r\n",
                key.secret
            ))
            .await;
            assert_eq!(status(&raw.reply().await), 200);
            assert_eq!(upstream.last().line(), "GET /next HTTP/1.1");
        }
    }
    let expected = 2 * 4;
    assert_eq!(
        upstream.requests(),
        expected,
        "a refused body was forwarded"
    );
}

#[tokio::test]
async fn a_refusal_waits_for_no_body_that_is_large_or_asked_for_first() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    for fields in [
        "Content-Length: 65537",
        "Content-Length: 10\r\nExpect: 100-continue",
    ] {
        for path in ["/", "/.portcullis/rotate"] {
            let mut raw = gateway.raw().await;
            raw.write(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: nobody\r\n{fields}\r\n\r\n"
            ))
            .await;
            let refusal = raw.rest().await;
            assert_eq!((status(&refusal), &*code(&refusal)), (401, "unknown_key"));
            assert_eq!(field(&refusal, "connection"), Some("close"), "{refusal}");
            assert!(!refusal.contains("100 Continue"), "{refusal}");
        }
    }
    assert_eq!(upstream.requests(), 0);
}

/// A body of no end is read up to a bound, and one that does not come is waited for a moment.
#[tokio::test]
async fn a_refusal_ends_a_connection_whose_body_does_not_end() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let endless = format!("11000\r\n{}\r\n", "x".repeat(0x11000));
    for body in ["4\r\nsome\r\n", &endless] {
        let mut raw = gateway.raw().await;
        raw.write(
            "POST / HTTP/1.1\r\nHost: a\r\nX-API-Key: nobody\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
        raw.try_write(body.as_bytes()).await;
        let refusal = raw.rest().await;
        assert_eq!((status(&refusal), &*code(&refusal)), (401, "unknown_key"));
        assert_eq!(field(&refusal, "connection"), Some("close"), "{refusal}");
    }
    assert_eq!(upstream.requests(), 0);
}

/// Every request is counted once, however it ends: also if nobody is there any more to be told.
#[tokio::test]
async fn a_refusal_is_written_down_though_its_client_is_gone() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let mut raw = gateway.raw().await;
    raw.write(
        "POST /mine HTTP/1.1\r\nHost: a\r\nX-API-Key: nobody\r\nContent-Length: 10\r\n\r\nsome",
    )
    .await;
    drop(raw);
    let line = gateway.log_lines(1).await.remove(0);
    assert_eq!(
        (&line["status"], &line["code"]),
        (&json!(401), &json!("unknown_key"))
    );
    assert_eq!(upstream.requests(), 0);
}
