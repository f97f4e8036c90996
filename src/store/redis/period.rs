//! The months and years that counts are kept in: hours by the month, days by the year, all UTC.

use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::Step;

use super::names::Names;

/// What one hash of counts covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Period {
    /// The hours of a month.
    Month {
        /// Of this year.
        year: i16,
        /// 1 to 12.
        month: i8,
    },
    /// The days of a year.
    Year {
        /// Which.
        year: i16,
    },
}

impl Period {
    /// Where counts of a point in time lie. Minutes lie nowhere: they stay in the gates.
    pub(super) fn of(step: Step, at: Timestamp) -> Self {
        let date = date(at);
        match step {
            Step::Minute | Step::Hour => Self::Month {
                year: date.year(),
                month: date.month(),
            },
            Step::Day => Self::Year { year: date.year() },
        }
    }

    /// The periods that `[from, to)` lies in. Of a span so long that most of it cannot be kept any more,
    /// those around `now` that can.
    pub(super) fn covering(
        step: Step,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Vec<Self> {
        if step == Step::Minute || from >= to {
            return Vec::new();
        }
        let mut from = from;
        let mut to = Timestamp::from_millis(to.as_millis() - 1);
        let kept = kept_ms(step) + 2 * LONGEST_MS;
        if to.since(from).as_millis() > u128::from(kept) {
            let (now, margin) = (now.as_millis(), LONGEST_MS);
            from = from.max(Timestamp::from_millis(now.saturating_sub(kept)));
            to = to.min(Timestamp::from_millis(now.saturating_add(margin)));
        }
        let (first, last) = (Self::of(step, from), Self::of(step, to));
        let after = |period: &Self| Some(period.next()).filter(|next| *next <= last);
        std::iter::successors(Some(first).filter(|first| *first <= last), after).collect()
    }

    /// The hash that a key's counts of this period lie in.
    pub(super) fn name(self, names: &Names, key: KeyId) -> String {
        match self {
            Self::Month { year, month } => names.hours(key, year, month),
            Self::Year { year } => names.days(key, year),
        }
    }

    /// How many seconds from `now` on the counts are kept: 35 days after the month, 400 after the year, and
    /// always a day, so that counts which arrive very late can be seen at all.
    pub(super) fn lives_s(self, now: Timestamp) -> u64 {
        let kept = match self {
            Self::Month { .. } => kept_ms(Step::Hour),
            Self::Year { .. } => kept_ms(Step::Day),
        };
        let end = self.next().start_ms().saturating_add(kept);
        end.saturating_sub(now.as_millis()).max(DAY_MS) / 1_000
    }

    fn next(self) -> Self {
        match self {
            Self::Month { year, month: 12 } => Self::Month {
                year: year.saturating_add(1),
                month: 1,
            },
            Self::Month { year, month } => Self::Month {
                year,
                month: month + 1,
            },
            Self::Year { year } => Self::Year {
                year: year.saturating_add(1),
            },
        }
    }

    fn start_ms(self) -> u64 {
        let (year, month) = match self {
            Self::Month { year, month } => (year, month),
            Self::Year { year } => (year, 1),
        };
        let date = jiff::civil::Date::new(year, month, 1).ok();
        let start = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let ms = start.map_or(i64::MAX, |start| start.timestamp().as_millisecond());
        u64::try_from(ms).unwrap_or_default()
    }
}

/// The UTC day that a point in time lies in; the last of the year 9999 for what is later.
fn date(at: Timestamp) -> jiff::civil::Date {
    let ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// How long counts of a step are kept after the end of their period.
const fn kept_ms(step: Step) -> u64 {
    match step {
        Step::Minute => 0,
        Step::Hour => 35 * DAY_MS,
        Step::Day => 400 * DAY_MS,
    }
}

const DAY_MS: u64 = 86_400_000;
/// The longest period.
const LONGEST_MS: u64 = 366 * DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn month(year: i16, month: i8) -> Period {
        Period::Month { year, month }
    }

    #[test]
    fn a_span_is_covered_from_the_month_it_begins_in_to_the_one_it_ends_before() {
        let now = at("2026-01-15T00:00:00Z");
        let cover = |from, to| Period::covering(Step::Hour, at(from), at(to), now);
        assert_eq!(
            cover("2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00.001Z"),
            [month(2025, 12), month(2026, 1)]
        );
        assert_eq!(
            cover("2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z"),
            [month(2025, 12)]
        );
        assert!(cover("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z").is_empty());
    }

    #[test]
    fn all_of_time_is_only_what_can_be_kept() {
        let now = at("2026-01-15T00:00:00Z");
        let all = |step| Period::covering(step, Timestamp::default(), Timestamp::NEVER, now);
        let years: Vec<_> = (2022..=2027).map(|year| Period::Year { year }).collect();
        assert_eq!(all(Step::Day), years);
        assert!(all(Step::Hour).len() < 48);
        assert!(all(Step::Minute).is_empty());
    }

    #[test]
    fn counts_live_for_their_time_after_the_period_and_never_less_than_a_day() {
        let january = month(2026, 1);
        let day = DAY_MS / 1_000;
        assert_eq!(january.lives_s(at("2026-02-01T00:00:00Z")), 35 * day);
        assert_eq!(january.lives_s(at("2026-03-07T00:00:00Z")), day);
        assert_eq!(january.lives_s(at("2030-01-01T00:00:00Z")), day);
    }
}
