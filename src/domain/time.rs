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

/// A day or a point in time, as people write either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day in UTC, like `2026-01-31`: when it begins, and when the next one does.
    Day(Timestamp, Timestamp),
    /// A point in time.
    Time(Timestamp),
}

/// A text is neither a day nor a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a day like 2026-01-31 or a time like 2026-01-31T12:00:00Z")]
pub struct NotAMoment;

impl Moment {
    /// Its first millisecond.
    #[must_use]
    pub const fn begins(self) -> Timestamp {
        match self {
            Self::Day(start, _) | Self::Time(start) => start,
        }
    }

    /// The first millisecond that does not belong to it.
    #[must_use]
    pub const fn ends(self) -> Timestamp {
        match self {
            Self::Day(_, next) => next,
            Self::Time(time) => Timestamp(time.0.saturating_add(1)),
        }
    }

    /// Up to where a span goes that this is the end of: a day belongs to it, a time does not.
    #[must_use]
    pub const fn as_end(self) -> Timestamp {
        match self {
            Self::Day(_, next) => next,
            Self::Time(time) => time,
        }
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        let start_of = |date: jiff::civil::Date| {
            let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            let ms = u64::try_from(midnight.as_millisecond()).ok()?;
            Some(Timestamp(ms))
        };
        let day = |text: &str| {
            // `2026-01-01`, and nothing that a civil date may have behind it.
            let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
            Some(Self::Day(start_of(date)?, start_of(date.tomorrow().ok()?)?))
        };
        day(text).ok_or(NotAMoment)
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

    /// S3-08: both ends of a day belong to it.
    #[test]
    fn a_day_is_whole_and_a_time_is_a_millisecond() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (text, from, until, end) in [
            (
                "2026-01-01",
                "2026-01-01T00:00:00Z",
                "2026-01-02T00:00:00Z",
                "2026-01-02T00:00:00Z",
            ),
            (
                "2028-02-29",
                "2028-02-29T00:00:00Z",
                "2028-03-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                "2026-01-01T10:00:00.5+02:00",
                "2026-01-01T08:00:00.500Z",
                "2026-01-01T08:00:00.501Z",
                "2026-01-01T08:00:00.500Z",
            ),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(
                (moment.begins(), moment.ends()),
                (at(from), at(until)),
                "{text}"
            );
            assert_eq!(moment.as_end(), at(end), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "1969-01-01",
            "2026-01-01T10:00",
            "x",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(NotAMoment), "{text}");
        }
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
