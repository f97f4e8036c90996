//! One connection over several exchanges, and how exchanges end badly.

use std::io::ErrorKind;

use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::script::Act;
use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let endpoint = async {
        for turn in 0..100_usize {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(theirs.read_u8().await.unwrap());
            }
            assert_eq!(
                request,
                format!("GET /{turn} HTTP/1.1\r\nhost: api.test\r\n\r\n").as_bytes()
            );
            let body = "x".repeat(turn * 97);
            let answer = if turn % 2 == 0 {
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            } else {
                let size = body.len();
                format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
                )
            };
            theirs.write_all(answer.as_bytes()).await.unwrap();
        }
        theirs
    };
    let gate = async {
        let mut carrier = Carrier::new(ours);
        for turn in 0..100_usize {
            assert!(carrier.is_quiet());
            let (target, headers) = (format!("/{turn}"), headers(&[]));
            let (head, body) = carrier
                .exchange(&Method::GET, &target, &headers, Empty::<Bytes>::new())
                .await
                .unwrap();
            let (outcome, kept) = read(head, body).await;
            assert_eq!(outcome.body.len(), turn * 97);
            carrier = kept.unwrap();
        }
        carrier
    };
    let (theirs, mut carrier) = tokio::join!(endpoint, gate);
    assert!(carrier.is_quiet());
    drop(theirs);
    assert!(!carrier.is_quiet());
}

#[tokio::test]
async fn a_connection_with_something_to_say_is_not_quiet() {
    for (act, is_quiet) in [
        (None, true),
        (Some(Act::Close), false),
        (Some(Act::Break(ErrorKind::ConnectionReset)), false),
        (
            Some(Act::Give(b"HTTP/1.1 408 Request Timeout\r\n\r\n".to_vec())),
            false,
        ),
    ] {
        let (script, _) = Script::new(act.into_iter().collect());
        assert_eq!(Carrier::new(script).is_quiet(), is_quiet);
    }
}

/// A request of which nothing left may be sent again, whatever it is: the body comes back whole.
#[tokio::test]
async fn what_was_not_sent_comes_back() {
    // There is something to read, but it is no answer to what was never sent.
    let (script, seen) = Script::new(vec![Act::Give(OK.into())]);
    seen.borrow_mut().room = Some(0);
    seen.borrow_mut().breaks = Some(ErrorKind::BrokenPipe);
    let body = frames([
        Frame::data(Bytes::from_static(b"one")),
        Frame::data(Bytes::from_static(b"two")),
    ]);
    let broken = Carrier::new(script)
        .exchange(&Method::POST, "/", &headers(&[]), body)
        .await
        .unwrap_err();
    assert_eq!(broken.fault, Fault::Reset(ErrorKind::BrokenPipe));
    assert!(broken.fault.is_silent_end());
    let unsent = broken.unsent.unwrap();
    assert_eq!(unsent.first, "one");
    let rest = http_body_util::BodyExt::collect(unsent.body).await.unwrap();
    assert_eq!(rest.to_bytes(), "two");
}

#[tokio::test]
async fn what_was_sent_in_part_does_not_come_back() {
    let (script, seen) = Script::new(vec![Act::Break(ErrorKind::ConnectionReset)]);
    seen.borrow_mut().room = Some(1);
    seen.borrow_mut().breaks = Some(ErrorKind::BrokenPipe);
    let broken = Carrier::new(script)
        .exchange(&Method::GET, "/", &headers(&[]), Empty::<Bytes>::new())
        .await
        .unwrap_err();
    assert_eq!(broken.fault, Fault::Reset(ErrorKind::ConnectionReset));
    assert!(broken.unsent.is_none());
}

/// The endpoint said why it stopped reading.
#[tokio::test]
async fn an_answer_is_read_though_the_request_cannot_be_sent() {
    let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
    let (script, seen) = Script::new(vec![Act::Pause, Act::Give(answer.into()), Act::Close]);
    seen.borrow_mut().room = Some(100);
    seen.borrow_mut().breaks = Some(ErrorKind::ConnectionReset);
    let body = Full::new(Bytes::from(vec![b'x'; 100_000]));
    let (head, body) = Carrier::new(script)
        .exchange(&Method::POST, "/", &headers(&[]), body)
        .await
        .unwrap();
    let (outcome, kept) = read(head, body).await;
    assert_eq!(
        (outcome.status, outcome.body.as_slice()),
        (413, b"no".as_slice())
    );
    assert!(kept.is_none());
}

#[tokio::test]
async fn an_end_before_the_answer_is_told_from_one_within() {
    for (acts, fault, is_silent) in [
        (vec![Act::Close], Fault::Closed, true),
        (vec![Act::Pause, Act::Close], Fault::Closed, true),
        (
            vec![Act::Break(ErrorKind::UnexpectedEof)],
            Fault::Closed,
            true,
        ),
        (
            vec![Act::Break(ErrorKind::ConnectionReset)],
            Fault::Reset(ErrorKind::ConnectionReset),
            true,
        ),
        (
            vec![Act::Give(b"H".to_vec()), Act::Close],
            Fault::Cut,
            false,
        ),
        (
            vec![
                Act::Give(b"H".to_vec()),
                Act::Break(ErrorKind::ConnectionReset),
            ],
            Fault::Cut,
            false,
        ),
        (
            vec![Act::Give(b"HTTP/1.1 100 Go\r\n\r\n".to_vec()), Act::Close],
            Fault::Cut,
            false,
        ),
    ] {
        assert_eq!(ask(Method::GET, acts).await.unwrap_err(), fault);
        assert_eq!(fault.is_silent_end(), is_silent);
    }
}

#[tokio::test]
async fn the_end_is_known_with_the_last_piece() {
    for raw in [
        OK,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let (script, _) = Script::new(vec![Act::Give(raw.into())]);
        let (_, mut body) = Carrier::new(script)
            .exchange(&Method::GET, "/", &headers(&[]), Empty::<Bytes>::new())
            .await
            .unwrap();
        assert!(!body.is_end_stream());
        assert_eq!(
            body.size_hint().exact(),
            raw.contains("content-length").then_some(2)
        );
        let frame = poll_fn(|cx| body.poll_frame(cx)).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ok");
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.into_carrier().is_some());
    }
}

/// A client that does not read keeps us from reading.
#[tokio::test]
async fn no_more_is_read_than_one_buffer_ahead() {
    let body = "x".repeat(1 << 20);
    for raw in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n{body}"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n100000\r\n{body}\r\n0\r\n\r\n"
        ),
        format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
    ] {
        let (script, seen) = Script::new(vec![Act::Give(raw.into()), Act::Close]);
        let (_, mut body) = Carrier::new(script)
            .exchange(&Method::GET, "/", &headers(&[]), Empty::<Bytes>::new())
            .await
            .unwrap();
        let (mut got, mut reads) = (0, 0);
        while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await {
            got += frame.unwrap().into_data().unwrap().len();
            reads += 1;
            assert!(seen.borrow().read <= got + 64 * 1024);
        }
        assert_eq!(got, 1 << 20);
        assert!(reads < 50, "{reads}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_takes_its_connection_along() {
    let (script, _) = Script::new(vec![Act::Give(OK.into())]);
    let (_, body) = Carrier::new(script)
        .exchange(&Method::GET, "/", &headers(&[]), Empty::<Bytes>::new())
        .await
        .unwrap();
    assert!(body.into_carrier().is_none());
}
