//! A gate that runs, and how it is taken down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::audit::{AuditKeeping, Requests};
use crate::app::error::chain;
use crate::app::tasks::Tasks;
use crate::app::time_kept::TimeKept;
use crate::control::fleet::Beats;
use crate::control::flush::Flush;
use crate::control::jobs::Lease;
use crate::control::leases::Leases;
use crate::control::quotas::Quotas;
use crate::control::traces::Exporter;
use crate::domain::secret::Secret;
use crate::domain::time::Clock;
use crate::proxy::Stage;
use crate::state::readiness::Readiness;
use crate::store::Store;
use crate::store::local::DataDir;

/// A gate that runs. Dropping it without [`Running::stop`] ends it without draining.
pub struct Running {
    /// Where clients connect, in the order of the configuration, ports filled in.
    pub addresses: Vec<SocketAddr>,
    /// Where the admin API listens.
    pub admin: SocketAddr,
    /// The first admin token, on the very first start without a configured one.
    pub first_token: Option<Secret>,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) workers: Vec<JoinHandle<()>>,
    pub(super) log: Option<JoinHandle<()>>,
    pub(super) tasks: Tasks,
    pub(super) calls: JoinHandle<()>,
    pub(super) flush: Arc<Flush>,
    pub(super) quotas: Arc<Quotas>,
    pub(super) leases: Arc<Leases>,
    pub(super) beats: Arc<Beats>,
    pub(super) lease: Arc<dyn Lease>,
    pub(super) requests: Requests,
    pub(super) audit: Arc<AuditKeeping>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) drain: Duration,
    /// Sends spans, where a collector wants them.
    pub(super) exporter: Option<Arc<Exporter>>,
    pub(super) time_kept: Arc<TimeKept>,
    /// Held for its lock.
    pub(super) _data_dir: DataDir,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({:?}, admin {})", self.addresses, self.admin)
    }
}

impl Running {
    /// Stops: no new connections, what is in flight finishes within the drain time, and the last count
    /// is with the store before this returns.
    pub async fn stop(self) {
        self.readiness.set_draining();
        self.stage.send_replace(Stage::Draining);
        let workers = self.workers;
        let mut gone = tokio::task::spawn_blocking(move || {
            for worker in workers {
                // A worker that panicked has said so.
                let _ = worker.join();
            }
        });
        if tokio::time::timeout(self.drain, &mut gone).await.is_err() {
            tracing::warn!(
                "requests were still in flight when the drain time was over, cutting them"
            );
            self.stage.send_replace(Stage::Stopped);
            let _ = gone.await;
        }
        // Every record is closed now, so this is the last count.
        if let Err(error) = self.flush.flush(self.clock.read()).await {
            let (error, left) = (chain(&error), self.flush.standing());
            if left.queued == 0 {
                let batches = left.spooled;
                tracing::warn!(
                    error,
                    batches,
                    "the last usage counts are on this gate's disk, its next start sends them"
                );
            } else {
                tracing::error!(error, "the last usage counts could not be stored");
            }
        }
        if let Err(error) = self.quotas.release().await {
            let error = chain(&error);
            tracing::error!(
                error,
                "what quotas hold could not be given back, it counts as spent"
            );
        }
        if let Err(error) = self.leases.release().await {
            let error = chain(&error);
            tracing::info!(error, "what is leased of shared limits lapses by itself");
        }
        self.tasks.stop().await;
        if let Some(exporter) = &self.exporter {
            exporter.last().await;
        }
        self.lease.leave().await;
        let calls = self.calls;
        // It has said so if it panicked.
        let _ = tokio::task::spawn_blocking(move || calls.join()).await;
        self.audit.last().await;
        self.beats.sign_off().await;
        self.store.close().await;
        self.time_kept.keep(&self.store.contact());
        if let Some(log) = self.log {
            let _ = tokio::task::spawn_blocking(move || log.join()).await;
        }
        self.requests.ended().await;
    }
}
