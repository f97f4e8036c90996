//! Time: turned by hand, and waited for only as a condition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::domain::time::{Clock, Reading, Timestamp};

use super::patience::{PATIENCE, a_moment};

/// Where a clock turned by hand begins: 2026-01-01T00:00:00Z.
pub(crate) const START_MS: u64 = 1_767_225_600_000;

/// A clock that stands until it is turned.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicU64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicU64::new(START_MS))
    }
}

impl ManualClock {
    /// Turns both clocks on.
    pub(crate) fn turn(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Turns both clocks on by so many milliseconds.
    pub(crate) fn turn_ms(&self, ms: u64) {
        self.turn(Duration::from_millis(ms));
    }
}

impl Clock for ManualClock {
    fn read(&self) -> Reading {
        let ms = self.0.load(Ordering::SeqCst);
        Reading {
            wall: Timestamp::from_millis(ms),
            mono_ns: (ms - START_MS + 1_000) * 1_000_000,
        }
    }
}

/// What `look` finds, as soon as it finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            a_moment().await;
        }
    };
    within(what, looking).await
}

/// What `future` comes to, which must be soon.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    assert!(outcome.is_ok(), "waited too long: {what}");
    outcome.unwrap()
}

/// Runs `future` beside the test, which may abort it.
#[expect(clippy::disallowed_methods, reason = "a test has no `app::tasks`")]
pub(crate) fn beside<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}
