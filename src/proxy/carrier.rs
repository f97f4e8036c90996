//! One connection to an endpoint, carried by hyper's client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::proxy::body::Upload;

/// One connection to an endpoint, between exchanges.
#[derive(Debug)]
pub(crate) struct Carrier<S> {
    sender: Option<SendRequest<Upload>>,
    fresh: Option<S>,
}

/// What went wrong with an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ended or broke before an answer.
    Closed,
    /// The answer is not HTTP, or could be read in two ways.
    Invalid,
    /// The request's body did not end well.
    Upload,
}

/// An exchange that came to nothing.
#[derive(Debug)]
pub(crate) struct Broken<B> {
    pub(crate) fault: Fault,
    /// Whether no byte of the request left: then it can be sent elsewhere.
    pub(crate) nothing_sent: bool,
    /// The request's body, if it was not begun.
    pub(crate) body: Option<B>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Carrier<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            sender: None,
            fresh: Some(stream),
        }
    }

    pub(crate) fn is_quiet(&mut self) -> bool {
        self.sender
            .as_ref()
            .is_some_and(|sender| !sender.is_closed())
    }

    pub(crate) async fn exchange(
        mut self,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: Upload,
    ) -> Result<(Response<()>, AnswerBody<S>), Broken<Upload>> {
        let closed = |body| Broken {
            fault: Fault::Closed,
            nothing_sent: true,
            body,
        };
        if let Some(stream) = self.fresh.take() {
            match http1::handshake(TokioIo::new(stream)).await {
                Ok((sender, connection)) => {
                    tokio::task::spawn_local(connection);
                    self.sender = Some(sender);
                }
                Err(_) => return Err(closed(Some(body))),
            }
        }
        let Some(mut sender) = self.sender.take() else {
            return Err(closed(Some(body)));
        };
        if sender.ready().await.is_err() {
            return Err(closed(Some(body)));
        }
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().unwrap_or_default();
        *request.headers_mut() = headers.clone();
        match sender.try_send_request(request).await {
            Ok(response) => {
                let (parts, incoming) = response.into_parts();
                let body = AnswerBody {
                    incoming,
                    sender,
                    stream: std::marker::PhantomData,
                };
                Ok((Response::from_parts(parts, ()), body))
            }
            Err(mut error) => {
                let body = error.take_message().map(Request::into_body);
                let cause = error.error();
                let fault = if cause.is_user() {
                    Fault::Upload
                } else if cause.is_parse() {
                    Fault::Invalid
                } else {
                    Fault::Closed
                };
                Err(Broken {
                    fault,
                    nothing_sent: body.is_some(),
                    body,
                })
            }
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct AnswerBody<S> {
    incoming: Incoming,
    sender: SendRequest<Upload>,
    stream: std::marker::PhantomData<S>,
}

impl<S> AnswerBody<S> {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        Pin::new(&mut self.incoming)
            .poll_frame(cx)
            .map_err(|_| Fault::Closed)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    pub(crate) fn into_carrier(self) -> Option<Carrier<S>> {
        let is_good = self.incoming.is_end_stream() && !self.sender.is_closed();
        is_good.then_some(Carrier {
            sender: Some(self.sender),
            fresh: None,
        })
    }
}
