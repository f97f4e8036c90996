//! The codec against endpoints that are written down byte for byte, and against hyper's server.

mod answers;
mod connections;
mod differential;
mod script;
mod uploads;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;

use super::{AnswerBody, Broken, Carrier, Fault, Fields, Lines};
use script::{Act, Script};

/// Everything an exchange came to.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    fault: Option<Fault>,
    is_reusable: bool,
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("api.test"));
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

impl Fields for HeaderMap {
    fn host(&self) -> Option<&[u8]> {
        self.get("host").map(HeaderValue::as_bytes)
    }

    fn write(&self, lines: &mut Lines<'_>) {
        for (name, value) in self {
            lines.pass(name, value);
        }
    }
}

/// A body of these frames.
#[derive(Debug)]
struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    length: Option<u64>,
    /// Whether each frame is waited for.
    is_slow: bool,
    is_awaited: bool,
}

fn frames<const N: usize>(frames: [Frame<Bytes>; N]) -> Frames {
    Frames {
        frames: frames.into(),
        length: None,
        is_slow: false,
        is_awaited: false,
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.is_awaited = self.is_slow && !self.is_awaited;
        if self.is_awaited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.pop_front().map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Reads an answer's body to its end.
async fn read<S, B>(head: Response<()>, mut body: AnswerBody<S, B>) -> (Outcome, Option<Carrier<S>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    B: Body<Data = Bytes> + Unpin,
{
    let (parts, ()) = head.into_parts();
    let mut outcome = Outcome {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: Vec::new(),
        trailers: None,
        fault: None,
        is_reusable: false,
    };
    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => outcome.body.extend_from_slice(&data),
            Ok(Err(frame)) => outcome.trailers = frame.into_trailers().ok(),
            Err(fault) => outcome.fault = Some(fault),
        }
    }
    assert!(poll_fn(|cx| body.poll_frame(cx)).await.is_none());
    let carrier = body.into_carrier();
    outcome.is_reusable = carrier.is_some();
    (outcome, carrier)
}

/// Sends a request without body to a script.
async fn ask(method: Method, acts: Vec<Act>) -> Result<Outcome, Fault> {
    let (script, _) = Script::new(acts);
    let carrier = Carrier::new(script);
    let body = Empty::<Bytes>::new();
    match carrier.exchange(&method, "/", &headers(&[]), body).await {
        Ok((head, body)) => Ok(read(head, body).await.0),
        Err(Broken { fault, .. }) => Err(fault),
    }
}

/// What comes of an answer to GET that came at once, the connection staying open.
async fn answer(raw: impl AsRef<[u8]>) -> Result<Outcome, Fault> {
    ask(Method::GET, vec![Act::Give(raw.as_ref().to_vec())]).await
}

/// What comes of an answer to GET after which the endpoint closed.
async fn answer_and_close(raw: impl AsRef<[u8]>) -> Result<Outcome, Fault> {
    ask(
        Method::GET,
        vec![Act::Give(raw.as_ref().to_vec()), Act::Close],
    )
    .await
}
