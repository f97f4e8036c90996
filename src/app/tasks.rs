//! Tasks: named, watched, and ended together; the only place that spawns any on the control runtime.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tasks that run until the gate stops.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    running: Arc<Mutex<JoinSet<()>>>,
    stop: watch::Sender<bool>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// Runs `task` until it ends or the gate stops. A task that ends by a panic says so in the log; the
    /// others go on.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut stop = self.stop.subscribe();
        self.running.lock().spawn(async move {
            let _ended = Ended(name);
            tokio::select! {
                () = task => {}
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

/// Says so if a task ends by a panic.
struct Ended(&'static str);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "task `{}` ended by a panic", self.0);
        }
    }
}
