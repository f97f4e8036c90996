//! Second opinions: hyper's server as the endpoint, httparse on the same heads.

use http::Request;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;

use super::*;

/// A request as it is sent: pieces, and whether their length is said.
#[derive(Debug, Clone)]
struct Sent {
    pieces: Vec<Vec<u8>>,
    is_sized: bool,
    trailer: Option<String>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..50),
        1 => prop::collection::vec(any::<u8>(), 1_900..2_200),
        1 => (8_000..70_000_usize).prop_map(|size| vec![b'z'; size]),
    ];
    let pieces = prop::collection::vec(piece, 0..6);
    let trailer = prop::option::of("[a-z]{1,9}");
    (pieces, any::<bool>(), trailer).prop_map(|(pieces, is_sized, trailer)| Sent {
        pieces,
        is_sized,
        trailer,
    })
}

/// A body of these pieces, each after one turn of waiting.
fn body(sent: &Sent) -> Frames {
    let data = |piece: &Vec<u8>| Frame::data(Bytes::from(piece.clone()));
    let mut body = frames([]);
    body.frames.extend(sent.pieces.iter().map(data));
    if let Some(value) = &sent.trailer {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-trailer", value.parse().unwrap());
        body.frames.push_back(Frame::trailers(trailers));
    }
    if sent.is_sized {
        body.length = Some(sent.pieces.iter().map(|piece| piece.len() as u64).sum());
    }
    body.is_slow = true;
    body
}

/// An endpoint that gives back what it was sent: as it comes, or when it has all of it.
async fn echo(
    request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Full<Bytes>>>, hyper::Error> {
    let is_streamed = request.uri().path() == "/stream";
    let trailers = request.headers().contains_key("te");
    let body = request.into_body();
    let body = if is_streamed {
        Either::Left(body)
    } else {
        Either::Right(Full::new(body.collect().await?.to_bytes()))
    };
    let mut response = Response::new(body);
    if trailers {
        response
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("x-trailer"));
    }
    Ok(response)
}

/// Sends all of it over one connection, whose pipe holds `pipe` bytes.
async fn talk(requests: &[(Sent, bool)], pipe: usize) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let server = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(theirs), service_fn(echo));
    let client = async {
        let mut carrier = Carrier::new(ours);
        for (sent, is_streamed) in requests {
            let target = if *is_streamed { "/stream" } else { "/whole" };
            let headers = headers(&[("te", "trailers")]);
            let (head, answer) = carrier
                .exchange(&Method::POST, target, &headers, body(sent))
                .await
                .unwrap();
            let (outcome, kept) = read(head, answer).await;
            assert_eq!((outcome.status, outcome.fault), (200, None));
            assert!(outcome.body == sent.pieces.concat());
            if *is_streamed && !sent.is_sized {
                let trailer = outcome
                    .trailers
                    .map(|trailers| trailers["x-trailer"].to_str().unwrap().to_owned());
                assert_eq!(trailer, sent.trailer);
            }
            carrier = kept.expect("the connection is good");
            assert!(carrier.is_quiet());
        }
    };
    let (served, ()) = tokio::join!(server, client);
    served.unwrap();
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future);
}

/// Eight megabytes out and in at once through a narrow pipe.
#[test]
fn large_bodies_pass_both_ways_at_once() {
    for is_sized in [true, false] {
        let sent = Sent {
            pieces: vec![vec![b'l'; 100_000]; 84],
            is_sized,
            trailer: Some("end".to_owned()),
        };
        run(talk(&[(sent.clone(), true), (sent, false)], 20_000));
    }
}

proptest! {
    #[test]
    fn hyper_gives_back_what_it_was_sent(
        requests in prop::collection::vec((sent(), any::<bool>()), 1..4),
        pipe in prop_oneof![1..200_usize, Just(70_000), Just(1 << 20)],
    ) {
        run(talk(&requests, pipe));
    }

    /// Whatever is taken for a head, httparse takes for the same head.
    #[test]
    fn httparse_agrees_on_every_head_that_is_believed(
        lines in prop::collection::vec(
            prop_oneof![
                6 => "[a-zA-Z-]{1,8}:[ \t]{0,2}[ -~]{0,12}\r\n".prop_map(String::into_bytes),
                1 => prop::collection::vec(any::<u8>(), 0..12),
                1 => "[ -~\t]{0,9}[\r\n]{0,2}".prop_map(String::into_bytes),
            ],
            0..5,
        ),
        reason in "[ -~]{0,6}",
    ) {
        let mut raw = format!("HTTP/1.1 404 {reason}\r\n").into_bytes();
        raw.extend(lines.concat());
        raw.extend_from_slice(b"content-length: 0\r\n\r\n");
        let mut outcome = None;
        // Lines may end the head early; the body then ends with the connection.
        run(async { outcome = Some(answer_and_close(&raw).await) });
        if let Some(Ok(ours)) = outcome {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut theirs = httparse::Response::new(&mut fields);
            theirs.parse(&raw).unwrap();
            let theirs = theirs.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()));
            let mut theirs = theirs.filter(|(name, _)| name != "connection").collect::<Vec<_>>();
            let ours = ours.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
            let mut ours = ours.filter(|(name, _)| name != "connection").collect::<Vec<_>>();
            ours.sort();
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }

    /// Chunks that are not quite right: never a panic, never more than was there, the same in any pieces.
    #[test]
    fn mangled_chunks_come_to_the_same_in_any_pieces(
        at in 0..200_usize,
        byte in any::<u8>(),
        size in 1..9_usize,
        sizes in prop::collection::vec(1..20_usize, 0..6),
    ) {
        let mut raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        let head = raw.len();
        for size in sizes {
            raw.extend(format!("{size:x}\r\n{}\r\n", "b".repeat(size)).into_bytes());
        }
        raw.extend_from_slice(b"0\r\nx: y\r\n\r\n");
        let at = head + at % (raw.len() - head);
        raw[at] = byte;
        run(async {
            let whole = answer_and_close(&raw).await.unwrap();
            let mut acts = Vec::new();
            for piece in raw.chunks(size) {
                acts.extend([Act::Give(piece.to_vec()), Act::Pause]);
            }
            acts.push(Act::Close);
            let pieces = ask(Method::GET, acts).await.unwrap();
            assert_eq!(Outcome { is_reusable: false, ..pieces }, Outcome { is_reusable: false, ..whole });
        });
    }
}
