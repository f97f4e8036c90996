//! One gate at a time does a job.

use async_trait::async_trait;

/// The right to do a job, for a time.
#[async_trait]
pub trait Lease: Send + Sync + 'static {
    /// Whether this gate may do `job` for the next few seconds; asked before each step that others must
    /// not take at the same time.
    async fn hold(&self, job: &'static str) -> bool;
}

/// Nobody else could: there is one gate, or what it does is safe to do twice.
///
/// Over Redis two gates may take the same step. Their changes expect a revision, so one of them wins and
/// the other sees what it did; what leaves the gate, the sink, is read back before anything depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Lease for Alone {
    async fn hold(&self, _job: &'static str) -> bool {
        true
    }
}
