//! What a key of the keyboard does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::board::By;
use super::view::View;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// To go on.
    GoOn,
    /// To end.
    Quit,
}

impl View {
    /// Does what a key says; `page` is how many rows are shown at once.
    pub(super) fn press(&mut self, key: KeyEvent, page: usize) -> Then {
        if key.kind == KeyEventKind::Release {
            return Then::GoOn;
        }
        let is_held = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_held && matches!(key.code, KeyCode::Char('c')) {
            return Then::Quit;
        }
        if is_held {
            return Then::GoOn;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Then::GoOn;
        }
        if self.is_helping {
            self.is_helping = false;
            return Then::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Then::Quit,
            KeyCode::Char('k' | '1') => self.look_at(By::Key),
            KeyCode::Char('o' | '2') => self.look_at(By::Owner),
            KeyCode::Char('t' | '3') => self.look_at(By::Route),
            KeyCode::Tab => self.look_at(match self.by {
                By::Key => By::Owner,
                By::Owner => By::Route,
                By::Route => By::Key,
            }),
            KeyCode::Char('>') | KeyCode::Right => self.step(true),
            KeyCode::Char('<') | KeyCode::Left => self.step(false),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.is_helping = true,
            KeyCode::Esc => {
                self.filter.clear();
                self.above = 0;
            }
            KeyCode::Down => self.above = self.above.saturating_add(1),
            KeyCode::Up => self.above = self.above.saturating_sub(1),
            KeyCode::PageDown => self.above = self.above.saturating_add(page),
            KeyCode::PageUp => self.above = self.above.saturating_sub(page),
            KeyCode::Home => self.above = 0,
            KeyCode::End => self.above = usize::MAX,
            _ => {}
        }
        Then::GoOn
    }

    /// Takes in text that was pasted.
    pub(super) fn paste(&mut self, text: &str) {
        if self.is_typing {
            let room = FILTER_MAX.saturating_sub(self.filter.chars().count());
            let plain = text.chars().filter(|character| !character.is_control());
            self.filter.extend(plain.take(room));
            self.above = 0;
        }
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(character) => self.paste(character.encode_utf8(&mut [0; 4])),
            _ => return,
        }
        self.above = 0;
    }
}

/// How long a filter is at most.
const FILTER_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::view::Column;

    fn typed(view: &mut View, keys: &str) -> Then {
        let mut then = Then::GoOn;
        for character in keys.chars() {
            let code = match character {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '\u{8}' => KeyCode::Backspace,
                '\t' => KeyCode::Tab,
                other => KeyCode::Char(other),
            };
            then = view.press(KeyEvent::new(code, KeyModifiers::NONE), 10);
        }
        then
    }

    fn view() -> View {
        View::new(By::Key, Column::Requests)
    }

    #[test]
    fn each_key_does_what_the_help_line_says() {
        let mut view = view();
        typed(&mut view, "o");
        assert_eq!(view.by, By::Owner);
        typed(&mut view, "\t");
        assert_eq!(view.by, By::Route);
        typed(&mut view, "\t>r");
        assert_eq!(
            (view.by, view.column, view.is_reversed),
            (By::Key, Column::Refused, true)
        );
        typed(&mut view, "p");
        assert!(view.is_paused);
        typed(&mut view, " ?");
        assert!(!view.is_paused && view.is_helping);
        // Any key leaves the help, and does nothing else.
        assert_eq!(typed(&mut view, "q"), Then::GoOn);
        assert!(!view.is_helping);
        assert_eq!(typed(&mut view, "q"), Then::Quit);
    }

    #[test]
    fn what_is_typed_into_the_filter_does_nothing_else() {
        let mut view = view();
        assert_eq!(typed(&mut view, "/quit\u{8}\n"), Then::GoOn);
        assert_eq!((view.filter.as_str(), view.is_typing), ("qui", false));
        typed(&mut view, "/x\u{1b}");
        assert_eq!((view.filter.as_str(), view.is_typing), ("", false));
        typed(&mut view, "/");
        view.paste(&"a\u{1b}b\n".repeat(200));
        assert_eq!(view.filter.len(), FILTER_MAX);
        assert!(view.filter.starts_with("abab"));
    }

    #[test]
    fn control_c_ends_it_whatever_is_being_done() {
        let end = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for keys in ["", "/", "?"] {
            let mut view = view();
            typed(&mut view, keys);
            assert_eq!(view.press(end, 10), Then::Quit, "{keys}");
        }
    }

    #[test]
    fn scrolling_stops_at_the_top() {
        let mut view = view();
        let press = |view: &mut View, code| view.press(KeyEvent::new(code, KeyModifiers::NONE), 10);
        press(&mut view, KeyCode::PageDown);
        press(&mut view, KeyCode::Down);
        assert_eq!(view.above, 11);
        press(&mut view, KeyCode::PageUp);
        press(&mut view, KeyCode::PageUp);
        assert_eq!(view.above, 0);
        press(&mut view, KeyCode::End);
        press(&mut view, KeyCode::Down);
        assert_eq!(view.above, usize::MAX);
        press(&mut view, KeyCode::Home);
        assert_eq!(view.above, 0);
    }
}
