//! What waits to be written to an endpoint: one reused buffer for heads, framing and small pieces, and
//! at most one large piece of a body that is not copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Bytes to write, in order: `lead`, `data`, `tail`.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lead: Vec<u8>,
    /// How much of `lead` is written.
    written: usize,
    data: Bytes,
    tail: &'static [u8],
    /// Whether the stream took any byte of this exchange.
    is_begun: bool,
    /// A TLS stream may hold back what it took.
    needs_flush: bool,
}

impl Outbox {
    /// Where heads and framing are written.
    ///
    /// **Invariant:** only while [`Outbox::has_room`], so that nothing overtakes `data`.
    pub(super) fn lead(&mut self) -> &mut Vec<u8> {
        &mut self.lead
    }

    /// Adds a piece of a body: copied if it is small, so that it leaves with what is before it.
    pub(super) fn push(&mut self, data: Bytes, tail: &'static [u8]) {
        if data.len() <= SMALL {
            self.lead.extend_from_slice(&data);
            self.lead.extend_from_slice(tail);
        } else {
            self.data = data;
            self.tail = tail;
        }
    }

    /// Writes all there is, and flushes it.
    pub(super) fn poll_drain<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        while !self.is_written() {
            let lead = self.lead.get(self.written..).unwrap_or_default();
            let count = if self.data.is_empty() && self.tail.is_empty() {
                ready!(stream.as_mut().poll_write(cx, lead))?
            } else {
                let parts = [lead, &self.data, self.tail].map(IoSlice::new);
                ready!(stream.as_mut().poll_write_vectored(cx, &parts))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_begun = true;
            self.needs_flush = true;
            self.advance(count);
        }
        self.lead.clear();
        self.written = 0;
        if self.needs_flush {
            ready!(stream.poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives memory back before the connection rests.
    pub(super) fn rest(&mut self) {
        self.is_begun = false;
        if self.lead.capacity() > IDLE_MAX {
            self.lead = Vec::new();
        }
    }

    /// Whether more may be added: a bound on what a slow endpoint makes us hold.
    pub(super) fn has_room(&self) -> bool {
        self.data.is_empty() && self.tail.is_empty() && self.lead.len() < LEAD_MAX
    }

    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Whether all was written and flushed.
    pub(super) fn is_drained(&self) -> bool {
        self.is_written() && !self.needs_flush
    }

    fn is_written(&self) -> bool {
        self.written == self.lead.len() && self.data.is_empty() && self.tail.is_empty()
    }

    fn advance(&mut self, count: usize) {
        let of_lead = count.min(self.lead.len() - self.written);
        self.written += of_lead;
        let of_data = (count - of_lead).min(self.data.len());
        self.data.advance(of_data);
        let of_tail = count - of_lead - of_data;
        self.tail = self.tail.get(of_tail..).unwrap_or_default();
    }
}

/// Up to here a copy is cheaper than a second slice.
const SMALL: usize = 2 * 1024;
/// From here on small pieces wait until the stream took some.
const LEAD_MAX: usize = 8 * 1024;
/// The largest buffer a resting connection keeps.
const IDLE_MAX: usize = 2 * 1024;
