//! Gates over a Redis, and what is asked of them.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis::config::RedisChoice;
use portcullis::domain::change::{Change, ChangeId, Revision, Write};
use portcullis::domain::key::{Key, Standing};
use portcullis::domain::query::{KeyQuery, KeySort};
use portcullis::store::node_key::NodeKey;
use portcullis::store::redis::{Local, RedisStore};
use portcullis::store::{Feed, KeyStore, News, StoreError};
use tempfile::TempDir;
use tokio::time::Instant;

use super::things::{HandClock, change, key, key_id, revoked};
use crate::support::patience::{PATIENCE, a_moment};
use crate::support::redis::RedisServer;
pub(super) use crate::support::suite::{choice, choice_at};

/// A gate: a store, and the folder that its mirror lies in.
pub(super) struct Gate {
    pub(super) store: RedisStore,
    pub(super) dir: TempDir,
    pub(super) clock: Arc<HandClock>,
}

impl Gate {
    pub(super) async fn at(server: &RedisServer) -> Self {
        Self::open(&server.url()).await.unwrap()
    }

    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        Self::of(&choice(url)).await
    }

    pub(super) async fn of(choice: &RedisChoice) -> Result<Self, StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let store = open_at(choice, dir.path(), clock.clone()).await?;
        Ok(Self { store, dir, clock })
    }

    /// Opens one as soon as there is a store.
    pub(super) async fn of_patiently(choice: &RedisChoice) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::of(choice).await {
                Err(StoreError::Unavailable { .. }) if Instant::now() < deadline => {
                    a_moment().await;
                }
                opened => return opened.unwrap(),
            }
        }
    }

    /// Opens the same mirror again; the store was closed before.
    pub(super) async fn reopen(&mut self, url: &str) {
        self.reopen_of(&choice(url)).await;
    }

    /// The same, wherever the store is.
    pub(super) async fn reopen_of(&mut self, choice: &RedisChoice) {
        self.store = open_at(choice, self.dir.path(), self.clock.clone())
            .await
            .unwrap();
    }

    /// Waits until the gate is at `revision`.
    pub(super) async fn reaches(&self, revision: u64) {
        let reached = async {
            while self.store.revision().await.unwrap() < Revision(revision) {
                self.store.moved(Revision(revision - 1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        waited.unwrap_or_else(|_| panic!("revision {revision} does not come"));
    }

    pub(super) async fn commits(&self, change: Change) -> Revision {
        self.store.commit(change).await.unwrap()
    }

    /// Why a change is refused.
    pub(super) async fn refuses(&self, change: Change) -> String {
        chain(&self.store.commit(change).await.unwrap_err())
    }

    /// Sends a change until there is a store to take it or to refuse it.
    pub(super) async fn settles(&self, change: Change) -> Result<Revision, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.commit(change.clone()).await {
                Err(StoreError::Unavailable { .. }) if Instant::now() < deadline => {
                    a_moment().await;
                }
                settled => return settled,
            }
        }
    }

    /// The changes after a revision, which follow each other without a gap.
    pub(super) async fn changes_since(&self, after: u64) -> Vec<ChangeId> {
        let News::Changes(changes) = self.store.since(Revision(after), 1_000).await.unwrap() else {
            panic!("revision {after} is trimmed");
        };
        let revisions = changes.iter().map(|(revision, _)| revision.0);
        assert!(revisions.eq((after + 1..).take(changes.len())));
        changes.iter().map(|(_, change)| change.id).collect()
    }

    /// All keys, by id, and the revision they are of.
    pub(super) async fn keys(&self) -> (Vec<Key>, Revision) {
        let keys = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&keys);
        let take = Box::new(move |key| taken.lock().push(key));
        let revision = self.store.snapshot(take).await.unwrap();
        let mut keys = std::mem::take(&mut *keys.lock());
        keys.sort_by_key(|key: &Key| key.id);
        (keys, revision)
    }

    /// Whether a search for its name finds a key.
    pub(super) async fn finds(&self, key: &Key) -> bool {
        let query = KeyQuery {
            name: Some(key.settings.name.clone()),
            ..KeyQuery::default()
        };
        let page = self.store.keys(&query, KeySort::default(), 100, None).await;
        page.unwrap().items.iter().any(|it| it.key.id == key.id)
    }

    pub(super) async fn has_revoked(&self, number: u32) -> bool {
        let key = self.store.key(key_id(number)).await.unwrap().unwrap();
        is_revoked(&key)
    }
}

pub(super) async fn open(choice: &RedisChoice, dir: &Path) -> Result<RedisStore, StoreError> {
    open_at(choice, dir, HandClock::new()).await
}

/// Opens a store as the gate whose folder is `dir`.
pub(super) async fn open_at(
    choice: &RedisChoice,
    dir: &Path,
    clock: Arc<HandClock>,
) -> Result<RedisStore, StoreError> {
    RedisStore::open(choice, local(dir, &node_key(), false), clock).await
}

/// A gate's key.
pub(super) fn node_key() -> NodeKey {
    NodeKey::given(&[7; 32]).unwrap()
}

/// What a gate brings whose folder is `dir`.
pub(super) fn local<'a>(dir: &'a Path, node_key: &'a NodeKey, accepts_store: bool) -> Local<'a> {
    Local {
        dir,
        node_key,
        signed_head: None,
        accepts_store,
    }
}

/// The change that makes the key of this number, to land at the revision of this number.
pub(super) fn making(number: u32) -> Change {
    let expect = Revision(u64::from(number) - 1);
    change(expect, vec![Write::Key(key(number))])
}

/// The change that revokes a key, to land after `expect`.
pub(super) fn revoking(number: u32, expect: u64) -> Change {
    change(Revision(expect), vec![Write::Key(revoked(key(number)))])
}

pub(super) fn is_revoked(key: &Key) -> bool {
    matches!(key.standing, Standing::Revoked { .. })
}

/// What went wrong, and why, and why that.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The rules of a gate's user for this prefix, as docs/operations.md has them.
pub(super) fn acl(prefix: &str) -> Vec<String> {
    let manual = include_str!("../../../docs/operations.md");
    let line = manual
        .lines()
        .find_map(|line| line.strip_prefix("user portcullis on "));
    let rules = line.expect("the ACL user of the manual").split(' ').skip(1);
    let (tagged, plain) = (format!("{{{prefix}}}"), format!("~{prefix}:"));
    rules
        .map(|rule| rule.replace("{pc}", &tagged).replace("~pc:", &plain))
        .collect()
}
