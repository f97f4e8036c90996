//! Where keys live between restarts.
//!
//! One contract, by nouns, and two backends that keep it: [`embedded`] (one file on this machine) and
//! [`redis`] (shared by many gates). `tests/it/store/contract` states each guarantee once and is run
//! against both.
//!
//! A [`Change`] lands whole at the revision after the one it expects, or not at all. A gate takes a
//! [snapshot](Feed::snapshot), then follows the [feed](Feed::since); nothing on a request's path comes
//! here. Lists and searches are answered from tables on this machine's disk: the embedded store's own,
//! or the mirror that the Redis backend keeps in the same form.

pub mod carry;
mod contact;
pub mod embedded;
mod error;
mod gates;
pub mod local;
pub mod node_key;
pub mod peak_file;
pub mod record;
pub mod redis;
pub mod requests;
mod search;
pub mod signed_head;
pub mod spool;
pub mod tombstones;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::audit::chain::{Head, Sealed};
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
use crate::domain::time::Timestamp;
use crate::domain::token::AdminToken;
use crate::domain::tombstone::Ended;
use crate::domain::usage::{Step, UsageBatch, UsageBucket};

pub use contact::{Concern, Contact, ContactState};
pub use error::StoreError;
pub use gates::{Beat, Beaten, FleetStore, JobStore, LeaseStore, Struck, WatchStore};

/// A store: everything the control plane needs kept.
pub trait Store:
    Feed
    + KeyStore
    + OwnerStore
    + TokenStore
    + RuleStore
    + AuditStore
    + UsageStore
    + EventStore
    + QuotaStore
{
    /// `embedded` or `redis`.
    fn kind(&self) -> &'static str;

    /// Whether it answers, and what was last seen of it. Never waits.
    fn contact(&self) -> Contact;

    /// The limits that gates share through it. `None` where one gate has the store for itself: then what
    /// that gate counts is all there is, and exact.
    fn leases(&self) -> Option<&dyn LeaseStore>;

    /// The gates that share it. `None` where one gate has the store for itself.
    fn fleet(&self) -> Option<&dyn FleetStore> {
        None
    }

    /// The jobs that gates share through it, one at a time. `None` where one gate has the store for itself.
    fn jobs(&self) -> Option<&dyn JobStore> {
        None
    }

    /// Questions between the gates that share it. `None` where one gate has the store for itself.
    fn watches(&self) -> Option<&dyn WatchStore> {
        None
    }

    /// What someone should look at, apart from [`Contact`]. Never waits.
    fn concerns(&self) -> Vec<Concern> {
        Vec::new()
    }
}

/// What became of a change that was to be held.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// It had landed after all, here.
    Landed(Revision),
    /// It is in force on this machine, which now has these records instead of those it had.
    Held(Vec<Write>),
}

/// Changes, in one order.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// Applies `change` whole at the revision after `change.expect`, durably, or not at all.
    ///
    /// A change whose id has landed already is answered with the revision it landed at.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the store has moved past `change.expect`;
    /// [`StoreError::DuplicateHash`] if a version's hash belongs to another key.
    async fn commit(&self, change: Change) -> Result<Revision, StoreError>;

    /// As [`Self::commit`], by a job: nothing lands once another gate may have taken it over.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if one has, or may have; else as [`Self::commit`].
    async fn commit_held(&self, change: Change, _fence: &Fence) -> Result<Revision, StoreError> {
        self.commit(change).await
    }

    /// The revision of the last change this machine knows of.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Hands every key, revoked ones included, to `take`, in no order, and returns a revision that all
    /// of them are at least as new as. Following the feed from there leaves nothing out. A record that
    /// cannot be read is set aside and counted, and the rest are given.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    async fn snapshot(&self, take: Box<dyn FnMut(Key) + Send>) -> Result<Revision, StoreError>;

    /// The changes after `after`, in order, without gaps, at most `most` of them.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn since(&self, after: Revision, most: usize) -> Result<News, StoreError>;

    /// Waits until the revision is beyond `beyond`; also returns after a second without news, so that
    /// whoever follows looks for itself now and then.
    async fn moved(&self, beyond: Revision);

    /// Has a change in force that only ends things, while a store elsewhere cannot take it: durable on this
    /// machine before it returns, over restarts too, and given to the store under its id when that is back.
    ///
    /// # Errors
    /// [`StoreError::Full`] if this machine's disk does not take it: then nothing was done.
    /// [`StoreError::Unavailable`] where the store is this machine's own.
    async fn hold(&self, _change: Change) -> Result<Kept, StoreError> {
        Err(StoreError::unavailable("this store is nowhere else"))
    }

    /// Whether a change is held that ends this.
    fn holds(&self, _what: &Ended) -> bool {
        false
    }

    /// How often what is here was taken anew. When that has changed, revisions from before say nothing of
    /// what is here now: take a snapshot.
    fn renewals(&self) -> u64 {
        0
    }

    /// Writes out what is not yet durable and stops whatever runs in the background.
    async fn close(&self);
}

/// What the feed holds after a revision.
#[derive(Debug, Clone)]
pub enum News {
    /// These changes, each one revision after the one before; empty if there are none.
    Changes(Vec<(Revision, Arc<Change>)>),
    /// Too long ago to know: take a snapshot.
    Trimmed,
}

/// Keys and questions about them.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// One key with all its versions.
    ///
    /// # Errors
    /// If the store cannot be read, or this record cannot.
    async fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError>;

    /// A page of the keys that `query` asks for, at most `limit`, after `after`.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn keys(
        &self,
        query: &KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<KeyRow>, StoreError>;

    /// The key that a version with this hash belongs to, tombstones included.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn hash_owner(&self, hash: &KeyHash) -> Result<Option<KeyId>, StoreError>;

    /// What a call under this idempotency digest made, while that is remembered.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn receipt(&self, digest: [u8; 32]) -> Result<Option<Receipt>, StoreError>;
}

/// A key and what the counters say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRow {
    /// The key.
    pub key: Key,
    /// When each version was last used, for those that were.
    pub last_used: Vec<(u16, Timestamp)>,
}

/// Owners.
#[async_trait]
pub trait OwnerStore: Send + Sync {
    /// One owner.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn owner(&self, id: OwnerId) -> Result<Option<Owner>, StoreError>;

    /// The owner of this kind and name, whatever the case.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn owner_named(&self, kind: OwnerKind, name: &str) -> Result<Option<Owner>, StoreError>;

    /// A page of the owners with `name` anywhere in theirs, by name, whatever the case.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn owners(
        &self,
        name: Option<&str>,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Owner>, StoreError>;
}

/// Admin tokens.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// One token.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn token(&self, id: TokenId) -> Result<Option<AdminToken>, StoreError>;

    /// The token whose secret has this SHA-256.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn token_by_digest(&self, digest: [u8; 32]) -> Result<Option<AdminToken>, StoreError>;

    /// A page of the tokens, by when they were made.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn tokens(
        &self,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<AdminToken>, StoreError>;
}

/// The audit log. Entries come into it with the [`Change`] that they tell of.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// A page of the entries that `query` asks for, by time, the newest first; at most `limit`, after
    /// `after`. Requests are not kept here.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn audit(
        &self,
        query: &AuditQuery,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Sealed>, StoreError>;

    /// Where the chain ends, and how far it is signed.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn audit_end(&self) -> Result<AuditEnd, StoreError>;

    /// The checkpoints of the entries from number `from` on, in order, at most `most`.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn checkpoints(&self, from: u64, most: usize) -> Result<Vec<Checkpoint>, StoreError>;

    /// Walks the whole chain, as this machine has it.
    ///
    /// # Errors
    /// If the store cannot be read, or not all of it is here yet.
    async fn verify_audit(&self) -> Result<Verdict, StoreError>;
}

/// Where the audit chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditEnd {
    /// The last entry.
    pub head: Head,
    /// The last checkpoint, if there is one.
    pub checkpoint: Option<Checkpoint>,
}

/// The outbox: what is to be told to those outside.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// The events that lie after `after`, in the order of their changes, at most `most`. About the last
    /// 100,000 are kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn events(
        &self,
        after: EventPlace,
        most: usize,
    ) -> Result<Vec<(EventPlace, Event)>, StoreError>;

    /// Those of `ids` whose events lie in the outbox as of [`Feed::revision`], as far as this machine
    /// followed it: what a change adds where they do not lands once, because another gate's comes before it
    /// or conflicts with it.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn told(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError>;
}

/// Products, policies and rules of automatic rotation.
#[async_trait]
pub trait RuleStore: Send + Sync {
    /// All of them, as of one revision: there are few. One that cannot be read is set aside and counted.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    async fn rules(&self) -> Result<RuleSet, StoreError>;
}

/// Counts.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// The number of this run of `node`: greater than at any start before.
    ///
    /// # Errors
    /// If it cannot be made durable.
    async fn begin_epoch(&self, node: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Adds a batch to the counts by hour and by day, durably and whole, unless one of its node and
    /// epoch with this number or a later one was added before.
    ///
    /// # Errors
    /// If it cannot be made durable; sending it again is safe.
    async fn add_usage(&self, batch: Arc<UsageBatch>) -> Result<Added, StoreError>;

    /// Which server, or connection to one, is behind this now. Where it is another than before, what was added
    /// in the last seconds may be lost, as after a failover: adding it again is safe, in the order it was added
    /// in and before anything else. Never waits.
    fn lineage(&self) -> u64 {
        0
    }

    /// The counts of a key in `[from, to)`, by hour or by day, in order of time. Buckets begin on whole
    /// steps; one that `from` lies in is included.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn usage(
        &self,
        key: KeyId,
        step: Step,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<UsageBucket>, StoreError>;

    /// When each version of a key was last used, for those that were.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn last_used(&self, key: KeyId) -> Result<Vec<(u16, Timestamp)>, StoreError>;
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is counted, now or before.
    Counted,
    /// The store has lost what it had counted of this gate before: it failed over, or came back older. The
    /// batch is not counted whole; it is to be added again after what went before it.
    Behind,
}

/// Quotas: how much of each was given out to be spent.
#[async_trait]
pub trait QuotaStore: Send + Sync {
    /// Settles each draw of `node`, of which no two may be on one quota of a key in one period, by [`QuotaDraw::grant`] and [`QuotaDraw::reach`], durably before it returns,
    /// and says what came of it, in their order. Draws on one quota take effect one after the other, whoever
    /// sends them, so all gates together never get more than its limit.
    ///
    /// A call whose answer was lost has had no effect once its gate draws again in the same run with what
    /// it has *received*: what it was given is taken back first.
    ///
    /// # Errors
    /// If they cannot be made durable; then any of them may have been.
    async fn draw(&self, node: &str, draws: Vec<QuotaDraw>) -> Result<Vec<QuotaGrant>, StoreError>;

    /// What has been given out of each of these quotas in its period, in one question, whosever they are.
    /// Kept for 35 days after the period's end.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn granted(&self, places: &[QuotaPlace]) -> Result<Vec<u64>, StoreError>;
}
