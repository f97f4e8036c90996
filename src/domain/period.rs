//! When the periods of a quota begin and end: pure date arithmetic, all UTC.
//!
//! Every period begins at a midnight, so one is told from another by the number of its first day since
//! 1970. Days are turned into dates and back by counting years from March, whose leap day comes last
//! ("Howard Hinnant, chrono-Compatible Low-Level Date Algorithms").

use super::limit::{Period, Quota};
use super::time::Timestamp;

/// One period: from its first day to the one after its last, in days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The day it begins on.
    pub first_day: u32,
    /// The day the next one begins on; [`Span::FOR_EVER`] if there is none.
    pub end_day: u32,
}

impl Span {
    /// The end of what does not end.
    pub const FOR_EVER: u32 = u32::MAX;

    /// When it began.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(u64::from(self.first_day) * DAY_MS)
    }

    /// When the next one begins; `None` for what does not end.
    #[must_use]
    pub fn end(self) -> Option<Timestamp> {
        (self.end_day != Self::FOR_EVER)
            .then(|| Timestamp::from_millis(u64::from(self.end_day) * DAY_MS))
    }

    /// Whether `now` lies in it: from its first millisecond to the last before the next.
    #[must_use]
    pub fn contains(self, now: Timestamp) -> bool {
        (self.first_day..self.end_day).contains(&day(now))
    }
}

impl Quota {
    /// The period that `now` lies in.
    ///
    /// A month that lacks the day a quota begins on begins on its last day.
    #[must_use]
    pub fn span(&self, now: Timestamp) -> Span {
        let today = day(now);
        match self.per {
            Period::Day => Span {
                first_day: today,
                end_day: today + 1,
            },
            Period::Week => {
                // Day 0 was a Thursday, the fourth day of its week.
                let begins = u32::from(self.begins_on()) - 1;
                let into = (today + 3 + 7 - begins) % 7;
                Span {
                    first_day: today.saturating_sub(into),
                    end_day: today + 7 - into,
                }
            }
            Period::Month => {
                let (year, month) = month_of(today);
                let this = self.month_begins(year, month);
                if this <= today {
                    let (year, month) = next_month(year, month);
                    Span {
                        first_day: this,
                        end_day: self.month_begins(year, month),
                    }
                } else {
                    let (year, month) = previous_month(year, month);
                    Span {
                        first_day: self.month_begins(year, month),
                        end_day: this,
                    }
                }
            }
            Period::Total => Span {
                first_day: 0,
                end_day: Span::FOR_EVER,
            },
        }
    }

    /// Whether the day it is to begin on, if one is chosen, is one of its period.
    #[must_use]
    pub fn has_its_day(&self) -> bool {
        match (self.per, self.on_day) {
            (_, None) => true,
            (Period::Week, Some(day)) => (1..=7).contains(&day),
            (Period::Month, Some(day)) => (1..=31).contains(&day),
            (Period::Day | Period::Total, Some(_)) => false,
        }
    }

    /// The day of the week or month that it begins on, 1 where none is chosen.
    #[must_use]
    pub fn begins_on(&self) -> u8 {
        let last = match self.per {
            Period::Day | Period::Total => 1,
            Period::Week => 7,
            Period::Month => 31,
        };
        self.on_day.unwrap_or(1).clamp(1, last)
    }

    /// The day since 1970 that its period of this month begins on; the first for what lies before 1970.
    fn month_begins(&self, year: u32, month: u32) -> u32 {
        let day = u32::from(self.begins_on()).min(month_length(year, month));
        days_from_civil(year, month, day)
    }
}

/// The day since 1970 that a point in time lies in.
#[must_use]
pub fn day(at: Timestamp) -> u32 {
    // Invariant: one less than `FOR_EVER`, so that every day lies in a period without end.
    u32::try_from(at.as_millis() / DAY_MS)
        .unwrap_or(LAST_DAY)
        .min(LAST_DAY)
}

fn month_length(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const fn next_month(year: u32, month: u32) -> (u32, u32) {
    if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    }
}

const fn previous_month(year: u32, month: u32) -> (u32, u32) {
    if month == 1 {
        (year - 1, 12)
    } else {
        (year, month - 1)
    }
}

/// The year and month that a day since 1970 lies in.
fn month_of(day: u32) -> (u32, u32) {
    let from_march_0 = u64::from(day) + DAYS_TO_1970;
    let era = from_march_0 / ERA_DAYS;
    let in_era = from_march_0 % ERA_DAYS;
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (small(year), small(month))
}

/// The day since 1970 of a date; the first for a date before.
fn days_from_civil(year: u32, month: u32, day: u32) -> u32 {
    let year = u64::from(year) - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = u64::from((month + 9) % 12);
    let day_of_year = (153 * from_march + 2) / 5 + u64::from(day) - 1;
    let in_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    small((era * ERA_DAYS + in_era).saturating_sub(DAYS_TO_1970))
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(LAST_DAY)
}

const DAY_MS: u64 = 86_400_000;
/// Some time in the year 47,900. What is later than that is not told apart.
const LAST_DAY: u32 = (1 << 24) - 2;
/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;
/// In 400 years.
const ERA_DAYS: u64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use jiff::civil::{Date, date};
    use proptest::prelude::*;

    fn quota(per: Period, on_day: Option<u8>) -> Quota {
        Quota {
            limit: 1,
            per,
            on_day,
            hard: true,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn number(of: Date) -> u32 {
        let since = date(1970, 1, 1).until(of).unwrap();
        u32::try_from(since.get_days()).unwrap()
    }

    /// Whether a period begins on this day, asked of a calendar one day at a time.
    fn begins(quota: &Quota, today: Date) -> bool {
        let chosen = i8::try_from(quota.on_day.unwrap_or(1)).unwrap();
        match quota.per {
            Period::Day => true,
            Period::Week => today.weekday().to_monday_one_offset() == chosen,
            Period::Month => today.day() == chosen.min(today.days_in_month()),
            Period::Total => today == date(1970, 1, 1),
        }
    }

    fn naive(quota: &Quota, today: Date) -> Span {
        let walk = |step: i32| {
            let mut day = if step > 0 {
                today.tomorrow().unwrap()
            } else {
                today
            };
            while !begins(quota, day) {
                day = day.checked_add(step.days()).unwrap();
            }
            number(day)
        };
        Span {
            first_day: walk(-1),
            end_day: walk(1),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        // S2-09: what is left in a period depends on when it began.
        #[test]
        fn a_period_is_what_a_calendar_walked_day_by_day_says(
            days in 40_u32..120_000, ms in 0_u64..DAY_MS, per in 0..3, on_day in proptest::option::of(1_u8..=31)
        ) {
            let (per, most) = [(Period::Day, 1), (Period::Week, 7), (Period::Month, 31)][per as usize];
            let quota = quota(per, on_day.map(|day| 1 + (day - 1) % most));
            let now = Timestamp::from_millis(u64::from(days) * DAY_MS + ms);
            let today = date(1970, 1, 1).checked_add(i64::from(days).days()).unwrap();
            let span = quota.span(now);
            prop_assert_eq!(span, naive(&quota, today));
            prop_assert!(span.contains(now));
        }

        #[test]
        fn periods_follow_each_other_without_gap_or_overlap(
            days in 0_u32..1_000_000, week in any::<bool>(), on_day in 1_u8..=31
        ) {
            let quota = if week { quota(Period::Week, Some(1 + on_day % 7)) } else { quota(Period::Month, Some(on_day)) };
            let span = quota.span(Timestamp::from_millis(u64::from(days) * DAY_MS));
            let next = quota.span(span.end().unwrap());
            prop_assert_eq!(next.first_day, span.end_day);
            prop_assert!(span.first_day <= days && days < span.end_day);
        }
    }

    #[test]
    fn a_period_renews_at_its_boundary_and_not_before() {
        let month = quota(Period::Month, None);
        let last = month.span(at("2028-02-29T23:59:59.999Z"));
        assert_eq!(last.start(), at("2028-02-01T00:00:00Z"));
        assert_eq!(last.end(), Some(at("2028-03-01T00:00:00Z")));
        let next = month.span(at("2028-03-01T00:00:00Z"));
        assert_eq!(next.start(), at("2028-03-01T00:00:00Z"));
    }

    #[test]
    fn a_month_without_the_day_begins_on_its_last() {
        let quota = quota(Period::Month, Some(31));
        for (now, start, end) in [
            ("2026-02-27T23:59:59.999Z", "2026-01-31", "2026-02-28"),
            ("2026-02-28T00:00:00Z", "2026-02-28", "2026-03-31"),
            ("2028-02-28T12:00:00Z", "2028-01-31", "2028-02-29"),
            ("2026-04-30T00:00:00Z", "2026-04-30", "2026-05-31"),
            ("2026-01-01T00:00:00Z", "2025-12-31", "2026-01-31"),
        ] {
            let span = quota.span(at(now));
            let midnight = |date: &str| at(&format!("{date}T00:00:00Z"));
            assert_eq!(span.start(), midnight(start), "{now}");
            assert_eq!(span.end(), Some(midnight(end)), "{now}");
        }
    }

    #[test]
    fn a_week_begins_on_monday_or_the_chosen_day() {
        // 2026-01-01 is a Thursday.
        for (on_day, start) in [
            (None, "2025-12-29"),
            (Some(4), "2026-01-01"),
            (Some(5), "2025-12-26"),
            (Some(7), "2025-12-28"),
        ] {
            let span = quota(Period::Week, on_day).span(at("2026-01-01T13:00:00Z"));
            assert_eq!(
                span.start(),
                at(&format!("{start}T00:00:00Z")),
                "{on_day:?}"
            );
            assert_eq!(span.end_day - span.first_day, 7);
        }
    }

    #[test]
    fn credits_never_renew() {
        let span = quota(Period::Total, None).span(at("2026-01-01T13:00:00Z"));
        assert_eq!((span.start(), span.end()), (Timestamp::default(), None));
        assert!(span.contains(Timestamp::NEVER));
    }
}
