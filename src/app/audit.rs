//! Keeps the audit log going: writes down what was refused, and signs how far the chain goes.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::app::error::chain;
use crate::app::tasks::Tasks;
use crate::config;
use crate::control::audit::{Checkpoints, Erasures, RequestsLost, keep_requests};
use crate::control::writer::Writer;
use crate::domain::time::Clock;
use crate::state::requests::NoteSink;
use crate::store::local::DataDir;
use crate::store::node_key::NodeKey;
use crate::store::requests::{Kept, RequestLog};

/// What is done for the audit log, every second and once more at the end.
pub(crate) struct AuditKeeping {
    pub(crate) writer: Arc<Writer>,
    pub(crate) checkpoints: Checkpoints,
}

/// Where requests are written down, and the thread that does it.
pub(crate) struct Requests {
    pub(crate) log: Arc<RequestLog>,
    pub(crate) lost: Arc<RequestsLost>,
    thread: JoinHandle<()>,
}

impl Requests {
    /// Opens the log in `data_dir`, and writes down what comes from `sink`.
    ///
    /// # Errors
    /// If the log cannot be opened.
    pub(crate) fn start(
        sink: NoteSink,
        data_dir: &DataDir,
        config: &config::Audit,
        (node, key): (&Arc<str>, &Arc<NodeKey>),
        routes: &[Arc<str>],
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let kept = Kept {
            age: config.requests_kept,
            bytes: config.requests_max,
        };
        let log = Arc::new(RequestLog::open(
            &data_dir.path().join("requests"),
            Arc::clone(node),
            Arc::clone(key),
            Arc::clone(clock),
            kept,
        )?);
        let lost = Arc::<RequestsLost>::default();
        let of_thread = (Arc::clone(&log), Arc::clone(node), Arc::clone(&lost));
        let routes = routes.to_vec();
        let thread = thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || {
                let (log, node, lost) = of_thread;
                keep_requests(&sink, &log, &node, &routes, &lost);
            })?;
        Ok(Self { log, lost, thread })
    }

    /// Waits until all is written; whoever sends must be gone.
    pub(crate) async fn ended(self) {
        // A panic of the thread has been told of by the hook.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
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

/// Has requests kept here follow the erasure of owners. Apart from what is done every second: writing large
/// files anew takes its time.
pub(crate) fn spawn_erasures(tasks: &Tasks, erasures: Erasures) {
    tasks.spawn("erasures", async move {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            interval.tick().await;
            match erasures.turn().await {
                Ok(()) => is_failing = false,
                Err(error) if !is_failing => {
                    let error = chain(&error);
                    tracing::error!(
                        error,
                        "requests kept here still hold addresses of erased owners, trying again"
                    );
                    is_failing = true;
                }
                Err(_) => {}
            }
        }
    });
}

const EVERY: Duration = Duration::from_secs(1);
