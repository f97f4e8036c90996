//! Lengths of time as people write them: one number and `ms`, `s`, `m`, `h` or `d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a length of time is one number and `ms`, `s`, `m`, `h` or `d`, like `24h`")]
pub struct NotASpan;

/// Largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or(NotASpan)?;
        let (_, factor) = UNITS
            .iter()
            .find(|(word, _)| *word == unit)
            .ok_or(NotASpan)?;
        let number: u64 = number.parse().map_err(|_| NotASpan)?;
        let ms = number.checked_mul(*factor).ok_or(NotASpan)?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Span {
    /// In the largest unit that shows it whole, but up to three days in hours, as a grace is chosen;
    /// nothing at all is `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let shows = |(word, factor): &&(&str, u64)| {
            let least = if *word == "d" { 4 * factor } else { *factor };
            ms >= least && ms.is_multiple_of(*factor)
        };
        match UNITS.iter().find(shows) {
            Some((word, factor)) => write!(f, "{}{word}", ms / factor),
            None => f.write_str("0s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_back_what_it_prints() {
        for (text, ms) in [
            ("0s", 0),
            ("1ms", 1),
            ("1001ms", 1_001),
            ("90s", 90_000),
            ("1h", 3_600_000),
            ("24h", 86_400_000),
            ("72h", 3 * 86_400_000),
            ("4d", 4 * 86_400_000),
        ] {
            let span = Span(Duration::from_millis(ms));
            assert_eq!(span.to_string(), text);
            assert_eq!(text.parse(), Ok(span));
        }
        let day = "1d".parse::<Span>().map(|span| span.to_string());
        assert_eq!(day.as_deref(), Ok("24h"));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "h",
            "24",
            "-1h",
            "+1h",
            "1.5h",
            "1h30m",
            "1w",
            " 1h",
            "1 h",
            "1H",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert_eq!(text.parse::<Span>(), Err(NotASpan), "{text}");
        }
    }
}
