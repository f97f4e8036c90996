//! What endpoints see of a request, byte for byte.

use std::io::ErrorKind;

use http_body_util::Full;

use super::script::Act;
use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// What an endpoint sees of a request, whether its connection may be used again, and in how many writes.
async fn sent<B>(
    method: Method,
    fields: &[(&'static str, &'static str)],
    body: B,
) -> (String, bool, usize)
where
    B: Body<Data = Bytes> + Unpin,
{
    let (script, seen) = Script::new(vec![Act::Pause, Act::Pause, Act::Give(OK.into())]);
    let answer = Carrier::new(script)
        .exchange(&method, "/p?q", &headers(fields), body)
        .await;
    let is_reusable = answer.is_ok_and(|(_, body)| body.into_carrier().is_some());
    let seen = seen.borrow();
    (seen.text(), is_reusable, seen.writes.len())
}

#[tokio::test]
async fn a_request_is_framed_by_what_its_body_knows() {
    let none = || Full::new(Bytes::new());
    let some = || Full::new(Bytes::from_static(b"hello"));
    let head = |method: &str, framing: &str| {
        format!("{method} /p?q HTTP/1.1\r\nhost: api.test\r\n{framing}\r\n")
    };
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let expected = head(method.as_str(), "");
        assert_eq!(sent(method, &[], none()).await, (expected, true, 1));
    }
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        let expected = head(method.as_str(), "content-length: 0\r\n");
        assert_eq!(sent(method, &[], none()).await, (expected, true, 1));
    }
    for method in [Method::GET, Method::POST] {
        let expected = head(method.as_str(), "content-length: 5\r\n") + "hello";
        assert_eq!(sent(method, &[], some()).await, (expected, true, 1));
    }
    let chunked = "transfer-encoding: chunked\r\n";
    let expected = head("POST", chunked) + "5\r\nhello\r\n";
    let body = frames([data("hello"), data(""), data("you")]);
    assert_eq!(
        sent(Method::POST, &[], body).await,
        (expected + "3\r\nyou\r\n0\r\n\r\n", true, 2)
    );
    let expected = head("GET", chunked) + "0\r\n\r\n";
    assert_eq!(
        sent(Method::GET, &[], frames([])).await,
        (expected, true, 1)
    );
}

#[tokio::test]
async fn fields_go_out_in_order_and_framing_is_said_anew() {
    let fields = [
        ("a", "1"),
        ("content-length", "7"),
        ("b", ""),
        ("transfer-encoding", "gzip"),
        ("connection", "close, b"),
        ("c", "x, \ty"),
    ];
    let expected = "GET /p?q HTTP/1.1\r\nhost: api.test\r\na: 1\r\nb: \r\nc: x, \ty\r\n\r\n";
    let (text, ..) = sent(Method::GET, &fields, Empty::new()).await;
    assert_eq!(text, expected);
}

#[tokio::test]
async fn trailers_follow_a_chunked_body_without_what_may_not_be_there() {
    let mut trailers = HeaderMap::new();
    for (name, value) in [
        ("x-sum", "7"),
        ("content-length", "1"),
        ("authorization", "x"),
        ("x-two", "8"),
    ] {
        trailers.insert(name, HeaderValue::from_static(value));
    }
    let body = frames([data("hello"), Frame::trailers(trailers)]);
    let (text, is_reusable, _) = sent(Method::POST, &[], body).await;
    assert!(
        text.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\nx-two: 8\r\n\r\n"),
        "{text}"
    );
    assert!(is_reusable);
}

#[tokio::test]
async fn a_request_that_cannot_be_said_is_not_begun() {
    let hostless = HeaderMap::new();
    let good = headers(&[]);
    for (target, headers) in [
        ("", &good),
        ("p", &good),
        ("http://h/", &good),
        ("/ HTTP/1.1\r\nx:", &good),
        ("/a b", &good),
        ("/\u{fc}", &good),
        ("/\u{7f}", &good),
        ("/", &hostless),
    ] {
        let (script, seen) = Script::new(vec![]);
        let broken = Carrier::new(script)
            .exchange(&Method::GET, target, headers, Empty::<Bytes>::new())
            .await
            .unwrap_err();
        assert!(matches!(broken.fault, Fault::Unsendable(_)), "{target}");
        assert!(broken.unsent.is_some() && seen.borrow().writes.is_empty());
    }
}

/// A body that says one length and has another.
struct Liar(Vec<&'static str>, u64);

impl Body for Liar {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.0.pop() {
            None => None,
            Some("error") => Some(Err(ErrorKind::ConnectionReset.into())),
            Some(text) => Some(Ok(data(text))),
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self.1 {
            u64::MAX => SizeHint::default(),
            length => SizeHint::with_exact(length),
        }
    }
}

/// Not one byte more than was said leaves, and nothing ends what did not end.
#[tokio::test]
async fn a_body_that_is_not_as_it_said_breaks_the_exchange() {
    for (body, length, most) in [
        (vec!["llo", "he"], 4, "he"),
        (vec!["llo", "he"], 6, "hello"),
        (vec!["hello"], 4, ""),
        (vec!["hello"], 0, ""),
        (vec!["error", "he"], 5, "he"),
        (vec!["error", "he"], u64::MAX, "2\r\nhe\r\n"),
        (vec!["error"], u64::MAX, ""),
    ] {
        let (script, seen) = Script::new(vec![]);
        let broken = Carrier::new(script)
            .exchange(&Method::POST, "/", &headers(&[]), Liar(body, length))
            .await
            .err()
            .unwrap();
        assert_eq!(broken.fault, Fault::Upload);
        let text = seen.borrow().text();
        let sent = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(most.starts_with(sent), "{sent}");
    }
}

/// A body that has all it said, but not yet said that it is over, is as good as sent.
#[tokio::test]
async fn a_body_need_not_say_that_it_is_over() {
    struct Silent(Option<Bytes>);
    impl Body for Silent {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            match self.0.take() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => Poll::Pending,
            }
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
        }
    }
    for text in ["", "hello"] {
        let (_, is_reusable, _) = sent(Method::POST, &[], Silent(Some(text.into()))).await;
        assert!(is_reusable);
    }
}

#[tokio::test]
async fn large_pieces_are_written_whole_or_in_any_pieces() {
    let large = Bytes::from(vec![b'x'; 10_000]);
    let expected = {
        let text = String::from_utf8(large.to_vec()).unwrap();
        format!(
            "POST / HTTP/1.1\r\nhost: api.test\r\ntransfer-encoding: chunked\r\n\r\n2710\r\n{text}\r\n3\r\nend\r\n2710\r\n{text}\r\n0\r\n\r\n"
        )
    };
    for most in [None, Some(1), Some(7), Some(4096)] {
        let (script, seen) = Script::new(vec![Act::Pause, Act::Give(OK.into())]);
        seen.borrow_mut().most = most;
        let body = frames([
            Frame::data(large.clone()),
            data("end"),
            Frame::data(large.clone()),
        ]);
        let (_, body) = Carrier::new(script)
            .exchange(&Method::POST, "/", &headers(&[]), body)
            .await
            .unwrap();
        assert!(body.into_carrier().is_some());
        assert!(seen.borrow().text() == expected, "{most:?}");
        assert!(most.is_some() || seen.borrow().writes.len() <= 4);
    }
}

/// A slow endpoint makes us hold one large piece, or some small ones, and no more.
#[tokio::test]
async fn no_more_is_taken_from_a_body_than_the_endpoint_takes() {
    struct Endless(std::rc::Rc<std::cell::Cell<usize>>, usize);
    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.0.set(self.0.get() + self.1);
            Poll::Ready(Some(Ok(Frame::data(vec![0; self.1].into()))))
        }
    }
    for size in [100, 1_000, 100_000] {
        let (script, seen) = Script::new(vec![]);
        seen.borrow_mut().room = Some(0);
        let taken = std::rc::Rc::default();
        let body = Endless(std::rc::Rc::clone(&taken), size);
        let headers = headers(&[]);
        let exchange = Carrier::new(script).exchange(&Method::POST, "/", &headers, body);
        let mut exchange = std::pin::pin!(exchange);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut given = 0;
        for _ in 0..1_000 {
            assert!(exchange.as_mut().poll(&mut cx).is_pending());
            assert!(
                taken.get() <= given + size + 9_000,
                "{} of {given}",
                taken.get()
            );
            seen.borrow_mut().make_room(512);
            given += 512;
        }
    }
}

/// The answer is passed on while the request is still being sent, and the request is sent on.
#[tokio::test]
async fn an_early_answer_is_delivered_and_the_upload_goes_on() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";
    let (script, seen) = Script::new(vec![
        Act::Give(head.into()),
        Act::Give(b"ea".to_vec()),
        Act::Pause,
        Act::Pause,
        Act::Give(b"ly".to_vec()),
    ]);
    seen.borrow_mut().room = Some(1_000);
    let upload = Full::new(Bytes::from(vec![b'x'; 10_000]));
    let (_, mut body) = Carrier::new(script)
        .exchange(&Method::POST, "/", &headers(&[]), upload)
        .await
        .unwrap();
    assert_eq!(seen.borrow().text().len(), 1_000);
    let first = poll_fn(|cx| body.poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "ea");
    seen.borrow_mut().make_room(100_000);
    let second = poll_fn(|cx| body.poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!(second.into_data().unwrap(), "ly");
    assert!(seen.borrow().text().len() > 10_000);
    assert!(body.into_carrier().is_some());
}

#[tokio::test]
async fn an_answer_that_ends_before_the_upload_takes_the_connection_along() {
    let (script, seen) = Script::new(vec![Act::Give(OK.into())]);
    seen.borrow_mut().room = Some(1_000);
    let upload = Full::new(Bytes::from(vec![b'x'; 10_000]));
    let (_, body) = Carrier::new(script)
        .exchange(&Method::POST, "/", &headers(&[]), upload)
        .await
        .unwrap();
    assert!(body.is_end_stream() && body.into_carrier().is_none());
}

/// An answer under way is cut when the upload breaks off, after what had come of it.
#[tokio::test]
async fn an_upload_that_breaks_off_cuts_the_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nea";
    let (script, _) = Script::new(vec![Act::Give(head.into())]);
    #[derive(Debug)]
    struct BreaksLater(u8);
    impl Body for BreaksLater {
        type Data = Bytes;
        type Error = ErrorKind;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ErrorKind>>> {
            self.0 += 1;
            match self.0 {
                1 => Poll::Pending,
                _ => Poll::Ready(Some(Err(ErrorKind::ConnectionReset))),
            }
        }
    }
    let (head, body) = Carrier::new(script)
        .exchange(&Method::POST, "/", &headers(&[]), BreaksLater(0))
        .await
        .unwrap();
    let (outcome, _) = read(head, body).await;
    assert_eq!(
        (outcome.body.as_slice(), outcome.fault),
        (b"ea".as_slice(), Some(Fault::Upload))
    );
    assert!(!outcome.is_reusable);
}
