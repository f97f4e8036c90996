//! Coarse time: deadlines in ticks of 100 ms, kept by one sweep per core instead of a timer per request.
//!
//! What waits for something leaves its waker and the tick it is due at. The sweep wakes what is overdue,
//! and that then finds out for itself. A deadline is met up to one tick late, never early.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A point in coarse time: ticks since the worker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Tick(u32);

impl Tick {
    /// Ticks since an earlier one.
    pub(crate) fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// The first tick at which `span` has surely passed since this one.
    pub(crate) fn after(self, span: Duration) -> Self {
        let ticks = span.as_millis().div_ceil(TICK.as_millis()) + 1;
        Self(
            self.0
                .saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX)),
        )
    }
}

/// What waits on this core, and until when.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    now: Cell<Tick>,
    waiting: RefCell<Slab<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    due: Tick,
    waker: Waker,
}

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Deadlines {
    /// The present tick.
    pub(crate) fn now(&self) -> Tick {
        self.now.get()
    }

    /// One tick on: wakes whatever is overdue.
    pub(crate) fn advance(&self) {
        let now = Tick(self.now.get().0.saturating_add(1));
        self.now.set(now);
        // Waking only marks a task as ready, so nothing comes back here while this is borrowed.
        for (_, waiting) in self.waiting.borrow().iter() {
            if waiting.due <= now {
                waiting.waker.wake_by_ref();
            }
        }
    }

    /// Has whatever waits look around, due or not.
    pub(crate) fn wake_all(&self) {
        for (_, waiting) in self.waiting.borrow().iter() {
            waiting.waker.wake_by_ref();
        }
    }

    /// What `future` comes to, if it does within `span`.
    pub(crate) async fn within<F: Future>(
        &self,
        span: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let began = self.now();
        self.within_since(span, || began, future).await
    }

    /// The same, with `span` counted from what `since` says: asked each time anew, so that what is waited
    /// for can be given more time.
    pub(crate) async fn within_since<F: Future>(
        &self,
        span: Duration,
        since: impl Fn() -> Tick,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let mut place = Place::new(self);
        poll_fn(move |cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let due = since().after(span);
            if self.now() >= due {
                return Poll::Ready(Err(Elapsed));
            }
            place.wait(due, cx);
            Poll::Pending
        })
        .await
    }
}

/// A place among what waits; given up when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    deadlines: &'a Deadlines,
    at: Option<usize>,
}

impl<'a> Place<'a> {
    pub(crate) fn new(deadlines: &'a Deadlines) -> Self {
        Self {
            deadlines,
            at: None,
        }
    }

    /// Has the task of `cx` woken at `due`.
    pub(crate) fn wait(&mut self, due: Tick, cx: &Context<'_>) {
        self.at = Some(self.deadlines.wait(self.at, due, cx));
    }

    /// Has nothing woken any more.
    pub(crate) fn leave(&mut self) {
        self.deadlines.leave(self.at.take());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Deadlines {
    /// Takes a place, or keeps the one at `at`, to be woken at `due`.
    pub(crate) fn wait(&self, at: Option<usize>, due: Tick, cx: &Context<'_>) -> usize {
        let mut waiting = self.waiting.borrow_mut();
        match at.and_then(|at| waiting.get_mut(at).map(|place| (at, place))) {
            Some((at, place)) => {
                place.due = due;
                place.waker.clone_from(cx.waker());
                at
            }
            None => waiting.insert(Waiting {
                due,
                waker: cx.waker().clone(),
            }),
        }
    }

    /// Gives up a place taken by [`Self::wait`].
    pub(crate) fn leave(&self, at: Option<usize>) {
        if let Some(at) = at {
            self.waiting.borrow_mut().try_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::task::Waker;

    #[test]
    fn a_deadline_is_never_early_and_at_most_a_tick_late() {
        let deadlines = Deadlines::default();
        let mut waits = pin!(deadlines.within(Duration::from_millis(250), pending::<()>()));
        let mut cx = Context::from_waker(Waker::noop());
        for tick in 0..4 {
            assert!(waits.as_mut().poll(&mut cx).is_pending(), "tick {tick}");
            deadlines.advance();
        }
        assert_eq!(waits.as_mut().poll(&mut cx), Poll::Ready(Err(Elapsed)));
    }

    #[test]
    fn what_is_ready_comes_through_and_leaves_nothing_behind() {
        let deadlines = Deadlines::default();
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut waits = pin!(deadlines.within(TICK, pending::<()>()));
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            assert_eq!(deadlines.waiting.borrow().len(), 1);
        }
        assert!(deadlines.waiting.borrow().is_empty());
        let mut waits = pin!(deadlines.within(TICK, ready(7)));
        assert_eq!(waits.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    }

    #[test]
    fn a_deadline_counts_from_where_it_is_told_to() {
        let deadlines = Deadlines::default();
        let since = Cell::new(deadlines.now());
        let mut waits = pin!(deadlines.within_since(TICK, || since.get(), pending::<()>()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        (0..2).for_each(|_| deadlines.advance());
        since.set(deadlines.now());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        deadlines.advance();
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        deadlines.advance();
        assert!(waits.as_mut().poll(&mut cx).is_ready());
    }
}
