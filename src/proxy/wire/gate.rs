//! The stream hyper reads from: everything good, nothing else, then its end.
//!
//! A head is handed on when it is whole and good, a body as it comes; one message at a time, so
//! that what the owner sees in [`WireState`] is about the message hyper is reading. When something
//! is refused, hyper gets what was good before it and then the end of the stream: it finishes its
//! responses, and a body cut short is an error to it. The refusal is the owner's to write, on the
//! stream it takes back.
//!
//! What hyper must be told: `max_buf_size` no less than [`Limits::head_max`], `max_headers` no less
//! than [`Limits::fields_max`], and nothing of `max_header_size` and `header_read_timeout`, whose
//! work is done here and by the owner's deadlines. Connections are driven as a plain
//! `http1::Connection`, whose `into_parts` gives the gate back.
//!
//! The end of the stream is held back while a response is under way, because hyper drops a response
//! when the stream ends under it; [`Exchange`](super::Exchange) says which are. hyper also shuts
//! the socket down when it is done. While a refusal is owed, that only flushes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::{Body, Then};
use super::buffer::Buffer;
use super::head::{Framing, HeadScan};
use super::octets::{self, TOKEN};
use super::state::{Phase, Resume, WireState};
use super::{Fault, Limits};

/// A stream that carries strict HTTP/1.1 requests only.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    io: TokioIo<Counted<S>>,
    buffer: Buffer,
    /// So many octets at the front of `buffer` may be handed on.
    cleared: usize,
    /// Whether `buffer` holds octets behind `cleared` that `stage` has not seen.
    unseen: bool,
    stage: Stage,
    /// Whether the one empty line before a request has been used up.
    empty_line: bool,
    fault: Option<Fault>,
    limits: Limits,
    wire: Arc<WireState>,
}

#[derive(Debug)]
enum Stage {
    Head(HeadScan),
    Body(Body),
    /// Behind the head of an upgrade request.
    Held,
    /// Behind our 101.
    Raw,
}

impl<S> Gate<S> {
    /// A gate before `stream`, of which `read` has been read already, and the view of it that the
    /// owner keeps.
    pub(crate) fn new(stream: S, read: &[u8], limits: Limits) -> (Self, Arc<WireState>) {
        let wire = Arc::new(WireState::default());
        let gate = Self {
            io: TokioIo::new(Counted { stream, latest: 0 }),
            buffer: Buffer::holding(read),
            cleared: 0,
            unseen: !read.is_empty(),
            stage: Stage::Head(HeadScan::default()),
            empty_line: false,
            fault: None,
            limits,
            wire: Arc::clone(&wire),
        };
        (gate, wire)
    }

    /// The stream, and what was read from it but not handed on.
    pub(crate) fn into_inner(self) -> (S, Vec<u8>) {
        (self.io.into_inner().stream, self.buffer.bytes().to_vec())
    }

    /// Shows the stage what it has not seen.
    fn judge(&mut self) {
        self.unseen = false;
        match &mut self.stage {
            Stage::Head(_) => self.judge_head(),
            Stage::Body(_) => self.judge_body(0),
            Stage::Held => {}
            Stage::Raw => self.cleared = self.buffer.len(),
        }
    }

    fn judge_head(&mut self) {
        if self.buffer.bytes().starts_with(b"\r\n") && !self.empty_line {
            // RFC 9112 §2.2: one empty line before a request is an old client's habit.
            self.empty_line = true;
            self.buffer.consume(2);
        }
        let Stage::Head(scan) = &mut self.stage else {
            return;
        };
        let head = self.buffer.bytes();
        match head {
            [] => return self.wire.set_phase(Phase::Idle),
            [b'\r'] if !self.empty_line => return self.wire.set_phase(Phase::Head),
            // Known by its first octet: a TLS handshake on a plain port, say, need not wait for its
            // deadline.
            [first, ..] if !octets::is(*first, TOKEN) => {
                return self.refuse(Fault::BadRequest("request does not begin with a method"));
            }
            _ => {}
        }
        let head = match scan.advance(head, &self.limits) {
            Ok(Some(head)) => head,
            Ok(None) => return self.wire.set_phase(Phase::Head),
            Err(fault) => return self.refuse(fault),
        };
        self.cleared = head.len;
        self.wire.begin_request();
        match head.framing {
            Framing::Length(0) if head.upgrade && self.limits.hold_upgrades => {
                self.stage = Stage::Held;
                self.wire.forget_resume();
                self.wire.set_phase(Phase::Idle);
            }
            Framing::Length(0) => self.finish_message(),
            framing => {
                self.stage = Stage::Body(Body::new(framing));
                self.wire.set_phase(Phase::Body);
                self.judge_body(head.len);
            }
        }
    }

    /// Judges the body from `offset` of the buffer on, which is as much as is cleared.
    fn judge_body(&mut self, offset: usize) {
        let Stage::Body(body) = &mut self.stage else {
            return;
        };
        let passage = body.advance(
            self.buffer.bytes().get(offset..).unwrap_or_default(),
            &self.limits,
        );
        self.cleared = offset + passage.cleared;
        self.wire.count_body(passage.data as u64);
        match passage.then {
            Then::More => {}
            Then::Done => self.finish_message(),
            Then::Bad(fault) => self.refuse(fault),
        }
    }

    fn finish_message(&mut self) {
        self.stage = Stage::Head(HeadScan::default());
        self.empty_line = false;
        self.unseen = self.buffer.len() > self.cleared;
        self.wire.set_phase(Phase::Idle);
    }

    fn refuse(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Hands on what is cleared, as far as there is room.
    fn deliver(&mut self, room: &mut ReadBufCursor<'_>) {
        let count = self.cleared.min(room.remaining());
        room.put_slice(self.buffer.bytes().get(..count).unwrap_or_default());
        self.cleared -= count;
        self.buffer.consume(count);
    }

    /// Whether what comes next may be read straight into `room`: content only, and no less than
    /// fits.
    fn is_direct(&self, room: usize) -> bool {
        self.buffer.is_empty()
            && match &self.stage {
                Stage::Body(body) => body.ahead() >= room as u64,
                Stage::Raw => true,
                Stage::Head(_) | Stage::Held => false,
            }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    fn poll_deliver(
        &mut self,
        cx: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.cleared > 0 {
                self.deliver(&mut room);
                return Poll::Ready(Ok(()));
            }
            if let Some(fault) = self.fault {
                return self.poll_close(cx, fault);
            }
            if let Stage::Held = self.stage {
                self.take_resume(cx);
            }
            if self.unseen {
                self.judge();
                continue;
            }
            if self.is_direct(room.remaining()) {
                return self.poll_direct(cx, room);
            }
            if let Stage::Held = self.stage
                && self.buffer.len() >= HELD_MAX
            {
                return Poll::Pending;
            }
            if ready!(self.buffer.fill(self.io.inner_mut(), cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
            self.unseen = true;
        }
    }

    /// Ends the stream for hyper: at once within a body, else when nothing is left to be answered.
    fn poll_close(&mut self, cx: &mut Context<'_>, fault: Fault) -> Poll<io::Result<()>> {
        if !matches!(self.stage, Stage::Body(_)) && !self.wire.is_answered(cx) {
            return Poll::Pending;
        }
        self.wire.close(fault);
        Poll::Ready(Ok(()))
    }

    /// Reads into hyper's own memory. It cannot read too much: there is no room for more than is
    /// certain to be content.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.io.inner_mut().latest = 0;
        ready!(Pin::new(&mut self.io).poll_read(cx, room))?;
        let read = self.io.inner().latest;
        if let Stage::Body(body) = &mut self.stage {
            self.wire.count_body(read as u64);
            if body.go_past(read) {
                self.finish_message();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Asks the owner how to go on behind an upgrade request.
    fn take_resume(&mut self, cx: &Context<'_>) {
        match self.wire.take_resume(cx) {
            Some(Resume::Http) => self.finish_message(),
            Some(Resume::Raw) => {
                self.stage = Stage::Raw;
                self.unseen = !self.buffer.is_empty();
            }
            None => {}
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Gate<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let outcome = gate.poll_deliver(cx, room);
        gate.wire.set_starved(outcome.is_pending());
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Gate<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if gate.wire.unanswered().is_some() {
            return Pin::new(&mut gate.io).poll_flush(cx);
        }
        Pin::new(&mut gate.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }
}

/// A stream that remembers how much its latest read brought: hyper's cursor does not tell.
#[derive(Debug)]
struct Counted<S> {
    stream: S,
    latest: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let counted = self.get_mut();
        let before = room.filled().len();
        let outcome = Pin::new(&mut counted.stream).poll_read(cx, room);
        counted.latest = room.filled().len().saturating_sub(before);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }
}

/// As much is read behind an upgrade request while it is undecided: enough to notice that the
/// client left.
const HELD_MAX: usize = 8 * 1024;
