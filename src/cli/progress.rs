//! A bar for whoever sits in front of long work.

use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// How far a piece of work is.
pub(super) struct Progress {
    total: u64,
    what: &'static str,
    shown: Option<u64>,
}

impl Progress {
    /// Work of so many steps, of no known number if 0, and what they are.
    pub(super) const fn of(total: u64, what: &'static str) -> Self {
        Self {
            total,
            what,
            shown: None,
        }
    }

    /// Shows that `done` of them are done, where somebody looks and there is something new to see.
    pub(super) fn at(&mut self, done: u64, output: &mut Output) -> Result<(), Failure> {
        if !output.is_watched() {
            return Ok(());
        }
        let step = match self.total {
            0 => done / 1_000,
            total => done.saturating_mul(100) / total,
        };
        if self.shown == Some(step) {
            return Ok(());
        }
        self.shown = Some(step);
        let text = if self.total == 0 {
            format!("{done} {}", self.what)
        } else {
            let full = usize::try_from(step.min(100) * WIDTH / 100).unwrap_or_default();
            let empty = WIDTH as usize - full;
            format!("[{}{}] {step:3} %", "#".repeat(full), " ".repeat(empty))
        };
        output.over(&text)
    }

    /// Takes the bar away.
    pub(super) fn end(self, output: &mut Output) -> Result<(), Failure> {
        match self.shown {
            Some(_) => output.over(""),
            None => Ok(()),
        }
    }
}

const WIDTH: u64 = 40;
