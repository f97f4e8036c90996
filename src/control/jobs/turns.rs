//! Turns: each looks at a page of keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::control::ControlError;
use crate::control::keys::Rules;
use crate::control::sinks::{Handover, Sinks};
use crate::control::writer::{Done, Drafting, ORDINARY, Writer};
use crate::domain::id::KeyId;
use crate::domain::query::{KeyQuery, KeySort, Position};
use crate::domain::time::{Clock, Timestamp};
use crate::store::Store;

use super::lease::{Lease, Tenure};
use super::rotate::Undelivered;

/// Walks over all keys and does what is due.
pub struct Jobs {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) writer: Arc<Writer>,
    /// How secrets are made.
    pub(super) making: Rules,
    pub(super) sinks: Sinks,
    /// Secrets made by hand that no sink has yet.
    handover: Option<Arc<Handover>>,
    /// How long ended secrets are still attributed.
    pub(super) tombstones_kept: Duration,
    pub(super) lease: Arc<dyn Lease>,
    state: tokio::sync::Mutex<State>,
    walks: AtomicU64,
}

/// What is remembered from turn to turn; none of it is needed after a restart.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Where the walk goes on; `None` between two.
    pub(super) after: Option<Position>,
    /// When the last walk ended.
    walked_at: Option<Timestamp>,
    /// Secrets whose sink did not take them yet.
    pub(super) undelivered: HashMap<KeyId, Undelivered>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// There was nothing to do yet.
    Idle,
    /// There is more to do.
    More,
    /// All keys have been looked at.
    Walked,
}

impl Jobs {
    /// Jobs over `store`; new secrets go to `sinks`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        making: Rules,
        sinks: Sinks,
        lease: Arc<dyn Lease>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            making,
            sinks,
            handover: None,
            tombstones_kept: Rules::TOMBSTONES_KEPT,
            lease,
            state: tokio::sync::Mutex::default(),
            walks: AtomicU64::new(0),
        }
    }

    /// The same, which also hands over what was made by hand and its sink did not take.
    #[must_use]
    pub fn handing_over(mut self, handover: Arc<Handover>) -> Self {
        self.handover = Some(handover);
        self
    }

    /// The same, which forgets ended secrets after this long.
    #[must_use]
    pub const fn forgetting_after(mut self, span: Duration) -> Self {
        self.tombstones_kept = span;
        self
    }

    /// Looks after the next page of keys, if it is time to.
    ///
    /// # Errors
    /// If the store cannot be read. What goes wrong with one key is said in the log, and the others are
    /// looked after all the same.
    pub async fn turn(&self) -> Result<Turn, ControlError> {
        let mut state = self.state.lock().await;
        // Whichever gate does the jobs: what was made here is known here alone.
        if let Some(handover) = &self.handover {
            handover.again().await;
        }
        let now = self.clock.now();
        // A clock that was set back makes a walk come early, not late.
        let is_early = state
            .walked_at
            .is_some_and(|last| last <= now && now.since(last) < WALK_EVERY);
        // Asked for with every turn, also while there is nothing to do: what is held is kept.
        if !self.has_work().await || (state.after.is_none() && is_early) {
            return Ok(Turn::Idle);
        }
        let query = KeyQuery {
            now,
            ..KeyQuery::default()
        };
        let page = self
            .store
            .keys(&query, KeySort::default(), PAGE, state.after.clone())
            .await?;
        let rules = self.store.rules().await?;
        for row in page.items {
            let id = row.key.id;
            if let Err(error) = self.look_after(row, &rules, &mut state).await {
                if matches!(error, ControlError::Fenced(_)) {
                    // Another gate goes on.
                    return Ok(Turn::Idle);
                }
                let error = &error as &dyn std::error::Error;
                tracing::warn!(key.id = %id, error, "what is due for a key could not be done");
            }
        }
        state.after = page.next;
        if state.after.is_some() {
            return Ok(Turn::More);
        }
        state.walked_at = Some(now);
        if let Err(error) = self.drop_idle_rules(&rules).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "rules of revoked keys could not be taken away");
        }
        self.walks.fetch_add(1, Ordering::Relaxed);
        Ok(Turn::Walked)
    }

    /// Whether any of what a walk does is this gate's to do.
    async fn has_work(&self) -> bool {
        let mut is_any = self.lease.hold(JOB).await.is_some();
        for sink in self.sinks.iter() {
            is_any |= self.lease.hold_sink(sink).await.is_some();
        }
        is_any
    }

    /// Commits a change of a job, while that is this gate's.
    pub(super) async fn commit<'a, T: Send>(
        &self,
        tenure: &Tenure,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let done = self
            .writer
            .commit_held(tenure.fence(), ORDINARY, draft)
            .await;
        if matches!(done, Err(ControlError::Fenced(_))) {
            self.lease.lost(tenure);
        }
        done
    }

    /// How often all keys have been looked at.
    pub(crate) fn walks(&self) -> u64 {
        self.walks.load(Ordering::Relaxed)
    }

    /// Takes turns for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut interval = tokio::time::interval(TURN_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_away = false;
        loop {
            interval.tick().await;
            match self.turn().await {
                Ok(_) => is_away = false,
                Err(error) if !is_away => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the store cannot be read, jobs wait");
                    is_away = true;
                }
                Err(_) => {}
            }
        }
    }
}

/// The walk: warnings, ends, what is forgotten. Each sink is a job of its own.
pub(super) const JOB: &str = "rotation";
/// How many keys a turn looks at: a few milliseconds where nothing is due.
const PAGE: usize = 256;
/// How often a turn is taken; a million keys are walked over in about thirteen minutes.
const TURN_EVERY: Duration = Duration::from_millis(200);
/// How long after one walk, by the gate's clock, the next begins.
const WALK_EVERY: Duration = Duration::from_secs(60);
