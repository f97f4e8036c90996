//! What can be pressed: in short at the foot of the screen, and at length over the table.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::draw::{bold, faint, reversed};
use super::view::View;
use crate::cli::render::visible;

/// The last line of the screen.
pub(super) fn line(view: &View) -> Text<'static> {
    let filter = visible(&view.filter).into_owned();
    if view.is_typing {
        return Text::from(vec![
            Span::styled("filter: ", bold()),
            Span::raw(filter),
            Span::styled(" ", reversed()),
            Span::styled("  Enter keeps it, Esc clears it", faint()),
        ]);
    }
    let mut spans = Vec::new();
    if !filter.is_empty() {
        spans.push(Span::styled(format!(" {filter} "), reversed()));
        spans.push(Span::raw(" Esc all  "));
    }
    for (key, does) in FOOT {
        spans.push(Span::styled(*key, bold()));
        spans.push(Span::raw(format!(" {does}  ")));
    }
    Text::from(spans)
}

/// What each key does, over the table.
pub(super) fn draw_help(frame: &mut Frame<'_>, over: Rect) {
    let height = u16::try_from(HELP.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let area = Rect {
        x: over.x + over.width.saturating_sub(HELP_WIDTH) / 2,
        y: over.y + over.height.saturating_sub(height) / 2,
        width: HELP_WIDTH.min(over.width),
        height: height.min(over.height),
    };
    let lines = HELP.iter().map(|(keys, does)| {
        Text::from(vec![
            Span::styled(format!("{keys:>11}"), bold()),
            Span::raw(format!("  {does}")),
        ])
    });
    let block = Block::bordered().title(" Keys ");
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

const HELP_WIDTH: u16 = 56;
const FOOT: &[(&str, &str)] = &[
    ("k", "keys"),
    ("o", "owners"),
    ("t", "routes"),
    ("←→", "sort"),
    ("r", "turn"),
    ("/", "filter"),
    ("p", "pause"),
    ("?", "help"),
    ("q", "quit"),
];
const HELP: &[(&str, &str)] = &[
    ("k o t Tab", "keys, owners, routes, the next of them"),
    ("← →", "order by the column to the left or right"),
    ("r", "the other way round"),
    ("/", "only what is called like what you type"),
    ("Esc", "all again"),
    ("↑ ↓ PgUp PgDn", "further up and down"),
    ("p Space", "stand still, and go on"),
    ("q Ctrl-C", "quit"),
    ("", "any key closes this"),
];
