//! Waiting for what will be so soon, and not longer than a test may take.

use std::time::Duration;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    super::clock::eventually(what, async || condition().then_some(())).await;
}

/// What lies between two looks.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
