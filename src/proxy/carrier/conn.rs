//! A connection to an endpoint, one exchange on it, and the body of the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::{Decoder, Step};
use super::encode::{self, Fields, Framing};
use super::fault::{Broken, Fault};
use super::head::{Head, HeadReader};
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::upload::{Failure, Upload};

/// One connection to an endpoint, between exchanges.
#[derive(Debug)]
pub(crate) struct Carrier<S> {
    wire: Box<Wire<S>>,
}

/// A stream and what is on its way in and out. Boxed once, so that handing a connection on moves a pointer.
#[derive(Debug)]
struct Wire<S> {
    stream: S,
    inbox: Inbox,
    outbox: Outbox,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carrier<S> {
    pub(crate) fn new(stream: S) -> Self {
        let wire = Wire {
            stream,
            inbox: Inbox::new(),
            outbox: Outbox::default(),
        };
        Self {
            wire: Box::new(wire),
        }
    }

    /// Whether it may carry another request: it was not closed, and nothing came that nobody asked for.
    ///
    /// Asks the stream once. A socket that was quiet when last read from is not asked by the kernel.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.wire.stream)
            .poll_read(&mut cx, &mut byte)
            .is_pending()
    }

    /// Sends a request and waits for the head of its answer, which may come before the request is sent.
    ///
    /// `target` is in origin form. The fields are written before this returns. The body's length is said if
    /// it knows it.
    ///
    /// Dropped before its end, it closes the connection.
    ///
    /// # Errors
    /// A [`Fault`]; and the body, if no byte of the request left.
    pub(crate) fn exchange<B: Body<Data = Bytes> + Unpin>(
        mut self,
        method: &Method,
        target: &str,
        fields: &impl Fields,
        body: B,
    ) -> Exchange<S, B> {
        let framing = Framing::of(&body);
        let head = encode::head(self.wire.outbox.lead(), method, target, fields, framing);
        Exchange {
            under_way: Some(UnderWay {
                wire: self.wire,
                upload: Upload::new(body, framing),
            }),
            unsendable: head.err(),
            reader: HeadReader::default(),
            is_to_head: *method == Method::HEAD,
        }
    }
}

/// A request that is sent and whose answer's head is waited for.
#[derive(Debug)]
#[must_use]
pub(crate) struct Exchange<S, B> {
    /// `None` once it is over.
    under_way: Option<UnderWay<S, B>>,
    unsendable: Option<&'static str>,
    reader: HeadReader,
    is_to_head: bool,
}

#[derive(Debug)]
struct UnderWay<S, B> {
    wire: Box<Wire<S>>,
    upload: Upload<B>,
}

impl<S, B> Future for Exchange<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes> + Unpin,
{
    type Output = Result<(Response<()>, AnswerBody<S, B>), Broken<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(UnderWay { wire, upload }) = &mut this.under_way else {
            return Poll::Pending;
        };
        let outcome = match this.unsendable {
            Some(why) => Err(Fault::Unsendable(why)),
            None => ready!(wire.poll_head(&mut this.reader, upload, this.is_to_head, cx)),
        };
        match (outcome, this.under_way.take()) {
            (Ok(head), Some(UnderWay { wire, upload })) => {
                let mut response = Response::new(());
                *response.status_mut() = head.status;
                *response.headers_mut() = head.headers;
                let body = AnswerBody {
                    wire,
                    decoder: head.decoder,
                    is_persistent: head.is_persistent,
                    upload,
                };
                Poll::Ready(Ok((response, body)))
            }
            (Err(fault), Some(UnderWay { wire, upload })) => {
                let is_begun = wire.outbox.is_begun();
                let unsent = (!is_begun).then(|| upload.into_unsent()).flatten();
                Poll::Ready(Err(Broken { fault, unsent }))
            }
            (_, None) => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn poll_head<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        reader: &mut HeadReader,
        upload: &mut Upload<B>,
        is_to_head: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Fault>> {
        let sent = self.poll_send(upload, cx);
        if !self.outbox.is_begun() {
            // Whatever may be there to read is no answer to this request.
            return match sent {
                Poll::Ready(Err(Failure::Stream(kind))) => Poll::Ready(Err(Fault::Reset(kind))),
                Poll::Ready(Err(Failure::Body)) => Poll::Ready(Err(Fault::Upload)),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            };
        }
        loop {
            match reader.read(&mut self.inbox, is_to_head) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(why) => return Poll::Ready(Err(Fault::Invalid(why))),
            }
            let want = self.inbox.usual();
            let fault = match self.inbox.poll_fill(&mut self.stream, want, cx) {
                Poll::Ready(Ok(1..)) => continue,
                Poll::Pending if sent == Poll::Ready(Err(Failure::Body)) => Fault::Upload,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) if reader.is_begun(&self.inbox) => Fault::Cut,
                Poll::Ready(Ok(0)) => Fault::Closed,
                // A TLS stream that ends without saying so.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Fault::Closed
                }
                Poll::Ready(Err(error)) => Fault::Reset(error.kind()),
            };
            return Poll::Ready(Err(fault));
        }
    }

    fn poll_send<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        upload: &mut Upload<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        upload.poll_send(&mut self.outbox, &mut self.stream, cx)
    }
}

/// The body of an answer. While it is read, what is left of the request is sent.
#[derive(Debug)]
pub(crate) struct AnswerBody<S, B> {
    wire: Box<Wire<S>>,
    decoder: Decoder,
    is_persistent: bool,
    upload: Upload<B>,
}

impl<S, B> AnswerBody<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes> + Unpin,
{
    /// The next piece: data, or the trailers after all data. A fault is the last thing it gives.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let wire = &mut *self.wire;
        let mut sent = None;
        loop {
            let want = match self.decoder.step(&mut wire.inbox) {
                Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Step::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More(want)) => want,
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            };
            let sent = *sent.get_or_insert_with(|| wire.poll_send(&mut self.upload, cx));
            let fault = match wire.inbox.poll_fill(&mut wire.stream, want, cx) {
                Poll::Ready(Ok(1..)) => continue,
                Poll::Pending if sent == Poll::Ready(Err(Failure::Body)) => Fault::Upload,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => match self.decoder.close() {
                    Ok(()) => return Poll::Ready(None),
                    Err(fault) => fault,
                },
                Poll::Ready(Err(_)) => Fault::Cut,
            };
            return Poll::Ready(Some(Err(self.decoder.fail(fault))));
        }
    }
}

impl<S, B> AnswerBody<S, B> {
    /// Whether there is nothing more to come. Known with the last piece wherever the framing allows it.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    /// Exact for what has a length.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }

    /// The connection, if it may carry another request: this one was sent to its end, its answer read to
    /// its end, the endpoint means to go on, and nothing more came (RFC 9112 §9.3).
    pub(crate) fn into_carrier(self) -> Option<Carrier<S>> {
        let mut wire = self.wire;
        let is_whole = self.decoder.is_done() && self.upload.is_sent(&wire.outbox);
        if !is_whole || !self.is_persistent || !wire.inbox.is_empty() {
            return None;
        }
        wire.inbox.rest();
        wire.outbox.rest();
        Some(Carrier { wire })
    }
}
