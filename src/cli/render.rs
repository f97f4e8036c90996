//! How answers look: tables of many, sheets of one, and the words in their cells.
//!
//! Everything that came over the wire passes [`visible`] on its way to a terminal, because names are
//! free text and paths of requests come from strangers: neither may move a cursor or set a colour.

use std::borrow::Cow;
use std::fmt::Write as _;

use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Width, presets,
};

use super::output::Form;
use crate::api::Time;

/// What a word means to whoever reads it; a colour on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing in particular.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// Worth a look.
    Caution,
    /// Ended, broken or refused.
    Bad,
    /// There is nothing.
    Faint,
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    shape: Shape,
}

/// How a cell takes up room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Free text: at the left, wrapped where the terminal is narrow.
    Text,
    /// An id or a time, of which a part is worth nothing: never wrapped.
    Solid,
    /// A count: at the right, never wrapped.
    Number,
}

impl Cell {
    /// A word.
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::toned(text, Tone::Neutral)
    }

    /// A word with a meaning.
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: visible(text.as_ref()).into_owned(),
            tone,
            shape: Shape::Text,
        }
    }

    /// A count; stands at the right.
    pub(crate) fn number(number: u64) -> Self {
        Self {
            text: number.to_string(),
            tone: Tone::Neutral,
            shape: Shape::Number,
        }
    }

    /// An id or the like, of which a part is worth nothing.
    pub(crate) fn solid(text: impl AsRef<str>) -> Self {
        Self {
            shape: Shape::Solid,
            ..Self::text(text)
        }
    }

    /// A cell in place of what is not there.
    pub(crate) fn absent(text: &str) -> Self {
        Self {
            shape: Shape::Solid,
            ..Self::toned(text, Tone::Faint)
        }
    }

    /// An id or the like that may be missing.
    pub(crate) fn maybe(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::absent("-"), Self::solid)
    }

    /// A point in time to the second, or what its absence means.
    pub(crate) fn time(time: Option<Time>, without: &str) -> Self {
        time.map_or_else(
            || Self::absent(without),
            |time| Self::solid(to_the_second(time)),
        )
    }

    /// The day of a point in time.
    pub(crate) fn day(time: Time) -> Self {
        let text = time.to_string();
        Self::solid(text.split('T').next().unwrap_or_default())
    }
}

/// Many of a kind, a row each.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    /// What is left out first where there is not room for all.
    spare: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            spare: &[],
            rows: Vec::new(),
        }
    }

    /// The same, of which these columns are left out, one after the other, where a terminal is too narrow.
    pub(crate) fn sparing(mut self, columns: &'static [&'static str]) -> Self {
        self.spare = columns;
        self
    }

    /// Adds a row; as many cells as the header has.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table's text, ending its last line, and the columns for which there was no room.
    pub(crate) fn render(&self, form: Form) -> (String, Vec<&'static str>) {
        match form {
            Form::Terminal => self.drawn(comfy_table::Table::new().width()),
            Form::Plain => (self.aligned(), Vec::new()),
        }
    }

    /// As it is drawn on a terminal so many characters wide.
    fn drawn(&self, width: Option<u16>) -> (String, Vec<&'static str>) {
        let mut fitting = self.clone();
        let mut left_out = Vec::new();
        for column in self.spare {
            if width.is_none_or(|width| fitting.least_width() <= usize::from(width)) {
                break;
            }
            fitting.leave_out(column);
            left_out.push(*column);
        }
        (fitting.lined(width), left_out)
    }

    /// How wide the table is at least, so that what it holds can be read.
    fn least_width(&self) -> usize {
        let columns = 0..self.header.len();
        columns.map(|column| self.least(column) + 3).sum::<usize>() + 1
    }

    /// How wide a column is at least: ids and the like are whole, and so is each word of a text, unless it
    /// is very long.
    fn least(&self, column: usize) -> usize {
        let header = self.header.get(column).copied().unwrap_or_default();
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let least = cells.map(|cell| match cell.shape {
            Shape::Solid | Shape::Number => cell.text.chars().count(),
            Shape::Text => {
                let words = cell
                    .text
                    .split_whitespace()
                    .map(|word| word.chars().count());
                words.max().unwrap_or_default().min(USEFUL_WIDTH)
            }
        });
        least.max().unwrap_or_default().max(header.chars().count())
    }

    fn leave_out(&mut self, column: &str) {
        let Some(at) = self.header.iter().position(|name| *name == column) else {
            return;
        };
        self.header.remove(at);
        for row in self.rows.iter_mut().filter(|row| at < row.len()) {
            row.remove(at);
        }
    }

    /// With lines between columns, colours, and cells that wrap at the terminal's edge.
    fn lined(&self, width: Option<u16>) -> String {
        let mut table = self.filled(|cell| {
            let drawn = comfy_table::Cell::new(&cell.text);
            match cell.tone {
                Tone::Neutral => drawn,
                Tone::Good => drawn.fg(Color::Green),
                Tone::Caution => drawn.fg(Color::Yellow),
                Tone::Bad => drawn.fg(Color::Red),
                Tone::Faint => drawn.add_attribute(Attribute::Dim),
            }
        });
        table
            .load_style(presets::UTF8_FULL_CONDENSED.with_rounded_corners())
            .set_content_arrangement(ContentArrangement::Dynamic)
            // What the stream does not bear, `anstream` takes out again.
            .enforce_styling();
        for (index, column) in table.column_iter_mut().enumerate() {
            let mut cells = self.rows.iter().filter_map(|row| row.get(index));
            if cells.all(|cell| cell.shape != Shape::Text) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            } else {
                let least = u16::try_from(self.least(index) + 2).unwrap_or(u16::MAX);
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
            }
        }
        if let Some(width) = width {
            table.set_width(width);
        }
        format!("{table}\n")
    }

    /// Columns two spaces apart, a line per row, nothing else.
    fn aligned(&self) -> String {
        let mut table = self.filled(|cell| comfy_table::Cell::new(&cell.text));
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .force_no_tty();
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().fold(String::new(), |mut text, line| {
            text.push_str(line.trim_end());
            text.push('\n');
            text
        })
    }

    fn filled(&self, draw: impl Fn(&Cell) -> comfy_table::Cell) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.set_header(self.header.iter().map(comfy_table::Cell::new));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| {
                let drawn = draw(cell);
                match cell.shape {
                    Shape::Number => drawn.set_alignment(CellAlignment::Right),
                    Shape::Text | Shape::Solid => drawn,
                }
            }));
        }
        table
    }
}

/// One thing: a line per fact, its name before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sheet {
    facts: Vec<(&'static str, String)>,
}

impl Sheet {
    /// Adds a fact.
    pub(crate) fn fact(&mut self, name: &'static str, value: impl AsRef<str>) {
        self.facts
            .push((name, visible(value.as_ref()).into_owned()));
    }

    /// Adds a fact if there is one.
    pub(crate) fn maybe(&mut self, name: &'static str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    /// Adds a list, unless it is empty.
    pub(crate) fn list(&mut self, name: &'static str, items: &[impl AsRef<str>]) {
        if !items.is_empty() {
            let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
            self.fact(name, items.join(", "));
        }
    }

    /// The sheet's text, ending its last line.
    pub(crate) fn render(&self) -> String {
        let width = self.facts.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        self.facts
            .iter()
            .fold(String::new(), |mut text, (name, value)| {
                let _ = writeln!(text, "{name:width$}  {value}");
                text
            })
    }
}

/// A text in which nothing is left that a terminal would obey or that hides other text: control
/// characters, and those that turn the direction of writing, become their escapes.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_obeyed(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with a character than show it.
pub(crate) fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time without what is finer than a second.
pub(crate) fn to_the_second(time: Time) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// Bytes as people read them: three digits at most before the unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let exponent = (63 - count.leading_zeros()) / 10;
    let unit = UNITS
        .get(usize::try_from(exponent - 1).unwrap_or_default())
        .unwrap_or(&"EiB");
    let whole = count >> (10 * exponent);
    let tenth = ((count >> (10 * (exponent - 1))) % 1024) * 10 / 1024;
    format!("{whole}.{tenth} {unit}")
}

/// Below this width a text is no longer read with ease.
const USEFUL_WIDTH: usize = 16;

/// `1 key`, `2 keys`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// The tone of a key's status.
pub(crate) fn status_tone(status: &str) -> Tone {
    match status {
        "active" => Tone::Good,
        "suspended" => Tone::Caution,
        _ => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Text;

    fn two_rows() -> Table {
        let mut table = Table::new(&["NAME", "REQUESTS"]);
        table.row(vec![Cell::text("billing"), Cell::number(7)]);
        table.row(vec![Cell::toned("日本", Tone::Bad), Cell::number(1200)]);
        table
    }

    #[test]
    fn a_piped_table_is_aligned_columns_and_nothing_else() {
        assert_eq!(
            two_rows().render(Form::Plain).0,
            "NAME     REQUESTS\nbilling         7\n日本         1200\n"
        );
    }

    #[test]
    fn a_table_on_a_terminal_has_lines_and_colour() {
        let (text, _) = two_rows().render(Form::Terminal);
        assert!(text.contains('│') && text.contains("\u{1b}["), "{text}");
    }

    #[test]
    fn an_id_is_whole_however_narrow_the_terminal() {
        let mut table = Table::new(&["ID", "NAME"]);
        let name = "many words ".repeat(30);
        table.row(vec![Cell::solid("key_3fXk29QmZa"), Cell::text(name)]);
        for width in [20, 80] {
            assert!(table.drawn(Some(width)).0.contains("key_3fXk29QmZa"));
        }
    }

    /// No line is longer than the terminal is wide, no word is cut, and what is left out is told.
    #[test]
    fn a_narrow_table_leaves_columns_out_and_breaks_no_word() {
        let mut table = Table::new(&["ID", "NAME", "OWNER", "FINGERPRINT", "LAST USED"])
            .sparing(&["FINGERPRINT", "OWNER"]);
        for name in ["billing worker of the night", "shop"] {
            table.row(vec![
                Cell::solid("key_3fXk29QmZa"),
                Cell::text(name),
                Cell::text("Billing department"),
                Cell::solid("60303ae22b99"),
                Cell::solid("2026-01-31T12:00:00Z"),
            ]);
        }
        for (width, left_out) in [
            (120, &[][..]),
            (80, &[]),
            (78, &["FINGERPRINT"]),
            (56, &["FINGERPRINT", "OWNER"]),
        ] {
            let (text, left) = table.drawn(Some(width));
            assert_eq!(left, left_out, "{width}: {text}");
            let plain = anstream::adapter::strip_str(&text).to_string();
            for line in plain.lines() {
                assert!(
                    line.chars().count() <= usize::from(width),
                    "{width}: {plain}"
                );
            }
            for word in ["billing", "worker", "night", "shop", "key_3fXk29QmZa"] {
                assert!(plain.contains(word), "{width}, {word}: {plain}");
            }
        }
    }

    #[test]
    fn a_long_cell_is_never_cut_in_a_pipe() {
        let mut table = Table::new(&["NAME"]);
        let name = "n".repeat(500);
        table.row(vec![Cell::text(&name)]);
        assert_eq!(table.render(Form::Plain).0, format!("NAME\n{name}\n"));
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(
            visible("a\u{1b}[2Jb\n\u{9b}\u{202e}"),
            "a\\u{1b}[2Jb\\u{a}\\u{9b}\\u{202e}"
        );
        assert_eq!(visible("plain – ünï"), "plain – ünï");
        let mut sheet = Sheet::default();
        sheet.fact("name", "x\u{7}");
        assert_eq!(sheet.render(), "name  x\\u{7}\n");
    }

    #[test]
    fn a_sheet_aligns_its_values_and_leaves_out_what_is_not() {
        let mut sheet = Sheet::default();
        sheet.fact("id", "key_1");
        sheet.maybe("expires", None::<&str>);
        sheet.list("scopes", &["a", "b"]);
        sheet.list("paths", &[] as &[&str]);
        assert_eq!(sheet.render(), "id      key_1\nscopes  a, b\n");
    }

    #[test]
    fn bytes_change_their_unit_at_1024() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn times_lose_only_their_fraction() {
        let time = Text("2026-01-31T12:00:00.999Z".parse().unwrap());
        assert_eq!(to_the_second(time), "2026-01-31T12:00:00Z");
    }
}
