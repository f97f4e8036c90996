//! Bodies in both directions: passed on as they come, as fast as they are taken, and never made whole
//! when they were not.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::raw::{code, status};
use crate::support::upstream::Socket;
use crate::support::{Gateway, Upstream, within};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_body_reaches_the_upstream_as_it_is_sent() {
    let (came, mut comes) = mpsc::channel(16);
    let upstream = Upstream::serving(move |mut socket| {
        let came = came.clone();
        async move {
            socket.head().await;
            loop {
                let some = socket.some().await;
                let is_last = some.ends_with(b"0\r\n\r\n");
                came.send(some).await.unwrap();
                if is_last {
                    break;
                }
            }
            socket
                .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    let (ask, feed) = gateway.post("/").feeding();
    let answer = connection.begin(ask);
    for text in ["one", "two", "three"] {
        feed.send(text).await;
        let some = within("a chunk arrives", comes.recv()).await.unwrap();
        let expected = format!("{:x}\r\n{text}\r\n", text.len());
        assert_eq!(String::from_utf8(some).unwrap(), expected);
    }
    drop(feed);
    assert_eq!(within("an answer", answer).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_reaches_the_client_as_it_is_made() {
    let (upstream, go_on) = Upstream::signalled(async move |mut socket, go_on| {
        while socket.request().await.is_some() {
            socket.write(CHUNKED).await;
            for text in ["event: 1\n\n", "event: 2\n\n"] {
                go_on.notified().await;
                let chunk = format!("{:x}\r\n{text}\r\n", text.len());
                socket.write(chunk).await;
            }
            go_on.notified().await;
            socket.write("0\r\n\r\n").await;
        }
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let mut answer = connection.open(gateway.get("/")).await;
        assert_eq!(answer.status, 200);
        for text in ["event: 1\n\n", "event: 2\n\n"] {
            go_on.notify_one();
            assert_eq!(answer.some().await.unwrap(), text);
        }
        go_on.notify_one();
        assert!(answer.some().await.is_none());
    }
}

/// An upstream that does not read stops the client, not the gate's memory.
#[tokio::test]
async fn a_slow_upstream_slows_the_client_that_sends() {
    let (upstream, read_on) = Upstream::signalled(async move |mut socket, read_on| {
        socket.head().await;
        read_on.notified().await;
        let mut end = Vec::new();
        while !end.ends_with(b"\r\n0\r\n\r\n") {
            end.extend(socket.some().await);
            end.drain(..end.len().saturating_sub(7));
        }
        socket
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none, body_max: 1GiB")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let (ask, feed) = gateway.post("/").feeding();
        let answer = connection.begin(ask);
        let block = vec![b'x'; 256 * 1024];
        let mut taken = 0;
        while timeout(Duration::from_millis(300), feed.send(block.clone())).await == Ok(true) {
            taken += block.len();
            assert!(taken < 64 << 20, "64 MiB and no end");
        }
        read_on.notify_one();
        feed.send("end").await;
        drop(feed);
        assert_eq!(within("an answer", answer).await.unwrap().status, 200);
    }
}

/// A client that does not read stops the upstream, not the gate's memory.
#[tokio::test]
async fn a_slow_client_slows_the_upstream_that_sends() {
    let (stop, mut stopped) = mpsc::channel(1);
    let upstream = Upstream::serving(move |mut socket| {
        let stop = stop.clone();
        async move {
            while socket.request().await.is_some() {
                socket.write(CHUNKED).await;
                send_until_stopped(&mut socket, &stop).await;
                socket.write("0\r\n\r\n").await;
            }
        }
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let answer = connection.open(gateway.get("/")).await;
        // Not a byte of the body is taken until the upstream has been stopped for a while.
        let sent = within("the upstream is stopped", stopped.recv())
            .await
            .unwrap();
        let reply = within("the rest", answer.reply()).await;
        assert_eq!((reply.body.len(), reply.is_cut), (sent, false));
    }
}

/// Sends chunks until one is not taken for a while, tells how much that was, and finishes that chunk.
async fn send_until_stopped(socket: &mut Socket, stop: &mpsc::Sender<usize>) {
    let chunk = format!("40000\r\n{}\r\n", "x".repeat(0x40000));
    let mut sent = 0;
    loop {
        assert!(sent < 64 << 20, "64 MiB and no end");
        let mut writing = Box::pin(socket.try_write(chunk.as_bytes()));
        sent += 0x40000;
        let taken = timeout(Duration::from_millis(300), &mut writing).await;
        if taken.is_err() {
            stop.send(sent).await.unwrap();
            writing.await;
            return;
        }
    }
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    let (ask, feed) = gateway.post("/").header("trailer", "x-sum").feeding();
    let answer = connection.begin(ask);
    feed.send("hello").await;
    feed.trailers("x-sum", "5").await;
    assert_eq!(within("an answer", answer).await.unwrap().status, 200);
    assert_eq!(
        upstream.last().text(),
        "5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"
    );
}

/// gRPC's status is in the trailers; an upstream that speaks HTTP/1.1 sends them behind the last chunk.
#[tokio::test]
async fn trailers_of_an_answer_reach_the_client() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ntrailer: grpc-status\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
    )
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let ask = gateway.get("/").header("te", "trailers");
        let reply = connection.send(ask).await;
        assert_eq!((reply.status, reply.text()), (200, "ok"));
        let trailers = reply.trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    }
    // HTTP/1 clients get them only if they said that they take them (RFC 9110 §6.5.1).
    let reply = gateway.get("/").await;
    assert_eq!(
        (reply.text(), &reply.trailers, reply.is_cut),
        ("ok", &None, false)
    );
}

#[tokio::test]
async fn a_body_may_be_as_large_as_its_route_says_and_not_a_byte_more() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .asking("body_max: 8B")
        .h2c()
        .start()
        .await;
    let limits = json!({"rate_limits": [{"rate": "9/hour"}]});
    let key = gateway.create_key_with(limits).await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let post = || gateway.post("/").with(&key);
        assert_eq!(
            connection.send(post().body("12345678")).await.text(),
            "12345678"
        );
        let (ask, feed) = post().feeding();
        let answer = connection.begin(ask);
        feed.send("1234").await;
        feed.send("5678").await;
        drop(feed);
        assert_eq!(within("an answer", answer).await.unwrap().status, 200);
    }
    let served = upstream.requests();
    for is_http2 in [false, true] {
        let connect = async || match is_http2 {
            false => gateway.connect().await,
            true => gateway.http2().await,
        };
        let post = || gateway.post("/").with(&key);
        let reply = connect().await.send(post().body("123456789")).await;
        assert_eq!((reply.status, &*reply.refusal()), (413, "body_too_large"));
        // What says beforehand that it is too large is not even begun, nor charged for.
        assert_eq!(upstream.requests(), served + usize::from(is_http2));
        let mut connection = connect().await;
        let (ask, feed) = post().feeding();
        let answer = connection.begin(ask);
        feed.send("12345678").await;
        upstream.has_seen(served + 1 + usize::from(is_http2)).await;
        feed.send("9").await;
        let reply = within("an answer", answer).await.unwrap().reply().await;
        assert_eq!((reply.status, &*reply.refusal()), (413, "body_too_large"));
    }
    let last = upstream.last();
    assert!(!last.text().ends_with("0\r\n\r\n"), "{}", last.text());
    let reply = gateway.get("/").with(&key).await;
    assert_eq!(reply.header("ratelimit"), Some("\"key-1\";r=2;t=2800"));
}

/// It is no use to refuse a large body if the refusal does not arrive.
#[tokio::test]
async fn a_client_that_goes_on_sending_still_gets_its_refusal() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("body_max: 1KiB")
        .start()
        .await;
    let key = gateway.create_key().await;
    let block = vec![b'x'; 64 * 1024];
    for framing in ["Content-Length: 200000", "Transfer-Encoding: chunked"] {
        for secret in [&*key.secret, "nobody"] {
            let mut raw = gateway.raw().await;
            raw.write(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nX-API-Key: {secret}\r\n{framing}\r\n\r\n"
            ))
            .await;
            if framing.starts_with('T') {
                raw.write("20000\r\n").await;
            }
            let mut is_taken = true;
            for _ in 0..2 {
                is_taken &= raw.try_write(&block).await;
            }
            let reply = raw.rest().await;
            let expected = if secret == "nobody" {
                (401, "unknown_key")
            } else {
                (413, "body_too_large")
            };
            assert!(
                !reply.is_empty(),
                "{framing} {secret}: cut off, all taken: {is_taken}"
            );
            assert_eq!((status(&reply), &*code(&reply)), expected, "{framing}");
        }
    }
}

/// RFC 9112 §9.3: a server may answer before it has read the request.
#[tokio::test]
async fn an_answer_that_comes_before_the_body_has_ended_is_passed_on() {
    let upstream = Upstream::serving(|mut socket| async move {
        socket.head().await;
        socket
            .write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly")
            .await;
        socket.closed().await;
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let (ask, feed) = gateway.post("/").feeding();
        let answer = connection.begin(ask);
        feed.send("some").await;
        let reply = within("an answer", answer).await.unwrap().reply().await;
        assert_eq!((reply.status, reply.text()), (200, "early"));
        drop(feed);
    }
    // Such a connection is not used again: a request would stand behind half a body.
    assert_eq!(gateway.get("/").await.text(), "early");
    assert_eq!(upstream.connections(), 3);
}

#[tokio::test]
async fn an_answer_that_broke_off_is_never_made_to_look_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let upstream = Upstream::answering_once(answer).await;
        let gateway = Gateway::routing("/", &upstream)
            .asking("key: none")
            .h2c()
            .start()
            .await;
        for mut connection in [gateway.connect().await, gateway.http2().await] {
            let reply = connection.send(gateway.get("/")).await;
            assert_eq!((reply.status, reply.is_cut), (200, true), "{answer}");
            assert_eq!(reply.text(), "hello", "{answer}");
        }
        let lines = gateway.log_lines(2).await;
        assert!(lines.iter().all(|line| line["cut"] == true), "{lines:?}");
    }
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut() {
    let upstream = Upstream::serving(|mut socket| async move {
        socket.request().await;
        socket.write(format!("{CHUNKED}5\r\nhello\r\n")).await;
        socket.closed().await;
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none, timeouts: { idle: 200ms }")
        .start()
        .await;
    let reply = gateway.get("/").await;
    assert_eq!(
        (reply.status, reply.text(), reply.is_cut),
        (200, "hello", true)
    );
    gateway.is_quiet().await;
}

#[tokio::test]
async fn an_upstream_learns_that_its_client_left() {
    let (left, mut leaves) = mpsc::channel(4);
    let upstream = Upstream::serving(move |mut socket| {
        let left = left.clone();
        async move {
            let head = socket.head().await.unwrap();
            if head.line().contains("answered") {
                socket.write(format!("{CHUNKED}5\r\nhello\r\n")).await;
            }
            socket.closed().await;
            left.send(()).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .h2c()
        .start()
        .await;
    for (path, status) in [("/answered", 200), ("/not", 499)] {
        for is_http2 in [false, true] {
            let before = gateway.log_now().len();
            let mut connection = if is_http2 {
                gateway.http2().await
            } else {
                gateway.connect().await
            };
            let seen = upstream.requests();
            let answer = connection.begin(gateway.get(path));
            upstream.has_seen(seen + 1).await;
            if status == 200 {
                assert!(
                    within("a head", answer)
                        .await
                        .unwrap()
                        .some()
                        .await
                        .is_some()
                );
            } else {
                drop(answer);
            }
            drop(connection);
            within("the upstream learns of it", leaves.recv()).await;
            let lines = gateway.log_lines(before + 1).await;
            assert_eq!(lines[before]["status"], status, "{path} {is_http2}");
        }
    }
    gateway.is_quiet().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_brought_to_an_end_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let before = upstream.requests();
        let (ask, feed) = gateway.post("/").feeding();
        let answer = connection.begin(ask);
        feed.send("hello").await;
        upstream.has_seen(before + 1).await;
        feed.break_off().await;
        assert!(within("the end of it", answer).await.is_err());
        drop(connection);
        gateway.is_quiet().await;
    }
    for seen in upstream.seen() {
        assert!(!seen.text().ends_with("0\r\n\r\n"), "{}", seen.text());
    }
}
