//! What all workers share, and how they are told to stop.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use ipnet::IpNet;

use crate::config::{Bounds, Deadlines};
use crate::domain::secret::Hasher;
use crate::domain::time::Clock;
use crate::proxy::access_log::LogWriter;
use crate::proxy::own::OwnLimits;
use crate::state::counters::Counters;
use crate::state::desk::Desk;
use crate::state::failures::{Failures, neighbourhood};
use crate::state::keys::KeyCache;
use crate::state::leases::LeaseLink;
use crate::state::quotas::QuotaLink;
use crate::state::readiness::Readiness;
use crate::state::requests::NoteWriter;
use crate::state::routes::RouteTable;
use crate::state::tap::Tap;
use crate::state::traces::Traces;
use crate::state::usage::UsageRecorder;

/// What all workers share: read by each, written by none but through what is made for it.
pub(crate) struct Plane {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) hasher: Hasher,
    /// What secrets of ours begin with.
    pub(crate) prefix: String,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) usage: UsageRecorder,
    pub(crate) counters: Counters,
    pub(crate) tap: Arc<Tap>,
    pub(crate) failures: Arc<Failures>,
    /// Among how many gates a limit is divided that each counts for itself.
    pub(crate) fleet: Arc<LeaseLink>,
    /// Where requests leave what only the control plane can do.
    pub(crate) desk: Arc<Desk>,
    pub(crate) own_limits: OwnLimits,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) quota_link: Arc<QuotaLink>,
    /// How long a request may wait for units of a quota.
    pub(crate) lease_wait: Duration,
    pub(crate) log: LogWriter,
    /// Where spans go, if anyone wants them.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Where requests go for the audit log.
    pub(crate) notes: NoteWriter,
    pub(crate) bounds: Bounds,
    pub(crate) deadlines: Deadlines,
    pub(crate) trusted: Vec<IpNet>,
    /// Whether the older `X-RateLimit-*` fields are sent too.
    pub(crate) legacy_headers: bool,
    /// This gate's name, for the access log.
    pub(crate) node: Arc<str>,
    pub(crate) upstream_tls: Arc<rustls::ClientConfig>,
    pub(crate) connections: Connections,
    /// A random number of this run of the gate, for request ids and draws.
    pub(crate) boot: u64,
}

/// How far along the gate is in stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Serving.
    Running,
    /// No new connections; requests in flight finish.
    Draining,
    /// Whatever is left is cut.
    Stopped,
}

/// How many connections there are, in all and from each address.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicUsize,
    most: usize,
    by_address: DashMap<IpAddr, usize, foldhash::fast::RandomState>,
    most_by_address: usize,
}

impl Connections {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        Self {
            open: AtomicUsize::new(0),
            most: bounds.connections_max,
            by_address: DashMap::default(),
            most_by_address: bounds.connections_per_address_max,
        }
    }

    /// Counts one in, unless there are too many.
    pub(crate) fn enter(&self, address: IpAddr) -> bool {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let mut here = self.by_address.entry(neighbourhood(address)).or_insert(0);
        if *here >= self.most_by_address {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        *here += 1;
        true
    }

    /// Counts one out.
    pub(crate) fn leave(&self, address: IpAddr) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let address = neighbourhood(address);
        if let Some(mut here) = self.by_address.get_mut(&address) {
            *here -= 1;
        }
        self.by_address.remove_if(&address, |_, here| *here == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_all_together_have_their_bounds() {
        let connections = Connections {
            open: AtomicUsize::new(0),
            most: 3,
            by_address: DashMap::default(),
            most_by_address: 2,
        };
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert!(connections.enter(one) && connections.enter(one) && !connections.enter(one));
        assert!(connections.enter(two) && !connections.enter(two));
        connections.leave(one);
        assert!(connections.enter(two));
        connections.leave(one);
        connections.leave(two);
        connections.leave(two);
        assert!(connections.by_address.is_empty());
        assert_eq!(connections.open.load(Ordering::Relaxed), 0);
    }
}
