//! Which store the gate's suite is run on.

use std::sync::atomic::{AtomicU64, Ordering};

use super::redis::RedisServer;

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
