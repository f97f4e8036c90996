//! What is wrong with a configuration, where, and how that is shown.

use std::fmt;
use std::ops::Range;

use super::tree::At;

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
    /// As much of its line as a terminal shows, with secrets blotted out.
    pub source: String,
    /// Before which character of `source` it begins, from 0.
    pub caret: usize,
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
                caret: 0,
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
        let room = self.source.chars().count().saturating_sub(self.caret);
        write!(
            f,
            "\n{number:>6} | {text}\n       | {blank:before$}{blank:^>carets$}",
            number = place.line,
            text = self.source,
            blank = "",
            before = self.caret,
            carets = place.width.clamp(1, room.max(1)),
        )
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

/// A text by its lines, with what is secret in it.
pub(super) struct Lines<'t> {
    /// Where each line begins, and its text without its end.
    lines: Vec<(usize, &'t str)>,
    /// Bytes of the whole text, in its order.
    hidden: Vec<Range<usize>>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str, mut hidden: Vec<Range<usize>>) -> Self {
        let mut start = 0;
        let mut lines = Vec::new();
        for line in text.split_inclusive('\n') {
            lines.push((start, line.trim_end_matches(['\n', '\r'])));
            start += line.len();
        }
        hidden.sort_by_key(|range| (range.start, range.end));
        Self { lines, hidden }
    }

    /// A fault at this place. It takes no longer for a long line or a long file, since a bad file may
    /// have a fault in each of its values.
    pub(super) fn fault(&self, at: At, path: String, message: String) -> Fault {
        let number = at.line.clamp(1, self.lines.len().max(1));
        let (start, line) = self.lines.get(number - 1).copied().unwrap_or((0, ""));
        let known = at.bytes().start.checked_sub(start).filter(|offset| {
            at.line == number && line.is_char_boundary(*offset) && (*offset > 0 || at.column == 1)
        });
        let (offset, column) = known.map_or_else(
            || {
                nth_char(
                    line,
                    if at.line == number {
                        at.column
                    } else {
                        usize::MAX
                    },
                )
            },
            |offset| (offset, at.column),
        );
        let (before, after) = line.split_at_checked(offset).unwrap_or((line, ""));
        let meant = at.bytes().len().min(after.len());
        let width = after
            .char_indices()
            .take_while(|(at, _)| *at < meant)
            .take(EXCERPT_MAX)
            .count()
            .max(1);
        let (source, caret) = self.excerpt(start, line, before);
        Fault {
            path,
            place: Some(Place {
                line: number,
                column,
                width,
            }),
            message,
            source,
            caret,
        }
    }

    /// What is shown of a line, and how many characters of it come from `before`.
    fn excerpt(&self, start: usize, line: &str, before: &str) -> (String, usize) {
        let is_long = line.chars().nth(EXCERPT_MAX).is_some();
        let cut = if is_long {
            let kept = before.char_indices().rev().nth(EXCERPT_MAX / 3);
            kept.map_or(0, |(at, _)| at)
        } else {
            0
        };
        let shown = line.get(cut..).unwrap_or_default();
        let from = start + cut;
        let first = self.hidden.partition_point(|range| range.end <= from);
        let hidden = self.hidden.get(first..).unwrap_or_default();
        let mut source: String = shown
            .char_indices()
            .take(EXCERPT_MAX)
            .map(|(at, char)| {
                let is_hidden = hidden
                    .iter()
                    .take_while(|range| range.start <= from + at)
                    .any(|range| range.contains(&(from + at)));
                if is_hidden { '•' } else { char }
            })
            .collect();
        source = printable(&source);
        let mut caret = before.get(cut..).unwrap_or_default().chars().count();
        if cut > 0 {
            source.insert(0, '…');
            caret += 1;
        }
        if shown.chars().nth(EXCERPT_MAX).is_some() {
            source.push('…');
        }
        (source, caret)
    }
}

/// Where the character of this column begins, and the column; the line's end where there is none.
fn nth_char(line: &str, column: usize) -> (usize, usize) {
    match line.char_indices().nth(column.saturating_sub(1)) {
        Some((offset, _)) => (offset, column.max(1)),
        None => (line.len(), line.chars().count() + 1),
    }
}

const EXCERPT_MAX: usize = 120;
const QUOTED_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// The fault of the `column`th character of `line` and `width - 1` more, as it is shown.
    fn shown(line: &str, column: usize, width: usize) -> String {
        let (start, _) = nth_char(line, column);
        let end = (start + width).min(line.len());
        let at = At::new(1, column, start..end);
        Lines::new(line, Vec::new())
            .fault(at, "drain".to_owned(), "is wrong".to_owned())
            .to_string()
    }

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        assert_eq!(
            shown("drain: 3x", 8, 2),
            "drain: is wrong\n     1 | drain: 3x\n       |        ^^"
        );
    }

    #[test]
    fn a_caret_beyond_the_line_stands_after_it() {
        assert_eq!(
            shown("ab", 9, 5),
            "drain: is wrong\n     1 | ab\n       |   ^"
        );
    }

    #[test]
    fn a_place_beyond_the_text_is_its_end() {
        for text in ["", "a", "a\nbü", "a\n\n"] {
            let fault = Lines::new(text, Vec::new()).fault(
                At::new(9, 9, 99..99),
                String::new(),
                String::new(),
            );
            let place = fault.place.unwrap();
            let last = text.lines().last().unwrap_or("");
            assert_eq!(place.line, text.lines().count().max(1), "{text:?}");
            assert_eq!(place.column, last.chars().count() + 1, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let shown = shown(&format!("{}X{}", "ä".repeat(500), "b".repeat(500)), 501, 1);
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
        let lines = Lines::new("a: b\ntoken: hünter, x\n", vec![21..22, 12..19]);
        let fault = lines.fault(At::new(2, 17, 21..22), String::new(), String::new());
        assert_eq!(
            (fault.source.as_str(), fault.caret),
            ("token: ••••••, •", 15)
        );
    }
}
