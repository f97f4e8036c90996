//! The screen: what passes in all, who tells of it, the table, and what can be pressed.

use std::collections::HashMap;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::board::{Board, By, Line, SECONDS};
use super::columns::{NAME_LEAST, fitting, title, value, width};
use super::view::{Column, View};
use super::{figures, foot};
use crate::cli::render::visible;

/// All that is to be seen.
pub(super) struct Picture<'p> {
    pub(super) board: &'p Board,
    pub(super) view: &'p View,
    /// What keys and owners are called, as far as that is known.
    pub(super) names: &'p HashMap<String, String>,
    /// The admin API that is asked.
    pub(super) url: &'p str,
    /// Why nothing comes from it at the moment.
    pub(super) lost: Option<&'p str>,
    /// Since the command began.
    pub(super) now: Duration,
    pub(super) has_color: bool,
}

/// What of it was drawn.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    /// The rows, from the first to the last that is shown.
    pub(super) ids: Vec<String>,
    /// How many rows there is room for.
    pub(super) page: usize,
    /// How many rows are above those.
    pub(super) above: usize,
}

impl Picture<'_> {
    /// Draws it.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) -> Drawn {
        let parts = [
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ];
        let [title, totals, gates, table, foot] = Layout::vertical(parts).areas(frame.area());
        self.draw_title(frame, title);
        frame.render_widget(Paragraph::new(self.totals()), totals);
        frame.render_widget(Paragraph::new(self.gates()), gates);
        let drawn = self.draw_table(frame, table);
        frame.render_widget(Paragraph::new(foot::line(self.view)), foot);
        if self.view.is_helping {
            foot::draw_help(frame, table);
        }
        drawn
    }

    fn draw_title(&self, frame: &mut Frame<'_>, area: Rect) {
        let kind = match self.view.by {
            By::Key => "keys",
            By::Owner => "owners",
            By::Route => "routes",
        };
        let mut spans = vec![
            Span::styled("portcullis top", bold()),
            Span::raw(format!(": {kind}, last {SECONDS} seconds")),
        ];
        if self.view.is_paused {
            spans.push(Span::raw("  "));
            spans.push(Span::styled(" PAUSED ", reversed()));
        }
        frame.render_widget(Paragraph::new(Text::from(spans)), area);
        let at = Text::styled(visible(self.url).into_owned(), faint());
        let width = u16::try_from(at.width()).unwrap_or(u16::MAX);
        if width + 50 <= area.width {
            frame.render_widget(Paragraph::new(at).alignment(Alignment::Right), area);
        }
    }

    fn totals(&self) -> Text<'static> {
        if self.board.is_empty() {
            return Text::styled("waiting for the first counts…", faint());
        }
        let all = self.board.total();
        Text::from(vec![
            Span::styled(figures::rate(all.rate), bold()),
            Span::raw(" requests/s  refused "),
            self.warned(
                figures::share(all.refused, all.requests),
                all.refused,
                Color::Yellow,
            ),
            Span::raw("  5xx "),
            self.warned(
                figures::share(all.errors, all.requests),
                all.errors,
                Color::Red,
            ),
            Span::raw(format!(
                "  p50 {}  p99 {}  {} B/s",
                figures::took(all.p50_us),
                figures::took(all.p99_us),
                figures::bytes(all.bytes)
            )),
        ])
    }

    /// Who tells of it. What is wrong stands first: it must not be what is cut off.
    fn gates(&self) -> Text<'static> {
        let standing = &self.board.standing;
        let mut spans = Vec::new();
        let wrong =
            |text: String| Span::styled(text, self.tone(Color::Red).add_modifier(Modifier::BOLD));
        if let Some(lost) = self.lost {
            return Text::from(wrong(format!("connecting again… ({})", visible(lost))));
        }
        match standing.store.as_str() {
            "away" => spans.push(wrong(
                "the store is away, other gates are not seen   ".to_owned(),
            )),
            "full" => spans.push(wrong(
                "too many watch, other gates are not seen   ".to_owned(),
            )),
            _ => {}
        }
        if !standing.missing.is_empty() {
            let names = visible(&standing.missing.join(", ")).into_owned();
            spans.push(wrong(format!("no answer from {names}   ")));
        }
        let dropped = self.board.dropped(self.now);
        if dropped > 0 {
            spans.push(wrong(format!(
                "up to {dropped} requests are not counted   "
            )));
        }
        let names = visible(&standing.gates.join(", ")).into_owned();
        spans.push(match standing.gates.len() {
            0 => Span::raw("no gate answers"),
            1 => Span::raw(format!("1 gate: {names}")),
            many => Span::raw(format!("{many} gates: {names}")),
        });
        Text::from(spans)
    }

    fn draw_table(&self, frame: &mut Frame<'_>, area: Rect) -> Drawn {
        let lines = self.board.lines(self.view.by, self.now);
        let lines = self.view.arrange(lines, self.names);
        let page = usize::from(area.height.saturating_sub(1));
        let above = self.view.above.min(lines.len().saturating_sub(page));
        let lines: Vec<&Line> = lines.iter().skip(above).take(page).collect();
        let columns = fitting(area.width);
        let header = columns.iter().map(|column| self.heading(*column));
        let header = Row::new(header).style(reversed());
        let rows = lines.iter().map(|line| {
            let cells = columns.iter().map(|column| self.cell(line, *column));
            let style = if line.requests == 0 {
                faint()
            } else {
                Style::default()
            };
            Row::new(cells).style(style)
        });
        let widths = columns.iter().map(|column| match column {
            Column::Name => Constraint::Min(NAME_LEAST),
            column => Constraint::Length(width(*column)),
        });
        frame.render_widget(
            Table::new(rows, widths).header(header).column_spacing(1),
            area,
        );
        if lines.is_empty() && !self.board.is_empty() && area.height > 1 {
            let below = Rect {
                y: area.y + 1,
                height: 1,
                ..area
            };
            let why = if self.view.filter.is_empty() {
                "nothing passes"
            } else {
                "nothing that passes is called so"
            };
            frame.render_widget(Paragraph::new(Text::styled(why, faint())), below);
        }
        let ids = lines.iter().filter_map(|line| match &line.id {
            super::board::Id::One(id) => Some(id.clone()),
            _ => None,
        });
        Drawn {
            ids: ids.collect(),
            page,
            above,
        }
    }

    fn heading(&self, column: Column) -> Text<'static> {
        let mark = match (column == self.view.column, self.view.is_reversed) {
            (false, _) => "",
            // By itself a name is ordered upward, all else downward.
            (true, is_reversed) if is_reversed == (column == Column::Name) => "▼",
            (true, _) => "▲",
        };
        let title = title(column, self.view.by);
        if column == Column::Name {
            Text::raw(format!("{title}{mark}"))
        } else {
            Text::raw(format!("{mark}{title}")).alignment(Alignment::Right)
        }
    }

    fn cell(&self, line: &Line, column: Column) -> Text<'static> {
        let text = value(line, column, self.names);
        let style = match column {
            Column::Refused if line.refused > 0 => self.tone(Color::Yellow),
            Column::Errors if line.errors > 0 => self.tone(Color::Red),
            _ => Style::default(),
        };
        let text = Text::styled(text, style);
        if column == Column::Name {
            text
        } else {
            text.alignment(Alignment::Right)
        }
    }

    fn warned(&self, text: String, count: u64, color: Color) -> Span<'static> {
        let style = if count > 0 {
            self.tone(color)
        } else {
            Style::default()
        };
        Span::styled(text, style)
    }

    fn tone(&self, color: Color) -> Style {
        if self.has_color {
            Style::default().fg(color)
        } else {
            Style::default()
        }
    }
}

pub(super) fn faint() -> Style {
    Style::default().add_modifier(Modifier::DIM)
}

pub(super) fn bold() -> Style {
    Style::default().add_modifier(Modifier::BOLD)
}

pub(super) fn reversed() -> Style {
    Style::default().add_modifier(Modifier::REVERSED)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::api::live::{Counts, Gates};
    use crate::cli::top::board::tests::{counts, row, summary};

    fn board() -> Board {
        let mut board = Board::default();
        board.standing = Gates {
            gates: vec!["gate-1".into(), "gate-2".into()],
            missing: vec![],
            store: "up".into(),
        };
        let refused = Counts {
            refused: 150,
            ..counts(600, &[(420, 590), (9_100, 10)])
        };
        let failing = Counts {
            errors: 1,
            ..counts(9, &[(1_300_000, 9)])
        };
        let rows = vec![
            row("key_3fXk29QmZa", refused),
            row("key_0000000001", failing),
        ];
        board.add(summary("gate-1", 1_000.0, rows), Duration::from_secs(1));
        let rows = vec![row("key_3fXk29QmZa", counts(9_400, &[(430, 9_400)]))];
        board.add(summary("gate-2", 1_000.0, rows), Duration::from_secs(1));
        board
    }

    fn drawn(
        board: &Board,
        view: &View,
        lost: Option<&str>,
        (width, height): (u16, u16),
    ) -> String {
        let names = HashMap::from([("key_3fXk29QmZa".to_owned(), "billing".to_owned())]);
        let picture = Picture {
            board,
            view,
            names: &names,
            url: "http://127.0.0.1/",
            lost,
            now: Duration::from_secs(4),
            has_color: false,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| drop(picture.draw(frame))).unwrap();
        terminal.backend().to_string()
    }

    fn view() -> View {
        View::new(By::Key, Column::Requests)
    }

    #[track_caller]
    fn has(screen: &str, wanted: &[&str]) {
        for wanted in wanted {
            assert!(screen.contains(wanted), "no {wanted:?} in\n{screen}");
        }
    }

    #[test]
    fn all_columns_fit_on_the_narrowest_terminal_there_is() {
        let screen = drawn(&board(), &view(), None, (80, 24));
        has(
            &screen,
            &[
                "portcullis top: keys, last 5 seconds",
                "10,009 requests/s  refused 1.5 %  5xx <0.1 %  p50 430 µs  p99 430 µs  1.0M B/s",
                "2 gates: gate-1, gate-2",
                "Key                  ▼Req/s  Refused     5xx     p50     p99    B/s  Seen  Gates",
                "billing (key_3fXk2   10,000    1.5 %     0 %  430 µs  430 µs   1.0M    3s      2",
                "key_0000000001          9.0      0 %    11 %   1.3 s   1.3 s    900    3s      1",
                "k keys  o owners  t routes  ←→ sort  r turn  / filter  p pause  ? help  q quit",
            ],
        );
    }

    #[test]
    fn what_is_wrong_stands_before_all_else() {
        let mut board = board();
        board.standing.missing = vec!["gate-3\u{1b}[31m".into()];
        board.standing.store = "away".into();
        board.drop_some(120, Duration::from_secs(2));
        let screen = drawn(&board, &view(), None, (160, 24));
        has(
            &screen,
            &[
                "the store is away, other gates are not seen   no answer from gate-3\\u{1b}[31m   up to 120 requests are not counted   2 gates: gate-1",
            ],
        );
        let screen = drawn(
            &board,
            &view(),
            Some("no answer from the admin API"),
            (80, 24),
        );
        has(
            &screen,
            &["connecting again… (no answer from the admin API)"],
        );
    }

    #[test]
    fn the_screen_says_what_it_waits_for_and_what_it_finds_nothing_of() {
        let screen = drawn(&Board::default(), &view(), None, (80, 24));
        has(&screen, &["waiting for the first counts…"]);
        let mut view = view();
        view.filter = "zzz".to_owned();
        view.is_paused = true;
        let screen = drawn(&board(), &view, None, (80, 24));
        has(
            &screen,
            &[
                "nothing that passes is called so",
                " zzz  Esc all",
                "PAUSED",
            ],
        );
        view.is_typing = true;
        let screen = drawn(&board(), &view, None, (80, 24));
        has(&screen, &["filter: zzz   Enter keeps it, Esc clears it"]);
    }

    #[test]
    fn no_size_is_too_small_to_be_drawn() {
        let mut view = view();
        view.is_helping = true;
        view.above = usize::MAX;
        for size in [(1, 1), (3, 2), (20, 5), (45, 6), (300, 100)] {
            drawn(&board(), &view, None, size);
        }
        let narrow = drawn(
            &board(),
            &View::new(By::Key, Column::Requests),
            None,
            (45, 24),
        );
        has(&narrow, &["billing (key_3fX", "10,000"]);
        assert!(!narrow.contains("Gates"), "{narrow}");
        let help = drawn(&board(), &view, None, (80, 24));
        has(
            &help,
            &[
                "Keys",
                "k o t Tab  keys, owners, routes",
                "any key closes this",
            ],
        );
    }
}
