//! The audit log tells of each acknowledged change, once, in one chain.

use super::endings::is_told;
use super::{Kind, Say};
use crate::history::{Change, Done, Entry, History, What};
use crate::support::watch::At;

pub(super) fn check(history: &History, say: &mut Say<'_>) {
    if let Some(fault) = &history.end.audit_fault {
        say(
            Kind::Unaudited,
            At::MAX,
            format!("the chain is not whole: {fault}"),
        );
    }
    for change in &history.changes {
        if !matches!(change.result, Done::Acknowledged(_)) {
            continue;
        }
        let entries = history.end.entries.iter();
        let told = entries
            .filter(|it| it.is_asked && tells(it, change))
            .count();
        if told != 1 && !(told == 0 && is_told(history, change)) {
            let text = format!("{told} entries tell of it: {change:?}");
            say(Kind::Unaudited, change.done, text);
        }
    }
}

/// Whether an entry is of a change.
fn tells(entry: &Entry, change: &Change) -> bool {
    let is_of_key = entry.key.is_some() && entry.key.as_ref() == change.keys.first();
    match change.what {
        What::Create => entry.kind == "key_creation" && is_of_key,
        What::Rotate { from, .. } => {
            entry.kind == "key_rotation" && is_of_key && entry.version == Some(from + 1)
        }
        What::Revoke { .. } => {
            entry.kind == "key_revocation" && is_of_key && entry.version.is_none()
        }
        What::RevokeVersion { version, .. } => {
            entry.kind == "key_revocation" && is_of_key && entry.version == Some(version)
        }
        What::Disable => entry.kind == "owner_disable" && entry.owner == change.owner,
    }
}
