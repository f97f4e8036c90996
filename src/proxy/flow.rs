//! An answer on its way out of an HTTP/2 stream: what hyper has of it and the client has not taken, and for
//! how long that has been so.

use std::cell::{Cell, OnceCell};
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Buf, Bytes};
use tokio::task::spawn_local;

use crate::proxy::deadlines::{Place, Tick};
use crate::proxy::warrant::Warrant;
use crate::proxy::watch::Watch;
use crate::proxy::worker::Worker;

/// What a stream's answer is waiting for. A client may grant a stream no window while its socket takes
/// whatever comes: then only this tells.
#[derive(Debug)]
pub(crate) struct Flow {
    worker: Rc<Worker>,
    watch: Rc<Watch>,
    /// Bytes that hyper was given and neither sent nor threw away.
    afloat: Cell<u64>,
    /// Bytes that it threw away.
    lost: Cell<u64>,
    /// What lets it go on, though its body is not asked for more while the client grants next to no window.
    warrant: OnceCell<Warrant>,
    moved_at: Cell<Tick>,
    is_cut: Cell<bool>,
}

impl Flow {
    pub(crate) fn new(worker: &Rc<Worker>, watch: &Rc<Watch>) -> Self {
        Self {
            worker: Rc::clone(worker),
            watch: Rc::clone(watch),
            afloat: Cell::default(),
            lost: Cell::default(),
            warrant: OnceCell::new(),
            moved_at: Cell::new(worker.deadlines.now()),
            is_cut: Cell::default(),
        }
    }

    /// Bytes that the client will not get, though hyper was given them.
    pub(crate) fn lost(&self) -> u64 {
        let cut = if self.is_cut.get() {
            self.afloat.get()
        } else {
            0
        };
        self.lost.get() + cut
    }

    /// It goes on while this holds.
    pub(crate) fn goes_on_by(&self, warrant: Warrant) {
        // A stream is one request.
        let _ = self.warrant.set(warrant);
    }

    fn is_void(&self) -> bool {
        let warrant = self.warrant.get();
        warrant.is_some_and(|it| it.is_void(&self.worker))
    }

    /// When the client will have taken too long; `None` while nothing waits for it.
    fn due(&self) -> Option<Tick> {
        let limit = self.worker.plane.deadlines.write_stall;
        (self.afloat.get() > 0).then(|| self.moved_at.get().after(limit))
    }

    fn add(&self, count: usize) {
        if self.afloat.get() == 0 {
            self.moved_at.set(self.worker.deadlines.now());
        }
        self.afloat.set(self.afloat.get() + count as u64);
        self.watch.add_afloat(count);
    }

    fn take(&self, count: usize) {
        self.afloat
            .set(self.afloat.get().saturating_sub(count as u64));
        self.watch.take_afloat(count);
        self.moved_at.set(self.worker.deadlines.now());
    }
}

/// A piece of an answer as hyper holds it. On HTTP/2 it tells its flow what becomes of it.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    flow: Option<Rc<Flow>>,
}

impl Piece {
    pub(crate) fn new(bytes: Bytes, flow: Option<&Rc<Flow>>) -> Self {
        if let Some(flow) = flow {
            flow.add(bytes.len());
        }
        Self {
            bytes,
            flow: flow.cloned(),
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(flow) = &self.flow {
            flow.take(count);
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if let Some(flow) = &self.flow {
            flow.take(count);
        }
        self.bytes.copy_to_bytes(count)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let (Some(flow), 1..) = (&self.flow, self.bytes.len()) {
            flow.lost.set(flow.lost.get() + self.bytes.len() as u64);
            flow.take(self.bytes.len());
        }
    }
}

/// Runs a connection's HTTP/2 streams on this core, each for as long as its client takes its answer.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    worker: Rc<Worker>,
    watch: Rc<Watch>,
}

impl Streams {
    pub(crate) fn new(worker: &Rc<Worker>, watch: &Rc<Watch>) -> Self {
        Self {
            worker: Rc::clone(worker),
            watch: Rc::clone(watch),
        }
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        // hyper runs a stream right after it had its service begin it.
        let Some(flow) = self.watch.next_flow() else {
            spawn_local(stream);
            return;
        };
        let worker = Rc::clone(&self.worker);
        spawn_local(async move {
            let mut stream = pin!(stream);
            let mut place = Place::new(&worker.deadlines);
            poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match flow.due() {
                    None => place.leave(),
                    Some(due) if worker.deadlines.now() < due && !flow.is_void() => {
                        place.wait(due, cx);
                    }
                    Some(_) => {
                        // Dropped, the stream is reset, and what was held for it is given back.
                        flow.is_cut.set(true);
                        return Poll::Ready(());
                    }
                }
                Poll::Pending
            })
            .await;
        });
    }
}
