//! hyper as the second opinion: what the gate lets through, hyper delimits the same way.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use proptest::prelude::*;

use super::*;

/// One request as hyper saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Method and target.
    line: String,
    fields: usize,
    /// `None` if the body broke off.
    content: Option<u64>,
    /// Whether hyper will take another request behind it.
    last: bool,
}

/// Serves `input` with hyper behind a gate.
fn hyper_sees(input: &[u8], sizes: &[usize]) -> Vec<Seen> {
    let (gate, wire) = Gate::new(Script::cut(input, sizes), b"", Limits::default());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let exchange = wire.exchange();
        let seen = Rc::clone(&seen);
        async move {
            let closes = request
                .headers()
                .get_all("connection")
                .iter()
                .map(|value| value.as_bytes().to_ascii_lowercase())
                .any(|value| memchr::memmem::find(&value, b"close").is_some());
            let mut entry = Seen {
                line: format!("{} {}", request.method(), request.uri()),
                fields: request.headers().len(),
                content: None,
                last: closes || request.version() == Version::HTTP_10,
            };
            entry.content = request
                .into_body()
                .collect()
                .await
                .ok()
                .map(|body| body.to_bytes().len() as u64);
            seen.borrow_mut().push(entry);
            drop(exchange);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    // The script hangs up behind its last octet, and wants its answers all the same.
    let connection = http1::Builder::new()
        .half_close(true)
        .serve_connection(gate, service);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    if let Err(error) = runtime.block_on(connection) {
        assert!(
            !error.is_parse(),
            "hyper refuses ({error:?}) what the gate let through: {}",
            input.escape_ascii()
        );
    }
    drop(wire);
    Rc::into_inner(seen).unwrap().into_inner()
}

/// Holds what the gate made of `input` against what hyper made of it.
fn compare(input: &[u8], sizes: &[usize]) -> Outcome {
    let gate = outcome(input);
    let seen = hyper_sees(input, sizes);
    assert!(
        seen.len() <= gate.messages.len(),
        "{}",
        input.escape_ascii()
    );
    for (message, seen) in gate.messages.iter().zip(&seen) {
        let text = message.bytes.escape_ascii().to_string();
        let end = memchr::memmem::find(&message.bytes, b"\r\n\r\n").unwrap();
        let fields = message.bytes[..end].split(|&octet| octet == b'\n').count() - 1;
        let line = message.bytes.split(|&octet| octet == b'\r').next().unwrap();
        let line = String::from_utf8(line.to_vec()).unwrap();
        assert_eq!(
            spelled(line.rsplit_once(' ').unwrap().0),
            spelled(&seen.line),
            "{text}"
        );
        assert_eq!(fields, seen.fields, "{text}");
        assert_eq!(
            message.whole.then_some(message.content),
            seen.content,
            "{text}"
        );
    }
    if seen.last().is_none_or(|seen| !seen.last) {
        assert_eq!(gate.messages.len(), seen.len(), "{}", input.escape_ascii());
    }
    gate
}

/// A request line as `http::Uri` spells it: scheme in small letters, no path becomes `/`.
fn spelled(line: &str) -> String {
    let (method, target) = line.split_once(' ').unwrap();
    let uri: http::Uri = target.parse().unwrap();
    format!("{method} {uri}")
}

fn body() -> impl Strategy<Value = String> {
    let chunk = (
        "[a-zG /\r\n:]{1,40}",
        prop_oneof![Just(""), Just(";x"), Just(";a=\"b c\"")],
        any::<bool>(),
    );
    let trailers = prop_oneof![Just(""), Just("X-Sum: 1\r\n"), Just("A:\r\nB: \t2\r\n")];
    prop_oneof![
        3 => Just("\r\n".to_owned()),
        2 => "[a-zG /\r\n:]{0,60}".prop_map(|content| format!("Content-Length: {}\r\n\r\n{content}", content.len())),
        1 => (8000_usize..20_000).prop_map(|len| format!("Content-Length: {len}\r\n\r\n{}", "x".repeat(len))),
        3 => (prop::collection::vec(chunk, 0..4), trailers).prop_map(|(chunks, trailers)| {
            let mut body = "Transfer-Encoding: chunked\r\n\r\n".to_owned();
            for (data, extension, upper) in chunks {
                let size = if upper { format!("{:X}", data.len()) } else { format!("0{:x}", data.len()) };
                body += &format!("{size}{extension}\r\n{data}\r\n");
            }
            body + "0\r\n" + trailers + "\r\n"
        }),
    ]
}

fn request() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec![
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
    ]);
    let target = prop_oneof![
        "/[a-z0-9/.;,%=@:!~\\[\\]-]{0,20}",
        "/[a-z]{0,3}\\?[a-z0-9/?=&|{}^`\\[\\]]{0,20}",
        Just("http://a.example/x".to_owned()),
        Just("HTTP://a.example?y".to_owned()),
    ];
    let field = prop_oneof![
        "[A-Za-z-]{1,6}x: [ -~\t]{0,40}\r\n",
        Just("Expect: 100-continue\r\n".to_owned()),
        Just("Connection: keep-alive\r\n".to_owned()),
        Just("Upgrade: websocket\r\n".to_owned()),
    ];
    (
        method,
        target,
        prop::collection::vec(field, 0..5),
        body(),
        any::<bool>(),
    )
        .prop_map(|(method, target, mut fields, body, empty_line)| {
            fields.dedup();
            let empty_line = if empty_line { "\r\n" } else { "" };
            let mut expects = false;
            fields.retain(|field| {
                !field.starts_with("Expect") || !std::mem::replace(&mut expects, true)
            });
            format!(
                "{empty_line}{method} {target} HTTP/1.1\r\nHost: a.example\r\n{}{body}",
                fields.concat()
            )
        })
}

/// An edit at a place given as a share of the length.
fn edit() -> impl Strategy<Value = (f64, u8, Vec<u8>)> {
    let octets = prop_oneof![
        prop::sample::select(b"\r\n \t\0:;,0159aAfFgGhHxX/?#%\\\x7f\x80\xff".to_vec())
            .prop_map(|octet| vec![octet]),
        prop::sample::select(vec![
            &b"\r\n"[..],
            b"\r\n\r\n",
            b"\r\n ",
            b"\n\n",
            b"Content-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"HTTP/1.0",
            b"Host: b\r\n",
            b"0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"Connection: close\r\n",
            b"Content-Length: 0\r\n",
            b"Connection: host\r\n",
            b"fffffffffffffff",
            b"1\r\n",
        ])
        .prop_map(<[u8]>::to_vec),
        any::<u8>().prop_map(|octet| vec![octet]),
    ];
    (0.0..1.0, 0_u8..4, octets)
}

fn apply(stream: &mut Vec<u8>, (place, kind, octets): (f64, u8, Vec<u8>)) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a test input"
    )]
    let at = (place * stream.len() as f64) as usize;
    let end = (at + octets.len()).min(stream.len());
    match kind {
        0 => drop(stream.splice(at..end, octets)),
        1 => drop(stream.splice(at..at, octets)),
        2 => drop(stream.drain(at..(at + 1).min(stream.len()))),
        _ => {
            let copy = stream[at..(at + 20).min(stream.len())].to_vec();
            drop(stream.splice(at..at, copy));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Requests that are right pass, each with its own end.
    #[test]
    fn good_requests_are_delimited_alike(
        requests in prop::collection::vec(request(), 1..6),
        sizes in prop::collection::vec(1_usize..600, 1..8),
    ) {
        let stream = requests.concat();
        let gate = compare(stream.as_bytes(), &sizes);
        prop_assert_eq!(gate.fault, None);
        prop_assert_eq!(gate.messages.len(), requests.len());
        for (message, request) in gate.messages.iter().zip(&requests) {
            let request = request.strip_prefix("\r\n").unwrap_or(request);
            prop_assert!(message.bytes == request.as_bytes() && message.whole);
        }
    }

    /// Whatever is done to them, hyper never sees a request that the gate does not delimit the same
    /// way.
    #[test]
    fn mutated_requests_are_delimited_alike(
        requests in prop::collection::vec(request(), 1..4),
        edits in prop::collection::vec(edit(), 1..4),
        sizes in prop::collection::vec(1_usize..600, 1..8),
    ) {
        let mut stream = requests.concat().into_bytes();
        for edit in edits {
            apply(&mut stream, edit);
        }
        compare(&stream, &sizes);
    }
}
