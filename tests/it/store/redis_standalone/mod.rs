//! The store in a standalone Redis: the whole contract, and what is its own.

mod counts;
mod faults;
mod gates;
mod leases;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use portcullis::config::RedisChoice;
use portcullis::domain::change::{Change, ChangeId, Revision, Write};
use portcullis::domain::key::{Key, Standing};
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::store::redis::RedisStore;
use portcullis::store::{Feed, KeyStore, News, Store, StoreError};
use tempfile::TempDir;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::contract::{Backend, keeps_the_contract};
use super::things::{HandClock, change, key, key_id, revoked};
use crate::support::patience::{PATIENCE, a_moment};
use crate::support::redis::RedisServer;

/// A server, and one gate's mirror of it.
struct Standalone {
    server: RedisServer,
    mirror: TempDir,
    clock: Arc<HandClock>,
}

#[async_trait]
impl Backend for Standalone {
    async fn open(&self) -> Arc<dyn Store> {
        let choice = choice(&self.server.url());
        let store = RedisStore::open(&choice, self.mirror.path(), self.clock.clone()).await;
        Arc::new(store.unwrap())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

async fn standalone() -> Standalone {
    Standalone {
        server: RedisServer::start(),
        mirror: tempfile::tempdir().unwrap(),
        clock: HandClock::new(),
    }
}

mod contract {
    use super::{keeps_the_contract, standalone};

    keeps_the_contract!(standalone);
}

/// A gate: a store, and the folder that its mirror lies in.
struct Gate {
    store: RedisStore,
    dir: TempDir,
}

impl Gate {
    async fn at(server: &RedisServer) -> Self {
        Self::open(&server.url()).await.unwrap()
    }

    async fn open(url: &str) -> Result<Self, StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let store = open(url, dir.path()).await?;
        Ok(Self { store, dir })
    }

    /// Opens the same mirror again; the store was closed before.
    async fn reopen(&mut self, url: &str) {
        self.store = open(url, self.dir.path()).await.unwrap();
    }

    /// Waits until the gate is at `revision`.
    async fn reaches(&self, revision: u64) {
        let reached = async {
            while self.store.revision().await.unwrap() < Revision(revision) {
                self.store.moved(Revision(revision - 1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        waited.unwrap_or_else(|_| panic!("revision {revision} does not come"));
    }

    async fn commits(&self, change: Change) -> Revision {
        self.store.commit(change).await.unwrap()
    }

    /// Why a change is refused.
    async fn refuses(&self, change: Change) -> String {
        chain(&self.store.commit(change).await.unwrap_err())
    }

    /// Sends a change until there is a store to take it or to refuse it.
    async fn settles(&self, change: Change) -> Result<Revision, StoreError> {
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
    async fn changes_since(&self, after: u64) -> Vec<ChangeId> {
        let News::Changes(changes) = self.store.since(Revision(after), 1_000).await.unwrap() else {
            panic!("revision {after} is trimmed");
        };
        let revisions = changes.iter().map(|(revision, _)| revision.0);
        assert!(revisions.eq((after + 1..).take(changes.len())));
        changes.iter().map(|(_, change)| change.id).collect()
    }

    /// All keys, by id, and the revision they are of.
    async fn keys(&self) -> (Vec<Key>, Revision) {
        let keys = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&keys);
        let take = Box::new(move |key| taken.lock().push(key));
        let revision = self.store.snapshot(take).await.unwrap();
        let mut keys = std::mem::take(&mut *keys.lock());
        keys.sort_by_key(|key: &Key| key.id);
        (keys, revision)
    }

    async fn has_revoked(&self, number: u32) -> bool {
        let key = self.store.key(key_id(number)).await.unwrap().unwrap();
        is_revoked(&key)
    }
}

async fn open(url: &str, dir: &Path) -> Result<RedisStore, StoreError> {
    RedisStore::open(&choice(url), dir, HandClock::new()).await
}

fn choice(url: &str) -> RedisChoice {
    RedisChoice {
        url: Zeroizing::new(url.to_owned()),
        username: None,
        password: None,
        prefix: "pc".to_owned(),
    }
}

/// The change that makes the key of this number, to land at the revision of this number.
fn making(number: u32) -> Change {
    let expect = Revision(u64::from(number) - 1);
    change(expect, vec![Write::Key(key(number))])
}

/// The change that revokes a key, to land after `expect`.
fn revoking(number: u32, expect: u64) -> Change {
    change(Revision(expect), vec![Write::Key(revoked(key(number)))])
}

fn is_revoked(key: &Key) -> bool {
    matches!(key.standing, Standing::Revoked { .. })
}

/// What went wrong, and why, and why that.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
