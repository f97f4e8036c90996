//! Requests that two machines could read differently: 400, the connection ends, nothing is forwarded.

use crate::support::raw::{code, status};
use crate::support::{Gateway, Upstream};

/// What would be a second request to whoever reads the first one otherwise.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gate that forwards whatever it lets pass.
async fn open_gate(upstream: &Upstream) -> Gateway {
    Gateway::routing("/", upstream)
        .asking("key: none")
        .start()
        .await
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused_and_the_connection_ends() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    for head in [
        // Two lengths, or a length and chunks (RFC 9112 §6.3).
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        // Codings other than one `chunked`.
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        // Names and lines that are none.
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // Hosts (RFC 9112 §3.2).
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        // A later hop told to drop what frames the message.
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
        // HTTP/2 where it is not spoken, and what is no HTTP at all.
        "\u{16}\u{3}\u{1}\u{2}",
    ] {
        let reply = gateway.send_raw(format!("{head}{SMUGGLED}")).await;
        assert_eq!(status(&reply), 400, "{head:?}: {reply}");
        assert_eq!(code(&reply), "bad_request", "{head:?}");
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{head:?}: {reply}");
        assert!(reply.contains("connection: close\r\n"), "{head:?}: {reply}");
    }
    assert_eq!(upstream.connections(), 0);
}

/// The head was good, so its request is under way: it fails, and what follows is never read as another.
#[tokio::test]
async fn a_body_that_can_be_read_in_two_ways_ends_the_connection() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let head = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        let reply = gateway.send_raw(format!("{head}{body}{SMUGGLED}")).await;
        assert_eq!(status(&reply), 400, "{body:?}: {reply}");
        assert_eq!(code(&reply), "bad_request", "{body:?}");
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{body:?}: {reply}");
    }
    let seen = upstream.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.line() == "POST /first HTTP/1.1")
    );
    // And none of them was brought to an end there.
    let ended = seen
        .iter()
        .filter(|seen| seen.text().ends_with("0\r\n\r\n"));
    assert_eq!(ended.count(), 0);
}

/// The hidden second request of each is content, and arrives as content.
#[tokio::test]
async fn what_stands_within_a_body_is_never_a_request() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let length = SMUGGLED.len();
    let in_length =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}");
    let in_chunk = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
    );
    for request in [in_length, in_chunk] {
        let mut raw = gateway.raw().await;
        raw.write(request).await;
        let reply = raw.reply().await;
        assert_eq!(status(&reply), 200);
        assert!(reply.ends_with(SMUGGLED), "{reply}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.line() == "POST / HTTP/1.1"));
}

/// Chunk extensions are read and left out: no server behind the gate has to agree on what they mean.
#[tokio::test]
async fn chunk_extensions_go_no_further() {
    let upstream = Upstream::echo().await;
    let gateway = open_gate(&upstream).await;
    let mut raw = gateway.raw().await;
    raw.write(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    let reply = raw.reply().await;
    // Refused or forwarded without: either is safe, and which it is must not change unseen.
    assert_eq!(status(&reply), 200, "{reply}");
    assert_eq!(upstream.last().text(), "5\r\nhello\r\n0\r\n\r\n");
}

/// A response must not be able to answer two requests either (RFC 9112 §6.3, §11.1).
#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_not_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
    ] {
        let upstream = Upstream::answering_once(answer).await;
        let gateway = open_gate(&upstream).await;
        let reply = gateway.get("/").await;
        assert_eq!(
            (reply.status, &*reply.refusal()),
            (502, "upstream_invalid"),
            "{answer:?}"
        );
    }
}
