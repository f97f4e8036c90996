//! A core's connections as its sweep sees them, and the deadlines they are held to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::proxy::deadlines::{TICK, Tick};
use crate::proxy::flow::Flow;
use crate::proxy::frames::Inflow;
use crate::proxy::plane::Stage;
use crate::proxy::stream::Outflow;
use crate::proxy::warrant::Warrant;
use crate::proxy::wire::{Exchange, Phase, WireState};
use crate::proxy::worker::Worker;

/// A connection as the sweep sees it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What an HTTP/1 client is in the middle of.
    wire: Option<Arc<WireState>>,
    /// What an HTTP/2 client is in the middle of.
    inflow: Option<Rc<Inflow>>,
    outflow: Arc<Outflow>,
    /// When it began, as far as a deadline runs from there: with the first byte that was looked at to
    /// tell what is spoken, or the end of the handshake.
    began: Option<Tick>,
    /// Requests whose records are open.
    underway: Cell<u32>,
    /// Requests so far.
    served: Cell<u32>,
    /// Bytes of answers that hyper was given and neither sent nor threw away (HTTP/2).
    afloat: Cell<u64>,
    /// The flow of the stream that is about to run (HTTP/2).
    next_flow: RefCell<Option<Rc<Flow>>>,
    /// What lets the request under way go on (HTTP/1).
    warrant: RefCell<Option<Warrant>>,
    blocked: Since<Option<u64>>,
    owing: Since<Option<u64>>,
    starved: Since<Option<u64>>,
    head: Since<Option<u64>>,
    quiet: Since<Option<u32>>,
    /// Since when it is to end.
    parting: Cell<Option<Tick>>,
    verdict: Cell<Option<Verdict>>,
    waker: RefCell<Option<Waker>>,
}

/// Since when something has been as it is.
#[derive(Debug, Default)]
struct Since<T: Copy> {
    value: Cell<T>,
    at: Cell<Tick>,
}

impl<T: Copy + PartialEq> Since<T> {
    fn look(&self, value: T, now: Tick) -> Tick {
        if self.value.replace(value) != value {
            self.at.set(now);
        }
        self.at.get()
    }
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// After what is under way.
    Gracefully,
    /// Now, because a head did not come whole in time.
    LateHead,
    /// Now, because it stood still.
    Stalled,
}

/// A request under way on a connection, until dropped.
#[derive(Debug)]
pub(crate) struct Underway {
    watch: Rc<Watch>,
    /// Keeps the byte gate from ending the stream under a response.
    _exchange: Option<Exchange>,
    /// Where its answer goes, on HTTP/2.
    pub(crate) flow: Option<Rc<Flow>>,
}

impl Underway {
    /// It goes on while this holds, whether or not its client takes what it is sent.
    pub(crate) fn goes_on_by(&self, warrant: Warrant) {
        match &self.flow {
            Some(flow) => flow.goes_on_by(warrant),
            None => {
                self.watch.warrant.replace(Some(warrant));
            }
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.watch.warrant.take();
        self.watch.underway.set(self.watch.underway.get() - 1);
    }
}

impl Watch {
    pub(crate) fn begin(self: &Rc<Self>) -> Underway {
        self.underway.set(self.underway.get() + 1);
        self.served.set(self.served.get().saturating_add(1));
        Underway {
            watch: Rc::clone(self),
            _exchange: self.wire.as_ref().map(WireState::exchange),
            flow: None,
        }
    }

    /// The same for a stream, which is about to run.
    pub(crate) fn begin_stream(self: &Rc<Self>, worker: &Rc<Worker>) -> Underway {
        let flow = Rc::new(Flow::new(worker, self));
        self.next_flow.replace(Some(Rc::clone(&flow)));
        let mut underway = self.begin();
        underway.flow = Some(flow);
        underway
    }

    /// The flow of the stream that runs now.
    pub(crate) fn next_flow(&self) -> Option<Rc<Flow>> {
        self.next_flow.take()
    }

    pub(crate) fn add_afloat(&self, count: usize) {
        self.afloat.set(self.afloat.get() + count as u64);
    }

    pub(crate) fn take_afloat(&self, count: usize) {
        self.afloat
            .set(self.afloat.get().saturating_sub(count as u64));
    }

    fn is_busy(&self) -> bool {
        self.underway.get() > 0
    }

    /// The head that is on its way. Behind a request under way an HTTP/1 client may take its time; on
    /// HTTP/2 nothing else can come until a header block is whole.
    fn unfinished_head(&self) -> Option<u64> {
        match (&self.wire, &self.inflow) {
            (Some(wire), _) if wire.is_mid_head() && !self.is_busy() => Some(wire.requests()),
            (_, Some(inflow)) => inflow.unfinished_block(),
            _ => None,
        }
    }

    /// The bytes so far of a body that is waited for.
    fn starved_body(&self) -> Option<u64> {
        let wire = self.wire.as_ref()?;
        let is_starved = wire.phase() == Phase::Body && wire.is_starved() && self.is_busy();
        is_starved.then(|| wire.body_bytes())
    }

    /// Requests so far, if nothing is under way or on its way.
    fn quiet(&self) -> Option<u32> {
        let is_quiet = !self.is_busy()
            && self.afloat.get() == 0
            && !self.outflow.is_blocked()
            && self.unfinished_head().is_none();
        is_quiet.then(|| self.served.get())
    }

    /// Whether nothing was under way or on its way for a while: then nobody waits for a last word.
    pub(crate) fn was_quiet(&self, worker: &Worker) -> bool {
        let quiet = self.quiet();
        quiet.is_some()
            && quiet == self.quiet.value.get()
            && worker.deadlines.now() >= self.quiet.at.get().after(QUIET)
    }

    fn end(&self, verdict: Verdict) {
        self.verdict.set(Some(verdict));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The verdict, if there is one; else the task of `cx` is woken by the next.
    pub(crate) fn poll_verdict(&self, cx: &Context<'_>) -> Option<Verdict> {
        let verdict = self.verdict.take();
        if verdict.is_none() {
            let mut waker = self.waker.borrow_mut();
            match &mut *waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                slot => *slot = Some(cx.waker().clone()),
            }
        }
        verdict
    }

    fn judge(&self, worker: &Worker, now: Tick) -> Option<Verdict> {
        let limits = &worker.plane.deadlines;
        let is_over = |since: Tick, limit: Duration| now >= since.after(limit);
        let blocked = self.outflow.is_blocked().then(|| self.outflow.written());
        let owing = Some(self.afloat.get()).filter(|afloat| *afloat > 0 && !self.is_busy());
        let (starved, head, quiet) = (self.starved_body(), self.unfinished_head(), self.quiet());
        let blocked_since = self.blocked.look(blocked, now);
        let owing_since = self.owing.look(owing, now);
        let starved_since = self.starved.look(starved, now);
        let head_since = self.head.look(head, now);
        let quiet_since = self.quiet.look(quiet, now);
        // The first head of a connection began with it, however its first bytes were looked at.
        let head_since = match (&self.wire, self.began) {
            (Some(_), Some(began)) if self.served.get() == 0 => head_since.min(began),
            _ => head_since,
        };
        let is_closed = self.inflow.as_ref().is_some_and(|inflow| !inflow.is_open());
        let began = self.began.unwrap_or(now);
        let warrant = self.warrant.borrow();
        let is_void = || warrant.as_ref().is_some_and(|it| it.is_void(worker));
        let is_stalled = blocked.is_some() && (is_void() || is_over(blocked_since, limits.write_stall))
            // What finished streams left behind; the others have deadlines of their own.
            || owing.is_some() && is_over(owing_since, limits.write_stall)
            // By then the body's own deadline has passed, and whoever wanted more of it has answered for
            // that: this is for a body nobody asks for any more.
            || starved.is_some() && is_over(starved_since, limits.body_idle + 3 * TICK)
            || is_closed && is_over(began, limits.preface);
        if is_stalled {
            return Some(Verdict::Stalled);
        }
        if head.is_some() && is_over(head_since, limits.head) {
            return Some(Verdict::LateHead);
        }
        quiet?;
        match self.parting.get() {
            Some(parting) => is_over(quiet_since.max(parting), PARTING).then_some(Verdict::Stalled),
            None => is_over(quiet_since, limits.idle).then_some(Verdict::Gracefully),
        }
    }
}

/// Looks at all of a core's connections: ends those that are past a deadline, or all gracefully while
/// the gate drains.
pub(crate) fn sweep(worker: &Worker, stage: Stage) {
    let now = worker.deadlines.now();
    let most = worker.plane.bounds.requests_per_connection_max;
    for (_, watch) in worker.connections.borrow().iter() {
        let is_last = stage != Stage::Running || watch.served.get() >= most;
        let verdict = watch.judge(worker, now);
        if let Some(verdict) = verdict.or(is_last.then_some(Verdict::Gracefully)) {
            if watch.parting.get().is_none() {
                watch.parting.set(Some(now));
            }
            watch.end(verdict);
        }
    }
}

/// A connection's entry among those its core sweeps, until dropped.
pub(crate) struct Entry {
    worker: Rc<Worker>,
    watch: Rc<Watch>,
    at: usize,
}

impl Entry {
    /// The entry of an HTTP/1 connection, whose first head began at `began` if that is past.
    pub(crate) fn http1(
        worker: &Rc<Worker>,
        wire: Arc<WireState>,
        outflow: Arc<Outflow>,
        began: Option<Tick>,
    ) -> Self {
        let watch = Watch {
            wire: Some(wire),
            outflow,
            began,
            ..Watch::default()
        };
        Self::new(worker, watch)
    }

    /// The entry of an HTTP/2 connection, which began at `began`.
    pub(crate) fn http2(
        worker: &Rc<Worker>,
        inflow: Rc<Inflow>,
        outflow: Arc<Outflow>,
        began: Tick,
    ) -> Self {
        let watch = Watch {
            inflow: Some(inflow),
            outflow,
            began: Some(began),
            ..Watch::default()
        };
        Self::new(worker, watch)
    }

    fn new(worker: &Rc<Worker>, watch: Watch) -> Self {
        let now = worker.deadlines.now();
        watch.quiet.look(watch.quiet(), now);
        let watch = Rc::new(watch);
        let at = worker.connections.borrow_mut().insert(Rc::clone(&watch));
        Self {
            worker: Rc::clone(worker),
            watch,
            at,
        }
    }

    pub(crate) fn watch(&self) -> Rc<Watch> {
        Rc::clone(&self.watch)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().try_remove(self.at);
    }
}

/// For how long a connection must have been quiet to be closed without lingering.
const QUIET: Duration = Duration::from_millis(300);
/// How long a client that was told to go may take over it, with nothing under way.
const PARTING: Duration = Duration::from_secs(1);
