//! The one clock that a history is written by: microseconds since a run began, by this process alone.
#![expect(
    clippy::disallowed_methods,
    reason = "what happens in other processes is timed by the real clock"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment of a run, in microseconds since it began.
pub(crate) type At = u64;

/// One second of [`At`].
pub(crate) const SECOND: At = 1_000_000;

/// The clock of a run; copies tell the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    began: Instant,
    wall_us: u64,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            began: Instant::now(),
            wall_us: wall.as_micros() as u64,
        }
    }

    pub(crate) fn now(&self) -> At {
        self.began.elapsed().as_micros() as At
    }

    /// The moment at which a machine whose clock nobody touched shows this time; the beginning, if it is
    /// older.
    pub(crate) fn moment(&self, text: &str) -> Option<At> {
        self.shown(text, 0)
            .map(|at| at.try_into().unwrap_or_default())
    }

    /// The moment at which a clock that is so many seconds ahead shows this time.
    pub(crate) fn shown(&self, text: &str, ahead: i64) -> Option<i64> {
        let time: jiff::Timestamp = text.parse().ok()?;
        let ahead = ahead * SECOND as i64;
        Some(time.as_microsecond() - self.wall_us as i64 - ahead)
    }

    /// What the machine's clock shows so many seconds from now, as the admin API takes it.
    pub(crate) fn wall_in(&self, seconds: i64) -> String {
        let now = (self.wall_us + self.now()) as i64;
        let time = jiff::Timestamp::from_microsecond(now + seconds * SECOND as i64).unwrap();
        format!("{time:.3}")
    }

    /// Waits until a moment has come.
    pub(crate) fn until(&self, at: At) {
        while let Some(left @ 1..) = at.checked_sub(self.now()) {
            std::thread::sleep(Duration::from_micros(left));
        }
    }

    /// Waits for some microseconds.
    pub(crate) fn pause(&self, length: At) {
        self.until(self.now() + length);
    }

    /// Waits until something is so; whether it was so in time.
    pub(crate) fn wait_for(&self, patience: At, mut condition: impl FnMut() -> bool) -> bool {
        let deadline = self.now() + patience;
        loop {
            if condition() {
                return true;
            }
            if self.now() >= deadline {
                return false;
            }
            self.pause(10_000);
        }
    }
}
