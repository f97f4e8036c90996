//! Points in time, to the millisecond, and where they come from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A point in time: milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Later than any time that will be compared with it; the deadline of what has none.
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `ms` milliseconds after 1970 began.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970 began.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This much later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// This much earlier, but not before 1970.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long ago `earlier` was; nothing if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The beginning of the step of `step_ms` milliseconds that this point lies in.
    #[must_use]
    pub fn floor(self, step_ms: u64) -> Self {
        Self(self.0 - self.0 % step_ms.max(1))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, always with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX).min(LAST_MS);
        let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

/// A text is not an RFC 3339 time after 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2026-01-31T12:00:00.000Z")]
pub struct NotATime;

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let time: jiff::Timestamp = text.parse().map_err(|_| NotATime)?;
        u64::try_from(time.as_millisecond())
            .map(Self)
            .map_err(|_| NotATime)
    }
}

/// Both clocks, read once: a request is judged by one reading throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock: what keys expire by.
    pub wall: Timestamp,
    /// Nanoseconds on the monotonic clock since the process began: what limits and durations run by, so
    /// that a step of the wall clock refills nothing.
    pub mono_ns: u64,
}

impl Reading {
    /// How long ago `earlier` was read, by the monotonic clock.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.mono_ns.saturating_sub(earlier.mono_ns))
    }
}

/// Where time comes from; tests turn theirs by hand.
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks.
    fn read(&self) -> Reading;

    /// The monotonic clock alone.
    fn mono_ns(&self) -> u64 {
        self.read().mono_ns
    }

    /// The wall clock alone.
    fn now(&self) -> Timestamp {
        self.read().wall
    }

    /// Has the wall clock say `least` or later from now on. A clock that is turned by hand does as it is
    /// told.
    fn not_before(&self, least: Timestamp) {
        let _ = least;
    }

    /// How far the machine's wall clock is behind this one, because it was set back.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }
}

/// The last millisecond of the year 9999, the last that RFC 3339 can write.
const LAST_MS: i64 = 253_402_207_200_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_what_it_prints() {
        let time = Timestamp::from_millis(1_767_225_600_007);
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.007Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!(Timestamp::NEVER.to_string().get(..4), Some("9999"));
    }

    #[test]
    fn nothing_lies_before_1970() {
        assert_eq!("1969-12-31T23:59:59Z".parse::<Timestamp>(), Err(NotATime));
        assert_eq!(
            Timestamp::from_millis(5).before(Duration::from_secs(1)),
            Timestamp::from_millis(0)
        );
    }
}
