//! What a mirror shows besides the store: what has ended, and keys that the store has lost and is owed.
//!
//! **Invariant:** nothing here is in the tables; it is shown for as long as it is owed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::follow::Shared;
use super::mirror::Mirror;
use crate::domain::change::{Change, Revision, Write};
use crate::domain::id::KeyId;
use crate::domain::key::Key;
use crate::domain::tombstone::{Graves, Tombstone, ended_in};
use crate::store::tombstones::{OwedKind, Tombstones};
use crate::store::{Feed as _, KeyStore as _, News, OwnerStore as _, StoreError, TokenStore as _};

impl Mirror {
    /// All that has ended here.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(super) async fn ended(&self) -> Result<Graves, StoreError> {
        let graves = Arc::new(Mutex::new(Graves::default()));
        let Some(stand) = self.stand() else {
            return Ok(Graves::default());
        };
        let bury = move |graves: &mut Graves, write: Write| {
            for (what, at) in ended_in(&write) {
                graves.add(Tombstone {
                    what,
                    at,
                    revision: Some(stand.revision),
                });
            }
        };
        let taken = Arc::clone(&graves);
        let take = move |key: Key| bury(&mut taken.lock(), Write::Key(key));
        self.tables().snapshot(Box::new(take)).await?;
        let mut graves = std::mem::take(&mut *graves.lock());
        let mut after = None;
        loop {
            let page = self.tables().owners(None, PAGE, after).await?;
            let owners = page.items.into_iter().map(Write::Owner);
            owners.for_each(|owner| bury(&mut graves, owner));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let page = self.tables().tokens(PAGE, after).await?;
            let tokens = page.items.into_iter().map(Write::Token);
            tokens.for_each(|token| bury(&mut graves, token));
            after = page.next;
            if after.is_none() {
                return Ok(graves);
            }
        }
    }
}

impl Shared {
    /// Hands every key to `take`, once, with what the store has lost and is to be given again: who was given such a
    /// key, or a new secret of one, is not refused in between.
    ///
    /// # Errors
    /// If the mirror cannot be read.
    pub(super) async fn snapshot(
        &self,
        take: Box<dyn FnMut(Key) + Send>,
    ) -> Result<Revision, StoreError> {
        let owed = self.keys_owed();
        if owed.is_empty() {
            return self.mirror.tables().snapshot(take).await;
        }
        // Laid over each as it is handed over: what a key was before says nothing of what others made of it since.
        let lost: BTreeMap<KeyId, Key> = owed.into_iter().map(|key| (key.id, key)).collect();
        let taking = Arc::new(Mutex::new((take, lost)));
        let (taken, tombstones) = (Arc::clone(&taking), self.tombstones.clone());
        let all = Box::new(move |key: Key| {
            let (take, lost) = &mut *taken.lock();
            let with = lost
                .remove(&key.id)
                .and_then(|lost| with_lost_secrets(Some(key.clone()), lost));
            take(with.map_or(key, |with| ended(&tombstones, with)));
        });
        let revision = self.mirror.tables().snapshot(all).await?;
        let left = std::mem::take(&mut taking.lock().1);
        for (id, key) in left {
            match self.mirror.tables().key(id).await {
                // What has come since the snapshot is told of after it.
                Ok(_) => {}
                Err(StoreError::Corrupt { .. }) => continue,
                Err(error) => return Err(error),
            }
            let key = ended(&self.tombstones, key);
            (taking.lock().0)(key);
        }
        Ok(revision)
    }

    /// The changes after `after`, with everything ended in them that has ended, also since they were made; and with
    /// the secrets of their keys that the store has lost and is to be given again: a change that is made again
    /// takes back none that was made upon it.
    ///
    /// # Errors
    /// If the mirror cannot be read.
    pub(super) async fn since(&self, after: Revision, most: usize) -> Result<News, StoreError> {
        let mut news = self.mirror.tables().since(after, most).await?;
        if let News::Changes(changes) = &mut news {
            let owed: BTreeMap<KeyId, Key> = self
                .keys_owed()
                .into_iter()
                .map(|key| (key.id, key))
                .collect();
            for (_, change) in changes {
                let mut laid = None::<Change>;
                for (at, write) in change.writes.iter().enumerate() {
                    let mut write = write.clone();
                    let has_ended = self.tombstones.lay_over(&mut write);
                    if has_ended | lay_over_lost(&owed, &mut write) {
                        let laid = laid.get_or_insert_with(|| Change::clone(change));
                        if let Some(place) = laid.writes.get_mut(at) {
                            *place = write;
                        }
                    }
                }
                if let Some(laid) = laid {
                    *change = Arc::new(laid);
                }
            }
        }
        Ok(news)
    }

    /// The keys that lost changes wrote which may yet be made again, each as the last of them left it, and those
    /// that fade.
    fn keys_owed(&self) -> Vec<Key> {
        let Some(stand) = self.mirror.stand() else {
            return Vec::new();
        };
        let owed = self.tombstones.owed().into_iter();
        let lost =
            owed.filter(|it| it.kind == OwedKind::Lost && it.incarnation == stand.incarnation);
        let mut keys = BTreeMap::<KeyId, Key>::new();
        for mut write in lost.flat_map(|it| it.change.writes) {
            self.tombstones.lay_over(&mut write);
            if let Write::Key(key) = write {
                keys.insert(key.id, key);
            }
        }
        for key in self.fading.keys(stand.incarnation) {
            let key = ended(&self.tombstones, key);
            let known = keys.remove(&key.id);
            let id = key.id;
            let shown = match known {
                Some(known) => with_lost_secrets(Some(known.clone()), key).unwrap_or(known),
                None => key,
            };
            keys.insert(id, shown);
        }
        keys.into_values().collect()
    }
}

/// A key with everything ended in it that has.
fn ended(tombstones: &Tombstones, key: Key) -> Key {
    let mut write = Write::Key(key.clone());
    tombstones.lay_over(&mut write);
    match write {
        Write::Key(key) => key,
        _ => key,
    }
}

/// Adds to a key the secrets of it that only `owed` knows; whether there are any.
fn lay_over_lost(owed: &BTreeMap<KeyId, Key>, write: &mut Write) -> bool {
    let Write::Key(key) = write else {
        return false;
    };
    let lost = owed.get(&key.id).cloned();
    let with = lost.and_then(|lost| with_lost_secrets(Some(key.clone()), lost));
    with.map(|with| *key = with).is_some()
}

/// A key as the store has it, if it does, with the secrets that only `lost` knows; `None` if there are none. Where
/// the store has given one's number to another secret, that one stands.
pub(super) fn with_lost_secrets(kept: Option<Key>, lost: Key) -> Option<Key> {
    let Some(mut kept) = kept else {
        return Some(lost);
    };
    let known = kept.versions.len();
    for version in lost.versions {
        let mut there = kept.versions.iter();
        if !there.any(|it| it.hash == version.hash || it.number == version.number) {
            kept.versions.push(version);
        }
    }
    kept.versions.sort_by_key(|version| version.number);
    (kept.versions.len() > known).then_some(kept)
}

const PAGE: usize = 1_000;
