//! A request's body on its way to an endpoint, no faster than the endpoint takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::encode::{self, Framing};
use super::fault::Unsent;
use super::outbox::Outbox;

/// A request's body and how much of it is to be sent yet.
#[derive(Debug)]
pub(super) struct Upload<B> {
    body: B,
    framing: Framing,
    progress: Progress,
    /// What was taken from the body while nothing was sent: one piece at most.
    first: Bytes,
    /// The trailers were taken: what is left of the body is no longer all of it.
    gave_trailers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// More of the body is to come.
    Taking,
    /// The body is in the outbox to its end.
    Taken,
    /// It will not be sent to its end.
    Failed(Failure),
}

/// Why a request is not sent to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Its body ended badly.
    Body,
    /// The endpoint takes no more. It may have said why, so its answer is waited for.
    Stream(io::ErrorKind),
}

impl<B: Body<Data = Bytes> + Unpin> Upload<B> {
    pub(super) fn new(body: B, framing: Framing) -> Self {
        let progress = if body.is_end_stream() {
            Progress::Taken
        } else {
            Progress::Taking
        };
        Self {
            body,
            framing,
            progress,
            first: Bytes::new(),
            gave_trailers: false,
        }
    }

    /// Takes what the body has and writes what the stream takes. Pending: woken by either.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        outbox: &mut Outbox,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            if let Progress::Failed(failure) = self.progress {
                return Poll::Ready(Err(failure));
            }
            let mut is_waiting = false;
            while self.progress == Progress::Taking
                && outbox.has_room()
                && (outbox.is_begun() || self.first.is_empty())
                && !is_waiting
            {
                match self.poll_take(outbox, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(NotAsSaid)) => return self.fail(Failure::Body),
                    Poll::Pending => is_waiting = true,
                }
            }
            let drained = outbox.poll_drain(stream, cx);
            if outbox.is_begun() {
                self.first = Bytes::new();
            }
            if let Err(error) = ready!(drained) {
                return self.fail(Failure::Stream(error.kind()));
            }
            if self.progress == Progress::Taken {
                return Poll::Ready(Ok(()));
            }
            if is_waiting {
                return Poll::Pending;
            }
        }
    }

    /// Moves one frame from the body to the outbox.
    fn poll_take(
        &mut self,
        outbox: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NotAsSaid>> {
        let taken = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => self.finish(None, outbox),
            Some(Err(_)) => Err(NotAsSaid),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.push(data, outbox),
                Err(frame) => {
                    self.gave_trailers = true;
                    self.finish(frame.trailers_ref(), outbox)
                }
            },
        };
        Poll::Ready(taken)
    }

    fn push(&mut self, data: Bytes, outbox: &mut Outbox) -> Result<(), NotAsSaid> {
        let length = data.len() as u64;
        if !outbox.is_begun() {
            self.first = data.clone();
        }
        let is_last = self.body.is_end_stream();
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(length).ok_or(NotAsSaid)?;
                outbox.push(data, b"");
            }
            // An empty chunk would end the body.
            Framing::Chunked if length == 0 => {}
            Framing::Chunked => {
                encode::chunk_size(outbox.lead(), length);
                if is_last {
                    outbox.push(data, b"\r\n0\r\n\r\n");
                    self.progress = Progress::Taken;
                    return Ok(());
                }
                outbox.push(data, b"\r\n");
            }
        }
        if is_last {
            return self.finish(None, outbox);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        trailers: Option<&HeaderMap>,
        outbox: &mut Outbox,
    ) -> Result<(), NotAsSaid> {
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err(NotAsSaid),
            Framing::Chunked => encode::last_chunk(outbox.lead(), trailers),
        }
        self.progress = Progress::Taken;
        Ok(())
    }

    fn fail(&mut self, failure: Failure) -> Poll<Result<(), Failure>> {
        self.progress = Progress::Failed(failure);
        Poll::Ready(Err(failure))
    }
}

impl<B> Upload<B> {
    /// Whether the endpoint has the request to its end, as far as we can know.
    pub(super) fn is_sent(&self, outbox: &Outbox) -> bool {
        let is_whole = match self.progress {
            Progress::Taken => true,
            // The body has yet to say that it is over, but there is nothing left to send.
            Progress::Taking => self.framing == Framing::Length(0),
            Progress::Failed(_) => false,
        };
        is_whole && outbox.is_drained()
    }

    /// The body, to be sent again if nothing of it was.
    pub(super) fn into_unsent(self) -> Option<Unsent<B>> {
        let unsent = Unsent {
            first: self.first,
            body: self.body,
        };
        (!self.gave_trailers).then_some(unsent)
    }
}

/// A body that broke off, or had more or less than it said.
struct NotAsSaid;
