//! The counts of the last seconds, by gate, and the rows made of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::api::live::{Counts, Gates, Row, Summary};

/// What rows are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum By {
    /// A row a key.
    Key,
    /// A row an owner.
    Owner,
    /// A row a route.
    Route,
}

/// What was told lately. Times are since the command began.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    /// Of each gate, what it said in the last seconds, and when that came.
    gates: BTreeMap<String, VecDeque<(Duration, Summary)>>,
    /// When each was last seen to do anything.
    seen: HashMap<(By, Id), Duration>,
    /// Who tells and who does not.
    pub(super) standing: Gates,
    /// Requests that are not in the counts, and when that was said.
    dropped: VecDeque<(Duration, u64)>,
}

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Id {
    /// A key, an owner or a route.
    One(String),
    /// Requests that had none.
    None,
    /// All those that have no row of their own.
    Others,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// What it is of.
    pub(super) id: Id,
    /// Requests a second.
    pub(super) rate: f64,
    /// Requests in the span that is shown.
    pub(super) requests: u64,
    /// How many of them were refused.
    pub(super) refused: u64,
    /// How many were answered with 5xx.
    pub(super) errors: u64,
    /// Half of them took at most so many microseconds.
    pub(super) p50_us: Option<u64>,
    /// And 99 in a hundred at most so many.
    pub(super) p99_us: Option<u64>,
    /// Bytes a second, both ways.
    pub(super) bytes: f64,
    /// How many gates served them.
    pub(super) gates: usize,
    /// How many seconds ago there was one.
    pub(super) idle_s: u64,
}

/// Counts, and by how much time each gate's are divided.
#[derive(Debug, Default)]
struct Sum {
    requests: u64,
    refused: u64,
    errors: u64,
    rate: f64,
    bytes: f64,
    took_us: BTreeMap<u64, u64>,
    gates: usize,
}

impl Board {
    /// Takes in what a gate counted.
    pub(super) fn add(&mut self, summary: Summary, now: Duration) {
        for (by, rows) in kinds(&summary) {
            for row in rows.iter().filter(|row| row.counts.requests > 0) {
                self.seen.insert((by, id(row)), now);
            }
        }
        let told = self.gates.entry(summary.node.clone()).or_default();
        told.push_back((now, summary));
        self.forget(now);
    }

    /// Notes that requests are missing in the counts.
    pub(super) fn drop_some(&mut self, count: u64, now: Duration) {
        self.dropped.push_back((now, count));
        self.forget(now);
    }

    /// How many requests are missing in what is shown.
    pub(super) fn dropped(&self, now: Duration) -> u64 {
        let told = self.dropped.iter().filter(|(at, _)| is_shown(*at, now));
        told.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether anything was counted yet.
    pub(super) fn is_empty(&self) -> bool {
        self.gates.values().all(VecDeque::is_empty)
    }

    /// All of it together.
    pub(super) fn total(&self) -> Line {
        let mut sum = Sum::default();
        for told in self.gates.values() {
            let counts = told.iter().map(|(_, summary)| &summary.total);
            sum.add(counts, span_s(told));
        }
        sum.line(Id::Others, 0)
    }

    /// A row for each that did anything lately, in no order.
    pub(super) fn lines(&self, by: By, now: Duration) -> Vec<Line> {
        let mut sums: HashMap<Id, Sum> = HashMap::new();
        for told in self.gates.values() {
            let mut of_gate: HashMap<Id, Vec<&Counts>> = HashMap::new();
            for (_, summary) in told {
                for row in rows(summary, by) {
                    of_gate.entry(id(row)).or_default().push(&row.counts);
                }
            }
            let span_s = span_s(told);
            for (id, counts) in of_gate {
                sums.entry(id).or_default().add(counts.into_iter(), span_s);
            }
        }
        // What did something before is still there, and does nothing now.
        for (kind, id) in self.seen.keys() {
            if *kind == by && !sums.contains_key(id) {
                sums.insert(id.clone(), Sum::default());
            }
        }
        let line = |(id, sum): (Id, Sum)| {
            let seen = self.seen.get(&(by, id.clone()));
            let idle = seen.map_or(Duration::ZERO, |seen| now.saturating_sub(*seen));
            sum.line(id, idle.as_secs())
        };
        sums.into_iter().map(line).collect()
    }

    /// Lets go of what is too long ago.
    pub(super) fn forget(&mut self, now: Duration) {
        for told in self.gates.values_mut() {
            while told.len() > SECONDS || told.front().is_some_and(|(at, _)| !is_shown(*at, now)) {
                told.pop_front();
            }
        }
        self.dropped.retain(|(at, _)| is_shown(*at, now));
        self.gates.retain(|_, told| !told.is_empty());
        self.seen
            .retain(|_, seen| now.saturating_sub(*seen) < SEEN_KEPT);
    }
}

impl Line {
    /// For programs.
    pub(super) fn as_json(&self, names: &HashMap<String, String>) -> serde_json::Value {
        let id = match &self.id {
            Id::One(id) => Some(id),
            Id::None | Id::Others => None,
        };
        serde_json::json!({
            "id": id,
            "name": id.and_then(|id| names.get(id)),
            "others": self.id == Id::Others,
            "requests_per_second": self.rate,
            "requests": self.requests,
            "refused": self.refused,
            "errors": self.errors,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "bytes_per_second": self.bytes,
            "gates": self.gates,
        })
    }
}

impl Sum {
    /// Adds what one gate counted in so many seconds.
    fn add<'c>(&mut self, counts: impl Iterator<Item = &'c Counts>, span_s: f64) {
        let (mut requests, mut bytes) = (0, 0);
        for counts in counts {
            requests += counts.requests;
            bytes += counts.bytes_in + counts.bytes_out;
            self.refused += counts.refused;
            self.errors += counts.errors;
            for (at_most, count) in &counts.took_us {
                *self.took_us.entry(*at_most).or_default() += u64::from(*count);
            }
        }
        self.requests += requests;
        if span_s > 0.0 {
            self.rate += requests as f64 / span_s;
            self.bytes += bytes as f64 / span_s;
        }
        self.gates += usize::from(requests > 0);
    }

    fn line(self, id: Id, idle_s: u64) -> Line {
        Line {
            id,
            rate: self.rate,
            requests: self.requests,
            refused: self.refused,
            errors: self.errors,
            p50_us: self.quantile(0.5),
            p99_us: self.quantile(0.99),
            bytes: self.bytes,
            gates: self.gates,
            idle_s,
        }
    }

    /// The least time that this share of all took at most.
    fn quantile(&self, share: f64) -> Option<u64> {
        let all: u64 = self.took_us.values().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut below = 0;
        let found = self.took_us.iter().find(|(_, count)| {
            below += **count;
            below >= wanted
        });
        found.filter(|_| all > 0).map(|(at_most, _)| *at_most)
    }
}

/// Whether what was told then is shown still, unless newer seconds took its place.
fn is_shown(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) < WINDOW
}

fn kinds(summary: &Summary) -> [(By, &[Row]); 3] {
    [By::Key, By::Owner, By::Route].map(|by| (by, rows(summary, by)))
}

fn rows(summary: &Summary, by: By) -> &[Row] {
    match by {
        By::Key => &summary.keys,
        By::Owner => &summary.owners,
        By::Route => &summary.routes,
    }
}

fn id(row: &Row) -> Id {
    match &row.id {
        Some(id) => Id::One(id.clone()),
        None if row.others => Id::Others,
        None => Id::None,
    }
}

fn span_s(told: &VecDeque<(Duration, Summary)>) -> f64 {
    told.iter()
        .map(|(_, summary)| summary.span_ms / 1_000.0)
        .sum()
}

/// How many seconds are shown together.
pub(super) const SECONDS: usize = 5;
/// After how long what a gate said is not shown any more, though it says nothing else.
const WINDOW: Duration = Duration::from_millis(6_500);
/// How long a row stays that nothing is counted in.
const SEEN_KEPT: Duration = Duration::from_secs(120);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::top) fn counts(requests: u64, took_us: &[(u64, u32)]) -> Counts {
        Counts {
            requests,
            took_us: took_us.to_vec(),
            bytes_out: requests * 100,
            ..Counts::default()
        }
    }

    pub(in crate::cli::top) fn row(id: &str, counts: Counts) -> Row {
        Row {
            id: Some(id.to_owned()),
            owner_id: None,
            others: false,
            counts,
        }
    }

    pub(in crate::cli::top) fn summary(node: &str, span_ms: f64, keys: Vec<Row>) -> Summary {
        let mut total = Counts::default();
        for row in &keys {
            total.requests += row.counts.requests;
            total.refused += row.counts.refused;
            total.errors += row.counts.errors;
            total.bytes_out += row.counts.bytes_out;
            total.took_us.extend(row.counts.took_us.iter().copied());
        }
        Summary {
            node: node.to_owned(),
            span_ms,
            total,
            routes: Vec::new(),
            owners: Vec::new(),
            keys,
        }
    }

    fn line<'a>(lines: &'a [Line], id: &str) -> &'a Line {
        let wanted = Id::One(id.to_owned());
        lines.iter().find(|line| line.id == wanted).unwrap()
    }

    const fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn rates_of_gates_add_up_each_by_its_own_seconds() {
        let mut board = Board::default();
        for second in 1..=3 {
            let rows = vec![row("a", counts(1_000, &[])), row("b", counts(10, &[]))];
            board.add(summary("gate-1", 1_000.0, rows), at(second));
        }
        // One gate's second was two.
        let rows = vec![row("a", counts(4_000, &[]))];
        board.add(summary("gate-2", 2_000.0, rows), at(3));

        let lines = board.lines(By::Key, at(3));
        let a = line(&lines, "a");
        assert_eq!((a.rate, a.requests, a.gates), (3_000.0, 7_000, 2));
        assert_eq!(a.bytes, 300_000.0);
        let b = line(&lines, "b");
        assert_eq!((b.rate, b.gates), (10.0, 1));
        assert_eq!(board.total().rate, 3_010.0);
        assert!(board.lines(By::Route, at(3)).is_empty());
    }

    #[test]
    fn quantiles_are_of_all_gates_and_seconds_together() {
        let mut board = Board::default();
        let fast = vec![row("a", counts(98, &[(100, 98)]))];
        board.add(summary("gate-1", 1_000.0, fast), at(1));
        let slow = vec![row("a", counts(2, &[(9_000, 2)]))];
        board.add(summary("gate-2", 1_000.0, slow), at(1));
        let lines = board.lines(By::Key, at(1));
        let a = line(&lines, "a");
        assert_eq!((a.p50_us, a.p99_us), (Some(100), Some(9_000)));
    }

    #[test]
    fn what_is_quiet_stays_for_a_while_and_a_gate_that_is_gone_does_not_count_on() {
        let mut board = Board::default();
        let busy = vec![row("a", counts(50, &[(1, 50)]))];
        board.add(summary("gate-1", 1_000.0, busy), at(1));
        board.add(summary("gate-2", 1_000.0, vec![]), at(9));
        let lines = board.lines(By::Key, at(9));
        let a = line(&lines, "a");
        assert_eq!((a.rate, a.requests, a.gates, a.idle_s), (0.0, 0, 0, 8));
        assert_eq!(a.p99_us, None);
        board.add(summary("gate-2", 1_000.0, vec![]), at(121));
        assert!(board.lines(By::Key, at(121)).is_empty());
    }

    #[test]
    fn only_the_last_seconds_are_shown() {
        let mut board = Board::default();
        for second in 1..=10_u64 {
            let rows = vec![row("a", counts(second, &[]))];
            board.add(summary("gate-1", 1_000.0, rows), at(second));
        }
        let lines = board.lines(By::Key, at(10));
        assert_eq!(line(&lines, "a").requests, 6 + 7 + 8 + 9 + 10);
    }

    #[test]
    fn what_is_missing_is_told_as_long_as_it_is_missing_in_what_is_shown() {
        let mut board = Board::default();
        assert_eq!(board.dropped(at(1)), 0);
        board.drop_some(5, at(1));
        board.drop_some(2, at(3));
        assert_eq!((board.dropped(at(7)), board.dropped(at(8))), (7, 2));
        assert_eq!((board.dropped(at(9)), board.dropped(at(10))), (2, 0));
    }

    #[test]
    fn however_long_requests_go_missing_only_the_last_are_told() {
        let mut board = Board::default();
        for second in 1..=100 {
            board.drop_some(10, at(second));
            assert_eq!(board.dropped(at(second)), 10 * second.min(7));
            assert!(board.dropped.len() <= 7);
        }
    }
}
