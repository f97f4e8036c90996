//! Notices: each told once, as an event or an audit entry, in one change with the key that remembers it.

use futures_util::FutureExt;
use serde_json::json;

use super::turns::{JOB, Jobs};
use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::writer::{Draft, draw};
use crate::domain::audit::{Action, AuditEntry};
use crate::domain::change::Write;
use crate::domain::event::{Event, EventKind};
use crate::domain::id::{EventId, KeyId};
use crate::domain::key::Key;
use crate::domain::lifecycle::forget_tombstones;
use crate::domain::notice::{self, Due, Facts, Notice};
use crate::domain::policy::Demands;
use crate::domain::rotation::{Delivery, Schedule};
use crate::domain::time::Timestamp;

impl Jobs {
    /// Tells what there is to tell of a key, and forgets its old tombstones.
    pub(super) async fn tell(&self, id: KeyId) -> Result<(), ControlError> {
        let Some(tenure) = self.lease.hold(JOB).await else {
            return Ok(());
        };
        let tell = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let Some(before) = self.store.key(id).await? else {
                    return Ok(Draft::nothing(()));
                };
                let last_used = self.store.last_used(id).await?;
                let last_used = last_used.iter().map(|(_, at)| *at).max();
                let demands = Demands::on(&rules.policies, &before);
                let delivery = self.delivery(&before, &demands, now);
                let facts = Facts {
                    schedule: Schedule::of(&rules.rotation, &before, now),
                    delivery,
                    outlook: &demands.outlook(&before, last_used, now),
                };
                let found = notice::due(&before, facts, now);
                let ended_before = now.before(self.tombstones_kept);
                let mut after = forget_tombstones(before.clone(), ended_before);
                let (mut events, mut audit) = (Vec::new(), Vec::new());
                for due in &found {
                    after.told.insert(due.notice, now);
                    match due.notice {
                        Notice::Expired => audit.push(entry(Action::KeyExpiry, &before, due.at)?),
                        Notice::Retired => audit.extend(retirements(&before, now)?),
                        _ => events.push(event(&before, *due, delivery, last_used, now)?),
                    }
                }
                if after == before {
                    return Ok(Draft::nothing(()));
                }
                let mut writes = vec![Write::Key(after)];
                writes.extend(events.into_iter().map(Write::Event));
                Ok(Draft {
                    writes,
                    audit,
                    value: (),
                })
            }
            .boxed()
        };
        self.commit(&tenure, tell).await.map(drop)
    }

    /// Whether a key has tombstones that are to be forgotten.
    pub(super) fn has_old_tombstones(&self, key: &Key, now: Timestamp) -> bool {
        let before = now.before(self.tombstones_kept);
        let is_old = |end: Option<Timestamp>| end.is_some_and(|end| end < before);
        let mut old = key
            .versions
            .iter()
            .filter(|version| is_old(version.retires_at) || is_old(version.revoked_at));
        old.next().is_some() && forget_tombstones(key.clone(), before) != *key
    }
}

/// One entry for each version that retired since that was last told.
fn retirements(key: &Key, now: Timestamp) -> Result<Vec<AuditEntry>, ControlError> {
    let told = key.told.get(&Notice::Retired).copied().unwrap_or_default();
    let mut entries = Vec::new();
    for version in key.versions.iter().filter(|it| it.revoked_at.is_none()) {
        if let Some(end) = version.retires_at
            && told < end
            && end <= now
        {
            let mut entry = entry(Action::KeyRetirement, key, end)?;
            entry.key_version = Some(version.number);
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// What happened by itself, at the time it did.
fn entry(action: Action, key: &Key, at: Timestamp) -> Result<AuditEntry, ControlError> {
    Ok(Caller::system("time").did(action, at)?.about_key(key))
}

fn event(
    key: &Key,
    due: Due,
    delivery: Delivery,
    last_used: Option<Timestamp>,
    now: Timestamp,
) -> Result<Event, ControlError> {
    let kind = match due.notice {
        Notice::Expiring => EventKind::KeyExpiring,
        Notice::RotationDue => EventKind::KeyRotationDue,
        Notice::Unused | Notice::Revoking => EventKind::KeyUnused,
        Notice::Stale => EventKind::KeyStale,
        // These are told by their audit entries.
        Notice::Expired | Notice::Retired => EventKind::KeyExpired,
    };
    let mut event = Event::about_key(EventId::from_random(draw()?), kind, key, now);
    let (field, at) = match due.notice {
        Notice::Expiring | Notice::Expired | Notice::Retired => ("expires_at", due.at),
        Notice::RotationDue => {
            event.say("delivery", delivery.as_str());
            ("due_at", due.at)
        }
        Notice::Revoking => ("revoked_at", due.at),
        Notice::Unused | Notice::Stale => {
            event.say("last_used_at", json!(last_used.map(|at| at.to_string())));
            return Ok(event);
        }
    };
    event.say(field, at.to_string());
    event.say("days_left", due.days_left);
    Ok(event)
}
