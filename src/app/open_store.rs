//! Opens the store that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use crate::app::error::{StartError, chain};
use crate::config::{Config, RedisChoice, StoreChoice};
use crate::domain::time::Clock;
use crate::store::embedded::EmbeddedStore;
use crate::store::local::DataDir;
use crate::store::node_key::NodeKey;
use crate::store::redis::RedisStore;
use crate::store::{Store, StoreError};

/// Opens it; waits where it is shared, and neither it nor a copy of it is there yet.
pub(crate) async fn open_store(
    config: &Config,
    data_dir: &DataDir,
    node_key: &NodeKey,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StartError> {
    match &config.store {
        StoreChoice::Embedded { path } => {
            let (path, clock) = (path.clone(), Arc::clone(clock));
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path, clock));
            let opened = opened
                .await
                .map_err(|error| StartError::Store(StoreError::unavailable(error)))?;
            Ok(Arc::new(opened.map_err(StartError::Store)?))
        }
        StoreChoice::Redis(choice) => open_redis(choice, data_dir, node_key, clock).await,
    }
}

/// Opens the store in Redis. Where it is away and this gate has nothing to serve from yet, there is
/// nothing to do but to try again: gates and their store are often started together.
async fn open_redis(
    choice: &RedisChoice,
    data_dir: &DataDir,
    node_key: &NodeKey,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StartError> {
    let mirror = data_dir.path().join("mirror");
    let mut is_told = false;
    loop {
        match RedisStore::open(choice, &mirror, node_key.mirror_key(), Arc::clone(clock)).await {
            Ok(store) => return Ok(Arc::new(store)),
            Err(error @ StoreError::Unavailable { .. }) => {
                if !is_told {
                    let error = chain(&error);
                    tracing::warn!(error, "the store cannot be reached yet, trying again");
                    is_told = true;
                }
                let mut random = [0];
                getrandom::fill(&mut random).map_err(StartError::Random)?;
                let jitter = Duration::from_millis(u64::from(random[0]) * 4);
                tokio::time::sleep(jitter + Duration::from_millis(250)).await;
            }
            Err(error) => return Err(StartError::Store(error)),
        }
    }
}
