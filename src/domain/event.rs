//! What happened that those outside may want to know: what webhooks and alerts will speak of.
//!
//! An event lands with the change it tells of, or not at all, and lies in the outbox until it is too old.
//! Most are the outside of an audit entry and made of it, so no service has to think of them; the rest,
//! such as reminders, are made by the jobs. None ever holds a secret: `old_key` and `new_key` are
//! fingerprints.

use serde_json::{Map, Value, json};

use super::audit::{Action, AuditEntry, Outcome};
use super::change::{Revision, Write};
use super::id::EventId;
use super::key::{Key, KeyVersion};
use super::secret::Fingerprint;
use super::time::Timestamp;
use super::word::words;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Names the event; the same however often it is delivered.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub timestamp: Timestamp,
    /// Of a rotation: what may be shown of the secret before.
    pub old_key: Option<Fingerprint>,
    /// Of a rotation: what may be shown of the new secret.
    pub new_key: Option<Fingerprint>,
    /// What else there is to know, by its names in the API.
    pub data: Map<String, Value>,
}

/// Where in the outbox an event lies: the change it landed with, and its place in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventPlace {
    /// The change it landed with.
    pub revision: Revision,
    /// Which of that change's writes it was.
    pub index: u32,
}

words! {
    /// What happened.
    EventKind {
        /// A key was made, or imported.
        KeyCreated = "key.created";
        /// A new version of a key became its current one.
        KeyRotated = "key.rotated";
        /// A key, or one version of it, was ended.
        KeyRevoked = "key.revoked";
        /// A key was paused.
        KeySuspended = "key.suspended";
        /// A key was put in force again.
        KeyResumed = "key.resumed";
        /// A key will end by itself before long.
        KeyExpiring = "key.expiring";
        /// A key has ended by itself.
        KeyExpired = "key.expired";
        /// A key will be, or is, due for rotation, and someone has to do it.
        KeyRotationDue = "key.rotation_due";
        /// A key has not been used for some days, or will be revoked for it.
        KeyUnused = "key.unused";
        /// A key has not been used for so long that it may be forgotten.
        KeyStale = "key.stale";
        /// So much of a quota is spent.
        QuotaReached = "quota.reached";
        /// An owner and all its keys were switched off.
        OwnerDisabled = "owner.disabled";
    }
}

impl Event {
    /// Something that happened to a key.
    #[must_use]
    pub fn about_key(id: EventId, kind: EventKind, key: &Key, now: Timestamp) -> Self {
        let mut event = Self {
            id,
            kind,
            timestamp: now,
            old_key: None,
            new_key: None,
            data: Map::new(),
        };
        event.say("key_id", key.id.to_string());
        event.say("key_name", key.settings.name.clone());
        event.say("owner_id", key.owner.to_string());
        event
    }

    /// What an audit entry is to those outside; `None` where it is nothing to them. `writes` are those of
    /// the change that the entry tells of.
    #[must_use]
    pub fn telling(id: EventId, entry: &AuditEntry, writes: &[Write]) -> Option<Self> {
        if entry.outcome != Outcome::Done {
            return None;
        }
        let kind = match entry.action {
            Action::KeyCreation | Action::KeyImport => EventKind::KeyCreated,
            Action::KeyRotation | Action::KeyActivation => EventKind::KeyRotated,
            Action::KeyRevocation => EventKind::KeyRevoked,
            Action::KeySuspension => EventKind::KeySuspended,
            Action::KeyResumption => EventKind::KeyResumed,
            Action::KeyExpiry => EventKind::KeyExpired,
            Action::OwnerDisable => EventKind::OwnerDisabled,
            _ => return None,
        };
        let key = writes.iter().find_map(|write| match write {
            Write::Key(key) if Some(key.id) == entry.key => Some(key),
            _ => None,
        });
        let mut event = match key {
            Some(key) => Self::about_key(id, kind, key, entry.timestamp),
            None if kind == EventKind::OwnerDisabled => Self {
                id,
                kind,
                timestamp: entry.timestamp,
                old_key: None,
                new_key: None,
                data: Map::new(),
            },
            // An entry that wrote no key tells of no change to one.
            None => return None,
        };
        if let Some(owner) = entry.owner {
            event.say("owner_id", owner.to_string());
        }
        event.say("reason", json!(entry.reason));
        if kind == EventKind::KeyRotated {
            event.say_rotated(key?, entry.key_version?)?;
        } else if let Some(version) = entry.key_version {
            event.say("version", version);
        }
        Some(event)
    }

    /// Adds something to know.
    pub fn say(&mut self, name: &str, value: impl Into<Value>) {
        self.data.insert(name.to_owned(), value.into());
    }

    /// Which version took over from which; nothing while the new one is pending.
    fn say_rotated(&mut self, key: &Key, number: u16) -> Option<()> {
        let new = key.versions.iter().find(|it| it.number == number)?;
        new.activated_at?;
        let older = |it: &&KeyVersion| it.number < number && it.activated_at.is_some();
        let old = key.versions.iter().filter(older).max_by_key(|it| it.number);
        self.old_key = old.map(|it| it.fingerprint);
        self.new_key = Some(new.fingerprint);
        self.say("old_version", json!(old.map(|it| it.number)));
        self.say("new_version", number);
        let retires_at = old.and_then(|it| it.retires_at);
        self.say("retires_at", json!(retires_at.map(|at| at.to_string())));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::Actor;
    use crate::domain::id::{AuditId, KeyId, OwnerId};
    use crate::domain::key::KeySettings;
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::secret::KeyHash;

    #[test]
    fn every_word_stands_for_its_kind() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
        }
        assert_eq!(EventKind::from_word("key.x"), None);
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// A key with a first version, and a second one that is active or pending.
    fn rotated(is_active: bool) -> Key {
        let birth = Birth {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [1; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        let mut key = create(birth, KeySettings::named("k"), at(1_000));
        let mut second = key.versions[0].clone();
        second.number = 2;
        second.fingerprint = Fingerprint::from_bytes([2; 6]);
        second.activated_at = is_active.then_some(at(2_000));
        key.versions[0].retires_at = Some(at(9_000));
        key.versions.push(second);
        key
    }

    fn entry(action: Action, key: &Key) -> AuditEntry {
        AuditEntry {
            id: AuditId::from_random([4; 10]),
            timestamp: at(3_000),
            action,
            outcome: Outcome::Done,
            actor: Actor {
                kind: "system".into(),
                id: "system".into(),
                name: "rotation".into(),
            },
            address: None,
            request_id: None,
            reason: Some("regular".into()),
            key: Some(key.id),
            key_version: Some(2),
            owner: Some(key.owner),
            changes: Vec::new(),
            rotation: None,
        }
    }

    // S3-19
    #[test]
    fn a_rotation_is_told_with_both_fingerprints_once_the_new_version_is_active() {
        let id = EventId::from_random([5; 10]);
        let pending = rotated(false);
        let made = entry(Action::KeyRotation, &pending);
        assert_eq!(Event::telling(id, &made, &[Write::Key(pending)]), None);

        let active = rotated(true);
        let entry = entry(Action::KeyActivation, &active);
        let event = Event::telling(id, &entry, &[Write::Key(active.clone())]).unwrap();
        assert_eq!(event.kind, EventKind::KeyRotated);
        assert_eq!(event.timestamp, at(3_000));
        assert_eq!(event.old_key, Some(active.versions[0].fingerprint));
        assert_eq!(event.new_key, Some(active.versions[1].fingerprint));
        assert_eq!(
            Value::Object(event.data),
            json!({
                "key_id": active.id.to_string(), "key_name": "k", "owner_id": active.owner.to_string(),
                "old_version": 1, "new_version": 2, "retires_at": at(9_000).to_string(),
                "reason": "regular",
            })
        );
    }

    #[test]
    fn what_was_refused_or_is_nothing_to_others_is_not_told() {
        let id = EventId::from_random([5; 10]);
        let key = rotated(true);
        let writes = [Write::Key(key.clone())];
        let mut refused = entry(Action::KeyRevocation, &key);
        assert!(Event::telling(id, &refused, &writes).is_some());
        refused.outcome = Outcome::Refused("protected".into());
        assert_eq!(Event::telling(id, &refused, &writes), None);
        let update = entry(Action::KeyUpdate, &key);
        assert_eq!(Event::telling(id, &update, &writes), None);
        let of_no_key = entry(Action::KeyRevocation, &key);
        assert_eq!(Event::telling(id, &of_no_key, &[]), None);
    }
}
