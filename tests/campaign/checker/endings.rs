//! When versions of keys begin, and when they end.

use crate::history::{Change, Done, FaultKind, History, Receipt, What};
use crate::support::watch::{At, SECOND};

/// A change that ends one version of a key, or all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) change: &'a Change,
    pub(super) key: &'a str,
    version: Option<u32>,
    /// Before this, nothing of it can be in force anywhere.
    pub(super) begins: At,
    /// What was answered, if it was acknowledged.
    pub(super) receipt: Option<&'a Receipt>,
    /// When it is in force, where it is known; never, if nobody said so.
    pub(super) in_force: At,
}

impl Ending<'_> {
    pub(super) fn is_of(&self, key: &str, version: u32) -> bool {
        self.key == key && self.version.is_none_or(|it| it == version)
    }

    /// Whether it ends the key, not only one of its versions.
    pub(super) fn is_whole(&self) -> bool {
        self.version.is_none()
    }
}

/// Whether an alarm tells of a change to this key that a store lost and nobody may make again. Whatever else
/// met it goes by another history then: only the end of a whole key is held to.
pub(super) fn is_told(history: &History, change: &Change) -> bool {
    let is_whole = matches!(change.what, What::Revoke { .. } | What::Disable);
    let mut alarms = history.end.alarms.iter();
    !is_whole && alarms.any(|alarm| change.keys.iter().any(|key| alarm.contains(key)))
}

/// All of a history, but for those that were refused.
pub(super) fn endings(history: &History) -> Vec<Ending<'_>> {
    let mut endings = Vec::new();
    for change in &history.changes {
        let receipt = match &change.result {
            // It may hold, and it may not.
            Done::Acknowledged(_) if is_told(history, change) => None,
            Done::Acknowledged(receipt) => Some(receipt),
            Done::Unknown(_) => None,
            Done::Refused(..) => continue,
        };
        let (version, grace) = match change.what {
            What::Create => continue,
            What::Rotate { from, grace } => (Some(from), grace),
            What::RevokeVersion { version, .. } => (Some(version), 0),
            What::Revoke { .. } | What::Disable => (None, 0),
        };
        // By the clock that the gate had which took it, or by ours, whichever ends it sooner.
        let said = receipt.and_then(|it| it.retires_at);
        let begins = (change.sent + grace).min(said.unwrap_or(At::MAX));
        let in_force = receipt.map_or(At::MAX, |_| change.done.max(said.unwrap_or_default()));
        endings.extend(change.keys.iter().map(|key| Ending {
            change,
            key,
            version,
            begins,
            receipt,
            in_force,
        }));
    }
    endings
}

/// Who made a version, and when that was acknowledged.
pub(super) fn made(history: &History, key: &str, version: u32) -> Option<(usize, At)> {
    let change = makers(history, key, version).next()?;
    Some((change.gate, change.done))
}

/// Whether a version was made anew by then: the store had lost the one there was, and whoever made the next did not
/// know of that. The two have one number, and the first meets the second where it is given back.
pub(super) fn is_made_anew(history: &History, key: &str, version: u32, by: At) -> bool {
    let mut makers = makers(history, key, version);
    let Some(first) = makers.next() else {
        return false;
    };
    makers.any(|second| {
        let mut faults = history.faults.iter();
        let has_lost = faults.any(|fault| {
            let FaultKind::Store { forgets } = fault.kind else {
                return false;
            };
            let lost = fault.from.saturating_sub(forgets + SECOND)..fault.to;
            forgets > 0 && lost.contains(&first.done) && fault.from < second.done
        });
        second.sent <= by && has_lost
    })
}

/// The acknowledged changes that made a version.
fn makers<'a>(
    history: &'a History,
    key: &'a str,
    version: u32,
) -> impl Iterator<Item = &'a Change> {
    history.changes.iter().filter(move |it| {
        let makes = match it.what {
            What::Create => version == 1,
            What::Rotate { from, .. } => version == from + 1,
            _ => false,
        };
        makes && matches!(it.result, Done::Acknowledged(_)) && it.keys.iter().any(|it| it == key)
    })
}
