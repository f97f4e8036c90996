//! Tasks: named, watched, and ended together; the only place that spawns any on the control runtime.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Tasks that run until the gate stops.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    running: Arc<Mutex<JoinSet<()>>>,
    stop: watch::Sender<bool>,
    restarts: Restarts,
}

/// How often each task was begun again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restarts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Restarts {
    /// The name of each task there is, and how often it was begun again.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock();
        counts.iter().map(|(name, count)| (*name, *count)).collect()
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::default(),
            stop: watch::Sender::new(false),
            restarts: Restarts::default(),
        }
    }

    /// How often tasks were begun again.
    pub(crate) fn restarts(&self) -> Restarts {
        self.restarts.clone()
    }

    /// Does `work` until it ends or the gate stops. Work that panics is begun again, a moment later each
    /// time: one answer that goes wrong must not be the last.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) {
        let mut stop = self.stop.subscribe();
        let restarts = self.restarts();
        restarts.0.lock().entry(name).or_default();
        self.running.lock().spawn(async move {
            tokio::select! {
                () = again_and_again(name, work, &restarts) => {}
                // The sender is dropped only with the gate itself.
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// Turns true when the gate stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Ends all tasks and waits until they are gone.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let mut running = std::mem::take(&mut *self.running.lock());
        while running.join_next().await.is_some() {}
    }
}

async fn again_and_again<F: Future<Output = ()>>(
    name: &'static str,
    work: impl Fn() -> F,
    restarts: &Restarts,
) {
    let mut wait = WAIT_LEAST;
    loop {
        let begun = Instant::now();
        // What work shares is behind locks that a panic does not poison, or is tried whole again.
        if AssertUnwindSafe(work()).catch_unwind().await.is_ok() {
            return;
        }
        *restarts.0.lock().entry(name).or_default() += 1;
        if begun.elapsed() > WAIT_MOST * 10 {
            wait = WAIT_LEAST;
        }
        tracing::error!(
            task = name,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "task `{name}` broke off by a panic, and is begun again"
        );
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MOST);
    }
}

/// How long a task that broke off waits the first time.
const WAIT_LEAST: Duration = Duration::from_millis(100);
/// How long it waits at most: whoever needs it needs it soon.
const WAIT_MOST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// One call that goes wrong must not be the last that is answered.
    #[tokio::test]
    async fn work_that_panics_is_begun_again_and_counted() {
        let tasks = Tasks::new();
        let begun = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&begun);
        let (done, ended) = tokio::sync::oneshot::channel();
        let done = Arc::new(Mutex::new(Some(done)));
        tasks.spawn("answers", move || {
            let (counted, done) = (Arc::clone(&counted), Arc::clone(&done));
            async move {
                let attempt = counted.fetch_add(1, Ordering::Relaxed);
                // Held over the panic, as a service holds its state.
                let mut done = done.lock();
                assert!(attempt >= 2, "as the test wants it");
                if let Some(done) = done.take() {
                    let _ = done.send(());
                }
            }
        });
        tasks.spawn("calm", || async {});
        ended.await.unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 3);
        assert_eq!(tasks.restarts().counts(), [("answers", 2), ("calm", 0)]);
        tasks.stop().await;
    }
}
