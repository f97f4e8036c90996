//! What a store has lost and only others can give back.
//!
//! A gate that has read the store anew knows its keys, but not the changes that made them: when the store then loses
//! those, it can neither make them again nor show that they are owed. Other gates may know them. Until they had their
//! turn, what was here a moment ago goes on being shown; then it is refused, and told of.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::connect::Fault;
use super::follow::Shared;
use super::union::with_lost_secrets;
use crate::domain::id::KeyId;
use crate::domain::key::Key;
use crate::store::{Feed as _, KeyStore as _, StoreError};

/// Keys that are shown for a while, though the store may have lost them or secrets of theirs.
#[derive(Debug, Default)]
pub(super) struct Fading(Mutex<Vec<Batch>>);

#[derive(Debug)]
struct Batch {
    incarnation: [u8; 16],
    /// By the gate's clock, in nanoseconds.
    until_ns: u64,
    keys: Vec<Key>,
}

impl Fading {
    /// The keys of a store that fade.
    pub(super) fn keys(&self, incarnation: [u8; 16]) -> Vec<Key> {
        let batches = self.0.lock();
        let of_this = batches.iter().filter(|it| it.incarnation == incarnation);
        of_this.flat_map(|batch| batch.keys.clone()).collect()
    }

    fn add(&self, batch: Batch) {
        if !batch.keys.is_empty() {
            self.0.lock().push(batch);
        }
    }

    fn keep(&self, which: impl Fn(&Key) -> bool) {
        for batch in &mut *self.0.lock() {
            batch.keys.retain(&which);
        }
    }

    /// The keys whose time is over by `now`; they are let go of.
    fn take_due(&self, now_ns: u64) -> Vec<Key> {
        let mut batches = self.0.lock();
        let due = batches.extract_if(.., |batch| batch.until_ns <= now_ns);
        due.flat_map(|batch| batch.keys).collect()
    }
}

/// What the mirror showed before it was read anew.
pub(super) struct Shown {
    ids: HashSet<KeyId>,
    young: HashMap<KeyId, Key>,
}

impl Shared {
    /// Has the youngest of what the mirror shows go on being shown, whatever is read next.
    ///
    /// # Errors
    /// If the mirror cannot be read.
    pub(super) async fn begin_to_fade(&self, incarnation: [u8; 16]) -> Result<Shown, Fault> {
        let reading = self.clock.read();
        let since = reading.wall.before(YOUNG);
        let gathered = Arc::new(Mutex::new((HashSet::new(), BTreeMap::new())));
        let gathering = Arc::clone(&gathered);
        let gather = Box::new(move |key: Key| {
            let (ids, young) = &mut *gathering.lock();
            ids.insert(key.id);
            let made = key.versions.iter().map(|version| version.created_at);
            if let Some(made) = made.max().filter(|made| *made >= since) {
                young.insert((made, key.id), key);
                if young.len() > YOUNG_MAX {
                    young.pop_first();
                }
            }
        });
        let read = self.mirror.tables().snapshot(gather).await;
        read.map_err(|source| self.mirror_fault(source))?;
        let (ids, young) = take(&mut *gathered.lock());
        let keys: Vec<Key> = young.into_values().collect();
        let young = keys.iter().map(|key| (key.id, key.clone())).collect();
        self.fading.add(Batch {
            incarnation,
            until_ns: reading.mono_ns.saturating_add(SHOWN_FOR_NS),
            keys,
        });
        Ok(Shown { ids, young })
    }

    /// Has only what the mirror, read anew, shows no more go on being shown, and tells of what is too old for that.
    ///
    /// # Errors
    /// If the mirror cannot be read.
    pub(super) async fn miss_since(&self, shown: Shown) -> Result<(), Fault> {
        let left = Arc::new(Mutex::new(shown));
        let leaving = Arc::clone(&left);
        let leave = Box::new(move |key: Key| {
            let Shown { ids, young } = &mut *leaving.lock();
            let id = key.id;
            ids.remove(&id);
            let was = young.remove(&id);
            if let Some(was) = was.filter(|was| with_lost_secrets(Some(key), was.clone()).is_some())
            {
                young.insert(id, was);
            }
        });
        let read = self.mirror.tables().snapshot(leave).await;
        read.map_err(|source| self.mirror_fault(source))?;
        let Shown { ids, young } = &*left.lock();
        self.fading.keep(|key| young.contains_key(&key.id));
        self.miss(
            ids.iter()
                .filter(|id| !young.contains_key(id))
                .copied()
                .collect(),
        );
        Ok(())
    }

    /// Stops showing what nobody has given back in its time.
    ///
    /// # Errors
    /// If the mirror cannot be read; it was let go of all the same.
    pub(super) async fn fade(&self) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        for key in self.fading.take_due(self.clock.read().mono_ns) {
            let id = key.id;
            let kept = match self.mirror.tables().key(id).await {
                Ok(kept) => kept,
                Err(StoreError::Corrupt { .. }) => continue,
                Err(error) => return Err(error),
            };
            if with_lost_secrets(kept, key).is_some() {
                gone.push(id);
            }
        }
        if !gone.is_empty() {
            self.miss(gone);
            self.mirror.renew();
        }
        Ok(())
    }
}

/// How long others have to give the store back what it has lost: a gate that was killed is back by then.
const SHOWN_FOR_NS: u64 = 15 * 1_000_000_000;
/// What was made within this time may be in a tail that was lost: the clocks of gates need not agree.
const YOUNG: Duration = Duration::from_secs(2 * 3_600);
/// How many are held, the youngest: what a store makes in some seconds.
const YOUNG_MAX: usize = 10_000;
