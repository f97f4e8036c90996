//! Jobs that one gate at a time does, and what proves that it still is the one.

use std::sync::Arc;

/// A job taken by one gate. It has the next number each time it passes to another, so what is written under an
/// older one is refused: a gate that was paused and wakes writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Which job.
    pub job: Arc<str>,
    /// How often it has passed to another gate.
    pub number: u64,
}

/// What came of asking for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is this gate's, for as long as was asked for from now.
    Mine(Fence),
    /// Another gate does it.
    Others {
        /// As it calls itself.
        owner: String,
        /// For so many milliseconds more, unless it renews that.
        left_ms: u64,
    },
    /// It is done in one place alone, and that is not here.
    Elsewhere {
        /// Who did it last.
        owner: String,
        /// Whether it is being done there.
        is_done: bool,
    },
}
