//! What each core counts for `/metrics`: written by one core, read by whoever asks.
//!
//! A counter has a single writer, so adding is a load and a store, not a locked instruction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::refusal::RefusalCode;

/// A number that one core adds to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the core that owns it may.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Takes `n` away, where the number is of things that come and go.
    pub(crate) fn sub(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_sub(n),
            Ordering::Relaxed,
        );
    }

    /// What it is at.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything one core counts.
#[derive(Debug)]
pub(crate) struct CoreCounters {
    /// By route, in the order of the table.
    pub(crate) routes: Box<[RouteCounters]>,
    /// Requests refused, by [`RefusalCode`], whether or not a route was found.
    refused: Box<[Count]>,
    /// What shadow limits would have refused.
    pub(crate) shadowed: Count,
    /// Connections accepted.
    pub(crate) accepted: Count,
    /// Connections open.
    pub(crate) open: Count,
    /// Connections turned away because there were too many.
    pub(crate) turned_away: Count,
    /// TLS handshakes that failed.
    pub(crate) handshakes_failed: Count,
    /// Upstream connections opened.
    pub(crate) upstream_connects: Count,
    /// Requests tried again on another connection.
    pub(crate) retries: Count,
    /// Access-log lines that were dropped because the writer was behind.
    pub(crate) log_dropped: Count,
    /// Requests that did not get into the audit log because the writer was behind.
    pub(crate) notes_dropped: Count,
}

/// What one core counts of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    /// Answers, by class of status: 1xx … 5xx.
    pub(crate) status: [Count; 5],
    /// How long they took, from the head's arrival to the body's end.
    pub(crate) latency: Histogram,
    /// Bytes of request bodies.
    pub(crate) bytes_in: Count,
    /// Bytes of response bodies.
    pub(crate) bytes_out: Count,
}

impl CoreCounters {
    fn new(routes: usize) -> Self {
        Self {
            routes: (0..routes).map(|_| RouteCounters::default()).collect(),
            refused: RefusalCode::ALL.iter().map(|_| Count::default()).collect(),
            shadowed: Count::default(),
            accepted: Count::default(),
            open: Count::default(),
            turned_away: Count::default(),
            handshakes_failed: Count::default(),
            upstream_connects: Count::default(),
            retries: Count::default(),
            log_dropped: Count::default(),
            notes_dropped: Count::default(),
        }
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, code: RefusalCode) {
        if let Some(count) = self.refused.get(code as usize) {
            count.add(1);
        }
    }

    /// How often `code` was the answer.
    pub(crate) fn refused(&self, code: RefusalCode) -> u64 {
        self.refused.get(code as usize).map_or(0, Count::get)
    }
}

/// The counters of all cores.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    cores: Arc<[Arc<CoreCounters>]>,
}

impl Counters {
    /// Counters for this many cores and routes.
    pub(crate) fn new(cores: usize, routes: usize) -> Self {
        Self {
            cores: (0..cores)
                .map(|_| Arc::new(CoreCounters::new(routes)))
                .collect(),
        }
    }

    /// One core's own.
    pub(crate) fn core(&self, core: usize) -> Option<Arc<CoreCounters>> {
        self.cores.get(core).cloned()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CoreCounters> {
        self.cores.iter().map(Arc::as_ref)
    }

    /// What all cores together are at.
    pub(crate) fn sum(&self, count: impl Fn(&CoreCounters) -> u64) -> u64 {
        self.iter().map(count).sum()
    }
}

/// Durations, by the power of two of their microseconds: 1 µs to about two minutes.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Count; BUCKETS],
    sum_us: Count,
}

/// How many buckets a histogram has; the last holds all that is longer.
pub(crate) const BUCKETS: usize = 28;

impl Histogram {
    /// Counts a duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - us.saturating_sub(1).leading_zeros()) as usize;
        if let Some(count) = self.buckets.get(bucket.min(BUCKETS - 1)) {
            count.add(1);
        }
        self.sum_us.add(us);
    }

    /// How many durations each bucket holds; bucket `n` those of at most 2ⁿ µs.
    pub(crate) fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|n| self.buckets.get(n).map_or(0, Count::get))
    }

    /// All durations together, in microseconds.
    pub(crate) fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_in_the_smallest_bucket_that_covers_it() {
        for (us, bucket) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1_024, 10),
            (1_025, 11),
        ] {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(us));
            assert_eq!(
                histogram.counts().iter().position(|count| *count == 1),
                Some(bucket),
                "{us}"
            );
        }
    }

    #[test]
    fn the_longest_durations_share_the_last_bucket() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.counts()[BUCKETS - 1], 1);
    }

    #[test]
    fn every_code_has_a_counter_of_its_own() {
        let counters = CoreCounters::new(1);
        for code in RefusalCode::ALL {
            counters.refuse(*code);
        }
        assert!(
            RefusalCode::ALL
                .iter()
                .all(|code| counters.refused(*code) == 1)
        );
    }
}
