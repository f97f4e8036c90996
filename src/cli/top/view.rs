//! What is to be seen of the rows: their kind, order, filter and place.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::board::{By, Id, Line};

/// How the table is looked at.
#[derive(Debug)]
pub(super) struct View {
    /// What rows are of.
    pub(super) by: By,
    /// What they are ordered by.
    pub(super) column: Column,
    /// Whether the other way round than that column is by itself.
    pub(super) is_reversed: bool,
    /// What rows must contain.
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) is_typing: bool,
    /// Whether what is shown stands still.
    pub(super) is_paused: bool,
    /// How many rows are above what is shown.
    pub(super) above: usize,
    /// Whether the keys of the keyboard are explained.
    pub(super) is_helping: bool,
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Column {
    /// The key, owner or route.
    Name,
    /// Requests a second.
    Requests,
    /// Share of them that was refused.
    Refused,
    /// Share that was answered with 5xx.
    Errors,
    /// What half of them took at most.
    P50,
    /// What 99 in a hundred took at most.
    P99,
    /// Bytes a second.
    Bytes,
    /// When there was one.
    Seen,
    /// At how many gates.
    Gates,
}

impl Column {
    /// As they stand from left to right.
    pub(super) const ALL: [Self; 9] = [
        Self::Name,
        Self::Requests,
        Self::Refused,
        Self::Errors,
        Self::P50,
        Self::P99,
        Self::Bytes,
        Self::Seen,
        Self::Gates,
    ];

    /// The column so many to the right.
    fn beside(self, steps: usize) -> Self {
        let at = Self::ALL.iter().position(|column| *column == self);
        let at = (at.unwrap_or_default() + steps) % Self::ALL.len();
        Self::ALL.get(at).copied().unwrap_or(self)
    }
}

impl View {
    /// The busiest first.
    pub(super) fn new(by: By, column: Column) -> Self {
        Self {
            by,
            column,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            above: 0,
            is_helping: false,
        }
    }

    /// Looks at another kind of rows, from the top.
    pub(super) fn look_at(&mut self, by: By) {
        self.by = by;
        self.above = 0;
    }

    /// Orders by the column to the right or to the left.
    pub(super) fn step(&mut self, is_right: bool) {
        let steps = if is_right { 1 } else { Column::ALL.len() - 1 };
        self.column = self.column.beside(steps);
        self.is_reversed = false;
    }

    /// Those that pass the filter, in order; all others and nobody's come after those that have a name.
    pub(super) fn arrange(
        &self,
        mut lines: Vec<Line>,
        names: &HashMap<String, String>,
    ) -> Vec<Line> {
        let wanted = self.filter.to_lowercase();
        lines.retain(|line| wanted.is_empty() || contains(line, names, &wanted));
        lines.sort_by(|one, other| {
            let order = self.compare(one, other, names);
            let order = if self.is_reversed {
                order.reverse()
            } else {
                order
            };
            let others = |line: &Line| line.id == Id::Others;
            // What is not one row but many has no place among them.
            let order = others(one).cmp(&others(other)).then(order);
            // Ties must not dance.
            order.then_with(|| one.id.cmp(&other.id))
        });
        lines
    }

    /// The greatest first, but for names.
    fn compare(&self, one: &Line, other: &Line, names: &HashMap<String, String>) -> Ordering {
        let share = |part: u64, line: &Line| part as f64 / line.requests.max(1) as f64;
        match self.column {
            Column::Name => shown(one, names).cmp(&shown(other, names)),
            Column::Requests => other.rate.total_cmp(&one.rate),
            Column::Refused => share(other.refused, other).total_cmp(&share(one.refused, one)),
            Column::Errors => share(other.errors, other).total_cmp(&share(one.errors, one)),
            Column::P50 => other.p50_us.cmp(&one.p50_us),
            Column::P99 => other.p99_us.cmp(&one.p99_us),
            Column::Bytes => other.bytes.total_cmp(&one.bytes),
            Column::Seen => one.idle_s.cmp(&other.idle_s),
            Column::Gates => other.gates.cmp(&one.gates),
        }
    }
}

/// What a row is called: the name of what it is of, where that is known.
pub(super) fn shown(line: &Line, names: &HashMap<String, String>) -> String {
    match &line.id {
        Id::One(id) => match names.get(id).filter(|name| !name.is_empty()) {
            Some(name) => format!("{name} ({id})"),
            None => id.clone(),
        },
        Id::None => "(none)".to_owned(),
        Id::Others => "(all others)".to_owned(),
    }
}

fn contains(line: &Line, names: &HashMap<String, String>, wanted: &str) -> bool {
    shown(line, names).to_lowercase().contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, rate: f64, refused: u64) -> Line {
        Line {
            id: match id {
                "*" => Id::Others,
                "-" => Id::None,
                id => Id::One(id.to_owned()),
            },
            rate,
            requests: 100,
            refused,
            errors: 0,
            p50_us: None,
            p99_us: Some(rate as u64 * 7 % 5),
            bytes: 0.0,
            gates: 1,
            idle_s: refused,
        }
    }

    fn lines() -> Vec<Line> {
        vec![
            line("key_b", 3.0, 0),
            line("*", 900.0, 99),
            line("key_a", 3.0, 20),
            line("-", 1.0, 100),
            line("key_c", 50.0, 1),
        ]
    }

    fn order(view: &View, names: &HashMap<String, String>) -> String {
        let arranged = view.arrange(lines(), names);
        let first = |line: &Line| match &line.id {
            Id::One(id) => id.trim_start_matches("key_").to_owned(),
            Id::None => "-".to_owned(),
            Id::Others => "*".to_owned(),
        };
        arranged.iter().map(first).collect()
    }

    #[test]
    fn rows_are_in_the_order_of_the_chosen_column_and_ties_stand_still() {
        let names = HashMap::new();
        let mut view = View::new(By::Key, Column::Requests);
        assert_eq!(order(&view, &names), "cab-*");
        view.is_reversed = true;
        assert_eq!(order(&view, &names), "-abc*");
        view.step(true);
        assert_eq!((view.column, view.is_reversed), (Column::Refused, false));
        assert_eq!(order(&view, &names), "-acb*");
        view.step(false);
        view.step(false);
        assert_eq!(view.column, Column::Name);
        assert_eq!(order(&view, &names), "-abc*");
        view.step(false);
        assert_eq!(view.column, Column::Gates);
        view.column = Column::Seen;
        assert_eq!(order(&view, &names), "bca-*");
    }

    #[test]
    fn a_filter_finds_names_and_ids_in_any_case() {
        let names = HashMap::from([("key_b".to_owned(), "Billing".to_owned())]);
        let mut view = View::new(By::Key, Column::Requests);
        for (filter, found) in [("bill", "b"), ("KEY_", "cab"), ("other", "*"), ("x", "")] {
            filter.clone_into(&mut view.filter);
            assert_eq!(order(&view, &names), found, "{filter}");
        }
    }
}
