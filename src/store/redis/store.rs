//! The store itself: reads from the mirror, changes and counts to Redis.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use crate::config::RedisChoice;
use crate::domain::audit::chain::Sealed;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::verify::Verdict;
use crate::domain::change::{Change, Receipt, Revision, Write};
use crate::domain::draw::{QuotaDraw, QuotaGrant, QuotaPlace};
use crate::domain::event::{Event, EventPlace};
use crate::domain::id::{EventId, KeyId, OwnerId, TokenId};
use crate::domain::job::Fence;
use crate::domain::key::Key;
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::query::{KeyQuery, KeySort, Page, Position};
use crate::domain::rules::RuleSet;
use crate::domain::secret::KeyHash;
use crate::domain::time::{Clock, Timestamp};
use crate::domain::token::AdminToken;
use crate::domain::tombstone::Ended;
use crate::domain::usage::{Step, UsageBatch, UsageBucket};
use crate::store::node_key::NodeKey;
use crate::store::signed_head::SignedHead;
use crate::store::tombstones::Tombstones;
use crate::store::{
    Added, AuditEnd, AuditStore, Concern, Contact, ContactState, EventStore, Feed, FleetStore,
    JobStore, Kept, KeyRow, KeyStore, LeaseStore, News, OwnerStore, QuotaStore, RuleStore, Store,
    StoreError, TokenStore, UsageStore, WatchStore,
};

use super::background::Background;
use super::commit;
use super::connect::Link;
use super::counts;
use super::follow::{Shared, Stage};
use super::frame::{self, Kind};
use super::hold;
use super::mirror::Mirror;
use super::names::Names;
use super::outbox;
use super::quotas;
use super::watches::Listeners;

/// A store in Redis, shared by many gates.
pub struct RedisStore {
    pub(super) shared: Arc<Shared>,
    background: Background,
    marks: counts::Marks,
    pub(super) listeners: Listeners,
}

/// What a gate brings to a store that it shares.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a> {
    /// The gate's own folder: the mirror and the file of tombstones lie in it.
    pub dir: &'a Path,
    /// The gate's key.
    pub node_key: &'a NodeKey,
    /// How far the audit log is signed, as the gate remembers it.
    pub signed_head: Option<&'a Arc<SignedHead>>,
    /// Whether the store that is met first is taken even if it is another than the mirror's, or empty.
    pub accepts_store: bool,
}

impl Local<'_> {
    /// Where the mirror lies.
    pub(super) fn mirror(&self) -> PathBuf {
        self.dir.join("mirror")
    }
}

impl RedisStore {
    /// Opens the mirror in the gate's folder and follows the store that `choice` names; where there is none yet,
    /// makes it. Returns when the two are in step, or at once when Redis is away and the mirror holds
    /// something to serve from.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Redis is away and the mirror is empty: to be tried again, since there
    /// is nothing to serve from until then. [`StoreError::Unusable`] if what is there is no store that this
    /// version reads, or the address is none.
    pub async fn open(
        choice: &RedisChoice,
        local: Local<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let names = Names::new(&choice.prefix);
        let link = Link::new(choice, &names.meta())?;
        let tombstones = Tombstones::open(local.dir, local.node_key, clock.now())?;
        let (place, key) = (local.mirror(), local.node_key.mirror_key());
        let mirror = Mirror::open(&place, key, tombstones.clone(), Arc::clone(&clock));
        let mirror = mirror.await?;
        let shared = Shared::new(names, link, mirror, tombstones, clock, local);
        let shared = Arc::new(shared);
        let store = Self {
            background: Background::start(Arc::clone(&shared))?,
            shared,
            marks: counts::Marks::default(),
            listeners: Listeners::default(),
        };
        match store.first_stage().await {
            Stage::Away(fault) if store.shared.mirror.stand().is_none() => {
                store.close().await;
                Err(fault.into())
            }
            _ => Ok(store),
        }
    }

    /// What the follower and the callers share.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn first_stage(&self) -> Stage {
        let mut stage = self.shared.stage();
        let known =
            stage.wait_for(|stage| matches!(stage, Stage::Following) || stage.fault().is_some());
        let known = if self.shared.mirror.stand().is_some() {
            tokio::time::timeout(START_WAIT, known).await.ok()
        } else {
            Some(known.await)
        };
        let stage = known.and_then(Result::ok);
        stage.map_or(Stage::Starting, |stage| stage.clone())
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn contact(&self) -> Contact {
        let state = match &*self.shared.stage().borrow() {
            Stage::Estranged(_) => ContactState::Estranged,
            Stage::Repairing => ContactState::Repair,
            Stage::CatchingUp => ContactState::CatchingUp,
            Stage::Following if !self.shared.link.is_down() => ContactState::Following,
            Stage::Following | Stage::Starting | Stage::Away(_) => ContactState::Away,
        };
        let contact = self.shared.last_contact();
        Contact {
            is_up: state == ContactState::Following,
            is_silent: self.shared.is_silent(),
            state,
            revision: self.shared.revision(),
            last_at: contact.map(|contact| contact.wall),
            last_ns: contact.map(|contact| contact.mono_ns),
            is_own: false,
            is_mirror_refused: self.shared.mirror.is_refused(),
            quarantined: self.shared.mirror.unreadable()
                + self.shared.mirror.tables().contact().quarantined,
        }
    }

    fn leases(&self) -> Option<&dyn LeaseStore> {
        Some(self)
    }

    fn fleet(&self) -> Option<&dyn FleetStore> {
        Some(self)
    }

    fn jobs(&self) -> Option<&dyn JobStore> {
        Some(self)
    }

    fn watches(&self) -> Option<&dyn WatchStore> {
        Some(self)
    }

    fn concerns(&self) -> Vec<Concern> {
        self.shared.concerns()
    }
}

#[async_trait]
impl Feed for RedisStore {
    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        commit::commit(&self.shared, change, None).await
    }

    async fn commit_held(&self, change: Change, fence: &Fence) -> Result<Revision, StoreError> {
        commit::commit(&self.shared, change, Some(fence)).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.shared.mirror.tables().revision().await
    }

    async fn snapshot(&self, take: Box<dyn FnMut(Key) + Send>) -> Result<Revision, StoreError> {
        self.shared.snapshot(take).await
    }

    async fn since(&self, after: Revision, most: usize) -> Result<News, StoreError> {
        self.shared.since(after, most).await
    }

    async fn moved(&self, beyond: Revision) {
        let mut renewals = self.shared.mirror.renewals();
        tokio::select! {
            () = self.shared.mirror.tables().moved(beyond) => {}
            // Also to an older revision: what another history says. The mirror goes no sooner than this.
            _ = renewals.changed() => {}
        }
    }

    async fn hold(&self, change: Change) -> Result<Kept, StoreError> {
        hold::hold(&self.shared, change).await
    }

    fn holds(&self, what: &Ended) -> bool {
        hold::holds(&self.shared, what)
    }

    fn renewals(&self) -> u64 {
        *self.shared.mirror.renewals().borrow()
    }

    async fn close(&self) {
        self.background.stop().await;
        self.shared.mirror.tables().close().await;
    }
}

#[async_trait]
impl KeyStore for RedisStore {
    async fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError> {
        self.shared.mirror.tables().key(id).await
    }

    async fn keys(
        &self,
        query: &KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<KeyRow>, StoreError> {
        let tables = self.shared.mirror.tables();
        let mut page = tables.keys(query, sort, limit, after).await?;
        // The mirror knows only of uses at this gate; Redis, if it is there, of all.
        if !self.shared.link.is_down() {
            let ids: Vec<_> = page.items.iter().map(|row| row.key.id).collect();
            let known = counts::last_used(&self.shared.link, &self.shared.names, ids).await;
            for (row, last_used) in page.items.iter_mut().zip(known.unwrap_or_default()) {
                row.last_used = last_used;
            }
        }
        Ok(page)
    }

    async fn hash_owner(&self, hash: &KeyHash) -> Result<Option<KeyId>, StoreError> {
        self.shared.mirror.tables().hash_owner(hash).await
    }

    async fn receipt(&self, digest: [u8; 32]) -> Result<Option<Receipt>, StoreError> {
        let name = self.shared.names.receipt(&digest);
        let framed: Option<Vec<u8>> = self.shared.link.ask(redis::cmd("GET").arg(&name)).await?;
        let Some(framed) = framed else {
            return Ok(None);
        };
        let corrupt = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Corrupt {
            table: "receipts",
            key: name.clone(),
            source,
        };
        match frame::read(Kind::Receipt, &framed) {
            Ok((revision, Write::Receipt(receipt))) => {
                // Another gate may have made it a moment ago: what it speaks of is here before it is.
                self.shared.catch_up(revision).await?;
                Ok(Some(receipt))
            }
            Ok(_) => Err(corrupt("not a receipt".into())),
            Err(source) => Err(corrupt(source.into())),
        }
    }
}

#[async_trait]
impl OwnerStore for RedisStore {
    async fn owner(&self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        self.shared.mirror.tables().owner(id).await
    }

    async fn owner_named(&self, kind: OwnerKind, name: &str) -> Result<Option<Owner>, StoreError> {
        self.shared.mirror.tables().owner_named(kind, name).await
    }

    async fn owners(
        &self,
        name: Option<&str>,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Owner>, StoreError> {
        self.shared.mirror.tables().owners(name, limit, after).await
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    async fn token(&self, id: TokenId) -> Result<Option<AdminToken>, StoreError> {
        self.shared.mirror.tables().token(id).await
    }

    async fn token_by_digest(&self, digest: [u8; 32]) -> Result<Option<AdminToken>, StoreError> {
        self.shared.mirror.tables().token_by_digest(digest).await
    }

    async fn tokens(
        &self,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<AdminToken>, StoreError> {
        self.shared.mirror.tables().tokens(limit, after).await
    }
}

#[async_trait]
impl AuditStore for RedisStore {
    async fn audit(
        &self,
        query: &AuditQuery,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Sealed>, StoreError> {
        self.shared.mirror.tables().audit(query, limit, after).await
    }

    async fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        self.shared.mirror.tables().audit_end().await
    }

    async fn checkpoints(&self, from: u64, most: usize) -> Result<Vec<Checkpoint>, StoreError> {
        self.shared.mirror.tables().checkpoints(from, most).await
    }

    async fn verify_audit(&self) -> Result<Verdict, StoreError> {
        self.shared.mirror.tables().verify_audit().await
    }
}

#[async_trait]
impl EventStore for RedisStore {
    async fn events(
        &self,
        after: EventPlace,
        most: usize,
    ) -> Result<Vec<(EventPlace, Event)>, StoreError> {
        let ask = outbox::ask(&self.shared.names, after, most);
        let events = outbox::read(self.shared.link.ask(&ask).await?);
        events.map_err(|outbox::NotAnOutbox| StoreError::Corrupt {
            table: "events",
            key: self.shared.names.events(),
            source: "it does not look like an outbox".into(),
        })
    }

    async fn told(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        // Of the mirror, which stands where changes are made against; the outbox itself has no index.
        self.shared.mirror.tables().told(ids).await
    }
}

#[async_trait]
impl RuleStore for RedisStore {
    async fn rules(&self) -> Result<RuleSet, StoreError> {
        self.shared.mirror.tables().rules().await
    }
}

#[async_trait]
impl UsageStore for RedisStore {
    async fn begin_epoch(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        // On this gate's own disk, so that it starts without Redis as well.
        self.shared.mirror.tables().begin_epoch(node, now).await
    }

    async fn add_usage(&self, batch: Arc<UsageBatch>) -> Result<Added, StoreError> {
        let Shared { names, scripts, .. } = &*self.shared;
        let (script, marks) = (&scripts.count, &self.marks);
        let route = self.shared.ours().await?;
        let added = counts::add(route, script, names, marks, &batch, self.now()).await?;
        // Sorting and filtering by last use happen in the mirror. The counts are durable without it.
        if let Err(error) = self.shared.mirror.tables().note_used(uses(&batch)).await {
            let error = &error as &dyn std::error::Error;
            warn!(error, "the mirror does not take when keys were last used");
        }
        Ok(added)
    }

    fn lineage(&self) -> u64 {
        self.shared.link.made()
    }

    async fn usage(
        &self,
        key: KeyId,
        step: Step,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<UsageBucket>, StoreError> {
        let Shared { link, names, .. } = &*self.shared;
        Ok(counts::read(link, names, key, step, (from, to), self.now()).await?)
    }

    async fn last_used(&self, key: KeyId) -> Result<Vec<(u16, Timestamp)>, StoreError> {
        let Shared { link, names, .. } = &*self.shared;
        let mut known = counts::last_used(link, names, [key]).await?;
        Ok(known.pop().unwrap_or_default())
    }
}

#[async_trait]
impl QuotaStore for RedisStore {
    async fn draw(&self, node: &str, draws: Vec<QuotaDraw>) -> Result<Vec<QuotaGrant>, StoreError> {
        let Shared { names, scripts, .. } = &*self.shared;
        let route = self.shared.ours().await?;
        Ok(quotas::draw(route, &scripts.draw, names, node, &draws, self.now()).await?)
    }

    async fn granted(&self, places: &[QuotaPlace]) -> Result<Vec<u64>, StoreError> {
        let Shared { link, names, .. } = &*self.shared;
        Ok(quotas::granted(link, names, places).await?)
    }
}

/// How long a gate that could serve at once waits to serve the latest.
const START_WAIT: Duration = Duration::from_secs(1);

/// When each version in a batch was last used.
fn uses(batch: &UsageBatch) -> Vec<(KeyId, u16, Timestamp)> {
    let rows = batch.rows.iter();
    rows.filter_map(|row| Some((row.key, row.version, row.tally.last_used_at?)))
        .collect()
}
