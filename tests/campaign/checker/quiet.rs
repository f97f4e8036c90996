//! When nothing was done to a gate, and so what it must know by then.

use crate::history::{FaultKind, History};
use crate::support::watch::{At, SECOND};

/// How long after a fault a gate may still be finding back: it notices a dead connection within 3.5 s, and
/// tries anew within 2 s.
pub(super) const HEALS_WITHIN: At = 4 * SECOND;
/// How long a change may take to a gate that nothing is done to; what a follower misses, the beat after a
/// second finds.
pub(super) const REACHES_WITHIN: At = 2 * SECOND;
/// How long what a gate has applied may be in its memory only.
pub(super) const DURABLE_WITHIN: At = SECOND;

/// The times at which nothing was wrong with a gate, or with any of them if none is named, nor with the
/// store; in order.
pub(super) fn intervals(history: &History, gate: Option<usize>) -> Vec<(At, At)> {
    let mut faults: Vec<(At, At)> = history
        .faults
        .iter()
        .filter(|it| !matches!(it.kind, FaultKind::Clock(_) | FaultKind::Late))
        .filter(|it| gate.is_none() || it.gate.is_none() || it.gate == gate)
        .map(|it| (it.from, it.to + HEALS_WITHIN))
        .collect();
    faults.sort_unstable();
    let mut quiet = Vec::new();
    let mut from = 0;
    for (begins, ends) in faults {
        if begins > from {
            quiet.push((from, begins));
        }
        from = from.max(ends);
    }
    quiet.push((from, At::MAX));
    quiet
}

/// From when on a gate that nothing is done to can tell others of what was acknowledged there.
pub(super) fn told(history: &History, gate: usize, acknowledged: At) -> At {
    let mut quiet = intervals(history, Some(gate)).into_iter();
    let next = quiet.find(|(_, ends)| *ends > acknowledged);
    next.map_or(At::MAX, |(begins, _)| begins.max(acknowledged))
}

/// From when on a gate that nothing is done to has a change, at the latest.
pub(super) fn reached(history: &History, gate: usize, acknowledged: At) -> At {
    // A change that the store forgot is given back by who knows it: by all gates there are, then.
    let is_forgotten = history.faults.iter().any(|it| match it.kind {
        FaultKind::Store { forgets } if forgets > 0 => {
            (it.from.saturating_sub(forgets + SECOND)..it.to).contains(&acknowledged)
        }
        _ => false,
    });
    let quiet = intervals(history, (!is_forgotten).then_some(gate));
    let mut reached = quiet
        .into_iter()
        .map(|(from, to)| (from.max(acknowledged) + REACHES_WITHIN, to));
    reached
        .find_map(|(at, to)| (at <= to).then_some(at))
        .unwrap_or(At::MAX)
}

/// Whether a gate that learned something at `learned` may have been killed before it was on its disk.
pub(super) fn may_be_forgotten(history: &History, gate: usize, learned: At, now: At) -> bool {
    history.faults.iter().any(|it| {
        it.kind == FaultKind::Killed
            && it.gate == Some(gate)
            && (learned..learned + DURABLE_WITHIN).contains(&it.from)
            && it.from < now
    })
}

/// Whether a gate's process was gone at some time between the two.
pub(super) fn was_killed(history: &History, gate: usize, from: At, to: At) -> bool {
    history.faults.iter().any(|it| {
        it.kind == FaultKind::Killed && it.gate == Some(gate) && it.from <= to && it.to >= from
    })
}

/// How far the clock of any gate was ahead until then.
pub(super) fn ahead(history: &History, until: At) -> At {
    let ahead = history.faults.iter().filter(|it| it.from <= until);
    let ahead = ahead.filter_map(|it| match it.kind {
        FaultKind::Clock(seconds) => u64::try_from(seconds).ok(),
        _ => None,
    });
    ahead.max().unwrap_or_default() * SECOND
}

/// How far the clock of a gate may be behind by then. It never goes back while the gate runs; where it was set
/// back and the gate was killed, it goes on from what was last written down, and so without the time in between.
pub(super) fn behind(history: &History, gate: usize, by: At) -> At {
    let of_gate = || {
        history
            .faults
            .iter()
            .filter(|it| it.gate == Some(gate) && it.from <= by)
    };
    let is_back = of_gate().any(|it| matches!(it.kind, FaultKind::Clock(seconds) if seconds < 0));
    let kills = of_gate().filter(|it| it.kind == FaultKind::Killed);
    let away: At = kills.map(|it| it.to - it.from + CLOCK_WRITTEN_WITHIN).sum();
    if is_back { away } else { 0 }
}

/// How often a gate writes down what time it is.
const CLOCK_WRITTEN_WITHIN: At = SECOND;

/// How far our reading of a time that a gate tells may be from the gate's.
pub(super) const CLOCKS_AGREE_WITHIN: At = 5_000;
