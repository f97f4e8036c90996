//! The contract, kept: each call goes to the writer or to a reader.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::watch;

use super::fault::{Fault, Quarantine, corrupt};
use super::ledger::Unfolded;
use super::readers::Readers;
use super::seal::{Seal, Seen};
use super::writer::{Shared, Work, Writer};
use super::{
    audit, change, feed, file, ledger, lists, outbox, rules, snapshot, tables, usage, walk,
};
use crate::domain::audit::chain::Sealed;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::verify::Verdict;
use crate::domain::change::{Change, Receipt, Revision};
use crate::domain::event::{Event, EventPlace};
use crate::domain::id::{EventId, KeyId, OwnerId, TokenId};
use crate::domain::key::Key;
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::query::{KeyQuery, KeySort, Page, Position, SortField};
use crate::domain::rules::RuleSet;
use crate::domain::secret::KeyHash;
use crate::domain::time::{Clock, Timestamp};
use crate::domain::token::AdminToken;
use crate::domain::usage::{Step, UsageBatch, UsageBucket};
use crate::store::node_key::MirrorKey;
use crate::store::{
    Added, AuditEnd, AuditStore, Contact, ContactState, EventStore, Feed, KeyRow, KeyStore,
    LeaseStore, News, OwnerStore, RuleStore, Store, StoreError, TokenStore, UsageStore, record,
};

/// The store in one file on this machine; also the mirror of a store elsewhere.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    pub(super) writer: Writer,
    readers: Arc<Readers>,
}

impl EmbeddedStore {
    /// Opens the store in `directory`; where there is none, makes one. Waits for the disk.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if what is there is damaged, another's or a newer binary's, or cannot
    /// be reached. It is then as it was.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self::open_with(directory, None, clock)?.0)
    }

    /// Opens the mirror in `directory`, made if it is not there, and says whether it is as the gate with this
    /// key left it. Waits for the disk, and reads all of it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(in crate::store) fn open_mirror(
        directory: &Path,
        key: &MirrorKey,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Seen), StoreError> {
        Self::open_with(directory, Some(Seal::new(key)?), clock)
    }

    fn open_with(
        directory: &Path,
        seal: Option<Seal>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Seen), StoreError> {
        let (path, connection) = file::open(directory)?;
        let seen = match &seal {
            Some(seal) => seal.look(&path)?,
            None => Seen::Unsealed,
        };
        let revision = tables::revision(&connection).map_err(StoreError::unavailable)?;
        let waiting = ledger::waiting(&connection).map_err(StoreError::unavailable)?;
        let shared = Arc::new(Shared {
            revision: watch::Sender::new(revision),
            is_up: AtomicBool::new(true),
            answered_at: AtomicU64::new(clock.now().as_millis()),
            quarantine: Quarantine::default(),
            unfolded: Unfolded::new(waiting),
            clock,
            seal,
        });
        let writer =
            Writer::start(connection, Arc::clone(&shared)).map_err(StoreError::unavailable)?;
        let store = Self {
            shared,
            writer,
            readers: Readers::new(path),
        };
        Ok((store, seen))
    }

    /// The format of the tables that this binary makes.
    pub(in crate::store) const VERSION: u32 = tables::VERSION;

    /// Whether there is a store in `directory`.
    pub(in crate::store) fn is_there(directory: &Path) -> bool {
        directory.join(file::FILE_NAME).exists()
    }

    /// Has all counts brought into their tables, for a question that only those answer.
    async fn fold(&self) {
        if self.shared.unfolded.waiting() > 0 {
            // A store that cannot be written to any more still says what it has.
            let _ = self.writer.have(Work::Fold).await;
        }
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = self.readers.ask(question).await;
        if !matches!(answer, Err(Fault::Refused(_))) {
            self.shared.note(answer.is_ok());
        }
        answer.map_err(StoreError::from)
    }

    /// The record that `sql` finds for `value`, decoded.
    async fn find<T: Send + 'static>(
        &self,
        table: &'static str,
        sql: &'static str,
        value: impl rusqlite::ToSql + Send + 'static,
        name: impl ToString + Send + 'static,
        decode: impl FnOnce(&[u8]) -> Result<T, record::DecodeError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        self.ask(move |connection| {
            tables::record(connection, sql, value)?
                .map(|bytes| decode(&bytes).map_err(|why| corrupt(table, name, why).into()))
                .transpose()
        })
        .await
    }
}

impl Store for EmbeddedStore {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn contact(&self) -> Contact {
        let is_up = self.shared.is_up.load(Ordering::Relaxed);
        Contact {
            is_up,
            state: if is_up {
                ContactState::Following
            } else {
                ContactState::Away
            },
            revision: *self.shared.revision.borrow(),
            last_at: Some(Timestamp::from_millis(
                self.shared.answered_at.load(Ordering::Relaxed),
            )),
            last_ns: None,
            is_silent: false,
            is_own: true,
            is_mirror_refused: false,
            quarantined: self.shared.quarantine.len(),
        }
    }

    fn leases(&self) -> Option<&dyn LeaseStore> {
        None
    }
}

#[async_trait]
impl Feed for EmbeddedStore {
    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.writer
            .have(Work::Commit(Arc::new(change)))
            .await
            .map(Revision)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.ask(|connection| Ok(tables::revision(connection)?))
            .await
    }

    async fn snapshot(&self, take: Box<dyn FnMut(Key) + Send>) -> Result<Revision, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.ask(move |connection| snapshot::snapshot(connection, &shared.quarantine, take))
            .await
    }

    async fn since(&self, after: Revision, most: usize) -> Result<News, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.ask(move |connection| feed::since(connection, after, most, &shared.quarantine))
            .await
    }

    async fn moved(&self, beyond: Revision) {
        let mut revision = self.shared.revision.subscribe();
        // Whether it moved, time ran out or the store was closed: the caller looks for itself.
        let _ = tokio::time::timeout(LOOK_EVERY, revision.wait_for(|now| *now > beyond)).await;
    }

    async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }
}

#[async_trait]
impl KeyStore for EmbeddedStore {
    async fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError> {
        let sql = "SELECT record FROM keys WHERE id = ?1";
        let chars = id.chars().to_owned();
        self.find("keys", sql, chars, id, record::decode_key).await
    }

    async fn keys(
        &self,
        query: &KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<KeyRow>, StoreError> {
        if query.stale.is_some() || sort.by == SortField::LastUsedAt {
            self.fold().await;
        }
        let (query, shared) = (query.clone(), Arc::clone(&self.shared));
        self.ask(move |connection| {
            let quarantine = &shared.quarantine;
            let mut page =
                lists::keys(connection, &query, sort, limit, after.as_ref(), quarantine)?;
            for row in &mut page.items {
                shared.unfolded.update(row.key.id, &mut row.last_used);
            }
            Ok(page)
        })
        .await
    }

    async fn hash_owner(&self, hash: &KeyHash) -> Result<Option<KeyId>, StoreError> {
        let hash = *hash;
        self.ask(move |connection| change::hash_owner(connection, &hash))
            .await
    }

    async fn receipt(&self, digest: [u8; 32]) -> Result<Option<Receipt>, StoreError> {
        let sql = "SELECT record FROM receipts WHERE digest = ?1";
        let now = self.shared.clock.now();
        self.find("receipts", sql, digest, "digest", record::decode_receipt)
            .await
            .map(|found| found.filter(|receipt| now.since(receipt.at) < Receipt::KEPT))
    }
}

#[async_trait]
impl OwnerStore for EmbeddedStore {
    async fn owner(&self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        let sql = "SELECT record FROM owners WHERE id = ?1";
        let chars = id.chars().to_owned();
        self.find("owners", sql, chars, id, record::decode_owner)
            .await
    }

    async fn owner_named(&self, kind: OwnerKind, name: &str) -> Result<Option<Owner>, StoreError> {
        let name = name.to_lowercase();
        self.ask(move |connection| {
            let bytes = tables::record(
                connection,
                match kind {
                    OwnerKind::User => {
                        "SELECT record FROM owners WHERE name = ?1 AND kind = 'user'"
                    }
                    OwnerKind::Team => {
                        "SELECT record FROM owners WHERE name = ?1 AND kind = 'team'"
                    }
                    OwnerKind::System => {
                        "SELECT record FROM owners WHERE name = ?1 AND kind = 'system'"
                    }
                },
                &name,
            )?;
            bytes
                .map(|bytes| {
                    record::decode_owner(&bytes).map_err(|why| corrupt("owners", name, why).into())
                })
                .transpose()
        })
        .await
    }

    async fn owners(
        &self,
        name: Option<&str>,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Owner>, StoreError> {
        let (name, shared) = (name.map(str::to_owned), Arc::clone(&self.shared));
        self.ask(move |connection| {
            let quarantine = &shared.quarantine;
            lists::owners(
                connection,
                name.as_deref(),
                limit,
                after.as_ref(),
                quarantine,
            )
        })
        .await
    }
}

#[async_trait]
impl TokenStore for EmbeddedStore {
    async fn token(&self, id: TokenId) -> Result<Option<AdminToken>, StoreError> {
        let sql = "SELECT record FROM tokens WHERE id = ?1";
        let chars = id.chars().to_owned();
        self.find("tokens", sql, chars, id, record::decode_token)
            .await
    }

    async fn token_by_digest(&self, digest: [u8; 32]) -> Result<Option<AdminToken>, StoreError> {
        let sql = "SELECT record FROM tokens WHERE digest = ?1";
        self.find("tokens", sql, digest, "digest", record::decode_token)
            .await
    }

    async fn tokens(
        &self,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<AdminToken>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.ask(move |connection| {
            lists::tokens(connection, limit, after.as_ref(), &shared.quarantine)
        })
        .await
    }
}

#[async_trait]
impl AuditStore for EmbeddedStore {
    async fn audit(
        &self,
        query: &AuditQuery,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Sealed>, StoreError> {
        let (query, shared) = (query.clone(), Arc::clone(&self.shared));
        self.ask(move |connection| {
            audit::page(
                connection,
                &query,
                limit,
                after.as_ref(),
                &shared.quarantine,
            )
        })
        .await
    }

    async fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        self.ask(|connection| {
            Ok(AuditEnd {
                head: audit::head(connection)?,
                checkpoint: audit::last_checkpoint(connection)?,
            })
        })
        .await
    }

    async fn checkpoints(&self, from: u64, most: usize) -> Result<Vec<Checkpoint>, StoreError> {
        self.ask(move |connection| audit::checkpoints(connection, from, most))
            .await
    }

    async fn verify_audit(&self) -> Result<Verdict, StoreError> {
        self.ask(walk::verify).await
    }
}

#[async_trait]
impl EventStore for EmbeddedStore {
    async fn events(
        &self,
        after: EventPlace,
        most: usize,
    ) -> Result<Vec<(EventPlace, Event)>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.ask(move |connection| outbox::after(connection, after, most, &shared.quarantine))
            .await
    }

    async fn told(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        let ids = ids.to_vec();
        self.ask(move |connection| outbox::told(connection, &ids))
            .await
    }
}

#[async_trait]
impl RuleStore for EmbeddedStore {
    async fn rules(&self) -> Result<RuleSet, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.ask(move |connection| rules::all(connection, &shared.quarantine))
            .await
    }
}

#[async_trait]
impl UsageStore for EmbeddedStore {
    async fn begin_epoch(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.writer.have(Work::Epoch(node.to_owned(), now)).await
    }

    async fn add_usage(&self, batch: Arc<UsageBatch>) -> Result<Added, StoreError> {
        self.writer.have(Work::Usage(batch)).await?;
        Ok(Added::Counted)
    }

    async fn usage(
        &self,
        key: KeyId,
        step: Step,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<UsageBucket>, StoreError> {
        self.fold().await;
        self.ask(move |connection| usage::counts(connection, key, step, from, to))
            .await
    }

    async fn last_used(&self, key: KeyId) -> Result<Vec<(u16, Timestamp)>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.ask(move |connection| {
            let mut uses = usage::last_used(connection, key)?;
            shared.unfolded.update(key, &mut uses);
            Ok(uses)
        })
        .await
    }
}

/// How long whoever follows waits at most before looking for itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
