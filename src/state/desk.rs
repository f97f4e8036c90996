//! What the data plane asks the control plane to do: left here, bounded, done when it can be.
//!
//! Each kind of request has a [`Tray`] of its own and, in `control`, a taker of its own: so a change that
//! takes its time delays no grant. Whoever needs the outcome leaves the sending half of a channel with what
//! it asks; whoever does not, leaves and goes on.
//!
//! **Invariant:** leaving something never waits. A tray that is full gives it back, and the asker decides
//! what to do without.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::state::first_uses::FirstUses;
use crate::state::holders::HolderCall;
use crate::state::leases::LeaseAsk;
use crate::state::quotas::QuotaAsk;

/// What waits for the control plane.
#[derive(Debug)]
pub struct Desk {
    /// Quotas that a key has too little of in hand.
    pub quotas: Tray<QuotaAsk>,
    /// Shared limits of which a key has too little in hand.
    pub leases: Tray<LeaseAsk>,
    /// Pending versions that were used.
    pub first_uses: FirstUses,
    /// What holders ask about their own keys.
    pub holders: Tray<HolderCall>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            quotas: Tray::new(QUOTAS_MAX),
            leases: Tray::new(LEASES_MAX),
            first_uses: FirstUses::default(),
            holders: Tray::new(HOLDERS_MAX),
        }
    }
}

/// Requests of one kind, in the order they came.
#[derive(Debug)]
pub struct Tray<T> {
    items: Mutex<Vec<T>>,
    most: usize,
    bell: Notify,
}

impl<T> Tray<T> {
    /// A tray that holds at most `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            items: Mutex::default(),
            most,
            bell: Notify::new(),
        }
    }

    /// Leaves `item` for whoever takes.
    ///
    /// # Errors
    /// The item, if the tray is full.
    pub fn leave(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock();
        if items.len() >= self.most {
            return Err(item);
        }
        items.push(item);
        drop(items);
        self.bell.notify_one();
        Ok(())
    }

    /// Waits until something lies here and moves all of it into `into`, which must be empty; the tray goes
    /// on with the room that `into` had. For one taker.
    pub async fn take(&self, into: &mut Vec<T>) {
        loop {
            std::mem::swap(&mut *self.items.lock(), into);
            if !into.is_empty() {
                return;
            }
            // A bell that was rung since we looked rings at once.
            self.bell.notified().await;
        }
    }
}

/// More would wait longer than a request may.
const QUOTAS_MAX: usize = 4_096;
/// Likewise.
const LEASES_MAX: usize = 4_096;
/// Holders who may wait at once.
const HOLDERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_is_taken_in_order_and_no_more_than_fits() {
        let tray = Tray::new(2);
        assert_eq!(
            (tray.leave(1), tray.leave(2), tray.leave(3)),
            (Ok(()), Ok(()), Err(3))
        );
        let mut taken = Vec::new();
        tray.take(&mut taken).await;
        assert_eq!(taken, [1, 2]);
        taken.clear();
        assert_eq!(tray.leave(4), Ok(()));
        tray.take(&mut taken).await;
        assert_eq!(taken, [4]);
    }

    #[tokio::test]
    async fn whoever_takes_is_woken_by_what_comes() {
        let tray = Tray::new(1);
        let mut taken = Vec::new();
        let (_, left) = tokio::join!(tray.take(&mut taken), async { tray.leave(7) });
        assert_eq!((left, taken), (Ok(()), vec![7]));
    }
}
