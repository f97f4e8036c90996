//! Waiting for what will be so soon, and not longer than a test may take.

use std::time::Duration;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    super::clock::eventually(what, async || condition().then_some(())).await;
}

/// Waits in a thread until `is_so`, which is what [`eventually`] is to a task.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(becomes_so(PATIENCE, is_so), "waited too long: {what}");
}

/// Whether it is so before a thread has waited for `patience`. For whoever has more to say than what it waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for in another process is waited for by the real clock"
)]
pub(crate) fn becomes_so(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let began = std::time::Instant::now();
    while !is_so() {
        if began.elapsed() >= patience {
            return false;
        }
        let_pass(Duration::from_millis(10));
    }
    true
}

/// Lets time pass in a thread, for what is to happen at any moment; never for what is to have happened by then.
pub(crate) fn let_pass(span: Duration) {
    std::thread::park_timeout(span);
}

/// What lies between two looks.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
