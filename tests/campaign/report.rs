//! What came of the seeds, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::checker::{self, Kind, Violation};
use crate::history::{Done, FaultKind};
use crate::run::Run;

/// One line of the table.
pub(crate) fn row(run: &Run) -> String {
    let history = &run.history;
    let acknowledged = history.changes.iter();
    let acknowledged = acknowledged.filter(|it| matches!(it.result, Done::Acknowledged(_)));
    let (over, quota_over) = checker::excess(history);
    format!(
        "| {} | {} | {} | {} | {} | {} | {over} · {quota_over} | {:.1} | {} | {} |",
        run.seed,
        history.changes.len(),
        acknowledged.count(),
        history.uses.len(),
        history.admissions.len(),
        faults(run),
        checker::slowest_revocation(history) as f64 / 1_000.0,
        run.slowest_start_ms,
        violations(std::slice::from_ref(run)),
    )
}

/// A few of each kind, so that none hides behind another.
pub(crate) fn first_of_each(violations: &[Violation]) -> Vec<&Violation> {
    let mut shown = BTreeMap::<Kind, usize>::new();
    let few = violations.iter().filter(|it| {
        let count = shown.entry(it.kind).or_default();
        *count += 1;
        *count <= 3
    });
    few.collect()
}

/// The whole table, and what it comes to.
pub(crate) fn table(runs: &[Run], seconds: u64) -> String {
    let mut text = String::from(HEAD);
    for run in runs {
        let _ = writeln!(text, "{}", row(run));
    }
    let sum = |count: fn(&Run) -> usize| runs.iter().map(count).sum::<usize>();
    let _ = write!(
        text,
        "\n{} seeds of {seconds} s: {} changes asked for, {} requests, {} admitted, {} faults; violations: {}.\n",
        runs.len(),
        sum(|run| run.history.changes.len()),
        sum(|run| run.history.uses.len()),
        sum(|run| run.history.admissions.len()),
        sum(|run| run.history.faults.len()),
        violations(runs),
    );
    text
}

/// How many of which: `K2 P1 C3 T1 S2`, by the letters that the head of the table explains.
fn faults(run: &Run) -> String {
    let mut counts = BTreeMap::<char, usize>::new();
    for fault in &run.history.faults {
        let letter = match fault.kind {
            FaultKind::Killed => 'K',
            FaultKind::Paused => 'P',
            FaultKind::Cut { .. } => 'C',
            FaultKind::Clock(_) => 'T',
            FaultKind::Late => 'M',
            FaultKind::Store { forgets: 0 } => 'S',
            FaultKind::Store { .. } => 'L',
        };
        *counts.entry(letter).or_default() += 1;
    }
    let words = counts
        .iter()
        .map(|(letter, count)| format!("{letter}{count}"));
    words.collect::<Vec<_>>().join(" ")
}

fn violations(runs: &[Run]) -> String {
    let mut counts = BTreeMap::<Kind, usize>::new();
    for violation in runs.iter().flat_map(|run| &run.violations) {
        *counts.entry(violation.kind).or_default() += 1;
    }
    if counts.is_empty() {
        return "0".to_owned();
    }
    let words = counts
        .iter()
        .map(|(kind, count)| format!("{kind:?} {count}"));
    words.collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "\
Faults: K kill -9, P SIGSTOP, C a gate cut off, T a clock stepped, M a gate that missed answers by itself, S the store away, slow, empty or failed over, L the store back without its last writes. \
*Over*: the most that passed above the shared limit in any window · above the quota, with faults. *Revoked*: the longest that a secret passed at an untouched gate \
after its end was acknowledged at another. *Start*: the slowest start after a kill.

| seed | changes | acknowledged | requests | admitted | faults | over | revoked, ms | start, ms | violations |
|---|---|---|---|---|---|---|---|---|---|
";
