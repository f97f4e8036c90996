//! What has been read from the socket and not yet handed on.
//!
//! The memory belongs to the thread, not to the connection: it is taken to read, kept only while it
//! holds something, and put back for the next connection. Ten thousand idle connections hold none
//! of it. What an earlier connection left in it is behind `end`, where nobody looks before it is
//! overwritten.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// A queue of octets: filled at `end`, taken from `start`.
#[derive(Default)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that holds what somebody else has read.
    pub(super) fn holding(bytes: &[u8]) -> Self {
        Self {
            memory: bytes.to_vec(),
            start: 0,
            end: bytes.len(),
        }
    }

    /// Reads once from `io`, into memory that is there already or, if that is full, into twice as
    /// much. The caller bounds the growth: it stops reading when what it holds has outgrown its
    /// limit.
    pub(super) fn fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(self.memory.get_mut(self.end..).unwrap_or_default());
        let outcome = Pin::new(io).poll_read(cx, &mut room);
        let read = room.filled().len();
        self.end += read;
        self.give_back_if_empty();
        ready!(outcome)?;
        Poll::Ready(Ok(read))
    }

    /// Forgets the first `count` octets.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        self.give_back_if_empty();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn make_room(&mut self) {
        if self.memory.is_empty() {
            self.memory = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        if self.memory.is_empty() {
            self.memory = vec![0; SIZE];
        }
        if self.end < self.memory.len() {
            return;
        }
        if self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            self.memory
                .resize(self.memory.len().saturating_mul(2).max(SIZE), 0);
        }
    }

    fn give_back_if_empty(&mut self) {
        if !self.is_empty() {
            return;
        }
        let memory = std::mem::take(self).memory;
        if memory.len() == SIZE {
            // Fails only while the thread ends, and then the memory goes with it.
            let _ = SPARE.try_with(|spare| spare.set(memory));
        }
    }
}

impl fmt::Debug for Buffer {
    /// Sizes only: the octets are a client's, and may be its key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("held", &self.len())
            .field("memory", &self.memory.len())
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// One buffer is enough: between taking and putting back nothing else of the thread runs,
    /// unless it keeps its own.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// As much as hyper reads at first. Most heads fit many times over.
const SIZE: usize = 8 * 1024;
