//! No window admits more than one bucket would, nor all of them more than a quota.
//!
//! A request is admitted between its being sent and its being seen by the upstream. So all that were sent
//! after one moment and seen before another were admitted between the two; that is what a window is here,
//! and no jitter makes it too full.

use std::collections::HashMap;

use super::{Kind, Say};
use crate::history::{FaultKind, History, Terms, Use};
use crate::support::watch::{At, SECOND};

pub(super) fn check(history: &History, say: &mut Say<'_>) {
    let terms = &history.terms;
    if let Some(window) = fullest(history, |from, to| allowance(history, from, to)) {
        let (rate, burst) = (terms.rate, terms.burst);
        let length = (window.to - window.from) / 1_000;
        let allowed = allowance(history, window.from, window.to);
        let text = format!(
            "{} passed within {length} ms, of {burst} at once and {rate} a second; faults allow for {allowed:.1} more",
            window.count
        );
        say(Kind::OverLimit, window.to, text);
    }
    let allowed = terms.quota + apart(history) + single_misses(history, 0, 0) as u64;
    let passed = passed(history, &terms.quota_key);
    if passed > allowed {
        let text = format!(
            "{passed} passed of a quota of {}; faults allow for {} more",
            terms.quota,
            allowed - terms.quota
        );
        say(Kind::OverLimit, At::MAX, text);
    }
}

/// How many more passed in the fullest window than one bucket admits, whatever was done to it.
pub(super) fn excess(history: &History) -> u64 {
    fullest(history, |_, _| 0.0).map_or(0, |window| window.over.ceil() as u64)
}

/// How many more passed than the quota allows.
pub(super) fn quota_excess(history: &History) -> u64 {
    passed(history, &history.terms.quota_key).saturating_sub(history.terms.quota)
}

fn passed(history: &History, key: &str) -> u64 {
    history.admissions.iter().filter(|it| it.key == key).count() as u64
}

/// A window into which too many fell.
struct Window {
    from: At,
    to: At,
    count: u64,
    over: f64,
}

/// The window that is most above what is allowed in it, if any is.
fn fullest(history: &History, allowance: impl Fn(At, At) -> f64) -> Option<Window> {
    let Terms { rate, burst, .. } = history.terms;
    let uses: HashMap<u64, &Use> = history.uses.iter().map(|it| (it.tag, it)).collect();
    let mut passed: Vec<(At, At)> = history
        .admissions
        .iter()
        .filter(|it| it.key == history.terms.limited)
        .filter_map(|it| Some((uses.get(&it.tag)?.sent, it.seen)))
        .collect();
    passed.sort_unstable_by_key(|(_, seen)| *seen);
    let mut fullest: Option<Window> = None;
    for (first, (from, _)) in passed.iter().enumerate() {
        // One that is seen before another may have been sent after it.
        let begin = first.saturating_sub(OVERTAKE_MAX);
        let mut count = 0;
        for (sent, seen) in &passed[begin..] {
            if sent < from {
                continue;
            }
            count += 1;
            let refilled = rate as f64 * (seen - from) as f64 / SECOND as f64;
            let mut over = count as f64 - burst as f64 - refilled;
            let best = fullest.as_ref().map_or(0.0, |it| it.over);
            if over > best {
                over -= allowance(*from, *seen);
            }
            if over > best {
                fullest = Some(Window {
                    from: *from,
                    to: *seen,
                    count,
                    over,
                });
            }
        }
    }
    fullest
}

/// What CLUSTER §4 allows for what was done in a window, or so shortly before that it still shows.
fn allowance(history: &History, from: At, to: At) -> f64 {
    let Terms {
        rate,
        burst,
        falls_back_late,
        ..
    } = history.terms;
    let gates = history.gates.len().max(1) as f64;
    let twice = 3.0 * rate as f64 / gates + burst as f64 / gates;
    let faults = history.faults.iter();
    let near = faults.filter(|it| it.from <= to && it.to + SHOWS >= from);
    near.map(|fault| match fault.kind {
        // At the seams of an outage at most one burst; and what was granted and then forgotten.
        FaultKind::Store { forgets } => burst as f64 + rate as f64 * forgets as f64 / SECOND as f64,
        // Until the others leave a gate its share, it has it twice: three seconds of it at most, from its
        // part of the bucket. A gate that waits so long before it falls back is exact; it does not wait where
        // its connections are refused.
        FaultKind::Cut { is_told } if is_told || !falls_back_late => twice,
        FaultKind::Paused | FaultKind::Late if !falls_back_late => twice,
        FaultKind::Cut { .. }
        | FaultKind::Paused
        | FaultKind::Late
        | FaultKind::Killed
        | FaultKind::Clock(_) => 0.0,
    })
    .sum::<f64>()
        + single_misses(history, from, to)
}

/// An answer that comes later than `lease_wait` is decided by the gate's share, where gates fall back at once.
/// Of two within a second a gate tells ([`FaultKind::Late`]); so one a second and gate may pass unseen.
fn single_misses(history: &History, from: At, to: At) -> f64 {
    if history.terms.falls_back_late {
        return 0.0;
    }
    let seconds = (to - from) as f64 / SECOND as f64;
    history.gates.len() as f64 * (1.0 + seconds)
}

/// What gates may spend of the quota that the others do not know of: each that is cut off its share of what
/// it last saw left, and a gate in use sees that every few seconds.
fn apart(history: &History) -> u64 {
    let (gates, quota) = (history.gates.len().max(1) as u64, history.terms.quota);
    let shares = history.faults.iter().map(|fault| {
        let of = match fault.kind {
            FaultKind::Cut { .. } | FaultKind::Late => 1,
            FaultKind::Store { .. } => gates,
            FaultKind::Killed | FaultKind::Paused | FaultKind::Clock(_) => return 0,
        };
        let forgets = match fault.kind {
            FaultKind::Store { forgets } => forgets,
            _ => 0,
        };
        let looked = fault.from.saturating_sub(LOOKS_WITHIN + forgets);
        let spent = history.admissions.iter();
        let spent = spent.filter(|it| it.key == history.terms.quota_key && it.seen < looked);
        let left = quota.saturating_sub(spent.count() as u64);
        of * left.div_ceil(gates)
    });
    shares.sum()
}

/// How long what a fault left behind can be seen in a bucket: till it is full again, and leases have ended.
const SHOWS: At = 5 * SECOND;
/// By how many a request may be overtaken on its way.
const OVERTAKE_MAX: usize = 64;
/// How long ago a gate that spends of a quota may have asked for more of it.
const LOOKS_WITHIN: At = 5 * SECOND;
