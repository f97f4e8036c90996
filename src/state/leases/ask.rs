//! What a request leaves at the desk when a shared limit has too little in hand.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::lease::LimitHolder;
use crate::state::limiter::{NamedLimit, Slot};

/// Asks the control plane for tokens of a shared limit.
#[derive(Debug)]
pub struct LeaseAsk {
    /// Whose limit.
    pub holder: LimitHolder,
    /// Where its tokens lie.
    pub slot: Arc<Slot>,
    /// Which.
    pub limit: NamedLimit,
    /// How many whoever asks cannot do without.
    pub cost: u32,
    /// Told what came of it; dropped untold if the store did not answer. `None` if nobody waits.
    pub answer: Option<oneshot::Sender<LeaseAnswer>>,
}

/// What came of an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// The tokens are taken.
    Taken,
    /// There are none, for so many nanoseconds.
    Denied(u64),
}
