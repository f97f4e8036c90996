//! The store in a standalone Redis: the whole contract, and what is its own.

mod counts;
mod faults;
mod gates;
mod leases;
mod refused;

use std::sync::Arc;

use async_trait::async_trait;
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::store::Store;
use portcullis::store::redis::RedisStore;
use tempfile::TempDir;

use super::contract::{Backend, keeps_the_contract};
use super::gate::{Gate, chain, choice, is_revoked, making, open, revoking};
use super::things::HandClock;
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
        let store = RedisStore::open(
            &choice,
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
