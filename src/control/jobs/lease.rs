//! One gate at a time does a job.
//!
//! A gate takes a job for ten seconds, and goes on with it every three. What it writes for the job, the store
//! takes only while the job is still its own: a gate that was paused, and wakes after another has taken over,
//! writes nothing. What leaves the gate, a secret on its way to a sink, cannot be refused like that, so it is
//! asked for the job immediately before, and gives it up by its own clock three seconds before it lapses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::control::sinks::{NamedSink, SinkError};
use crate::domain::job::{Claim, Fence};
use crate::store::{JobStore, Store, StoreError};

/// The right to do jobs, for a time.
#[async_trait]
pub trait Lease: Send + Sync + 'static {
    /// The right to do `job` for the next few seconds, if this gate has it; asked for before each step that
    /// others must not take at the same time.
    async fn hold(&self, job: &'static str) -> Option<Tenure>;

    /// The right to hand secrets over to this sink. Where what a gate hands over lies on its own disk, only
    /// gates with that disk have it.
    async fn hold_sink(&self, sink: &NamedSink) -> Option<Tenure>;

    /// Whether what this gate hands over to the sink is where those look who read it.
    ///
    /// # Errors
    /// [`SinkError::Elsewhere`] if it is not; or if that cannot be known.
    async fn is_here(&self, sink: &NamedSink) -> Result<(), SinkError>;

    /// The store has said that a job is another gate's by now.
    fn lost(&self, tenure: &Tenure);

    /// Gives up everything, so that others need not wait.
    async fn leave(&self);

    /// The jobs that this gate does, where gates share them.
    fn held(&self) -> Vec<Arc<str>>;

    /// Sinks of this gate that no gate hands over to: each is where only gates have it that are gone.
    fn orphans(&self) -> Vec<Orphan>;
}

/// The right to do a job, and what proves it to the store; nothing where nobody else could.
#[derive(Debug, Clone)]
pub struct Tenure(Option<Fence>);

impl Tenure {
    /// What proves it.
    #[must_use]
    pub const fn fence(&self) -> Option<&Fence> {
        self.0.as_ref()
    }
}

/// A sink that no gate hands over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its name.
    pub sink: String,
    /// The gate that did it last.
    pub node: String,
}

/// Nobody else could: there is one gate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Lease for Alone {
    async fn hold(&self, _job: &'static str) -> Option<Tenure> {
        Some(Tenure(None))
    }

    async fn hold_sink(&self, _sink: &NamedSink) -> Option<Tenure> {
        Some(Tenure(None))
    }

    async fn is_here(&self, _sink: &NamedSink) -> Result<(), SinkError> {
        Ok(())
    }

    fn lost(&self, _tenure: &Tenure) {}

    async fn leave(&self) {}

    fn held(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn orphans(&self) -> Vec<Orphan> {
        Vec::new()
    }
}

/// Jobs that gates take from each other through their store.
pub struct Leased {
    store: Arc<dyn Store>,
    owner: String,
    jobs: Mutex<HashMap<Arc<str>, Known>>,
}

/// What this gate last heard of a job.
#[derive(Debug, Clone)]
enum Known {
    /// It is ours, and was when this was asked.
    Mine(Fence, Instant),
    /// It is not, and asking again is of use then.
    Not(Instant),
    /// It is done elsewhere alone: until when that holds, by which gate, and whether it is done.
    Elsewhere(Instant, String, bool),
}

impl Leased {
    /// Jobs of this run of `node`; `boot` tells it from the runs before, whose jobs are not its own.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, node: &str, boot: u64) -> Self {
        Self {
            store,
            owner: format!("{node} {boot:016x}"),
            jobs: Mutex::default(),
        }
    }

    /// What is known without asking, if that will do.
    fn remembered(&self, job: &str) -> Option<Option<Tenure>> {
        match self.jobs.lock().get(job)? {
            Known::Mine(fence, asked) if asked.elapsed() < RENEW_AFTER => {
                Some(Some(Tenure(Some(fence.clone()))))
            }
            Known::Not(again_at) | Known::Elsewhere(again_at, ..) if Instant::now() < *again_at => {
                Some(None)
            }
            Known::Mine(..) | Known::Not(_) | Known::Elsewhere(..) => None,
        }
    }

    async fn ask(&self, jobs: &dyn JobStore, job: Arc<str>, place: Option<&str>) -> Option<Tenure> {
        let asked = Instant::now();
        let claim = jobs.take_job(&job, &self.owner, place, HELD_FOR).await;
        let mut known = self.jobs.lock();
        let before = known.get(&job).cloned();
        let (after, tenure) = match claim {
            Ok(Claim::Mine(fence)) => {
                if !matches!(&before, Some(Known::Mine(held, _)) if *held == fence) {
                    tracing::info!(job = %job, fence = fence.number, "this gate does the job `{job}` now");
                }
                (Known::Mine(fence.clone(), asked), Some(fence))
            }
            Ok(Claim::Others { left_ms, .. }) => {
                let wait = Duration::from_millis(left_ms + 1).min(ASK_EVERY);
                (Known::Not(asked + wait), None)
            }
            Ok(Claim::Elsewhere { owner, is_done }) => {
                let owner = node_of(&owner).to_owned();
                if !matches!(before, Some(Known::Elsewhere(..))) {
                    tracing::warn!(
                        job = %job,
                        "what this gate would hand over is not where the sink is, which is with gate `{owner}`: this gate hands over nothing"
                    );
                }
                let known = Known::Elsewhere(asked + LOOK_AGAIN, owner, is_done);
                (known, None)
            }
            // Unless it is known to have lapsed, it has not.
            Err(_) => match before {
                Some(Known::Mine(fence, renewed)) if renewed.elapsed() < STOP_AFTER => {
                    (Known::Mine(fence.clone(), renewed), Some(fence))
                }
                _ => (Known::Not(asked + ASK_EVERY), None),
            },
        };
        known.insert(job, after);
        tenure.map(|fence| Tenure(Some(fence)))
    }

    fn shared(&self) -> Result<&dyn JobStore, StoreError> {
        let jobs = self.store.jobs();
        jobs.ok_or_else(|| StoreError::unavailable("gates share no jobs through it"))
    }
}

#[async_trait]
impl Lease for Leased {
    async fn hold(&self, job: &'static str) -> Option<Tenure> {
        match self.remembered(job) {
            Some(known) => known,
            None => self.ask(self.shared().ok()?, job.into(), None).await,
        }
    }

    async fn hold_sink(&self, sink: &NamedSink) -> Option<Tenure> {
        let job = job_of(sink);
        if let Some(known) = self.remembered(&job) {
            return known;
        }
        match sink.sink.place().await {
            Ok(place) => {
                let jobs = self.shared().ok()?;
                self.ask(jobs, job, place.as_deref()).await
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                let again_at = Instant::now() + LOOK_AGAIN;
                tracing::warn!(sink = %sink.name, error, "sink `{}` is not to be had here", sink.name);
                self.jobs.lock().insert(job, Known::Not(again_at));
                None
            }
        }
    }

    async fn is_here(&self, sink: &NamedSink) -> Result<(), SinkError> {
        let Some(place) = sink.sink.place().await? else {
            return Ok(());
        };
        let bind = async {
            let jobs = self.shared()?;
            jobs.bind_job(&job_of(sink), &self.owner, &place).await
        };
        bind.await
            .map_err(SinkError::Unknown)?
            .map_err(|owner| SinkError::Elsewhere(node_of(&owner).to_owned()))
    }

    fn lost(&self, tenure: &Tenure) {
        if let Some(fence) = tenure.fence() {
            let again_at = Instant::now() + ASK_EVERY;
            tracing::warn!(job = %fence.job, "another gate has taken over the job `{}`", fence.job);
            self.jobs
                .lock()
                .insert(Arc::clone(&fence.job), Known::Not(again_at));
        }
    }

    async fn leave(&self) {
        let held = self.held();
        self.jobs.lock().clear();
        for job in held {
            if let Ok(jobs) = self.shared() {
                // Else it lapses by itself.
                let _ = jobs.leave_job(&job, &self.owner).await;
            }
        }
    }

    fn held(&self) -> Vec<Arc<str>> {
        let jobs = self.jobs.lock();
        let mine = jobs.iter().filter(
            |(_, known)| matches!(known, Known::Mine(_, renewed) if renewed.elapsed() < STOP_AFTER),
        );
        mine.map(|(job, _)| Arc::clone(job)).collect()
    }

    fn orphans(&self) -> Vec<Orphan> {
        let jobs = self.jobs.lock();
        let left = jobs.iter().filter_map(|(job, known)| match known {
            Known::Elsewhere(_, node, false) => Some(Orphan {
                sink: job.strip_prefix(OF_SINK)?.to_owned(),
                node: node.clone(),
            }),
            _ => None,
        });
        left.collect()
    }
}

fn job_of(sink: &NamedSink) -> Arc<str> {
    format!("{OF_SINK}{}", sink.name).into()
}

/// The gate that an owner is a run of.
fn node_of(owner: &str) -> &str {
    owner.split(' ').next().unwrap_or_default()
}

const OF_SINK: &str = "sink:";
/// How long a job is taken for, by the store's clock.
const HELD_FOR: Duration = Duration::from_secs(10);
/// When it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(3);
/// When it is given up that could not be renewed, by this gate's monotonic clock.
const STOP_AFTER: Duration = Duration::from_secs(7);
/// How often a job that another gate does is asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How soon it is looked again whether a sink is here.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_job_names_its_gate() {
        assert_eq!(node_of("gate-1 00ff"), "gate-1");
        assert_eq!(node_of(""), "");
    }
}
