//! How much a key may do: rates with a burst, and how strictly they are held.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// A rate limit: so many requests per unit on average, so many at once (GCRA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// How much, how often.
    pub rate: Rate,
    /// The most that passes at once.
    pub burst: NonZeroU32,
    /// Who counts, where several gates do.
    pub mode: LimitMode,
    /// Whether it refuses, or only counts what it would have refused.
    pub enforce: Enforce,
}

impl RateLimit {
    /// A limit that allows its whole rate at once, shared and enforced.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            burst: rate.count,
            mode: LimitMode::Shared,
            enforce: Enforce::On,
        }
    }

    /// The same, counted by each gate for itself.
    #[must_use]
    pub fn local(rate: Rate) -> Self {
        Self {
            mode: LimitMode::Local,
            ..Self::new(rate)
        }
    }

    /// In how long one spent token comes back.
    #[must_use]
    pub fn token_ns(&self) -> u64 {
        (self.rate.unit.nanos() / u64::from(self.rate.count.get())).max(1)
    }

    /// In how many seconds an empty bucket is whole, rounded up: `w` of `RateLimit-Policy`.
    #[must_use]
    pub fn window_s(&self) -> u64 {
        self.token_ns()
            .saturating_mul(u64::from(self.burst.get()))
            .div_ceil(1_000_000_000)
    }
}

/// So many per unit of time: `100/minute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In what time.
    pub unit: Unit,
}

/// What a rate is per.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// One second.
    Second,
    /// Sixty seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
}

impl Unit {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Second, "second"),
        (Self::Minute, "minute"),
        (Self::Hour, "hour"),
        (Self::Day, "day"),
    ];

    /// The unit's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The unit a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == word)
            .map(|(unit, _)| unit)
    }

    /// How long it lasts.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    fn nanos(self) -> u64 {
        self.duration().as_secs() * 1_000_000_000
    }
}

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARate {
    /// No slash, or nothing sensible around it.
    #[error("a rate is a number and a unit, like 100/minute")]
    Form,
    /// The number is 0, no whole number, or above 1,000,000,000.
    #[error("`{0}` is not a whole number between 1 and 1000000000")]
    Count(String),
    /// The unit is unknown.
    #[error("`{0}` is not `second`, `minute`, `hour` or `day`")]
    Unit(String),
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (count, unit) = text.split_once('/').ok_or(NotARate::Form)?;
        let number = count
            .parse::<NonZeroU32>()
            .ok()
            .filter(|number| number.get() <= RATE_MAX && !count.starts_with('+'));
        Ok(Self {
            count: number.ok_or_else(|| NotARate::Count(count.to_owned()))?,
            unit: Unit::from_word(unit).ok_or_else(|| NotARate::Unit(unit.to_owned()))?,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.as_str())
    }
}

/// Who counts a limit where several gates do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitMode {
    /// Each gate for itself.
    Local,
    /// All gates together, by leased tokens.
    #[default]
    Shared,
    /// All gates together, asked each time.
    Strict,
}

impl LimitMode {
    /// The mode's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shared => "shared",
            Self::Strict => "strict",
        }
    }

    /// The mode a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Local, Self::Shared, Self::Strict]
            .into_iter()
            .find(|mode| mode.as_str() == word)
    }
}

/// Whether a limit refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Enforce {
    /// It refuses what exceeds it.
    #[default]
    On,
    /// It only counts what it would have refused.
    Shadow,
}

impl Enforce {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Shadow => "shadow",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::On, Self::Shadow]
            .into_iter()
            .find(|enforce| enforce.as_str() == word)
    }
}

/// An allowance per calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How much.
    pub limit: u64,
    /// In which period.
    pub per: Period,
    /// On which day of the period it begins: 1–31 for months, 1–7 (Monday first) for weeks.
    pub on_day: Option<u8>,
    /// Whether it refuses when spent.
    pub hard: bool,
}

/// The period of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A UTC day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// For ever: credits.
    Total,
}

impl Period {
    /// The period's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// How many seconds it has, a month 30 days: `w` of `RateLimit-Policy`. `None` if it does not end.
    #[must_use]
    pub const fn window_s(self) -> Option<u64> {
        match self {
            Self::Day => Some(86_400),
            Self::Week => Some(7 * 86_400),
            Self::Month => Some(30 * 86_400),
            Self::Total => None,
        }
    }

    /// The period a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month, Self::Total]
            .into_iter()
            .find(|period| period.as_str() == word)
    }
}

/// The most a quota may be: what one word of a ledger holds, with room to spare.
pub const QUOTA_MAX: u64 = 1_000_000_000_000;

/// The most a rate or a burst may be: what the arithmetic of a limiter bears.
pub const RATE_MAX: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_what_it_prints() {
        for text in ["1/second", "100/minute", "10000/hour", "1000000000/day"] {
            assert_eq!(
                text.parse::<Rate>().map(|rate| rate.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_rate_says_why() {
        assert_eq!("100".parse::<Rate>(), Err(NotARate::Form));
        assert_eq!("0/second".parse::<Rate>(), Err(NotARate::Count("0".into())));
        assert_eq!(
            "+1/second".parse::<Rate>(),
            Err(NotARate::Count("+1".into()))
        );
        assert_eq!(
            "1000000001/second".parse::<Rate>(),
            Err(NotARate::Count("1000000001".into()))
        );
        assert_eq!(
            "1/fortnight".parse::<Rate>(),
            Err(NotARate::Unit("fortnight".into()))
        );
    }

    #[test]
    fn the_window_is_what_refilling_takes() {
        let rate: Rate = "100/minute".parse().unwrap_or(Rate {
            count: NonZeroU32::MIN,
            unit: Unit::Day,
        });
        let limit = RateLimit {
            burst: NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN),
            ..RateLimit::new(rate)
        };
        assert_eq!(limit.window_s(), 12);
    }
}
