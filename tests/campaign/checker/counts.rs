//! What is counted is what was admitted, but for the last second of a gate that was killed.

use std::collections::HashMap;

use super::{Kind, Say};
use crate::history::{FaultKind, History};
use crate::support::watch::{At, SECOND};

pub(super) fn check(history: &History, say: &mut Say<'_>) {
    let gates: HashMap<u64, usize> = history.uses.iter().map(|it| (it.tag, it.gate)).collect();
    for stored in &history.end.stored {
        let mut admitted = 0;
        let mut may_be_lost = 0;
        for seen in history.admissions.iter().filter(|it| it.key == stored.key) {
            admitted += 1;
            let gate = gates.get(&seen.tag);
            if gate.is_some_and(|gate| was_unwritten(history, *gate, seen.seen)) {
                may_be_lost += 1;
            }
        }
        if !(admitted - may_be_lost..=admitted).contains(&stored.requests) {
            let text = format!(
                "{}: {admitted} were admitted, of which kills may have taken {may_be_lost}; {} are counted",
                stored.key, stored.requests
            );
            say(Kind::Miscounted, At::MAX, text);
        }
    }
}

/// Whether a gate was killed so soon that what it admitted was in its memory only.
fn was_unwritten(history: &History, gate: usize, seen: At) -> bool {
    history.faults.iter().any(|it| {
        it.kind == FaultKind::Killed
            && it.gate == Some(gate)
            && (it.from.saturating_sub(WRITTEN_WITHIN)..=it.to).contains(&seen)
    })
}

/// A batch is frozen each second, and on the disk a moment later.
const WRITTEN_WITHIN: At = SECOND * 5 / 4;
