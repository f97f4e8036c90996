//! One Redis for many tests: each has a store of its own under a prefix of its own.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis::config::{RedisChoice, RedisSentinel, RedisSite};
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::store::Store;
use portcullis::store::redis::RedisStore;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::contract::Backend;
use super::gate::choice_at;
use super::things::HandClock;
use crate::support::cluster::Cluster;
use crate::support::redis::own_prefix;
use crate::support::sentinel::Watched;

/// A store that nobody else has, in servers that others use too, and one gate's mirror of it.
pub(super) struct Shared {
    choice: RedisChoice,
    mirror: TempDir,
    clock: Arc<HandClock>,
}

impl Shared {
    pub(super) fn at(site: RedisSite) -> Self {
        Self {
            choice: of_its_own(site),
            mirror: tempfile::tempdir().unwrap(),
            clock: HandClock::new(),
        }
    }
}

#[async_trait]
impl Backend for Shared {
    async fn open(&self) -> Arc<dyn Store> {
        let store = RedisStore::open(
            &self.choice,
            self.mirror.path(),
            &crate::store::things::mirror_key(),
            self.clock.clone(),
        )
        .await;
        Arc::new(store.unwrap())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A store under a prefix that no other test has.
pub(super) fn of_its_own(site: RedisSite) -> RedisChoice {
    RedisChoice {
        prefix: own_prefix(),
        ..choice_at(site)
    }
}

/// Where those sentinels know the master.
pub(super) fn watched_by(watched: &Watched) -> RedisSite {
    RedisSite::Sentinel(RedisSentinel {
        master: Watched::MASTER.to_owned(),
        urls: watched.urls().into_iter().map(Zeroizing::new).collect(),
        username: None,
        password: None,
    })
}

/// Where the masters of a cluster are.
pub(super) fn nodes_of(cluster: &Cluster) -> RedisSite {
    RedisSite::Cluster {
        urls: cluster.urls().into_iter().map(Zeroizing::new).collect(),
    }
}
