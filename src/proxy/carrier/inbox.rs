//! What came from an endpoint and was not yet read: one buffer, from which bodies and fields are cut
//! without copying.
//!
//! The buffer grows with what an endpoint sends at once, from 2 to 64 KiB, and is used again as soon as
//! nothing holds a piece of it. A connection between exchanges keeps at most [`IDLE_MAX`].

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Read bytes, in order.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: BytesMut,
    /// How large the allocation behind `bytes` is; it shows only what is left of it.
    allocated: usize,
    /// How large the next allocation will be.
    next: usize,
    /// The most that was read at once in this exchange.
    largest: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            allocated: 0,
            next: FIRST,
            largest: 0,
        }
    }

    /// Reads once, into room for about `want` bytes; 0 is the end of the stream.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        want: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(want.min(ROOM_MAX));
        let room = self.bytes.capacity() - self.bytes.len();
        let count = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
        self.largest = self.largest.max(count);
        if count == room {
            self.next = self.next.saturating_mul(2).min(LARGEST);
        }
        Poll::Ready(Ok(count))
    }

    /// Cuts the first `count` bytes off; fewer if there are not so many.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        self.bytes.split_to(count.min(self.bytes.len())).freeze()
    }

    /// Drops the first `count` bytes.
    pub(super) fn skip(&mut self, count: usize) {
        drop(self.bytes.split_to(count.min(self.bytes.len())));
    }

    /// Gives memory back before the connection rests.
    pub(super) fn rest(&mut self) {
        self.next = self
            .largest
            .saturating_add(1)
            .next_power_of_two()
            .clamp(FIRST, FIRST_MAX);
        self.largest = 0;
        if self.allocated > IDLE_MAX {
            self.bytes = BytesMut::new();
            self.allocated = 0;
        }
    }

    /// How much to ask for where the length of what follows is not known.
    pub(super) fn usual(&self) -> usize {
        self.next / 2
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn make_room(&mut self, want: usize) {
        let held = self.bytes.len();
        if self.bytes.capacity() - held >= want {
            return;
        }
        let size = self.next.max(want);
        if held > 0 {
            self.bytes.reserve(size);
            self.allocated = self.allocated.max(held + size);
        } else if !self.bytes.try_reclaim(size) {
            self.bytes = BytesMut::with_capacity(size);
            self.allocated = size;
        }
    }
}

/// The size of the first buffer.
const FIRST: usize = 2 * 1024;
/// The most an exchange begins with.
const FIRST_MAX: usize = 16 * 1024;
/// The most that is asked for at once.
const ROOM_MAX: usize = 32 * 1024;
const LARGEST: usize = 64 * 1024;
/// The largest buffer a resting connection keeps.
pub(super) const IDLE_MAX: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn fill(inbox: &mut Inbox, mut bytes: &[u8], want: usize) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match inbox.poll_fill(&mut bytes, want, &mut cx) {
            Poll::Ready(Ok(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn small_answers_need_no_second_buffer() {
        let mut inbox = Inbox::new();
        for _ in 0..100 {
            let want = inbox.usual();
            assert_eq!(fill(&mut inbox, &[b'x'; 300], want), 300);
            assert_eq!((inbox.take(100).len(), inbox.take(200).len()), (100, 200));
            inbox.rest();
            assert_eq!((inbox.allocated, inbox.next), (FIRST, FIRST));
        }
    }

    #[test]
    fn a_resting_connection_gives_back_what_it_needed() {
        let mut inbox = Inbox::new();
        let mut held = Vec::new();
        for _ in 0..10 {
            let want = inbox.usual();
            fill(&mut inbox, &[b'x'; 1 << 20], want);
            held.push(inbox.take(usize::MAX));
        }
        assert_eq!((inbox.allocated, inbox.next), (LARGEST, LARGEST));
        inbox.rest();
        assert_eq!((inbox.allocated, inbox.next), (0, FIRST_MAX));
        assert_eq!(inbox.bytes.capacity(), 0);
    }

    #[test]
    fn what_was_not_taken_stays_when_the_buffer_grows() {
        let mut inbox = Inbox::new();
        assert_eq!(fill(&mut inbox, &[b'a'; 1000], 1024), 1000);
        let piece = inbox.take(10);
        assert!(fill(&mut inbox, &[b'b'; 20_000], 20_000) >= 20_000);
        assert_eq!((piece.len(), inbox.bytes().len()), (10, 20_990));
        assert!(inbox.bytes().starts_with(&[b'a'; 990]));
    }
}
