//! What has ended for ever, told apart from the records that say so.
//!
//! A store may come back as it was some time ago. Then a record says that a key lives which a gate has
//! refused since. A tombstone is what that gate still knows: laid over the record, it ends it again.

use std::collections::{HashMap, HashSet};

use super::audit::{Action, AuditEntry, Outcome};
use super::change::{Revision, Write};
use super::id::{KeyId, OwnerId, TokenId};
use super::key::{Key, KeyVersion, Standing};
use super::secret::Fingerprint;
use super::time::Timestamp;

/// Something that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ended {
    /// A key with all its versions.
    Key(KeyId),
    /// One version of a key. After a loss a number may be given to another secret, so it takes both to
    /// name it.
    Version {
        /// Of which key.
        key: KeyId,
        /// Its number.
        number: u16,
        /// Its secret's.
        fingerprint: Fingerprint,
    },
    /// An owner is switched off; the one end that can be undone, by letting it back in.
    Owner(OwnerId),
    /// An admin token.
    Token(TokenId),
}

/// That something has ended, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// What.
    pub what: Ended,
    /// When.
    pub at: Timestamp,
    /// The change that it ended by; `None` while no store has it.
    pub revision: Option<Revision>,
}

/// All tombstones that are known.
#[derive(Debug, Clone, Default)]
pub struct Graves {
    by_what: HashMap<Ended, Tombstone>,
    /// The keys of which a version has ended, which are many fewer than all keys.
    by_key: HashMap<KeyId, HashSet<(u16, Fingerprint)>>,
}

impl Graves {
    /// Adds one; whether it was not known. What is known keeps its time.
    pub fn add(&mut self, tombstone: Tombstone) -> bool {
        let what = tombstone.what;
        if self.by_what.contains_key(&what) {
            return false;
        }
        if let Ended::Version {
            key,
            number,
            fingerprint,
        } = what
        {
            let versions = self.by_key.entry(key).or_default();
            versions.insert((number, fingerprint));
        }
        self.by_what.insert(what, tombstone);
        true
    }

    /// Takes one away; whether it was there.
    pub fn remove(&mut self, what: &Ended) -> bool {
        if let Ended::Version {
            key,
            number,
            fingerprint,
        } = what
            && let Some(versions) = self.by_key.get_mut(key)
        {
            versions.remove(&(*number, *fingerprint));
            if versions.is_empty() {
                self.by_key.remove(key);
            }
        }
        self.by_what.remove(what).is_some()
    }

    /// Whether it is known to have ended.
    #[must_use]
    pub fn has(&self, what: &Ended) -> bool {
        self.by_what.contains_key(what)
    }

    /// What is known of the end of something.
    #[must_use]
    pub fn get(&self, what: &Ended) -> Option<&Tombstone> {
        self.by_what.get(what)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Tombstone> {
        self.by_what.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_what.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_what.is_empty()
    }

    /// Ends in `write` what has ended; whether it said anything else.
    pub fn lay_over(&self, write: &mut Write) -> bool {
        match write {
            Write::Key(key) => self.lay_over_key(key),
            Write::Owner(owner) => match self.by_what.get(&Ended::Owner(owner.id)) {
                Some(tombstone) if owner.disabled_at.is_none() => {
                    owner.disabled_at = Some(tombstone.at);
                    true
                }
                _ => false,
            },
            Write::Token(token) => match self.by_what.get(&Ended::Token(token.id)) {
                Some(tombstone) if token.revoked_at.is_none() => {
                    token.revoked_at = Some(tombstone.at);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn lay_over_key(&self, key: &mut Key) -> bool {
        let mut changed = false;
        if let Some(tombstone) = self.by_what.get(&Ended::Key(key.id))
            && !is_revoked(key)
        {
            key.standing = Standing::Revoked { at: tombstone.at };
            changed = true;
        }
        if self.by_key.contains_key(&key.id) {
            let id = key.id;
            for version in &mut key.versions {
                let tombstone = self.by_what.get(&name_of(id, version));
                if let (None, Some(tombstone)) = (version.revoked_at, tombstone) {
                    version.revoked_at = Some(tombstone.at);
                    changed = true;
                }
            }
        }
        changed
    }
}

impl Ended {
    /// Whether a record, if it is of this, shows that it has ended. A version that its key has no more
    /// admits nobody.
    #[must_use]
    pub fn is_shown_by(&self, write: &Write) -> bool {
        match (self, write) {
            (Self::Key(id), Write::Key(key)) => *id == key.id && is_revoked(key),
            (Self::Version { key: id, .. }, Write::Key(key)) => {
                let mut versions = key.versions.iter();
                *id == key.id
                    && (is_revoked(key)
                        || versions
                            .all(|it| name_of(key.id, it) != *self || it.revoked_at.is_some()))
            }
            (Self::Owner(id), Write::Owner(owner)) => {
                *id == owner.id && owner.disabled_at.is_some()
            }
            (Self::Token(id), Write::Token(token)) => *id == token.id && token.revoked_at.is_some(),
            _ => false,
        }
    }
}

/// What a record says has ended, and when.
#[must_use]
pub fn ended_in(write: &Write) -> Vec<(Ended, Timestamp)> {
    match write {
        Write::Key(key) => {
            let whole = match key.standing {
                Standing::Revoked { at } => Some((Ended::Key(key.id), at)),
                Standing::Active | Standing::Suspended { .. } => None,
            };
            let versions = key.versions.iter();
            let ended = versions.filter_map(|it| Some((name_of(key.id, it), it.revoked_at?)));
            whole.into_iter().chain(ended).collect()
        }
        Write::Owner(owner) => {
            let at = owner.disabled_at;
            at.map(|at| (Ended::Owner(owner.id), at))
                .into_iter()
                .collect()
        }
        Write::Token(token) => {
            let at = token.revoked_at;
            at.map(|at| (Ended::Token(token.id), at))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The owners whom these entries say were let back in. A record alone does not say so: one that is older
/// than the switching off looks the same.
pub fn let_back_in(audit: &[AuditEntry]) -> impl Iterator<Item = OwnerId> {
    let entries = audit.iter().filter(|entry| {
        entry.action == Action::OwnerUpdate
            && entry.outcome == Outcome::Done
            && entry
                .changes
                .iter()
                .any(|change| change.field == "disabled_at" && change.to.is_null())
    });
    entries.filter_map(|entry| entry.owner)
}

/// How a version of a key is named.
#[must_use]
pub const fn name_of(key: KeyId, version: &KeyVersion) -> Ended {
    Ended::Version {
        key,
        number: version.number,
        fingerprint: version.fingerprint,
    }
}

const fn is_revoked(key: &Key) -> bool {
    matches!(key.standing, Standing::Revoked { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::KeySettings;
    use crate::domain::secret::KeyHash;

    fn key(fingerprints: &[u8]) -> Key {
        let at = Timestamp::from_millis(1_000);
        let version = |(number, byte): (u16, &u8)| KeyVersion {
            number,
            hash: KeyHash {
                pepper: 0,
                digest: [*byte; 32],
            },
            fingerprint: Fingerprint::from_bytes([*byte; 6]),
            created_at: at,
            activated_at: Some(at),
            retires_at: None,
            revoked_at: None,
        };
        Key {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            settings: KeySettings::named("k"),
            standing: Standing::Active,
            created_at: at,
            created_by: "tok_".into(),
            last_rotated_at: None,
            told: std::collections::BTreeMap::new(),
            versions: (1..).zip(fingerprints).map(version).collect(),
        }
    }

    fn graves(write: &Write) -> Graves {
        let mut graves = Graves::default();
        for (what, at) in ended_in(write) {
            assert!(graves.add(Tombstone {
                what,
                at,
                revision: None
            }));
        }
        graves
    }

    #[test]
    fn what_has_ended_is_ended_in_an_older_record_and_nothing_else_is() {
        let at = Timestamp::from_millis(2_000);
        let mut revoked = key(&[1, 2]);
        revoked.standing = Standing::Revoked { at };
        let graves_of_key = graves(&Write::Key(revoked.clone()));
        let mut older = Write::Key(key(&[1, 2]));
        assert!(graves_of_key.lay_over(&mut older));
        assert_eq!(older, Write::Key(revoked));
        assert!(!graves_of_key.lay_over(&mut older));

        let mut one = key(&[1, 2]);
        one.versions[0].revoked_at = Some(at);
        let graves_of_one = graves(&Write::Key(one.clone()));
        let mut older = Write::Key(key(&[1, 2]));
        assert!(graves_of_one.lay_over(&mut older));
        assert_eq!(older, Write::Key(one));
    }

    /// After a loss another gate may have given the number to a secret of its own.
    #[test]
    fn a_number_that_was_given_again_is_another_version() {
        let mut revoked = key(&[1, 2]);
        revoked.versions[1].revoked_at = Some(Timestamp::from_millis(2_000));
        let graves = graves(&Write::Key(revoked));
        let mut other = Write::Key(key(&[1, 3]));
        assert!(!graves.lay_over(&mut other));
        assert!(graves.iter().all(|it| it.what.is_shown_by(&other)));
    }

    #[test]
    fn what_is_laid_over_is_then_shown() {
        let mut revoked = key(&[1]);
        revoked.standing = Standing::Revoked {
            at: Timestamp::from_millis(2_000),
        };
        let graves = graves(&Write::Key(revoked));
        let mut older = Write::Key(key(&[1]));
        assert!(!graves.iter().any(|it| it.what.is_shown_by(&older)));
        graves.lay_over(&mut older);
        assert!(graves.iter().all(|it| it.what.is_shown_by(&older)));
    }

    #[test]
    fn what_is_taken_away_is_laid_over_nothing() {
        let mut revoked = key(&[1]);
        revoked.versions[0].revoked_at = Some(Timestamp::from_millis(2_000));
        let mut graves = graves(&Write::Key(revoked.clone()));
        let what = name_of(revoked.id, &revoked.versions[0]);
        assert!(graves.has(&what) && graves.remove(&what));
        assert!(graves.is_empty() && !graves.remove(&what));
        assert!(!graves.lay_over(&mut Write::Key(key(&[1]))));
    }
}
