//! Limits that gates share: who shares them, and the task that fetches their tokens.

use std::sync::Arc;

use crate::app::tasks::Tasks;
use crate::config::Config;
use crate::control::leases::Leases;
use crate::domain::time::Clock;
use crate::state::leases::LeaseLink;
use crate::state::limiter::LimitBook;
use crate::store::Store;

/// The way to the store; beats seat those who share it.
pub(super) fn link(config: &Config, store: &dyn Store, clock: &dyn Clock) -> Arc<LeaseLink> {
    let fleet = &config.fleet;
    let link = LeaseLink::new(fleet.lease_wait, fleet.fallback_after);
    link.begin(clock.mono_ns());
    if store.fleet().is_some() {
        link.give_places();
    }
    Arc::new(link)
}

/// The limits there are: shared over `link`, if the store is shared at all.
pub(super) fn limits(store: &dyn Store, link: &Arc<LeaseLink>) -> Arc<LimitBook> {
    Arc::new(match store.leases() {
        Some(_) => LimitBook::shared_over(Arc::clone(link)),
        None => LimitBook::default(),
    })
}

/// Answers the desk and keeps leases up.
pub(super) fn spawn(tasks: &Tasks, leases: &Arc<Leases>) {
    let leases = Arc::clone(leases);
    tasks.spawn("leases", move || {
        let leases = Arc::clone(&leases);
        async move { leases.serve().await }
    });
}
