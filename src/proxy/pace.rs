//! How long the client of an upload is waited for.

use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use crate::proxy::deadlines::{TICK, Tick};
use crate::proxy::worker::Worker;

/// How long the next bytes of a request's body may take. It runs only while the upstream wants some, so a
/// slow upstream is not held against the client.
#[derive(Debug)]
pub(crate) struct Pace {
    worker: Rc<Worker>,
    patience: Patience,
    /// Since when the client is waited for.
    since: Option<Tick>,
    place: Option<usize>,
}

impl Pace {
    pub(crate) fn new(worker: &Rc<Worker>) -> Self {
        let plane = &worker.plane;
        Self {
            worker: Rc::clone(worker),
            patience: Patience::new(plane.deadlines.body_idle, plane.bounds.body_rate_min),
            since: None,
            place: None,
        }
    }

    /// The core it runs on.
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The present tick.
    pub(crate) fn now(&self) -> Tick {
        self.worker.deadlines.now()
    }

    /// Whether nothing has come for too long, or all too slowly; if not, the task of `cx` is woken when that is so.
    pub(crate) fn is_over(&mut self, is_answered: bool, cx: &Context<'_>) -> bool {
        let deadlines = &self.worker.deadlines;
        let since = *self.since.get_or_insert_with(|| deadlines.now());
        let due = since.after(self.patience.left(is_answered));
        let is_over = deadlines.now() >= due || self.patience.is_gone(is_answered);
        if !is_over {
            self.place = Some(deadlines.wait(self.place, due, cx));
        }
        is_over
    }

    /// So many bytes came.
    pub(crate) fn came(&mut self, bytes: u64) {
        let now = self.worker.deadlines.now();
        let ticks = self.since.take().map_or(0, |since| now.since(since));
        self.patience.came(TICK * ticks, bytes);
    }
}

/// How long a client may still be waited for: each byte it sends buys it time, as much as the least rate
/// gives it, and what was waited for it is taken off.
#[derive(Debug)]
struct Patience {
    idle: Duration,
    /// Bytes a second; 0 for none.
    rate: u64,
    left: Duration,
    /// More was waited than was left.
    is_gone: bool,
}

impl Patience {
    fn new(idle: Duration, rate: u64) -> Self {
        Self {
            idle,
            rate,
            left: RATE_AFTER,
            is_gone: false,
        }
    }

    /// Whether it was used up.
    fn is_gone(&self, is_answered: bool) -> bool {
        self.is_gone && self.rate > 0 && !is_answered
    }

    /// The longest the next bytes may take.
    fn left(&self, is_answered: bool) -> Duration {
        if self.rate == 0 || is_answered {
            self.idle
        } else {
            self.left.min(self.idle)
        }
    }

    fn came(&mut self, waited: Duration, bytes: u64) {
        let bought = bytes.saturating_mul(1_000_000).checked_div(self.rate);
        self.is_gone |= waited > self.left;
        let left = self.left.saturating_sub(waited);
        let left = left.saturating_add(Duration::from_micros(bought.unwrap_or(0)));
        self.left = left.min(self.idle.max(RATE_AFTER));
    }
}

/// How long a body may take before its rate matters.
const RATE_AFTER: Duration = Duration::from_secs(5);

impl Drop for Pace {
    fn drop(&mut self) {
        self.worker.deadlines.leave(self.place.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whoever_keeps_the_least_rate_may_go_on_for_ever() {
        let mut patience = Patience::new(30 * SECOND, 1_024);
        for _ in 0..1_000 {
            assert_eq!(patience.left(false), 5 * SECOND);
            patience.came(SECOND, 1_024);
        }
    }

    #[test]
    fn whoever_drips_has_used_up_all_patience_soon() {
        let mut patience = Patience::new(30 * SECOND, 1_024);
        let mut waited = Duration::ZERO;
        while !patience.is_gone(false) {
            waited += TICK;
            patience.came(TICK, 1);
        }
        assert!((5 * SECOND..6 * SECOND).contains(&waited), "{waited:?}");
        // Whoever is answered already, or where no rate is asked for, may be silent for as long as any.
        assert!(!patience.is_gone(true));
        assert_eq!(patience.left(true), 30 * SECOND);
        let mut patience = Patience::new(30 * SECOND, 0);
        patience.came(29 * SECOND, 1);
        assert_eq!(patience.left(false), 30 * SECOND);
    }

    #[test]
    fn a_fast_beginning_buys_no_more_than_the_usual_silence() {
        let mut patience = Patience::new(30 * SECOND, 1_024);
        patience.came(Duration::ZERO, 1 << 30);
        assert_eq!(patience.left(false), 30 * SECOND);
        patience.came(29 * SECOND, 1);
        assert!(patience.left(false) < 2 * SECOND);
    }
}
