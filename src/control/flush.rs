//! Carries what the cores counted to the store, every second and at the end.
//!
//! A batch is frozen with a number; until the store has taken it, it is sent again under the same number,
//! so that it counts once, and new counts fold into the next. The last hours stay here by minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::control::usage::Minutes;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Tally, UsageBatch, UsageBucket, UsageRow};
use crate::state::usage::{OWN_PATHS, UsageKey, UsageRecorder};
use crate::store::{Store, StoreError};

/// Carries counts to the store.
pub(crate) struct Flush {
    store: Arc<dyn Store>,
    recorder: UsageRecorder,
    /// Names of routes, by their numbers.
    routes: Vec<Arc<str>>,
    node: Arc<str>,
    recent: Arc<Recent>,
    /// Held while a flush is under way: batches go out one after the other.
    state: tokio::sync::Mutex<State>,
    waiting: std::sync::atomic::AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// This run of the gate, once the store has given it a number.
    epoch: Option<u64>,
    seq: u64,
    /// What was sent and not answered.
    frozen: Option<Arc<UsageBatch>>,
    /// What came since.
    folding: HashMap<UsageKey, Tally>,
}

impl Flush {
    /// Carries the counts of `recorder`; `routes` are the names of its routes.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        recorder: UsageRecorder,
        routes: Vec<Arc<str>>,
        node: Arc<str>,
    ) -> Self {
        Self {
            store,
            recorder,
            routes,
            node,
            recent: Arc::default(),
            state: tokio::sync::Mutex::default(),
            waiting: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The last hours by minute.
    pub(crate) fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.recent)
    }

    /// Rows the store has not taken yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes what the cores counted and brings it to the store; what the store does not take is kept
    /// for the next time.
    ///
    /// # Errors
    /// What the store returns.
    pub(crate) async fn flush(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        let drained = self.recorder.drain();
        self.recent.add(&drained, &self.routes, now);
        for (key, tally) in drained {
            state.folding.entry(key).or_default().add(&tally);
        }
        let outcome = self.send(&mut state, now).await;
        let frozen = state.frozen.as_ref().map_or(0, |batch| batch.rows.len());
        let waiting = (frozen + state.folding.len()) as u64;
        self.waiting
            .store(waiting, std::sync::atomic::Ordering::Relaxed);
        outcome
    }

    async fn send(&self, state: &mut State, now: Timestamp) -> Result<(), StoreError> {
        loop {
            if state.frozen.is_none() && state.folding.is_empty() {
                return Ok(());
            }
            let epoch = match state.epoch {
                Some(epoch) => epoch,
                None => {
                    let epoch = self.store.begin_epoch(&self.node, now).await?;
                    *state.epoch.insert(epoch)
                }
            };
            if state.frozen.is_none() {
                state.seq += 1;
                let rows = std::mem::take(&mut state.folding);
                state.frozen = Some(Arc::new(UsageBatch {
                    node: Arc::clone(&self.node),
                    epoch,
                    seq: state.seq,
                    rows: rows
                        .into_iter()
                        .map(|(key, tally)| self.row(key, tally))
                        .collect(),
                }));
            }
            if let Some(batch) = &state.frozen {
                self.store.add_usage(Arc::clone(batch)).await?;
            }
            state.frozen = None;
        }
    }

    fn row(&self, key: UsageKey, tally: Tally) -> UsageRow {
        UsageRow {
            key: key.key,
            version: key.version,
            route: route(&self.routes, key.route),
            minute: key.minute,
            tally,
        }
    }
}

fn route(routes: &[Arc<str>], index: u16) -> Arc<str> {
    match routes.get(usize::from(index)) {
        Some(name) => Arc::clone(name),
        None if index == OWN_PATHS => "/.portcullis".into(),
        None => "unknown".into(),
    }
}

/// Counts of one minute, by key, version and route.
type ByPlace = HashMap<(KeyId, u16, Arc<str>), Tally>;

/// What was used in the last three hours, by minute.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_minute: Mutex<BTreeMap<u32, ByPlace>>,
}

impl Recent {
    fn add(&self, counts: &[(UsageKey, Tally)], routes: &[Arc<str>], now: Timestamp) {
        let mut by_minute = self.by_minute.lock();
        for (key, tally) in counts {
            let place = (key.key, key.version, route(routes, key.route));
            by_minute
                .entry(key.minute)
                .or_default()
                .entry(place)
                .or_default()
                .add(tally);
        }
        let oldest = u32::try_from(now.as_millis() / 60_000)
            .unwrap_or(0)
            .saturating_sub(KEPT);
        while by_minute
            .first_key_value()
            .is_some_and(|(minute, _)| *minute < oldest)
        {
            by_minute.pop_first();
        }
    }
}

impl Minutes for Recent {
    fn usage(&self, key: KeyId, from: Timestamp, to: Timestamp) -> Vec<UsageBucket> {
        let minute = |time: Timestamp| u32::try_from(time.as_millis() / 60_000).unwrap_or(u32::MAX);
        let by_minute = self.by_minute.lock();
        let wanted = by_minute
            .iter()
            .filter(|(at, _)| **at >= minute(from) && u64::from(**at) * 60_000 < to.as_millis());
        wanted
            .flat_map(|(at, places)| {
                let start = Timestamp::from_millis(u64::from(*at) * 60_000);
                places.iter().filter(|((of, ..), _)| *of == key).map(
                    move |((_, version, route), tally)| UsageBucket {
                        start,
                        version: *version,
                        route: Arc::clone(route),
                        tally: tally.clone(),
                    },
                )
            })
            .collect()
    }
}

/// How many minutes are kept: three hours.
const KEPT: u32 = 180;
