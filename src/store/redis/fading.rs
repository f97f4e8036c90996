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
use crate::store::{Feed as _, KeyStore as _};

/// Keys that are shown for a while, though the store may have lost them or secrets of theirs.
#[derive(Debug, Default)]
pub(super) struct Fading(Mutex<Vec<Batch>>);

#[derive(Debug)]
struct Batch {
    incarnation: [u8; 16],
    /// By the gate's clock, in nanoseconds; not known while the store is still being read.
    until_ns: Option<u64>,
    keys: Vec<Key>,
}

impl Fading {
    /// The keys of a store that fade.
    pub(super) fn keys(&self, incarnation: [u8; 16]) -> Vec<Key> {
        let batches = self.0.lock();
        let of_this = batches.iter().filter(|it| it.incarnation == incarnation);
        of_this.flat_map(|batch| batch.keys.clone()).collect()
    }

    /// Adds these in the place of older copies of them, with the secrets that only those have.
    fn add(&self, incarnation: [u8; 16], young: &mut HashMap<KeyId, Key>) {
        let mut batches = self.0.lock();
        for batch in &mut *batches {
            let is_of_this = batch.incarnation == incarnation;
            batch.keys.retain(|older| {
                let Some(newer) = young.get_mut(&older.id) else {
                    return true;
                };
                if is_of_this
                    && let Some(with) = with_lost_secrets(Some(newer.clone()), older.clone())
                {
                    *newer = with;
                }
                false
            });
        }
        batches.push(Batch {
            incarnation,
            until_ns: None,
            keys: young.values().cloned().collect(),
        });
        batches.retain(|batch| !batch.keys.is_empty());
    }

    /// Has the time of those begin that were added while the store was read, but for `whole`, which it has.
    fn begin(&self, whole: &HashSet<KeyId>, now_ns: u64) {
        for batch in &mut *self.0.lock() {
            batch.keys.retain(|key| !whole.contains(&key.id));
            let until_ns = now_ns.saturating_add(SHOWN_FOR_NS);
            batch.until_ns.get_or_insert(until_ns);
        }
    }

    /// The keys of a store whose time is over by `now_ns`; all whose time is over are let go of.
    fn take_due(&self, incarnation: [u8; 16], now_ns: u64) -> Vec<Key> {
        let mut batches = self.0.lock();
        let due = batches.extract_if(.., |batch| batch.until_ns.is_some_and(|it| it <= now_ns));
        let of_this = due.filter(|batch| batch.incarnation == incarnation);
        of_this.flat_map(|batch| batch.keys).collect()
    }
}

/// What the mirror showed before it was read anew.
#[derive(Default)]
pub(super) struct Shown {
    /// Those that it shows no more.
    ids: HashSet<KeyId>,
    young: HashMap<KeyId, Key>,
    /// The young ones that it shows still, with every secret.
    whole: HashSet<KeyId>,
}

impl Shared {
    /// Has the youngest of what the mirror shows go on being shown, whatever is read next.
    ///
    /// # Errors
    /// If the mirror cannot be read.
    pub(super) async fn begin_to_fade(&self, incarnation: [u8; 16]) -> Result<Shown, Fault> {
        let since = self.clock.now().before(YOUNG);
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
        let mut young = young.into_values().map(|key| (key.id, key)).collect();
        self.fading.add(incarnation, &mut young);
        Ok(Shown {
            ids,
            young,
            whole: HashSet::new(),
        })
    }

    /// Has only what the mirror, read anew, shows no more go on being shown, and tells of what is too old for that.
    ///
    /// # Errors
    /// If the mirror cannot be read.
    pub(super) async fn miss_since(&self, shown: Shown) -> Result<(), Fault> {
        let left = Arc::new(Mutex::new(shown));
        let leaving = Arc::clone(&left);
        let leave = Box::new(move |key: Key| {
            let Shown { ids, young, whole } = &mut *leaving.lock();
            let id = key.id;
            ids.remove(&id);
            if let Some(was) = young.get(&id)
                && with_lost_secrets(Some(key), was.clone()).is_none()
            {
                whole.insert(id);
            }
        });
        let read = self.mirror.tables().snapshot(leave).await;
        read.map_err(|source| self.mirror_fault(source))?;
        let Shown { ids, young, whole } = take(&mut *left.lock());
        self.fading.begin(&whole, self.clock.mono_ns());
        self.miss(
            ids.into_iter()
                .filter(|id| !young.contains_key(id))
                .collect(),
        );
        Ok(())
    }

    /// Stops showing what nobody has given back in its time, and tells of it.
    pub(super) async fn fade(&self) {
        let Some(stand) = self.mirror.stand() else {
            return;
        };
        let now_ns = self.clock.mono_ns();
        let mut gone = Vec::new();
        for key in self.fading.take_due(stand.incarnation, now_ns) {
            let id = key.id;
            // What cannot be read is not shown either.
            let kept = self.mirror.tables().key(id).await;
            if kept.map_or(true, |kept| with_lost_secrets(kept, key).is_some()) {
                gone.push(id);
            }
        }
        if !gone.is_empty() {
            self.miss(gone);
            self.mirror.renew();
        }
    }
}

/// How long others have to give the store back what it has lost: a gate that was killed is back by then.
const SHOWN_FOR_NS: u64 = 15 * 1_000_000_000;
/// What was made within this time may be in a tail that was lost: the clocks of gates need not agree.
const YOUNG: Duration = Duration::from_secs(2 * 3_600);
/// How many are held, the youngest: what a store makes in some seconds.
const YOUNG_MAX: usize = 10_000;
