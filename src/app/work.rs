//! What the control plane does for as long as the gate runs, and begins again where it broke off.

use std::sync::Arc;
use std::time::Duration;

use crate::admin;
use crate::app::error::chain;
use crate::app::tasks::Tasks;
use crate::control::flush::Flush;
use crate::control::keys::{KeyService, confirm_all};
use crate::control::sync::Sync;
use crate::domain::time::Clock;
use crate::state::desk::Desk;

/// Keeps the cache in step with the store.
pub(super) fn spawn_follower(tasks: &Tasks, sync: Arc<Sync>) {
    tasks.spawn("sync", move || {
        let sync = Arc::clone(&sync);
        async move { sync.follow().await }
    });
}

/// What the data plane leaves at the desk, but for quotas.
pub(super) fn spawn_answers(
    tasks: &Tasks,
    keys: &Arc<KeyService>,
    clock: &Arc<dyn Clock>,
    desk: &Arc<Desk>,
) {
    let (of_holders, clock) = (Arc::clone(keys), Arc::clone(clock));
    let tray = Arc::clone(desk);
    tasks.spawn("holders", move || {
        admin::holder::serve(
            Arc::clone(&of_holders),
            Arc::clone(&clock),
            Arc::clone(&tray),
        )
    });
    let (keys, desk) = (Arc::clone(keys), Arc::clone(desk));
    tasks.spawn("first-uses", move || {
        confirm_all(Arc::clone(&keys), Arc::clone(&desk))
    });
}

/// Brings counts to the store. They are frozen every second, however long the store takes for the last ones.
pub(super) fn spawn_flush(tasks: &Tasks, flush: &Arc<Flush>, clock: &Arc<dyn Clock>) {
    let (of_freeze, of_send) = (Arc::clone(flush), Arc::clone(clock));
    let clock = Arc::clone(clock);
    tasks.spawn("freeze", move || {
        let (flush, clock) = (Arc::clone(&of_freeze), Arc::clone(&clock));
        async move { freeze_all(&flush, &*clock).await }
    });
    let (flush, clock) = (Arc::clone(flush), of_send);
    tasks.spawn("flush", move || {
        let (flush, clock) = (Arc::clone(&flush), Arc::clone(&clock));
        async move { send_all(&flush, &*clock).await }
    });
}

async fn freeze_all(flush: &Flush, clock: &dyn Clock) {
    let mut interval = tokio::time::interval(FLUSH_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        interval.tick().await;
        match flush.freeze(clock.now()).await {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                let error = chain(&error);
                tracing::warn!(error, "usage counts get no number, keeping them in memory");
                is_failing = true;
            }
            Err(_) => {}
        }
    }
}

async fn send_all(flush: &Flush, clock: &dyn Clock) {
    let mut is_away = false;
    loop {
        flush.frozen().await;
        match flush.send(clock.read().mono_ns).await {
            Ok(()) if is_away => {
                tracing::info!("the store takes usage counts again, and has those that were kept");
                is_away = false;
            }
            Ok(()) => {}
            Err(error) if !is_away => {
                let error = chain(&error);
                tracing::warn!(error, "the store does not take usage counts, keeping them");
                is_away = true;
            }
            Err(_) => {}
        }
    }
}

/// How often counts are frozen, and go to the store.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
