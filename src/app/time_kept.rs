//! What time it was when the gate last ran: no restart takes it back behind that.

use std::sync::Arc;
use std::time::Duration;

use crate::app::tasks::Tasks;
use crate::domain::time::Clock;
use crate::store::local::{DataDir, LocalError, TimeFile};

/// Keeps what time it is, and says when the machine's clock is behind it.
pub(crate) struct TimeKept {
    file: TimeFile,
    clock: Arc<dyn Clock>,
}

impl TimeKept {
    /// Has `clock` go on from what is kept in `dir`.
    ///
    /// # Errors
    /// If that cannot be read, or is no time.
    pub(crate) fn open(dir: &DataDir, clock: &Arc<dyn Clock>) -> Result<Self, LocalError> {
        let file = TimeFile::of(dir);
        if let Some(kept) = file.read()? {
            clock.not_before(kept);
        }
        Ok(Self {
            file,
            clock: Arc::clone(clock),
        })
    }

    /// Keeps it every few seconds until the gate stops.
    pub(crate) fn spawn(self: Arc<Self>, tasks: &Tasks) {
        tasks.spawn("time", move || {
            let kept = Arc::clone(&self);
            async move { kept.keep_on().await }
        });
    }

    async fn keep_on(self: Arc<Self>) {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_behind = false;
        loop {
            interval.tick().await;
            is_behind = self.look(is_behind);
            let kept = Arc::clone(&self);
            // A panic of the thread has been told of by the hook.
            let _ = tokio::task::spawn_blocking(move || kept.keep()).await;
        }
    }

    /// Keeps what time it is.
    pub(crate) fn keep(&self) {
        if let Err(error) = self.file.write(self.clock.now()) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what time it is cannot be kept");
        }
    }

    /// Says so when the machine's clock was set back, and when it has caught up; whether it is behind.
    fn look(&self, was_behind: bool) -> bool {
        let behind = self.clock.behind();
        let is_behind = behind > TOLERATED;
        let seconds = behind.as_secs();
        if is_behind && !was_behind {
            tracing::error!(
                behind_s = seconds,
                "the machine's clock was set back by {seconds} s; the gate goes on with the time it had, so that nothing that ended comes back"
            );
        } else if was_behind && !is_behind {
            tracing::info!("the machine's clock has caught up with the gate's");
        }
        is_behind
    }
}

const EVERY: Duration = Duration::from_secs(5);
/// Less than this is the machine's clock being made exact.
const TOLERATED: Duration = Duration::from_secs(1);
