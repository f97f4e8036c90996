//! How a connection's owner uses the gate with hyper.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::proxy::wire::Exchange;

/// A response body that ends its exchange when hyper lets go of it.
struct Tracked {
    body: Full<Bytes>,
    _exchange: Exchange,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves a connection to its end, then writes what the gate refused.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let (gate, wire) = Gate::new(stream, b"", Limits::default());
    let service = service_fn(|request: Request<Incoming>| {
        let exchange = wire.exchange();
        async move {
            let path = request.uri().path().to_owned();
            let body = match request.into_body().collect().await {
                Ok(body) => Bytes::from(format!("{path} {}", body.to_bytes().len())),
                Err(_) => Bytes::from_static(b"broken"),
            };
            // Long enough for what follows to be refused meanwhile.
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(Response::new(Tracked {
                body: Full::new(body),
                _exchange: exchange,
            }))
        }
    });
    let mut connection = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .serve_connection(gate, service);
    let ended_well = (&mut connection).await.is_ok();
    let (mut stream, _unread) = connection.into_parts().io.into_inner();
    if let Some(fault) = wire.unanswered().filter(|_| ended_well) {
        let refusal = format!("HTTP/1.1 4xx {fault:?}\r\nConnection: close\r\n\r\n");
        stream.write_all(refusal.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

/// What a client reads that sends `input` and then listens.
async fn exchange(input: &[u8], pieces: usize) -> String {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let input = input.to_vec();
    let talk = async move {
        for piece in input.chunks(pieces) {
            // Who is refused may find the door shut before it has said everything.
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut output = String::new();
        client.read_to_string(&mut output).await.unwrap();
        output
    };
    tokio::time::timeout(Duration::from_secs(10), async {
        tokio::join!(talk, serve(server)).0
    })
    .await
    .unwrap()
}

/// Good requests before a bad one are answered in full and in order, then the refusal, then
/// nothing.
#[tokio::test]
async fn a_refusal_comes_after_the_responses_before_it() {
    let input = [
        with_fields("").replace("/ ", "/one ").into_bytes(),
        b"PUT /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        b"GET /three HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
        with_fields("").replace("/ ", "/four ").into_bytes(),
    ]
    .concat();
    for pieces in [1, 10, input.len()] {
        let output = exchange(&input, pieces).await;
        let at = |text: &str| {
            output
                .find(text)
                .unwrap_or_else(|| panic!("no {text:?} in {output:?}"))
        };
        assert!(at("/one 0") < at("/two 3"));
        assert!(at("/two 3") < at("4xx BadRequest(\"more than one Host\")"));
        assert_eq!(output.matches("HTTP/1.1 ").count(), 3, "{output}");
    }
}

/// A body that breaks is an error to the service, whose answer is the only one.
#[tokio::test]
async fn a_broken_body_is_the_services_to_answer() {
    let input = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: x\r\n\r\n";
    for pieces in [1, 10, input.len()] {
        let output = exchange(input, pieces).await;
        assert!(output.ends_with("\r\n\r\nbroken"), "{output}");
        assert_eq!(output.matches("HTTP/1.1 ").count(), 1, "{output}");
    }
}

/// Behind the last request that counts there are no faults (RFC 9112 §9.6).
#[tokio::test]
async fn nothing_is_refused_behind_a_close() {
    let output = exchange(
        format!("{}\0\0", with_fields("Connection: close\r\n")).as_bytes(),
        4096,
    )
    .await;
    assert_eq!(output.matches("HTTP/1.1 ").count(), 1, "{output}");
    assert!(output.ends_with("/ 0"));
}

/// hyper takes the largest head the gate lets through, with as much memory as that and no more.
#[tokio::test]
async fn the_largest_head_fits() {
    let fields = format!("{}X: ", "A: b\r\n".repeat(98));
    let head = with_fields(&format!(
        "{fields}{}\r\nConnection: close\r\n",
        "x".repeat(15_000)
    ));
    let head = head.replace("X: ", &format!("X: {}", "x".repeat(16_384 - head.len())));
    assert_eq!(head.len(), 16_384);
    let head = head.replacen("A: b\r\n", "", 1).replace("X: ", "X: xxxxxx");
    assert_eq!(head.len(), 16_384);
    for pieces in [1, 8192, 16_384] {
        let output = exchange(head.as_bytes(), pieces).await;
        assert!(output.ends_with("/ 0"), "{output}");
    }
}
