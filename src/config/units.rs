//! Numbers with a unit: `30s`, `10MiB`, `12`.

/// What a number counts, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things: no unit.
    Count,
    /// Time, kept in milliseconds.
    Duration,
    /// Memory, kept in bytes.
    Size,
}

/// One second in milliseconds.
pub(super) const SECOND: u64 = 1_000;
/// One minute in milliseconds.
pub(super) const MINUTE: u64 = 60 * SECOND;
/// One hour in milliseconds.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// One day in milliseconds.
pub(super) const DAY: u64 = 24 * HOUR;
/// 1,024 bytes.
pub(super) const KIB: u64 = 1_024;
/// 1,024 KiB.
pub(super) const MIB: u64 = 1_024 * KIB;
/// 1,024 MiB.
pub(super) const GIB: u64 = 1_024 * MIB;

impl Unit {
    /// Largest first.
    const fn factors(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Count => &[("", 1)],
            Self::Duration => &[
                ("d", DAY),
                ("h", HOUR),
                ("m", MINUTE),
                ("s", SECOND),
                ("ms", 1),
            ],
            Self::Size => &[("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)],
        }
    }

    /// What a value of it is called, with its article.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Count => "a whole number",
            Self::Duration => "a duration: one number and `ms`, `s`, `m`, `h` or `d`",
            Self::Size => "a size: one number and `B`, `KiB`, `MiB` or `GiB`",
        }
    }

    /// Its pattern, for the JSON Schema.
    pub(super) const fn pattern(self) -> &'static str {
        match self {
            Self::Count => "^[0-9]+$",
            Self::Duration => "^[0-9]+(ms|s|m|h|d)$",
            Self::Size => "^[0-9]+(B|KiB|MiB|GiB)$",
        }
    }

    /// The number a text stands for; what is too large for it is the largest there is.
    pub(super) fn parse(self, text: &str) -> Option<u64> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits)?;
        if number.is_empty() {
            return None;
        }
        let factor = self.factors().iter().find(|(word, _)| *word == unit)?.1;
        Some(
            number
                .parse::<u64>()
                .unwrap_or(u64::MAX)
                .saturating_mul(factor),
        )
    }

    /// The number in the largest unit that shows it whole.
    pub(super) fn show(self, number: u64) -> String {
        if number == 0 && self == Self::Duration {
            return "0s".to_owned();
        }
        self.factors()
            .iter()
            .find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor))
            .or(self.factors().last())
            .map_or_else(String::new, |(word, factor)| {
                format!("{}{word}", number / factor)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_and_one_unit() {
        for (unit, text, number) in [
            (Unit::Duration, "25ms", Some(25)),
            (Unit::Duration, "30s", Some(30_000)),
            (Unit::Duration, "24h", Some(DAY)),
            (Unit::Duration, "0s", Some(0)),
            (Unit::Duration, "1d", Some(DAY)),
            (Unit::Duration, "30", None),
            (Unit::Duration, "s", None),
            (Unit::Duration, "1h30m", None),
            (Unit::Duration, "-1s", None),
            (Unit::Duration, "1.5s", None),
            (Unit::Duration, "1 s", None),
            (Unit::Duration, "99999999999999999999d", Some(u64::MAX)),
            (Unit::Size, "10MiB", Some(10 * MIB)),
            (Unit::Size, "8KiB", Some(8_192)),
            (Unit::Size, "512B", Some(512)),
            (Unit::Size, "10MB", None),
            (Unit::Size, "10", None),
            (Unit::Count, "12", Some(12)),
            (Unit::Count, "", None),
            (Unit::Count, "+1", None),
            (Unit::Count, "1e3", None),
            (Unit::Count, "٣", None),
        ] {
            assert_eq!(unit.parse(text), number, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for (unit, number, text) in [
            (Unit::Duration, 0, "0s"),
            (Unit::Duration, 90_000, "90s"),
            (Unit::Duration, DAY, "1d"),
            (Unit::Size, 8_192, "8KiB"),
            (Unit::Size, 1_000, "1000B"),
            (Unit::Count, 7, "7"),
        ] {
            assert_eq!(unit.show(number), text);
            assert_eq!(unit.parse(text), Some(number));
        }
    }
}
