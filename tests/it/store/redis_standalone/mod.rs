//! The store in a standalone Redis: the whole contract, and what is its own.

pub(super) mod counts;
mod faults;
mod gates;
pub(super) mod jobs;
mod leases;
mod refused;
mod watches;

use std::sync::Arc;

use async_trait::async_trait;
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::store::Store;
use tempfile::TempDir;

use super::contract::{Backend, keeps_the_contract};
use super::gate::{Gate, chain, choice, is_revoked, making, open, open_at, revoking};
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
        let store = open_at(&choice, self.mirror.path(), self.clock.clone()).await;
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
