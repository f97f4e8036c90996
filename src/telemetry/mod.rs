//! What the process says about itself: its log, and its metrics.

pub(crate) mod log;
pub(crate) mod metrics;
