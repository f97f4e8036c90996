//! The tasks that draw on quotas, and how long a request waits for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use crate::app::error::chain;
use crate::app::tasks::Tasks;
use crate::config::{Config, StoreChoice};
use crate::control::quotas::Quotas;

/// How long a request may wait for units of a quota. The embedded store is this machine's disk, which the gate
/// cannot do without anyway (docs/adr/0006).
pub(super) fn lease_wait(config: &Config) -> Duration {
    match config.store {
        StoreChoice::Embedded { .. } => DISK_WAIT,
        StoreChoice::Redis(_) => config.fleet.lease_wait,
    }
}

/// Answers the desk, settles the rest every second, and tells of thresholds.
pub(super) fn spawn(tasks: &Tasks, quotas: &Arc<Quotas>) {
    let desk = Arc::clone(quotas);
    tasks.spawn("desk", async move { desk.serve().await });
    let sweeping = Arc::clone(quotas);
    tasks.spawn("quotas", async move {
        let mut interval = every_second();
        loop {
            interval.tick().await;
            // What is not settled now is the next time; that the store is away has been said.
            let _ = sweeping.sweep().await;
        }
    });
    let telling = Arc::clone(quotas);
    tasks.spawn("thresholds", async move {
        let mut interval = every_second();
        let mut is_away = false;
        loop {
            interval.tick().await;
            match telling.tell().await {
                Ok(_) => is_away = false,
                Err(error) if !is_away => {
                    let error = chain(&error);
                    tracing::warn!(error, "thresholds of quotas cannot be told of yet");
                    is_away = true;
                }
                Err(_) => {}
            }
        }
    });
}

fn every_second() -> Interval {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Longer than any disk takes that works.
const DISK_WAIT: Duration = Duration::from_secs(1);
