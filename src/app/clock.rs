//! The system's clocks; the only place that reads them.
//!
//! **Invariant:** the wall clock here never goes back. Where the machine's is set back, this one goes on at
//! the pace of the monotonic clock from where it was, so that no secret whose grace has ended, and no key
//! that has expired, comes back to life.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Clock, Reading, Timestamp};

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
    /// The most that the wall clock ever was ahead of the monotonic one, in microseconds. Written where
    /// the wall clock is set forward, and read else.
    ahead_us: AtomicI64,
}

impl SystemClock {
    /// Clocks whose monotonic time begins a second before now, so that it is never 0.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
            ahead_us: AtomicI64::new(i64::MIN),
        }
    }

    /// What both clocks say, where the machine's wall clock says `wall_us`.
    fn at(&self, wall_us: i64, mono: Duration) -> Reading {
        let mono_us = i64::try_from(mono.as_micros()).unwrap_or(i64::MAX);
        let ahead = wall_us.saturating_sub(mono_us);
        let known = self.ahead_us.load(Ordering::Relaxed);
        let most = if ahead > known {
            self.ahead_us.fetch_max(ahead, Ordering::Relaxed).max(ahead)
        } else {
            known
        };
        let wall_ms = mono_us.saturating_add(most) / 1_000;
        Reading {
            wall: Timestamp::from_millis(u64::try_from(wall_ms).unwrap_or_default()),
            mono_ns: u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        // Both are reads of the vDSO's page, no system calls. The wall clock first: who is held up between the
        // two then takes it for too far back, which the next look mends, and not for too far ahead, which stays.
        let wall = wall_us();
        self.at(wall, self.began.elapsed())
    }

    fn mono_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn not_before(&self, least: Timestamp) {
        let least_us = i64::try_from(least.as_millis().saturating_mul(1_000)).unwrap_or(i64::MAX);
        let _ = self.at(least_us, self.began.elapsed());
    }

    fn behind(&self) -> Duration {
        let machine_ms = u64::try_from(wall_us() / 1_000).unwrap_or_default();
        self.now().since(Timestamp::from_millis(machine_ms))
    }
}

/// What the machine's wall clock says, in microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_us() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(wall.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // S2-12
    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let clock = SystemClock::new();
        let read = |wall_ms: i64, mono_ms: u64| {
            let reading = clock.at(wall_ms * 1_000, Duration::from_millis(mono_ms));
            (reading.wall.as_millis(), reading.mono_ns / 1_000_000)
        };
        assert_eq!(read(10_000, 1_000), (10_000, 1_000));
        assert_eq!(read(10_500, 1_500), (10_500, 1_500));
        // Set back by an hour: it goes on, and limits do.
        assert_eq!(read(10_600 - 3_600_000, 1_600), (10_600, 1_600));
        assert_eq!(read(0, 2_600), (11_600, 2_600));
        // Right again, and then set forward.
        assert_eq!(read(12_000, 3_000), (12_000, 3_000));
        assert_eq!(read(50_000, 3_001), (50_000, 3_001));
    }

    #[test]
    fn what_was_seen_before_a_restart_holds_after_it() {
        let clock = SystemClock::new();
        let ahead = clock.now().after(Duration::from_secs(3_600));
        clock.not_before(ahead);
        assert!(clock.now() >= ahead);
        assert!(clock.behind() > Duration::from_secs(3_590));
        clock.not_before(Timestamp::from_millis(1));
        assert!(clock.now() >= ahead);
    }
}
