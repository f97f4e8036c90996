//! Has the requests on this gate's disk follow the erasure of owners, whichever gate erased them.
//!
//! Every erasure is an audit entry, which every gate has. Those of as long as requests are kept are looked
//! at when a gate starts, and new ones as changes come; so none is missed by a gate that was away or was
//! killed over it, and doing one again does nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::control::ControlError;
use crate::domain::audit::Action;
use crate::domain::audit::query::{AuditQuery, Kind};
use crate::domain::change::Revision;
use crate::domain::id::OwnerId;
use crate::domain::time::Clock;
use crate::store::requests::RequestLog;
use crate::store::{Store, StoreError};

/// Follows erasures.
pub(crate) struct Erasures {
    store: Arc<dyn Store>,
    log: Arc<RequestLog>,
    clock: Arc<dyn Clock>,
    /// For how long requests are kept.
    kept: Duration,
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    /// The store as it was looked at last.
    revision: Option<Revision>,
    /// How many turns ago that was.
    turns: u32,
    /// The numbers of the entries that were followed.
    entries: HashSet<u64>,
}

impl Erasures {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        log: Arc<RequestLog>,
        clock: Arc<dyn Clock>,
        kept: Duration,
    ) -> Self {
        Self {
            store,
            log,
            clock,
            kept,
            done: Mutex::default(),
        }
    }

    /// Follows what was erased since the last turn.
    ///
    /// # Errors
    /// What the store returns, or the disk; the next turn takes it up again.
    pub(crate) async fn turn(&self) -> Result<(), ControlError> {
        let revision = self.store.revision().await?;
        if !self.is_due(revision) {
            return Ok(());
        }
        let erased = self.erased().await?;
        for (entry, owner) in &erased {
            if self.done.lock().entries.contains(entry) {
                continue;
            }
            let (log, owner) = (Arc::clone(&self.log), *owner);
            let erasing = tokio::task::spawn_blocking(move || log.erase(owner));
            let files = erasing.await.map_err(StoreError::unavailable)??;
            tracing::info!(
                owner.id = %owner,
                files,
                "requests kept here hold no address of the erased owner {owner}"
            );
            self.done.lock().entries.insert(*entry);
        }
        *self.done.lock() = Done {
            revision: Some(revision),
            turns: 0,
            entries: erased.into_iter().map(|(entry, _)| entry).collect(),
        };
        Ok(())
    }

    /// Whether there may be something new: also now and then where nothing changed, since a mirror that was
    /// made anew is given older entries without a change.
    fn is_due(&self, revision: Revision) -> bool {
        let mut done = self.done.lock();
        done.turns += 1;
        done.revision != Some(revision) || done.turns >= TURNS_MAX
    }

    /// The erasures that requests kept here may be older than, by the number of their entry.
    async fn erased(&self) -> Result<Vec<(u64, OwnerId)>, ControlError> {
        let query = AuditQuery {
            kind: Kind::Action(Action::OwnerErasure),
            is_refused: Some(false),
            from: Some(self.clock.now().before(self.kept + LEEWAY)),
            ..AuditQuery::default()
        };
        let (mut erased, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.audit(&query, PAGE, after).await?;
            for sealed in &page.items {
                let form = sealed.form().ok();
                let owner = form
                    .as_ref()
                    .and_then(|form| form.get("owner_id")?.as_str());
                if let Some(owner) = owner.and_then(|owner| owner.parse().ok()) {
                    erased.push((sealed.seq, owner));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(erased),
            }
        }
    }
}

/// By how much a closed file may be older than requests are kept, and gates' clocks may differ.
const LEEWAY: Duration = Duration::from_secs(2 * 86_400);
/// After so many turns it is looked again.
const TURNS_MAX: u32 = 60;
/// How many entries are read at once.
const PAGE: usize = 1_000;
