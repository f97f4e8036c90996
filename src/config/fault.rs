//! What is wrong with a configuration, where, and how that is shown.

use std::fmt;
use std::ops::Range;

/// Everything that is wrong with one configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file's name, as it was given.
    pub file: String,
    /// At least one.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which value, as `routes[0].rate_limits[0].rate`; empty for the file as a whole.
    pub path: String,
    /// Where it stands; `None` only where the file could not be read at all.
    pub place: Option<Place>,
    /// What is wrong with it. Never holds a secret or anything from the environment.
    pub message: String,
    /// The line it stands in, with secrets blotted out.
    pub source: String,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// How many characters are meant; at least 1.
    pub width: usize,
}

impl Faults {
    /// The only fault of a file that could not be read.
    pub(super) fn unreadable(file: &str, why: &std::io::Error) -> Self {
        Self {
            file: file.to_owned(),
            faults: vec![Fault {
                path: String::new(),
                place: None,
                message: format!("cannot be read: {why}"),
                source: String::new(),
            }],
        }
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    /// All of them, each with its line and a caret below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&printable(&self.file))?;
            if let Some(place) = fault.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            write!(f, ": {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    /// Path and message, then the line and the caret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        let Some(place) = self.place else {
            return Ok(());
        };
        let shown = Excerpt::of(&self.source, place);
        write!(
            f,
            "\n{number:>6} | {text}\n       | {blank:before$}{blank:^>carets$}",
            number = place.line,
            text = shown.text,
            blank = "",
            before = shown.before,
            carets = shown.carets,
        )
    }
}

/// As much of a line as a terminal shows, and where the carets go below it.
struct Excerpt {
    text: String,
    before: usize,
    carets: usize,
}

impl Excerpt {
    fn of(line: &str, place: Place) -> Self {
        let length = line.chars().count();
        let at = place.column.saturating_sub(1).min(length);
        let cut = if length > EXCERPT_MAX {
            at.saturating_sub(EXCERPT_MAX / 3)
        } else {
            0
        };
        let kept: String = line.chars().skip(cut).take(EXCERPT_MAX).collect();
        let mut text = printable(&kept);
        let mut before = at - cut;
        if cut > 0 {
            text.insert(0, '…');
            before += 1;
        }
        let room = text.chars().count().saturating_sub(before).max(1);
        if cut + EXCERPT_MAX < length {
            text.push('…');
        }
        Self {
            text,
            before,
            carets: place.width.clamp(1, room),
        }
    }
}

/// The text with a dot for whatever a terminal would not print as one character of its own.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\t' => ' ',
            '"' | '\'' | '\\' => char,
            _ if char.escape_debug().len() == 1 => char,
            _ => '·',
        })
        .collect()
}

/// A value as a message shows it: between backticks, cut where it is long.
pub(super) fn quoted(value: &str) -> String {
    let mut shown = printable(&value.chars().take(QUOTED_MAX).collect::<String>());
    if value.chars().nth(QUOTED_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The text of one line, with each of `hidden` (bytes of the whole text) blotted out.
pub(super) fn line_without(text: &str, line: usize, hidden: &[Range<usize>]) -> String {
    let mut start = 0;
    for (number, with_end) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            let whole = with_end.trim_end_matches(['\n', '\r']);
            return whole
                .char_indices()
                .map(|(at, char)| {
                    let at = start + at;
                    let secret = hidden.iter().any(|range| range.contains(&at));
                    if secret { '•' } else { char }
                })
                .collect();
        }
        start += with_end.len();
    }
    String::new()
}

const EXCERPT_MAX: usize = 120;
const QUOTED_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(source: &str, column: usize, width: usize) -> String {
        Fault {
            path: "drain".to_owned(),
            place: Some(Place {
                line: 7,
                column,
                width,
            }),
            message: "is wrong".to_owned(),
            source: source.to_owned(),
        }
        .to_string()
    }

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        assert_eq!(
            fault("drain: 3x", 8, 2),
            "drain: is wrong\n     7 | drain: 3x\n       |        ^^"
        );
    }

    #[test]
    fn a_caret_beyond_the_line_stands_after_it() {
        assert_eq!(
            fault("ab", 9, 5),
            "drain: is wrong\n     7 | ab\n       |   ^"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let shown = fault(&format!("{}X{}", "a".repeat(500), "b".repeat(500)), 501, 1);
        let mut lines = shown.lines().skip(1);
        let (text, carets) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        assert!(text.chars().count() < 140, "{text}");
        assert_eq!(
            text.chars().position(|char| char == 'X'),
            carets.chars().position(|char| char == '^')
        );
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}b\t\"é"), "a·[31m·b \"é");
    }

    #[test]
    fn hidden_bytes_are_blotted_out_and_columns_stay() {
        assert_eq!(
            line_without("a: b\ntoken: hünter, x\n", 2, &[12..19, 21..22]),
            "token: ••••••, •"
        );
    }
}
