//! Keeps the audit log going: writes down what was refused, and signs how far the chain goes.

use std::sync::Arc;
use std::time::Duration;

use crate::app::error::chain;
use crate::app::tasks::Tasks;
use crate::control::audit::Checkpoints;
use crate::control::writer::Writer;

/// What is done for the audit log, every second and once more at the end.
pub(crate) struct AuditKeeping {
    pub(crate) writer: Arc<Writer>,
    pub(crate) checkpoints: Checkpoints,
}

impl AuditKeeping {
    /// Does it until the gate stops.
    pub(crate) fn spawn(self: &Arc<Self>, tasks: &Tasks) {
        let keeping = Arc::clone(self);
        tasks.spawn("audit", async move {
            let mut interval = tokio::time::interval(EVERY);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut is_away = false;
            loop {
                interval.tick().await;
                let refusals = keeping.writer.flush_refusals().await;
                match refusals.and(keeping.checkpoints.turn().await) {
                    Ok(()) => is_away = false,
                    Err(error) if !is_away => {
                        let error = chain(&error);
                        tracing::warn!(error, "the audit log cannot be written to, trying again");
                        is_away = true;
                    }
                    Err(_) => {}
                }
            }
        });
    }

    /// Writes down what still waits, and signs all there is.
    pub(crate) async fn last(&self) {
        let refusals = self.writer.flush_refusals().await;
        if let Err(error) = refusals.and(self.checkpoints.last().await) {
            let error = chain(&error);
            tracing::error!(error, "the end of the audit log could not be written");
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);
