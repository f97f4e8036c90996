//! What was ended stays ended, and is so when it was said to be.

use std::collections::{BTreeMap, HashMap};

use super::endings::{Ending, endings};
use super::{Kind, Say, quiet};
use crate::history::{Done, FaultKind, History, Outcome, Use, What};
use crate::support::watch::{At, SECOND};

pub(super) fn check(history: &History, say: &mut Say<'_>) {
    let endings = endings(history);
    late_admissions(history, &endings, say);
    revivals(history, say);
    losses(history, &endings, say);
    names(history, say);
}

/// Each request that was admitted, with what its client knew.
fn admitted(history: &History) -> Vec<(&Use, At)> {
    let uses: HashMap<u64, &Use> = history.uses.iter().map(|it| (it.tag, it)).collect();
    let seen = history.admissions.iter();
    seen.filter_map(|it| Some((*uses.get(&it.tag)?, it.seen)))
        .collect()
}

/// The moment from which on a gate must refuse.
fn bound(history: &History, ending: &Ending<'_>, gate: usize) -> At {
    let Some(receipt) = ending.receipt else {
        return At::MAX;
    };
    let name = &history.gates[gate];
    let margin = margin(history, ending, gate);
    let is_applied = ending.change.gate == gate || receipt.applied_on.contains(name);
    if is_applied {
        return ending.in_force + margin;
    }
    let pending = receipt.pending.iter().find(|(node, _)| node == name);
    let stops_by = pending.and_then(|(_, at)| *at).unwrap_or(At::MAX);
    // Where the store is away, it is held until the gate that took it has found back.
    let told = quiet::told(history, ending.change.gate, ending.change.done);
    let reached = quiet::reached(history, gate, told);
    (ending.in_force + margin).max(stops_by.min(reached))
}

/// By how much a gate may take an end that is a time for later than it is.
fn margin(history: &History, ending: &Ending<'_>, gate: usize) -> At {
    match ending.receipt.and_then(|it| it.retires_at) {
        Some(_) => quiet::CLOCKS_AGREE_WITHIN + quiet::behind(history, gate, ending.in_force),
        None => 0,
    }
}

fn late_admissions(history: &History, endings: &[Ending<'_>], say: &mut Say<'_>) {
    let mut bounds: HashMap<(usize, usize), At> = HashMap::new();
    for (used, seen) in admitted(history) {
        for (number, ending) in endings.iter().enumerate() {
            if !ending.is_of(&used.key, used.version) {
                continue;
            }
            let bound = *bounds
                .entry((number, used.gate))
                .or_insert_with(|| bound(history, ending, used.gate));
            if used.sent > bound {
                let late = used.sent - bound;
                say(
                    Kind::LateAdmission,
                    seen,
                    format!(
                        "{} version {} was admitted at {} {late} µs after it had to be refused: {:?}",
                        used.key, used.version, history.gates[used.gate], ending.change
                    ),
                );
            }
        }
    }
}

/// What a gate refused as ended, it does not admit again.
fn revivals(history: &History, say: &mut Say<'_>) {
    let mut refused: BTreeMap<(usize, &str, u32), At> = BTreeMap::new();
    for used in &history.uses {
        let Outcome::Answered(401, Some(code)) = &used.outcome else {
            continue;
        };
        if code == "key_revoked" || code == "key_retired" {
            let first = refused
                .entry((used.gate, &used.key, used.version))
                .or_insert(At::MAX);
            *first = used.done.min(*first);
        }
    }
    for (used, seen) in admitted(history) {
        let Some(first) = refused.get(&(used.gate, used.key.as_str(), used.version)) else {
            continue;
        };
        if used.sent > *first && !quiet::may_be_forgotten(history, used.gate, *first, used.sent) {
            let (key, version, gate) = (&used.key, used.version, &history.gates[used.gate]);
            let text = format!("{key} version {version} was refused at {gate}, and then admitted");
            say(Kind::Revived, seen, text);
        }
    }
}

/// Every acknowledged revocation is there at the end: at each gate, and in the store.
fn losses(history: &History, endings: &[Ending<'_>], say: &mut Say<'_>) {
    for ending in endings.iter().filter(|it| it.receipt.is_some()) {
        let change = ending.change;
        for probe in &history.end.probes {
            let is_over = probe.at > ending.in_force + margin(history, ending, probe.gate);
            let is_admitted = matches!(probe.outcome.status(), Some(200 | 429));
            if is_over && is_admitted && ending.is_of(&probe.key, probe.version) {
                let (version, gate) = (probe.version, &history.gates[probe.gate]);
                let text =
                    format!("version {version} is admitted at {gate} at the end: {change:?}");
                say(Kind::RevocationLost, probe.at, text);
            }
        }
        let mut stored = history.end.stored.iter();
        if let Some(stored) = stored.find(|it| it.key == ending.key && ending.is_whole())
            && stored.status.as_deref() != Some("revoked")
        {
            let text = format!("the store says {:?}: {change:?}", stored.status);
            say(Kind::RevocationLost, At::MAX, text);
        }
    }
}

/// A revocation that waited for all says of each gate where it stands.
fn names(history: &History, say: &mut Say<'_>) {
    for change in &history.changes {
        let waited = matches!(
            change.what,
            What::Revoke { all: true } | What::RevokeVersion { all: true, .. }
        );
        let Done::Acknowledged(receipt) = &change.result else {
            continue;
        };
        // While the store is away nobody is asked, and the gate answers for itself.
        let is_alone = history.faults.iter().any(|it| {
            let is_off = !matches!(
                it.kind,
                FaultKind::Clock(_) | FaultKind::Late | FaultKind::Paused
            );
            let is_ours = it.gate.is_none() || it.gate == Some(change.gate);
            is_off
                && is_ours
                && it.from <= change.done
                && it.to + quiet::HEALS_WITHIN >= change.sent
        });
        if !waited || is_alone {
            continue;
        }
        for gate in &history.gates {
            let is_pending = receipt.pending.iter().any(|(node, _)| node == gate);
            if !is_pending && !receipt.applied_on.contains(gate) {
                let text = format!("{gate} is neither where it is applied nor pending: {change:?}");
                say(Kind::Unnamed, change.done, text);
            }
        }
        if (receipt.status == 200) != receipt.pending.is_empty() {
            let text = format!("200 is for all gates, 202 for some: {change:?}");
            say(Kind::Unnamed, change.done, text);
        }
    }
}

/// The longest that a secret passed at a gate after its end was acknowledged at another, both untouched.
pub(super) fn slowest(history: &History) -> At {
    let endings = endings(history);
    let mut slowest = 0;
    let quiet: Vec<_> = (0..history.gates.len())
        .map(|gate| quiet::intervals(history, Some(gate)))
        .collect();
    for (used, _) in admitted(history) {
        for ending in endings.iter().filter(|it| it.receipt.is_some()) {
            let (from, to) = (ending.in_force, used.sent);
            let undisturbed = |gate: usize| {
                let mut intervals = quiet[gate].iter();
                intervals.any(|(begins, ends)| *begins <= from && to <= *ends)
            };
            if to > from
                && to - from < 5 * SECOND
                && ending.is_of(&used.key, used.version)
                && undisturbed(used.gate)
                && undisturbed(ending.change.gate)
            {
                slowest = slowest.max(to - from);
            }
        }
    }
    slowest
}
