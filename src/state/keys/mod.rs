//! The keys the gate knows, by hash.
//!
//! Written by `control::sync`, read on every request. A reader gets an [`Arc`] and the shard is released
//! before it returns, so nobody can hold a shard across an await.
//!
//! **Invariant:** an entry is replaced, never edited; a request sees one state of a key throughout.
//! **Invariant:** the entry that replaces another has its [`Slot`], so a spend that races with a change
//! is never lost, and no change of a key refills its limits.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Facts, Key, Standing};
use crate::domain::refusal::RefusalCode;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::Timestamp;
use crate::state::grants::{Grants, Regrants};
use crate::state::limiter::Slot;

/// Half of a digest finds an entry; the other half is compared in constant time.
type Half = [u8; 16];

/// The keys the gate knows.
#[derive(Debug, Default)]
pub struct KeyCache {
    by_hash: DashMap<Half, Arc<KeyEntry>, BuildHasherDefault<DigestHasher>>,
    /// Of each owner whether it is switched off; shared with the entries of its keys, so that one store
    /// here refuses them all, and no request looks anything up for it.
    owners_off: DashMap<OwnerId, Arc<AtomicBool>>,
    /// How many entries were replaced by one that lacks a secret of theirs.
    forgotten: AtomicUsize,
    /// How often something may have been revoked.
    ends: AtomicU64,
}

impl KeyCache {
    /// Puts a key in, in place of what was known of it.
    pub fn put(&self, key: &Key, grants: Arc<Grants>) {
        let slot = OnceLock::new();
        let known = key.versions.iter().find_map(|version| {
            // A secret that was forgotten may come again as another key's.
            self.entry(&version.hash).filter(|held| held.id == key.id)
        });
        if let Some(known) = &known {
            // A set cell keeps its value, and this one is new.
            let _ = slot.set(Arc::clone(known.slot()));
        }
        let is_owner_off = self.of_owner(key.owner);
        let entry = Arc::new(KeyEntry::of(key, grants, slot, is_owner_off));
        for version in &key.versions {
            self.by_hash
                .insert(halves(&version.hash).0, Arc::clone(&entry));
        }
        if known.is_some() && entry.versions.iter().any(|it| entry.is_revoked(it)) {
            self.ends.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(known) = known
            && known.versions.iter().any(|v| !entry.has(v))
        {
            known.is_forgotten.store(true, Ordering::Release);
            self.forgotten.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Switches an owner off or on. While it is off all its keys are refused as revoked, those put in
    /// later too.
    pub fn set_owner(&self, owner: OwnerId, is_off: bool) {
        if is_off || self.owners_off.contains_key(&owner) {
            self.of_owner(owner).store(is_off, Ordering::Release);
            self.ends.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How often something may have been revoked: whoever goes on with a key looks again when it has changed.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::Acquire)
    }

    fn of_owner(&self, owner: OwnerId) -> Arc<AtomicBool> {
        Arc::clone(&self.owners_off.entry(owner).or_default())
    }

    /// Lets go of the secrets that keys no longer have: their tombstones were forgotten, or they were of a
    /// history that was left. Nobody finds them before that either, nor waits for this.
    pub fn sweep(&self) {
        if self.forgotten.swap(0, Ordering::AcqRel) == 0 {
            return;
        }
        let is_gone = |entry: &KeyEntry| entry.is_forgotten.load(Ordering::Acquire);
        let gone: Vec<Half> = self
            .by_hash
            .iter()
            .filter(|held| is_gone(held))
            .map(|held| *held.key())
            .collect();
        for half in gone {
            self.by_hash.remove_if(&half, |_, held| is_gone(held));
        }
    }

    /// The key and version that a secret with this hash is of.
    #[must_use]
    pub fn find(&self, hash: &KeyHash) -> Option<(Arc<KeyEntry>, CachedVersion)> {
        let mut entry = self.entry(hash)?;
        // The one that replaces it is there before this is said, unless this secret is what it lacks.
        while entry.is_forgotten.load(Ordering::Acquire) {
            let now = self.entry(hash)?;
            if Arc::ptr_eq(&now, &entry) {
                return None;
            }
            entry = now;
        }
        let rest = halves(hash).1;
        let version = entry
            .versions
            .iter()
            .find(|v| bool::from(v.rest.ct_eq(&rest)))
            .copied()?;
        Some((entry, version))
    }

    /// How many secrets are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Forgets every secret that is not among `seen`, as after a snapshot that lacks it: of a key that is
    /// still there too, since the snapshot may be of another history, which never gave it that secret.
    pub fn retain(&self, seen: &SeenSecrets) {
        self.by_hash.retain(|half, _| seen.0.contains(half));
        self.ends.fetch_add(1, Ordering::AcqRel);
    }

    /// Gives keys the grants that take the place of theirs. The rest of them stays, their slots too.
    pub fn regrant(&self, regrants: &Regrants) {
        if regrants.is_empty() {
            return;
        }
        // Found first, changed then: no shard is kept from requests for longer than one key takes.
        let affected: Vec<Half> = self
            .by_hash
            .iter()
            .filter(|entry| regrants.instead_of(&entry.grants).is_some())
            .map(|entry| *entry.key())
            .collect();
        // One entry for all secrets of a key, as before; the old ones are held, so that an address names one.
        let mut several: HashMap<usize, (Arc<KeyEntry>, Arc<KeyEntry>)> = HashMap::new();
        for half in affected {
            let Some(mut entry) = self.by_hash.get_mut(&half) else {
                continue;
            };
            let Some(grants) = regrants.instead_of(&entry.grants) else {
                continue;
            };
            // Nobody sees an entry that only the map has, so this one is as good as another; and an idle
            // key is not given the slot that a second entry would have to share with it.
            if let Some(unseen) = Arc::get_mut(&mut entry) {
                unseen.grants = grants;
                continue;
            }
            let old = Arc::clone(&entry);
            let (_, new) = several.entry(Arc::as_ptr(&old).addr()).or_insert_with(|| {
                let new = Arc::new(old.granted(grants));
                (old, new)
            });
            *entry = Arc::clone(new);
        }
    }

    fn entry(&self, hash: &KeyHash) -> Option<Arc<KeyEntry>> {
        self.by_hash
            .get(&halves(hash).0)
            .map(|entry| Arc::clone(&entry))
    }
}

/// The secrets of the keys of a snapshot.
#[derive(Debug, Default)]
pub struct SeenSecrets(HashSet<Half, BuildHasherDefault<DigestHasher>>);

impl SeenSecrets {
    /// Notes those of a key.
    pub fn note(&mut self, key: &Key) {
        let versions = key.versions.iter();
        self.0.extend(versions.map(|it| halves(&it.hash).0));
    }
}

/// One key, as the gate needs it.
#[derive(Debug)]
pub struct KeyEntry {
    /// Which key.
    pub id: KeyId,
    /// Whose.
    pub owner: OwnerId,
    /// What it may do, shared by all keys that may do the same.
    pub grants: Arc<Grants>,
    standing: EntryStanding,
    expires_at: Timestamp,
    /// Made at first use: most of a million keys are idle.
    slot: OnceLock<Arc<Slot>>,
    versions: SmallVec<[CachedVersion; 1]>,
    /// Whether the owner is switched off, and every key it holds with it.
    is_owner_off: Arc<AtomicBool>,
    /// Set when the entry that replaced this one lacks one of its secrets.
    is_forgotten: AtomicBool,
}

/// [`Standing`] without its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryStanding {
    Active,
    Suspended,
    Revoked,
}

/// One secret of a key, as the gate needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedVersion {
    rest: Half,
    /// When its grace ends; never, while nothing has set its end.
    pub retires_at: Timestamp,
    /// What may be shown of it.
    pub fingerprint: Fingerprint,
    /// Which version.
    pub number: u16,
    /// Whether it waits to become the current one, which its first use makes it.
    pub is_pending: bool,
    is_revoked: bool,
    /// Whether the step that replaced it left it no time at all, whatever this gate's clock says.
    ended_at_once: bool,
}

impl KeyEntry {
    fn of(
        key: &Key,
        grants: Arc<Grants>,
        slot: OnceLock<Arc<Slot>>,
        is_owner_off: Arc<AtomicBool>,
    ) -> Self {
        let versions = key.versions.iter().map(|version| CachedVersion {
            rest: halves(&version.hash).1,
            retires_at: version.retires_at.unwrap_or(Timestamp::NEVER),
            fingerprint: version.fingerprint,
            number: version.number,
            is_pending: version.activated_at.is_none(),
            is_revoked: version.revoked_at.is_some(),
            ended_at_once: key.ended_at_once(version),
        });
        Self {
            id: key.id,
            owner: key.owner,
            grants,
            standing: match key.standing {
                Standing::Active => EntryStanding::Active,
                Standing::Suspended { .. } => EntryStanding::Suspended,
                Standing::Revoked { .. } => EntryStanding::Revoked,
            },
            expires_at: key.settings.expires_at.unwrap_or(Timestamp::NEVER),
            slot,
            versions: versions.collect(),
            is_owner_off,
            is_forgotten: AtomicBool::new(false),
        }
    }

    fn has(&self, version: &CachedVersion) -> bool {
        self.versions.iter().any(|own| own.rest == version.rest)
    }

    /// The same key with other grants.
    fn granted(&self, grants: Arc<Grants>) -> Self {
        let slot = OnceLock::new();
        // A set cell keeps its value, and this one is new.
        let _ = slot.set(Arc::clone(self.slot()));
        Self {
            id: self.id,
            owner: self.owner,
            grants,
            standing: self.standing,
            is_forgotten: AtomicBool::new(self.is_forgotten.load(Ordering::Acquire)),
            expires_at: self.expires_at,
            slot,
            versions: self.versions.clone(),
            is_owner_off: Arc::clone(&self.is_owner_off),
        }
    }

    /// Whether `version` of this key may pass at `now`.
    ///
    /// # Errors
    /// The reason it may not.
    pub fn admits(&self, version: &CachedVersion, now: Timestamp) -> Result<(), RefusalCode> {
        let facts = Facts {
            is_revoked: self.is_revoked(version),
            is_suspended: self.standing == EntryStanding::Suspended,
            has_retired: version.ended_at_once,
            retires_at: version.retires_at,
            expires_at: self.expires_at,
        };
        facts.verdict(now)
    }

    /// Whether `version` was revoked: by itself, with its key or with its owner. One that was replaced was not,
    /// however short its grace.
    #[must_use]
    pub fn is_revoked(&self, version: &CachedVersion) -> bool {
        version.is_revoked
            || self.standing == EntryStanding::Revoked
            || self.is_owner_off.load(Ordering::Acquire)
    }

    /// Whether another version has taken the place of this one, which may still be in its grace.
    #[must_use]
    pub fn is_replaced(&self, version: &CachedVersion) -> bool {
        let mut settled = self.versions.iter().filter(|it| !it.is_pending);
        settled.any(|it| it.number > version.number)
    }

    /// What is left of this key's limits; the same for every entry the key ever has here.
    #[must_use]
    pub fn slot(&self) -> &Arc<Slot> {
        self.slot.get_or_init(Arc::default)
    }
}

/// A digest is random already: its first eight bytes are as good a hash as any.
#[derive(Debug, Default, Clone, Copy)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of an array, which says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

fn halves(hash: &KeyHash) -> (Half, Half) {
    let (mut first, mut rest) = ([0; 16], [0; 16]);
    let (left, right) = hash.digest.split_at(16);
    first.copy_from_slice(left);
    rest.copy_from_slice(right);
    // Hashes of different schemes never meet in one half, for all that chance can do.
    (first, rest)
}

#[cfg(test)]
mod tests;
