//! What is left at the desk for the control plane, and whether that reaches the store.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::oneshot;

use super::NamedQuota;
use crate::domain::id::KeyId;
use crate::domain::period::Span;
use crate::state::limiter::Slot;

/// Asks the control plane to have more granted, or to look how much there is.
#[derive(Debug)]
pub struct QuotaAsk {
    /// Whose.
    pub key: KeyId,
    /// Where its account lies.
    pub slot: Arc<Slot>,
    /// Of which quota.
    pub quota: Arc<NamedQuota>,
    /// Of which period.
    pub span: Span,
    /// How much whoever asks cannot do without.
    pub need: u64,
    /// Told when the store has answered; dropped untold if it has not.
    pub answer: Option<oneshot::Sender<()>>,
}

/// Whether the store answers, as far as quotas are concerned.
#[derive(Debug, Default)]
pub struct QuotaLink {
    is_away: AtomicBool,
    /// How many gates there are besides this one.
    others: AtomicU32,
}

impl QuotaLink {
    /// The store did not answer, or took too long: from now on nobody waits for it. Whether it had
    /// answered before.
    pub fn lost(&self) -> bool {
        !self.is_away.swap(true, Ordering::Relaxed)
    }

    /// The store has answered.
    pub fn met(&self) {
        self.is_away.store(false, Ordering::Relaxed);
    }

    /// Says among how many gates what is left is divided while the store is away.
    pub fn seat(&self, gates: u32) {
        self.others
            .store(gates.saturating_sub(1), Ordering::Relaxed);
    }

    /// While requests go by what was last seen: among how many gates what is left is divided.
    #[must_use]
    pub fn shares(&self) -> Option<NonZeroU32> {
        let others = self.others.load(Ordering::Relaxed);
        self.is_away()
            .then(|| NonZeroU32::MIN.saturating_add(others))
    }

    /// Whether requests go by what was last seen.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}
