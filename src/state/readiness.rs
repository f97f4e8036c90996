//! Whether the gate may take traffic.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::refusal::RefusalCode;
use crate::state::grants::Grants;

/// Whether the gate may take traffic: not before its keys are known, nor long after it last met its
/// store.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    state: AtomicU8,
    /// When the store was last met, by the monotonic clock; [`NEVER_MET`], or [`ALWAYS_MET`].
    met_ns: AtomicU64,
}

/// The store was not met since the process began, whose clock has passed this.
const NEVER_MET: u64 = 0;
/// The store is on this machine: what is known is what there is.
const ALWAYS_MET: u64 = u64::MAX;

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

    /// The store was last met at `ns` of the monotonic clock, or not since the process began.
    pub(crate) fn met(&self, ns: Option<u64>) {
        let ns = ns.map_or(NEVER_MET, |ns| ns.min(ALWAYS_MET - 1));
        self.met_ns.store(ns, Ordering::Relaxed);
    }

    /// The store is on this machine, and nobody else changes it.
    pub(crate) fn always_met(&self) {
        self.met_ns.store(ALWAYS_MET, Ordering::Relaxed);
    }

    /// Whether what is known is fresh enough for keys of these grants: strict ones are refused sooner than
    /// the gate stops.
    ///
    /// # Errors
    /// `stale`.
    pub(crate) fn ensure_fresh(&self, grants: &Grants, now_ns: u64) -> Result<(), RefusalCode> {
        let Some(bound) = grants.max_staleness else {
            return Ok(());
        };
        let is_fresh = match self.met_ns.load(Ordering::Relaxed) {
            ALWAYS_MET => true,
            NEVER_MET => false,
            met_ns => Duration::from_nanos(now_ns.saturating_sub(met_ns)) < bound,
        };
        if is_fresh {
            Ok(())
        } else {
            Err(RefusalCode::Stale)
        }
    }

    /// The gate is about to stop: load balancers are to look elsewhere, requests are still served.
    pub(crate) fn set_draining(&self) {
        self.state.store(DRAINING, Ordering::Relaxed);
    }

    /// Whether a load balancer may send requests here.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.load(Ordering::Relaxed) == READY
    }

    /// Why no key can be judged now, if so.
    pub(crate) fn refusal(&self) -> Option<RefusalCode> {
        match self.state.load(Ordering::Relaxed) {
            NOT_READY => Some(RefusalCode::NotReady),
            STALE => Some(RefusalCode::Stale),
            _ => None,
        }
    }

    fn leave_unless_draining(&self, next: u8) {
        let change = |now: u8| (now != DRAINING).then_some(next);
        // Draining is for good, so staying in it is no failure.
        let _ = self
            .state
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

    #[test]
    fn a_strict_key_is_refused_from_its_bound_on_and_others_are_not() {
        let readiness = Readiness::default();
        let strict = Grants {
            max_staleness: Some(Duration::from_secs(5)),
            ..Grants::default()
        };
        let at_ms = |ms: u64| readiness.ensure_fresh(&strict, ms * 1_000_000);
        assert_eq!(at_ms(1_000), Err(RefusalCode::Stale), "never met");
        assert_eq!(readiness.ensure_fresh(&Grants::default(), 1), Ok(()));
        readiness.met(Some(2_000_000_000));
        assert_eq!(at_ms(6_999), Ok(()));
        assert_eq!(at_ms(7_000), Err(RefusalCode::Stale));
        assert_eq!(at_ms(1_999), Ok(()), "read before it was met");
        readiness.always_met();
        assert_eq!(at_ms(u64::MAX / 1_000_000), Ok(()));
    }
}
