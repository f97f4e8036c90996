//! The system's clocks; the only place that reads them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Clock, Reading, Timestamp};

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
}

impl SystemClock {
    /// Clocks whose monotonic time begins a second before now, so that it is never 0.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn read(&self) -> Reading {
        // Both are reads of the vDSO's page, no system calls.
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        Reading {
            wall: Timestamp::from_millis(u64::try_from(wall).unwrap_or(u64::MAX)),
            mono_ns: self.mono_ns(),
        }
    }

    fn mono_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
