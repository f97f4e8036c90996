//! A store that does not do what it is asked, or to whom another gate got first.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portcullis::domain::audit::chain::Sealed;
use portcullis::domain::audit::checkpoint::Checkpoint;
use portcullis::domain::audit::query::AuditQuery;
use portcullis::domain::audit::verify::Verdict;
use portcullis::domain::change::{Change, ChangeId, Receipt, Revision, Write};
use portcullis::domain::draw::{QuotaDraw, QuotaGrant, QuotaPlace};
use portcullis::domain::event::{Event, EventPlace};
use portcullis::domain::id::{EventId, KeyId, OwnerId, TokenId};
use portcullis::domain::key::Key;
use portcullis::domain::owner::{Owner, OwnerKind};
use portcullis::domain::query::{KeyQuery, KeySort, Page, Position};
use portcullis::domain::rules::RuleSet;
use portcullis::domain::secret::KeyHash;
use portcullis::domain::time::Timestamp;
use portcullis::domain::token::AdminToken;
use portcullis::domain::usage::{Step, UsageBatch, UsageBucket};
use portcullis::store::{
    Added, AuditEnd, AuditStore, Contact, EventStore, Feed, KeyRow, KeyStore, LeaseStore, News,
    OwnerStore, QuotaStore, RuleStore, Store, StoreError, TokenStore, UsageStore,
};
use tokio::sync::{Notify, Semaphore};

/// What happens to the next commit.
pub(super) enum Shake {
    /// Nothing.
    Passes,
    /// Another gate's change lands just before it.
    Overtaken,
    /// The store fails so.
    Fails(StoreError),
    /// It never answers, and says that it was asked: having done nothing, or having done it all.
    Hangs { lands: bool, asked: Arc<Notify> },
}

/// A store whose commits are shaken, one after the other; the rest is the store below.
pub(super) struct Shaken {
    inner: Arc<dyn Store>,
    shakes: Mutex<VecDeque<Shake>>,
    slow: Option<SlowWalk>,
}

/// Holds up a walk over the audit log.
#[derive(Clone)]
pub(super) struct SlowWalk {
    pub(super) begun: Arc<Notify>,
    /// One for each walk that may go on.
    pub(super) go: Arc<Semaphore>,
}

impl Shaken {
    pub(super) fn new(inner: Arc<dyn Store>, shakes: impl IntoIterator<Item = Shake>) -> Self {
        Self {
            inner,
            shakes: Mutex::new(shakes.into_iter().collect()),
            slow: None,
        }
    }

    pub(super) fn walking_slowly(inner: Arc<dyn Store>, slow: SlowWalk) -> Self {
        Self {
            slow: Some(slow),
            ..Self::new(inner, [])
        }
    }

    async fn overtake(&self) {
        let expect = self.inner.revision().await.unwrap();
        let [a, b] = expect
            .0
            .to_be_bytes()
            .first_chunk::<2>()
            .map_or([0; 2], |first| *first);
        let mut id = [7; 10];
        id[0] = a;
        id[1] = b;
        id[2] = u8::try_from(expect.0 % 200).unwrap();
        let owner = Owner {
            id: OwnerId::from_random(id),
            name: format!("of another gate {expect}"),
            kind: OwnerKind::System,
            created_at: Timestamp::from_millis(1),
            disabled_at: None,
        };
        let mut change_id = [9; 16];
        change_id[..8].copy_from_slice(&expect.0.to_be_bytes());
        let change = Change {
            id: ChangeId(change_id),
            expect,
            writes: vec![Write::Owner(owner)],
            audit: Vec::new(),
        };
        self.inner.commit(change).await.unwrap();
    }
}

#[async_trait]
impl Feed for Shaken {
    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        let shake = self.shakes.lock().unwrap().pop_front();
        match shake {
            Some(Shake::Fails(error)) => return Err(error),
            Some(Shake::Overtaken) => self.overtake().await,
            Some(Shake::Hangs { lands, asked }) => {
                if lands {
                    self.inner.commit(change).await.unwrap();
                }
                asked.notify_one();
                return std::future::pending().await;
            }
            Some(Shake::Passes) | None => {}
        }
        self.inner.commit(change).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }

    async fn snapshot(&self, take: Box<dyn FnMut(Key) + Send>) -> Result<Revision, StoreError> {
        self.inner.snapshot(take).await
    }

    async fn since(&self, after: Revision, most: usize) -> Result<News, StoreError> {
        self.inner.since(after, most).await
    }

    async fn moved(&self, beyond: Revision) {
        self.inner.moved(beyond).await;
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl KeyStore for Shaken {
    async fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError> {
        self.inner.key(id).await
    }

    async fn keys(
        &self,
        query: &KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<KeyRow>, StoreError> {
        self.inner.keys(query, sort, limit, after).await
    }

    async fn hash_owner(&self, hash: &KeyHash) -> Result<Option<KeyId>, StoreError> {
        self.inner.hash_owner(hash).await
    }

    async fn receipt(&self, digest: [u8; 32]) -> Result<Option<Receipt>, StoreError> {
        self.inner.receipt(digest).await
    }
}

#[async_trait]
impl OwnerStore for Shaken {
    async fn owner(&self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        self.inner.owner(id).await
    }

    async fn owner_named(&self, kind: OwnerKind, name: &str) -> Result<Option<Owner>, StoreError> {
        self.inner.owner_named(kind, name).await
    }

    async fn owners(
        &self,
        name: Option<&str>,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Owner>, StoreError> {
        self.inner.owners(name, limit, after).await
    }
}

#[async_trait]
impl TokenStore for Shaken {
    async fn token(&self, id: TokenId) -> Result<Option<AdminToken>, StoreError> {
        self.inner.token(id).await
    }

    async fn token_by_digest(&self, digest: [u8; 32]) -> Result<Option<AdminToken>, StoreError> {
        self.inner.token_by_digest(digest).await
    }

    async fn tokens(
        &self,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<AdminToken>, StoreError> {
        self.inner.tokens(limit, after).await
    }
}

#[async_trait]
impl AuditStore for Shaken {
    async fn audit(
        &self,
        query: &AuditQuery,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Sealed>, StoreError> {
        self.inner.audit(query, limit, after).await
    }

    async fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        self.inner.audit_end().await
    }

    async fn checkpoints(&self, from: u64, most: usize) -> Result<Vec<Checkpoint>, StoreError> {
        self.inner.checkpoints(from, most).await
    }

    async fn verify_audit(&self) -> Result<Verdict, StoreError> {
        if let Some(slow) = &self.slow {
            slow.begun.notify_one();
            slow.go.acquire().await.unwrap().forget();
        }
        self.inner.verify_audit().await
    }
}

#[async_trait]
impl RuleStore for Shaken {
    async fn rules(&self) -> Result<RuleSet, StoreError> {
        self.inner.rules().await
    }
}

#[async_trait]
impl UsageStore for Shaken {
    async fn begin_epoch(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.begin_epoch(node, now).await
    }

    async fn add_usage(&self, batch: Arc<UsageBatch>) -> Result<Added, StoreError> {
        self.inner.add_usage(batch).await
    }

    async fn usage(
        &self,
        key: KeyId,
        step: Step,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<UsageBucket>, StoreError> {
        self.inner.usage(key, step, from, to).await
    }

    async fn last_used(&self, key: KeyId) -> Result<Vec<(u16, Timestamp)>, StoreError> {
        self.inner.last_used(key).await
    }
}

#[async_trait]
impl QuotaStore for Shaken {
    async fn draw(&self, node: &str, draws: Vec<QuotaDraw>) -> Result<Vec<QuotaGrant>, StoreError> {
        self.inner.draw(node, draws).await
    }

    async fn granted(&self, places: &[QuotaPlace]) -> Result<Vec<u64>, StoreError> {
        self.inner.granted(places).await
    }
}

#[async_trait]
impl EventStore for Shaken {
    async fn events(
        &self,
        after: EventPlace,
        most: usize,
    ) -> Result<Vec<(EventPlace, Event)>, StoreError> {
        self.inner.events(after, most).await
    }

    async fn told(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        self.inner.told(ids).await
    }
}

impl Store for Shaken {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn contact(&self) -> Contact {
        self.inner.contact()
    }

    fn leases(&self) -> Option<&dyn LeaseStore> {
        self.inner.leases()
    }
}
