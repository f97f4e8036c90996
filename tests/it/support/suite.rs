//! Which store the gate's suite is run on, and what a gate's configuration says of each kind of store.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use portcullis::config::{self, RedisChoice, RedisSite, RedisTls, StoreChoice};
use portcullis::domain::time::Clock;
use portcullis::store::Store;
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::node_key::NodeKey;
use portcullis::store::redis::{Local, RedisStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::clock::eventually;
use super::cluster::Cluster;
use super::redis::{RedisServer, own_prefix};
use super::sentinel::Watched;

/// Whether gates keep their keys in Redis unless their test says otherwise: the suite is run once on each store.
#[expect(
    clippy::disallowed_methods,
    reason = "which store is not what a test is about"
)]
pub(crate) fn suite_is_on_redis() -> bool {
    std::env::var("PORTCULLIS_SUITE_STORE").is_ok_and(|store| store == "redis")
}

/// A store that nobody has yet, in the Redis that all tests share.
pub(crate) fn on_shared_redis() -> String {
    static STORES: AtomicU64 = AtomicU64::new(0);
    let number = STORES.fetch_add(1, Ordering::Relaxed);
    let url = RedisServer::shared().url();
    format!("redis: {{ urls: [\"{url}\"], prefix: t{number} }}")
}

/// The store of a configuration, as soon as it opens, and what must live as long.
pub(crate) async fn store_of(config: &str, clock: Arc<dyn Clock>) -> (Box<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let loaded = config::load_text(config, "test.yaml", &|_| None).unwrap();
    let store: Box<dyn Store> = match loaded.store {
        StoreChoice::Embedded { path } => Box::new(EmbeddedStore::open(&path, clock).unwrap()),
        StoreChoice::Redis(choice) => {
            let local = Local {
                dir: folder.path(),
                node_key: &NodeKey::given(&[7; 32]).unwrap(),
                signed_head: None,
                accepts_store: false,
            };
            let opened = async || {
                RedisStore::open(&choice, local, Arc::clone(&clock))
                    .await
                    .ok()
            };
            Box::new(eventually("the store opens", opened).await)
        }
    };
    (store, folder)
}

/// A store in a Redis of the test's own.
pub(crate) fn on(redis: &RedisServer) -> String {
    format!("redis: {{ urls: [\"{}\"] }}", redis.url())
}

/// The store of services that no gate is around: in `dir`, or in the Redis that all tests share. Whatever it does by
/// itself, it does beside the test's own runtime, for as long as it is there.
pub(crate) fn store_of_services(dir: &Path, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    static BESIDE: OnceLock<Runtime> = OnceLock::new();
    if !suite_is_on_redis() {
        return Arc::new(EmbeddedStore::open(dir, clock).unwrap());
    }
    let choice = RedisChoice {
        prefix: own_prefix(),
        ..choice(&RedisServer::shared().url())
    };
    let runtime = BESIDE.get_or_init(|| Runtime::new().unwrap());
    let open = || {
        let local = Local {
            dir,
            node_key: &NodeKey::given(&[7; 32]).unwrap(),
            signed_head: None,
            accepts_store: false,
        };
        runtime.block_on(RedisStore::open(&choice, local, clock))
    };
    // A thread that drives a test may not wait for another runtime.
    let opened = thread::scope(|scope| scope.spawn(open).join().unwrap());
    Arc::new(opened.unwrap())
}

/// A store of the test's own in the Redis that Sentinels watch.
pub(crate) fn on_sentinels() -> String {
    let (urls, prefix, master) = (Watched::shared().urls(), own_prefix(), Watched::MASTER);
    format!("redis: {{ sentinel: {{ master: {master}, urls: {urls:?} }}, prefix: {prefix} }}")
}

/// A store of the test's own in the Cluster.
pub(crate) fn on_cluster() -> String {
    let (urls, prefix) = (Cluster::shared().urls(), own_prefix());
    format!("redis: {{ cluster: {{ urls: {urls:?} }}, prefix: {prefix} }}")
}

/// A store of the test's own in the Valkey.
pub(crate) fn on_valkey() -> String {
    let (url, prefix) = (RedisServer::shared_valkey().url(), own_prefix());
    format!("redis: {{ urls: [\"{url}\"], prefix: {prefix} }}")
}

/// The Redis at `url`, with nothing said about it.
pub(crate) fn choice(url: &str) -> RedisChoice {
    choice_at(RedisSite::Standalone {
        url: Zeroizing::new(url.to_owned()),
    })
}

/// The same, wherever it is.
pub(crate) fn choice_at(site: RedisSite) -> RedisChoice {
    RedisChoice {
        site,
        username: None,
        password: None,
        tls: RedisTls::default(),
        prefix: "pc".to_owned(),
    }
}
