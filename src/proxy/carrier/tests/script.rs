//! A stream whose other side was written down in advance.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the other side does when it is read from.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Give(Vec<u8>),
    /// Lets one read find nothing.
    Pause,
    Close,
    Break(io::ErrorKind),
}

/// What the test can see and steer of a [`Script`].
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The bytes of each write.
    pub(super) writes: Vec<Vec<u8>>,
    /// How many bytes were read.
    pub(super) read: usize,
    /// How many bytes are taken yet; `None`: all.
    pub(super) room: Option<usize>,
    /// What writes fail with once there is no room.
    pub(super) breaks: Option<io::ErrorKind>,
    /// The most one write takes.
    pub(super) most: Option<usize>,
    waker: Option<Waker>,
}

impl Seen {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.writes.concat()).unwrap()
    }

    /// Lets `bytes` more be written.
    pub(super) fn make_room(&mut self, bytes: usize) {
        self.room = Some(self.room.unwrap_or(0) + bytes);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[derive(Debug)]
pub(super) struct Script {
    acts: VecDeque<Act>,
    seen: Rc<RefCell<Seen>>,
}

impl Script {
    pub(super) fn new(acts: Vec<Act>) -> (Self, Rc<RefCell<Seen>>) {
        let seen = Rc::<RefCell<Seen>>::default();
        let script = Self {
            acts: acts.into(),
            seen: Rc::clone(&seen),
        };
        (script, seen)
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.acts.pop_front() {
            None => Poll::Pending,
            Some(Act::Pause) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Act::Close) => {
                self.acts.push_front(Act::Close);
                Poll::Ready(Ok(()))
            }
            Some(Act::Break(kind)) => Poll::Ready(Err(kind.into())),
            Some(Act::Give(bytes)) => {
                let (now, later) = bytes.split_at(bytes.len().min(buf.remaining()));
                buf.put_slice(now);
                self.seen.borrow_mut().read += now.len();
                if !later.is_empty() {
                    self.acts.push_front(Act::Give(later.to_vec()));
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut seen = self.seen.borrow_mut();
        let mut bytes = bufs.iter().flat_map(|buf| buf.to_vec()).collect::<Vec<_>>();
        let room = seen.room.unwrap_or(usize::MAX);
        if room == 0 {
            if let Some(kind) = seen.breaks {
                return Poll::Ready(Err(kind.into()));
            }
            seen.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        bytes.truncate(room.min(seen.most.unwrap_or(usize::MAX)));
        let count = bytes.len();
        if let Some(room) = &mut seen.room {
            *room -= count;
        }
        seen.writes.push(bytes);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
