//! Whether the gate may take traffic.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::domain::refusal::RefusalCode;

/// Whether the gate may take traffic: not before its keys are known, nor long after it last met its
/// store.
#[derive(Debug, Default)]
pub(crate) struct Readiness(AtomicU8);

const NOT_READY: u8 = 0;
const READY: u8 = 1;
const STALE: u8 = 2;
const DRAINING: u8 = 3;

impl Readiness {
    /// The keys are known, and the store was met not too long ago.
    pub(crate) fn set_ready(&self) {
        self.leave_unless_draining(READY);
    }

    /// The store was last met too long ago.
    pub(crate) fn set_stale(&self) {
        self.leave_unless_draining(STALE);
    }

    /// The gate is about to stop: load balancers are to look elsewhere, requests are still served.
    pub(crate) fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    /// Whether a load balancer may send requests here.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == READY
    }

    /// Why no key can be judged now, if so.
    pub(crate) fn refusal(&self) -> Option<RefusalCode> {
        match self.0.load(Ordering::Relaxed) {
            NOT_READY => Some(RefusalCode::NotReady),
            STALE => Some(RefusalCode::Stale),
            _ => None,
        }
    }

    fn leave_unless_draining(&self, next: u8) {
        let change = |now: u8| (now != DRAINING).then_some(next);
        // Draining is for good, so staying in it is no failure.
        let _ = self
            .0
            .try_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_drains_serves_but_is_not_ready_any_more() {
        let readiness = Readiness::default();
        assert_eq!(readiness.refusal(), Some(RefusalCode::NotReady));
        readiness.set_ready();
        assert!(readiness.is_ready() && readiness.refusal().is_none());
        readiness.set_stale();
        assert_eq!(readiness.refusal(), Some(RefusalCode::Stale));
        readiness.set_draining();
        readiness.set_ready();
        assert!(!readiness.is_ready() && readiness.refusal().is_none());
    }
}
