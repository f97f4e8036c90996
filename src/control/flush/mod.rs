//! Carries what the cores counted to the store, every second and at the end.
//!
//! A batch is frozen with a number each second, onto this gate's disk where the store is elsewhere. It is sent
//! under that number until the store has taken it, in order, and so counts once; where the store may have lost
//! the last seconds, as in a failover, those are sent again. The last hours stay here by minute.
//!
//! | file | what it does |
//! |---|---|
//! | `backlog` | frozen batches until the store surely has them: on the disk, folded, sent again |
//! | `recent` | the last hours by minute |
//!
//! **Invariant:** batches go out in the order of their numbers, one at a time, and one that may have been sent
//! is never changed.

mod backlog;
mod recent;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::domain::time::{Reading, Timestamp};
use crate::domain::usage::{Tally, UsageBatch, UsageRow};
use crate::state::usage::{OWN_PATHS, UsageKey, UsageRecorder};
use crate::store::spool::{Spool, Spooled};
use crate::store::{Added, StoreError, UsageStore};

use backlog::Backlog;
pub(crate) use backlog::Standing;
pub(crate) use recent::Recent;

/// Carries counts to the store.
pub(crate) struct Flush {
    store: Arc<dyn UsageStore>,
    recorder: UsageRecorder,
    /// Names of routes, by their numbers.
    routes: Vec<Arc<str>>,
    node: Arc<str>,
    recent: Arc<Recent>,
    backlog: Backlog,
    /// Held while a batch is frozen.
    freezing: tokio::sync::Mutex<Freezing>,
    /// Held while batches are sent: they go out one after the other. The lineage of the store when the last
    /// one did.
    sending: tokio::sync::Mutex<Option<u64>>,
    /// Rows that are not frozen yet.
    unfrozen: AtomicU64,
    /// Rung when something was frozen, or should have been.
    news: Notify,
}

#[derive(Debug, Default)]
struct Freezing {
    /// This run of the gate, once the store has given it a number.
    epoch: Option<u64>,
    seq: u64,
    /// What is not in a batch yet.
    folding: HashMap<UsageKey, Tally>,
}

impl Flush {
    /// Carries the counts of `recorder`; `routes` are the names of its routes.
    pub(crate) fn new(
        store: Arc<dyn UsageStore>,
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
            backlog: Backlog::new(None),
            freezing: tokio::sync::Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            unfrozen: AtomicU64::new(0),
            news: Notify::new(),
        }
    }

    /// The same, which keeps batches in `spool` until the store surely has them, first of all those found there.
    pub(crate) fn spooling(self, spool: Spool, found: Vec<Spooled>) -> Self {
        Self {
            backlog: Backlog::new(Some((spool, found))),
            ..self
        }
    }

    /// The last hours by minute.
    pub(crate) fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.recent)
    }

    /// How much the store has not taken yet.
    pub(crate) fn standing(&self) -> Standing {
        let standing = self.backlog.standing();
        Standing {
            rows: standing.rows + self.unfrozen.load(Ordering::Relaxed),
            ..standing
        }
    }

    /// Takes what the cores counted and brings it to the store; what the store does not take is kept
    /// for the next time.
    ///
    /// # Errors
    /// What the store returns.
    pub(crate) async fn flush(&self, now: Reading) -> Result<(), StoreError> {
        let frozen = self.freeze(now.wall).await;
        self.send(now.mono_ns).await.and(frozen)
    }

    /// Takes what the cores counted, and makes it a batch. Never waits for a store that is elsewhere.
    ///
    /// # Errors
    /// If this run has no number yet and gets none; what was counted is kept for the next time.
    pub(crate) async fn freeze(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut freezing = self.freezing.lock().await;
        let drained = self.recorder.drain();
        self.recent.add(&drained, &self.routes, now);
        for (key, tally) in drained {
            freezing.folding.entry(key).or_default().add(&tally);
        }
        let frozen = self.freeze_all(&mut freezing, now).await;
        self.unfrozen
            .store(freezing.folding.len() as u64, Ordering::Relaxed);
        self.news.notify_one();
        frozen
    }

    /// Waits until there may be something to send.
    pub(crate) async fn frozen(&self) {
        self.news.notified().await;
    }

    async fn freeze_all(&self, freezing: &mut Freezing, now: Timestamp) -> Result<(), StoreError> {
        if freezing.folding.is_empty() {
            return Ok(());
        }
        let epoch = match freezing.epoch {
            Some(epoch) => epoch,
            None => match self.store.begin_epoch(&self.node, now).await {
                Ok(epoch) => *freezing.epoch.insert(epoch),
                Err(error) => {
                    coarsen(&mut freezing.folding);
                    return Err(error);
                }
            },
        };
        freezing.seq += 1;
        let rows = std::mem::take(&mut freezing.folding);
        let rows = rows.into_iter().map(|(key, tally)| self.row(key, tally));
        let batch = UsageBatch {
            node: Arc::clone(&self.node),
            epoch,
            seq: freezing.seq,
            rows: rows.collect(),
        };
        self.backlog.push(batch).await;
        Ok(())
    }

    /// Sends what is frozen, in order; `now_ns` by the monotonic clock.
    ///
    /// # Errors
    /// What the store returns; what it did not take is sent again the next time.
    pub(crate) async fn send(&self, now_ns: u64) -> Result<(), StoreError> {
        let mut sent_to = self.sending.lock().await;
        let lineage = self.store.lineage();
        if sent_to.is_some_and(|before| before != lineage) {
            self.backlog.again();
        }
        *sent_to = Some(lineage);
        let mut was_behind = false;
        while let Some(batch) = self.backlog.next().await? {
            let mark = batch.mark();
            match self.store.add_usage(batch).await? {
                Added::Counted => self.backlog.counted(mark, now_ns),
                Added::Behind if was_behind => {
                    return Err(StoreError::unavailable("it keeps losing what it counted"));
                }
                Added::Behind => {
                    tracing::warn!(
                        "the store has lost usage it had counted, sending the last seconds again"
                    );
                    was_behind = true;
                    self.backlog.again();
                }
            }
        }
        self.backlog.forget(now_ns).await;
        Ok(())
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

/// Keeps what cannot be frozen from growing with time.
fn coarsen(counts: &mut HashMap<UsageKey, Tally>) {
    if counts.len() < COARSE_FROM {
        return;
    }
    for (key, tally) in std::mem::take(counts) {
        let minute = key.minute - key.minute % 60;
        let hour = UsageKey { minute, ..key };
        counts.entry(hour).or_default().add(&tally);
    }
}

fn route(routes: &[Arc<str>], index: u16) -> Arc<str> {
    match routes.get(usize::from(index)) {
        Some(name) => Arc::clone(name),
        None if index == OWN_PATHS => "/.portcullis".into(),
        None => "unknown".into(),
    }
}

/// How many rows wait for a number by the minute.
const COARSE_FROM: usize = 100_000;
