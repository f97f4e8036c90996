//! Thresholds of quotas: each an event in the outbox, once, whichever gate sees it first.
//!
//! What is seen is noted, and a task of its own gathers it into one change a second: no request waits for
//! it, and many keys that reach a threshold at once do not flood the store. The id of an event is made of what
//! it tells. A change is made of events that the outbox lacks, and lands at the revision it expects or not at
//! all: of two gates that tell at once the second finds it told.
//!
//! Only what was told is then remembered in the quota's row, which spares later looks. So what a crash cuts
//! off is told by whoever draws next, and not twice.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use parking_lot::Mutex;

use crate::control::ControlError;
use crate::control::writer::{Draft, Writer};
use crate::domain::change::Write;
use crate::domain::draw::{Reached, THRESHOLDS};
use crate::store::{Store, StoreError};

/// Tells of thresholds.
pub(crate) struct Thresholds {
    store: Arc<dyn Store>,
    writer: Arc<Writer>,
    waiting: Mutex<VecDeque<Reached>>,
    counts: [AtomicU64; THRESHOLDS.len()],
}

impl Thresholds {
    pub(crate) fn new(store: Arc<dyn Store>, writer: Arc<Writer>) -> Self {
        Self {
            store,
            writer,
            waiting: Mutex::default(),
            counts: Default::default(),
        }
    }

    /// Has a threshold told of before long; `false` if too many wait: then it is to be noted again.
    #[must_use]
    pub(super) fn note(&self, reached: Reached) -> bool {
        let mut waiting = self.waiting.lock();
        let is_room = waiting.len() < WAITING_MAX;
        if is_room {
            waiting.push_back(reached);
        }
        is_room
    }

    /// Tells of those that have waited longest, as one change; returns them, told by this gate or another.
    ///
    /// # Errors
    /// What the store returns; they wait on.
    pub(super) async fn tell(&self) -> Result<Vec<Reached>, ControlError> {
        let some: Vec<Reached> = {
            let mut waiting = self.waiting.lock();
            let count = waiting.len().min(TOGETHER);
            waiting.drain(..count).collect()
        };
        if some.is_empty() {
            return Ok(some);
        }
        let draft = || self.draft(&some).boxed();
        match self.writer.commit(draft).await {
            Ok(done) => {
                self.count(&done.value);
                Ok(some)
            }
            Err(error) => {
                let mut waiting = self.waiting.lock();
                for reached in some.into_iter().rev() {
                    waiting.push_front(reached);
                }
                Err(error)
            }
        }
    }

    /// The events that the outbox lacks, and of how many per cent each tells.
    async fn draft(&self, some: &[Reached]) -> Result<Draft<Vec<u8>>, ControlError> {
        let ids: Vec<_> = some.iter().map(Reached::event_id).collect();
        let mut told: HashSet<_> = self.store.told(&ids).await?;
        let (mut writes, mut percents) = (Vec::new(), Vec::new());
        for (reached, id) in some.iter().zip(ids) {
            if !told.insert(id) {
                continue;
            }
            let key = match self.store.key(reached.place.key).await {
                Ok(Some(key)) => key,
                // There is nothing to say of a key that is not there or cannot be read.
                Ok(None) | Err(StoreError::Corrupt { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            writes.push(Write::Event(reached.event(&key)));
            percents.push(reached.percent);
        }
        Ok(Draft {
            writes,
            audit: Vec::new(),
            value: percents,
        })
    }

    fn count(&self, percents: &[u8]) {
        for percent in percents {
            let at = THRESHOLDS.iter().position(|it| it == percent);
            if let Some(count) = at.and_then(|at| self.counts.get(at)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How often this gate told of each threshold.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u8, u64)> {
        let counts = self.counts.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        THRESHOLDS.into_iter().zip(counts)
    }
}

/// How many events go into one change, and so into the store in a second.
const TOGETHER: usize = 256;
/// How many wait at most; what does not fit stays where it was seen.
const WAITING_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::control::writer::Applied;
    use crate::domain::change::{Change, ChangeId, Revision};
    use crate::domain::draw::QuotaPlace;
    use crate::domain::event::{EventKind, EventPlace};
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::key::{Key, KeySettings};
    use crate::domain::lifecycle::{Birth, create};
    use crate::domain::period::Span;
    use crate::domain::secret::{Fingerprint, KeyHash};
    use crate::domain::time::{Clock, Reading, Timestamp};
    use crate::store::Feed as _;
    use crate::store::embedded::EmbeddedStore;

    struct Still;

    impl Clock for Still {
        fn read(&self) -> Reading {
            Reading {
                wall: at(1_000),
                mono_ns: 0,
            }
        }
    }

    /// Nobody waits for a cache here.
    struct Nobody;

    #[async_trait]
    impl Applied for Nobody {
        async fn reached(&self, _: Revision) {}
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn key(number: u8) -> Key {
        let birth = Birth {
            id: KeyId::from_random([number; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [number; 32],
            },
            fingerprint: Fingerprint::from_bytes([number; 6]),
            created_by: "tok_x".into(),
        };
        create(birth, KeySettings::named("k"), at(1_000))
    }

    fn reached(number: u8, percent: u8) -> Reached {
        Reached {
            place: QuotaPlace {
                key: key(number).id,
                quota: "key-day".into(),
                span: Span {
                    first_day: 1,
                    end_day: 2,
                },
            },
            limit: 100,
            percent,
            spent: percent.into(),
            at: at(1_000),
        }
    }

    async fn store_with(keys: &[u8]) -> (tempfile::TempDir, Arc<dyn Store>) {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path(), Arc::new(Still)).unwrap();
        let change = Change {
            id: ChangeId([1; 16]),
            expect: Revision(0),
            writes: keys.iter().map(|number| Write::Key(key(*number))).collect(),
            audit: Vec::new(),
        };
        store.commit(change).await.unwrap();
        (dir, Arc::new(store))
    }

    fn gate(store: &Arc<dyn Store>) -> Thresholds {
        let writer = Writer::new(Arc::clone(store), Arc::new(Nobody));
        Thresholds::new(Arc::clone(store), Arc::new(writer))
    }

    async fn outbox(store: &Arc<dyn Store>) -> Vec<(EventPlace, u64)> {
        let events = store.events(EventPlace::default(), 1_000).await.unwrap();
        let percent = |place, event: crate::domain::event::Event| {
            assert_eq!(event.kind, EventKind::QuotaReached);
            (place, event.data["percent"].as_u64().unwrap())
        };
        let events = events.into_iter();
        events.map(|(place, event)| percent(place, event)).collect()
    }

    /// Two gates see the same at the same time, each with a turn of its own to the store.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_two_gates_that_tell_at_once_one_does() {
        let (_dir, store) = store_with(&[1, 2, 3]).await;
        let (one, other) = (gate(&store), gate(&store));
        let mut seen = 0;
        for percent in THRESHOLDS {
            for number in 1..=3 {
                seen += 1;
                assert!(one.note(reached(number, percent)));
                assert!(other.note(reached(number, percent)));
            }
            let (told, also_told) = tokio::join!(one.tell(), other.tell());
            // Both may forget it, whoever of them told.
            assert_eq!((told.unwrap().len(), also_told.unwrap().len()), (3, 3));
            assert_eq!(outbox(&store).await.len(), seen);
        }
        let by_both = one.counts().zip(other.counts());
        for ((percent, here), (_, there)) in by_both {
            assert_eq!(here + there, 3, "{percent}");
        }
        store.close().await;
    }

    /// What a gate told and forgot, because it was killed before the quota's row knew it, is not told again.
    #[tokio::test]
    async fn what_was_told_before_a_crash_is_not_told_again() {
        let (_dir, store) = store_with(&[1]).await;
        let before = gate(&store);
        assert!(before.note(reached(1, 50)));
        before.tell().await.unwrap();
        let after = gate(&store);
        assert!(after.note(reached(1, 50)) && after.note(reached(1, 80)));
        // Of a key that is not there nothing is told, and nothing is held up by it.
        assert!(after.note(reached(9, 50)));
        assert_eq!(after.tell().await.unwrap().len(), 3);
        let told: Vec<_> = outbox(&store).await.iter().map(|(_, it)| *it).collect();
        assert_eq!(told, [50, 80]);
        assert_eq!(after.counts().map(|(_, count)| count).sum::<u64>(), 1);
        store.close().await;
    }

    #[tokio::test]
    async fn many_make_few_changes_and_what_does_not_fit_is_noted_again() {
        let (_dir, store) = store_with(&[1]).await;
        let gate = gate(&store);
        let before = store.revision().await.unwrap();
        for limit in 1..=300 {
            assert!(gate.note(Reached {
                limit,
                ..reached(1, 50)
            }));
        }
        assert_eq!(gate.tell().await.unwrap().len(), TOGETHER);
        assert_eq!(gate.tell().await.unwrap().len(), 300 - TOGETHER);
        assert!(gate.tell().await.unwrap().is_empty());
        assert_eq!(store.revision().await.unwrap().0, before.0 + 2);
        assert_eq!(outbox(&store).await.len(), 300);

        for _ in 0..WAITING_MAX {
            assert!(gate.note(reached(1, 80)));
        }
        assert!(!gate.note(reached(1, 80)));
        store.close().await;
    }

    /// A store that is away loses nothing: it waits, in its order.
    #[tokio::test]
    async fn what_cannot_be_told_waits() {
        let (_dir, store) = store_with(&[1]).await;
        let gate = gate(&store);
        assert!(gate.note(reached(1, 50)) && gate.note(reached(1, 80)));
        store.close().await;
        gate.tell().await.unwrap_err();
        let waiting: Vec<_> = gate.waiting.lock().iter().map(|it| it.percent).collect();
        assert_eq!(waiting, [50, 80]);
    }
}
