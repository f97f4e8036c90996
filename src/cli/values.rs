//! What arguments mean beyond text: rates with a burst, quotas, labels, spans of time.

use std::str::FromStr;
use std::time::Duration;

use crate::api::keys::{NewQuota, NewRateLimit};
use crate::app::SystemClock;
use crate::domain::limit::{NotARate, Period, Rate};
use crate::domain::time::{Clock, Timestamp};

/// A rate limit as it is typed: `100/minute`, or `100/minute:20` for a burst of 20.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateArgument(pub(crate) NewRateLimit);

/// Why a text is no rate limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotALimit {
    /// What stands before the colon is no rate.
    #[error(transparent)]
    Rate(#[from] NotARate),
    /// What stands after it is no number.
    #[error("the burst `{0}` is not a whole number above 0")]
    Burst(String),
}

impl FromStr for RateArgument {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, NotALimit> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let rate: Rate = rate.parse()?;
        let burst = burst
            .map(|burst| match digits::<u32>(burst) {
                Some(number) if number > 0 => Ok(number),
                _ => Err(NotALimit::Burst(burst.to_owned())),
            })
            .transpose()?;
        Ok(Self(NewRateLimit {
            rate: rate.to_string(),
            burst,
            mode: None,
            enforce: None,
        }))
    }
}

/// A quota as it is typed: `1000/day`, `5000/month@15` for a month that begins on the 15th, `:soft` behind
/// it for one that refuses nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuotaArgument(pub(crate) NewQuota);

/// A text is no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quota is a number above 0 and `day`, `week`, `month` or `total`, like 1000/day, 5000/month@15 or 100/total:soft"
)]
pub(crate) struct NotAQuota;

impl FromStr for QuotaArgument {
    type Err = NotAQuota;

    fn from_str(text: &str) -> Result<Self, NotAQuota> {
        let (rest, hard) = match text.split_once(':') {
            None => (text, None),
            Some((rest, "soft")) => (rest, Some(false)),
            Some((rest, "hard")) => (rest, Some(true)),
            Some(_) => return Err(NotAQuota),
        };
        let (limit, per) = rest.split_once('/').ok_or(NotAQuota)?;
        let (per, on_day) = match per.split_once('@') {
            None => (per, None),
            Some((per, day)) => (per, Some(digits(day).ok_or(NotAQuota)?)),
        };
        let period = Period::from_word(per).ok_or(NotAQuota)?;
        let limit = digits(limit).filter(|limit| *limit > 0);
        Ok(Self(NewQuota {
            limit: limit.ok_or(NotAQuota)?,
            per: period.as_str().to_owned(),
            on_day,
            hard,
        }))
    }
}

/// A label as it is typed: `team=billing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A text is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a label is a name and a value, like team=billing")]
pub(crate) struct NotALabel;

impl FromStr for Label {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(NotALabel),
        }
    }
}

/// A span of time as it is typed: one number and `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(Duration);

/// A text is no span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a span is a whole number above 0 and s, m, h or d, like 90d")]
pub(crate) struct NotASpan;

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let unit_s: u64 = match text.chars().next_back() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(NotASpan),
        };
        let number = text.get(..text.len() - 1).and_then(digits::<u32>);
        match number {
            Some(number) if number > 0 => Ok(Self(Duration::from_secs(u64::from(number) * unit_s))),
            _ => Err(NotASpan),
        }
    }
}

impl Span {
    /// The point in time this far ahead, by the clock of the machine the command runs on.
    pub(crate) fn ahead_of_now(self) -> Timestamp {
        SystemClock::new().now().after(self.0)
    }
}

/// A number of digits alone: Rust would read a sign too.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_may_carry_its_burst() {
        let limit: RateArgument = "100/minute:20".parse().unwrap();
        assert_eq!(
            (limit.0.rate.as_str(), limit.0.burst),
            ("100/minute", Some(20))
        );
        let limit: RateArgument = "5/second".parse().unwrap();
        assert_eq!((limit.0.rate.as_str(), limit.0.burst), ("5/second", None));
        for text in [
            "",
            "100",
            "100/fortnight",
            "0/second",
            "5/second:",
            "5/second:0",
            "5/second:+1",
            "5/second:x",
        ] {
            assert!(text.parse::<RateArgument>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_quota_may_carry_its_day_and_refuse_nobody() {
        let read = |text: &str| text.parse().map(|QuotaArgument(quota)| quota);
        let quota = |limit, per: &str, on_day, hard| {
            Ok(NewQuota {
                limit,
                per: per.to_owned(),
                on_day,
                hard,
            })
        };
        assert_eq!(read("1000/day"), quota(1_000, "day", None, None));
        assert_eq!(read("5/month@15"), quota(5, "month", Some(15), None));
        assert_eq!(
            read("5/week@1:soft"),
            quota(5, "week", Some(1), Some(false))
        );
        assert_eq!(read("9/total:hard"), quota(9, "total", None, Some(true)));
        for text in [
            "",
            "5",
            "/day",
            "0/day",
            "-1/day",
            "+1/day",
            "5/hour",
            "5/month@",
            "5/month@+1",
            "5/month@300",
            "5/day:",
            "5/day:firm",
            "1.5/day",
        ] {
            assert_eq!(read(text), Err(NotAQuota), "{text}");
        }
    }

    #[test]
    fn a_label_may_have_an_empty_value_and_more_equals_signs() {
        let label = |name: &str, value: &str| {
            Ok(Label {
                name: name.to_owned(),
                value: value.to_owned(),
            })
        };
        assert_eq!("team=billing".parse(), label("team", "billing"));
        assert_eq!("team=".parse(), label("team", ""));
        assert_eq!("query=a=b".parse(), label("query", "a=b"));
        assert_eq!("team".parse::<Label>(), Err(NotALabel));
        assert_eq!("=x".parse::<Label>(), Err(NotALabel));
    }

    #[test]
    fn a_span_is_one_number_and_one_unit() {
        assert_eq!("90d".parse(), Ok(Span(Duration::from_secs(90 * 86_400))));
        assert_eq!("1s".parse(), Ok(Span(Duration::from_secs(1))));
        for text in [
            "", "d", "90", "0d", "-1d", "+1d", "1.5h", "1h30m", "1w", "1д",
        ] {
            assert_eq!(text.parse::<Span>(), Err(NotASpan), "{text}");
        }
    }
}
