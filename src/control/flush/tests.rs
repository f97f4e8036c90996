//! Counting exactly, whatever the store loses, the gate forgets and the disk refuses: random lives of a gate
//! over a store that is told what to do wrong.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::domain::id::KeyId;
use crate::domain::usage::{BatchMark, Step, UsageBucket};
use crate::state::usage::Spent;

/// A store in four shards, each with a marker of the gate, as Redis has it.
#[derive(Default)]
struct Shards {
    epoch: u64,
    now: State,
    /// The time, in milliseconds.
    at: u64,
    /// What it looked like after each thing that was done to it.
    history: Vec<(u64, State)>,
    lineage: u64,
    /// What the gate remembers of the shards: gone when it starts again.
    marks: BTreeMap<u8, BatchMark>,
    faults: Vec<Fault>,
    batches: usize,
}

#[derive(Debug, Clone, Default)]
struct State {
    markers: BTreeMap<u8, BatchMark>,
    counts: BTreeMap<KeyId, u64>,
    hours: HashSet<(KeyId, u32)>,
    last_used: BTreeMap<KeyId, Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is not there.
    Away,
    /// So many shards are told, and nothing is answered.
    Silent(usize),
    /// It fails over before so many shards are told, and has lost what it took in so many milliseconds.
    FailsOver(usize, u64),
}

struct Fake(Mutex<Shards>);

impl Shards {
    fn fail_over(&mut self, lag_ms: u64) {
        let from = self.at.saturating_sub(lag_ms);
        self.history.retain(|(at, _)| *at <= from);
        let last = self.history.last();
        self.now = last.map(|(_, state)| state.clone()).unwrap_or_default();
        self.lineage += 1;
    }

    fn add(&mut self, shard: u8, batch: &UsageBatch) -> bool {
        let marker = self.now.markers.get(&shard).copied();
        if marker.is_some_and(|marker| marker >= batch.mark()) {
            let mark = self.marks.entry(shard).or_default();
            *mark = batch.mark().max(*mark);
            return true;
        }
        if self.marks.get(&shard).copied() > marker {
            return false;
        }
        for row in batch.rows.iter().filter(|row| shard_of(row.key) == shard) {
            *self.now.counts.entry(row.key).or_default() += row.tally.requests;
            self.now.hours.insert((row.key, row.minute / 60));
            let last = self.now.last_used.entry(row.key).or_default();
            *last = row.tally.last_used_at.unwrap_or_default().max(*last);
        }
        self.now.markers.insert(shard, batch.mark());
        self.marks.insert(shard, batch.mark());
        self.history.push((self.at, self.now.clone()));
        true
    }
}

#[async_trait]
impl UsageStore for Fake {
    async fn begin_epoch(&self, _: &str, _: Timestamp) -> Result<u64, StoreError> {
        let mut shards = self.0.lock();
        shards.epoch += 1;
        Ok(shards.epoch)
    }

    async fn add_usage(&self, batch: Arc<UsageBatch>) -> Result<Added, StoreError> {
        let mut shards = self.0.lock();
        let fault = shards.faults.pop();
        let told = match fault {
            Some(Fault::Away) => return Err(StoreError::unavailable("away")),
            Some(Fault::Silent(told)) => told,
            _ => usize::MAX,
        };
        shards.batches += 1;
        let touched: HashSet<u8> = batch.rows.iter().map(|row| shard_of(row.key)).collect();
        let mut is_behind = false;
        for (at, shard) in touched.into_iter().enumerate() {
            if let Some(Fault::FailsOver(before, lag)) = fault
                && before == at
            {
                shards.fail_over(lag);
            }
            if at == told {
                return Err(StoreError::unavailable("silent"));
            }
            is_behind |= !shards.add(shard, &batch);
        }
        if matches!(fault, Some(Fault::Silent(_))) {
            return Err(StoreError::unavailable("silent"));
        }
        if is_behind {
            shards.marks.clear();
            return Ok(Added::Behind);
        }
        Ok(Added::Counted)
    }

    fn lineage(&self) -> u64 {
        self.0.lock().lineage
    }

    async fn usage(
        &self,
        _: KeyId,
        _: Step,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<UsageBucket>, StoreError> {
        Ok(Vec::new())
    }

    async fn last_used(&self, _: KeyId) -> Result<Vec<(u16, Timestamp)>, StoreError> {
        Ok(Vec::new())
    }
}

/// A gate in front of the store: what it counts, and what it should have.
struct Gate {
    store: Arc<Fake>,
    recorder: UsageRecorder,
    flush: Flush,
    now: Timestamp,
    counted: BTreeMap<KeyId, u64>,
}

impl Gate {
    fn start(store: &Arc<Fake>, dir: Option<&Path>) -> Self {
        let recorder = UsageRecorder::new(1);
        let flush = Flush::new(
            Arc::clone(store) as Arc<dyn UsageStore>,
            recorder.clone(),
            vec!["r".into()],
            "gate-1".into(),
        );
        let flush = match dir {
            Some(dir) => {
                let (spool, found) = Spool::open(dir).unwrap();
                flush.spooling(spool, found)
            }
            None => flush,
        };
        Self {
            store: Arc::clone(store),
            recorder,
            flush,
            now: Timestamp::from_millis(1_780_000_000_000),
            counted: BTreeMap::new(),
        }
    }

    /// Killed, and started again: what is in memory is gone.
    fn restart(&mut self, dir: &Path) {
        self.store.0.lock().marks.clear();
        let before = std::mem::take(&mut self.counted);
        let now = self.now;
        *self = Self::start(&self.store, Some(dir));
        (self.counted, self.now) = (before, now);
    }

    fn use_key(&mut self, number: u8, requests: u64) {
        self.use_one(key(number), requests);
    }

    fn use_one(&mut self, key: KeyId, requests: u64) {
        let what = UsageKey {
            key,
            version: 1,
            route: 0,
            minute: u32::try_from(self.now.as_millis() / 60_000).unwrap(),
        };
        for _ in 0..requests {
            let spent = Spent {
                status: 200,
                ..Spent::default()
            };
            self.recorder.admitted(0, what, self.now, &spent);
        }
        *self.counted.entry(key).or_default() += requests;
    }

    async fn second(&mut self) {
        self.store.0.lock().at += 1_000;
        self.now = self.now.after(Duration::from_secs(1));
        self.flush.freeze(self.now).await.unwrap();
        // What it did not take waits.
        let now_ns = self.store.0.lock().at * 1_000_000;
        let _ = self.flush.send(now_ns).await;
    }

    async fn settle(&mut self) {
        self.store.0.lock().faults.clear();
        for _ in 0..3 {
            self.second().await;
        }
        assert_eq!(self.store.0.lock().now.counts, self.counted);
        let standing = self.flush.standing();
        assert_eq!(standing, Standing::default());
    }
}

fn key(number: u8) -> KeyId {
    KeyId::from_random([number; 10])
}

fn shard_of(key: KeyId) -> u8 {
    key.as_bytes()[0] % 4
}

fn fake() -> Arc<Fake> {
    Arc::new(Fake(Mutex::default()))
}

/// SplitMix64; the seed names the life.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % below
}

/// In 300 random lives of a gate, with answers lost, outages, failovers that lose up to nine seconds and
/// kills between two seconds, every request that was frozen is counted exactly once.
// S1-14
#[tokio::test]
async fn what_was_frozen_is_counted_once_whatever_is_lost_on_the_way() {
    for seed in 0..300 {
        let random = &mut (seed << 8);
        let dir = tempfile::tempdir().unwrap();
        let store = fake();
        let mut gate = Gate::start(&store, Some(dir.path()));
        for _ in 0..60 {
            for _ in 0..draw(random, 4) {
                let number = draw(random, 8) as u8;
                let requests = 1 + draw(random, 5);
                gate.use_key(number, requests);
            }
            {
                let mut shards = store.0.lock();
                match draw(random, 12) {
                    0 => shards.faults.push(Fault::Silent(draw(random, 4) as usize)),
                    1 => {
                        let lag = draw(random, 9_000);
                        let before = draw(random, 3) as usize;
                        shards.faults.push(Fault::FailsOver(before, lag));
                    }
                    2 => {
                        let lag = draw(random, 9_000);
                        shards.fail_over(lag);
                    }
                    3 => {
                        let seconds = 1 + draw(random, 30) as usize;
                        shards.faults = vec![Fault::Away; seconds];
                    }
                    _ => {}
                }
            }
            gate.second().await;
            // Where a failover meets a kill, the store has forgotten what the gate has too.
            if draw(random, 10) == 0 {
                gate.restart(dir.path());
            }
        }
        gate.settle().await;
    }
}

/// An hour without the store: what is kept neither grows with time nor loses a count, and the store is not
/// sent an hour's worth of batches afterwards.
#[tokio::test]
async fn an_hour_without_the_store_folds_into_a_few_batches() {
    for is_spooled in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = fake();
        let mut gate = Gate::start(&store, is_spooled.then_some(dir.path()));
        store.0.lock().faults = vec![Fault::Away; 3_600];
        for _ in 0..3_600 {
            (0..8).for_each(|number| gate.use_key(number, 1));
            gate.second().await;
        }
        let standing = gate.flush.standing();
        let batches = standing.spooled + standing.queued;
        assert!((1..40).contains(&batches), "{standing:?}");
        assert_eq!(standing.spooled > 0, is_spooled, "{standing:?}");
        assert!(standing.rows < 1_000, "{standing:?}");
        assert_eq!(standing.lost, 0);
        gate.settle().await;
        let shards = store.0.lock();
        assert!(shards.batches < 50, "{}", shards.batches);
        // Each hour has its own, and last uses came along.
        assert_eq!(shards.now.hours.len(), 16);
        let last = gate.now.before(Duration::from_secs(4));
        assert!(shards.now.last_used.values().all(|at| *at == last));
    }
}

/// Ten thousand keys in use, and no store: memory holds a few seconds of them, the disk a few times all.
#[tokio::test]
async fn many_keys_without_the_store_fill_neither_memory_nor_disk() {
    const KEYS: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let store = fake();
    let mut gate = Gate::start(&store, Some(dir.path()));
    store.0.lock().faults = vec![Fault::Away; 60];
    for _ in 0..60 {
        for number in 0..KEYS {
            let digit = |at: u32| (number / 62_usize.pow(at) % 62) as u8;
            let key = KeyId::from_random([digit(0), digit(1), digit(2), 1, 1, 1, 1, 1, 1, 1]);
            gate.use_one(key, 1);
        }
        gate.second().await;
        assert!(gate.flush.backlog.held_rows() <= 10 * KEYS);
    }
    let folder = std::fs::read_dir(dir.path().join("usage")).unwrap();
    let bytes: u64 = folder.map(|it| it.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 20 * 100 * KEYS as u64, "{bytes}");
    gate.settle().await;
}

/// What the store had for ten seconds is let go of; before that it is sent again to another master, in use or
/// idle.
#[tokio::test]
async fn only_the_last_seconds_are_kept_after_they_were_counted() {
    let dir = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(dir.path().join("usage")).unwrap().count();
    let store = fake();
    let mut gate = Gate::start(&store, Some(dir.path()));
    gate.use_key(1, 3);
    gate.second().await;
    for _ in 0..9 {
        gate.second().await;
        assert_eq!(files(), 1);
    }
    store.0.lock().fail_over(9_500);
    assert!(store.0.lock().now.counts.is_empty());
    gate.second().await;
    assert_eq!(store.0.lock().now.counts, gate.counted);
    for _ in 0..10 {
        gate.second().await;
    }
    assert_eq!(files(), 0);
}

/// A disk that takes nothing: memory holds it, and says so.
#[tokio::test]
async fn a_disk_that_takes_nothing_loses_nothing_while_there_is_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = fake();
    let mut gate = Gate::start(&store, Some(dir.path()));
    std::fs::remove_dir(dir.path().join("usage")).unwrap();
    store.0.lock().faults = vec![Fault::Away; 100];
    for _ in 0..100 {
        gate.use_key(1, 1);
        gate.second().await;
    }
    let standing = gate.flush.standing();
    assert_eq!((standing.spooled, standing.lost), (0, 0));
    assert!((1..20).contains(&standing.queued), "{standing:?}");
    gate.settle().await;
}

/// A batch whose file was damaged is told of as lost, with what it counted, and holds up nothing.
#[tokio::test]
async fn a_damaged_batch_is_lost_and_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let store = fake();
    let mut gate = Gate::start(&store, Some(dir.path()));
    store.0.lock().faults = vec![Fault::Away; 2];
    gate.use_key(1, 7);
    gate.second().await;
    gate.use_key(2, 5);
    gate.second().await;
    let folder = std::fs::read_dir(dir.path().join("usage")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    std::fs::write(&files[0], "damaged").unwrap();
    gate.restart(dir.path());
    gate.second().await;
    let standing = gate.flush.standing();
    assert_eq!((standing.spooled, standing.lost), (0, 7));
    let expected = BTreeMap::from([(key(2), 5)]);
    assert_eq!(store.0.lock().now.counts, expected);
}

/// A disk that gives a batch later is waited for, and nothing goes out before it.
#[tokio::test]
async fn a_batch_that_cannot_be_read_now_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = fake();
    let mut gate = Gate::start(&store, Some(dir.path()));
    store.0.lock().faults = vec![Fault::Away; 1];
    gate.use_key(1, 7);
    gate.second().await;
    gate.restart(dir.path());
    let mut folder = std::fs::read_dir(dir.path().join("usage")).unwrap();
    let file = folder.next().unwrap().unwrap().path();
    let away = dir.path().join("away");
    // What is no file cannot be read.
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    gate.use_key(2, 5);
    gate.second().await;
    let standing = gate.flush.standing();
    assert_eq!((standing.spooled, standing.lost), (2, 0));
    assert_eq!(store.0.lock().now.counts, BTreeMap::new());

    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    gate.second().await;
    let expected = BTreeMap::from([(key(1), 7), (key(2), 5)]);
    assert_eq!(store.0.lock().now.counts, expected);
    assert_eq!(gate.flush.standing().lost, 0);
}
