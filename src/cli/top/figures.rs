//! Numbers, in few characters.

/// So many a second: `0.2`, `12`, `9,998`, `123k`.
pub(super) fn rate(number: f64) -> String {
    match number {
        _ if number <= 0.0 => "0".to_owned(),
        _ if number < 9.95 => format!("{number:.1}"),
        _ if number < 99_999.5 => grouped(number),
        _ if number < 999_500.0 => format!("{:.0}k", number / 1e3),
        _ => format!("{:.1}M", number / 1e6),
    }
}

/// A share: `0 %`, `0.3 %`, `12 %`; what is a little is never nothing, and what is not all never all.
pub(super) fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    match percent {
        _ if part == whole => "100 %".to_owned(),
        _ if percent < 0.1 => "<0.1 %".to_owned(),
        _ if percent < 9.95 => format!("{percent:.1} %"),
        _ => format!("{:.0} %", percent.min(99.0)),
    }
}

/// A time: `80 µs`, `1.2 ms`, `340 ms`, `12 s`.
pub(super) fn took(us: Option<u64>) -> String {
    let Some(us) = us else {
        return "-".to_owned();
    };
    let us = us as f64;
    match us {
        _ if us < 999.5 => format!("{us:.0} µs"),
        _ if us < 9_950.0 => format!("{:.1} ms", us / 1e3),
        _ if us < 999_500.0 => format!("{:.0} ms", us / 1e3),
        _ if us < 9_950_000.0 => format!("{:.1} s", us / 1e6),
        _ => format!("{:.0} s", us / 1e6),
    }
}

/// So many bytes a second: `0`, `812`, `1.2k`, `34M`.
pub(super) fn bytes(number: f64) -> String {
    let mut number = number;
    for unit in ["", "k", "M", "G"] {
        match number {
            _ if number < 9.95 && !unit.is_empty() => return format!("{number:.1}{unit}"),
            _ if number < 999.5 => return format!("{number:.0}{unit}"),
            _ => number /= 1e3,
        }
    }
    format!("{number:.0}T")
}

/// How long ago: `now`, `7s`, `3m`.
pub(super) fn ago(seconds: u64) -> String {
    match seconds {
        0..=1 => "now".to_owned(),
        2..=99 => format!("{seconds}s"),
        _ => format!("{}m", seconds / 60),
    }
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_stand_on_the_right_side_of_each_line() {
        let rates = [
            0.0, 0.24, 9.94, 9.96, 999.6, 9_998.0, 99_999.0, 123_456.0, 2e6,
        ];
        assert_eq!(
            rates.map(rate),
            [
                "0", "0.2", "9.9", "10", "1,000", "9,998", "99,999", "123k", "2.0M"
            ]
        );
        let shares = [
            (0, 5),
            (1, 5_000),
            (1, 300),
            (1, 3),
            (299, 300),
            (3, 3),
            (0, 0),
        ];
        assert_eq!(
            shares.map(|(part, whole)| share(part, whole)),
            ["0 %", "<0.1 %", "0.3 %", "33 %", "99 %", "100 %", "0 %"]
        );
        let times = [80, 999, 1_000, 9_940, 340_000, 1_200_000, 12_000_000];
        assert_eq!(
            times.map(|us| took(Some(us))),
            [
                "80 µs", "999 µs", "1.0 ms", "9.9 ms", "340 ms", "1.2 s", "12 s"
            ]
        );
        assert_eq!(took(None), "-");
        let sizes = [0.0, 812.0, 1_200.0, 34e6, 2e12, 5e15];
        assert_eq!(sizes.map(bytes), ["0", "812", "1.2k", "34M", "2T", "5000T"]);
        assert_eq!(
            [0, 1, 2, 99, 100, 3_600].map(ago),
            ["now", "now", "2s", "99s", "1m", "60m"]
        );
    }
}
