//! The gates that share the store: this one's beats, and what it makes of the others'.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::app::error::StartError;
use crate::app::tasks::Tasks;
use crate::config::Config;
use crate::control::fleet::{BeatRules, Beats, FleetService, KeptPeak, Seen, Words};
use crate::control::sync::AppliedRevision;
use crate::control::writer::Writer;
use crate::domain::time::Clock;
use crate::state::leases::LeaseLink;
use crate::state::quotas::QuotaLink;
use crate::store::Store;
use crate::store::local::DataDir;
use crate::store::peak_file::PeakFile;

/// What beats are made of.
pub(super) struct Footing<'a> {
    pub(super) config: &'a Config,
    pub(super) dir: &'a DataDir,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) node: &'a Arc<str>,
    pub(super) boot: u64,
}

/// Enters the roster, before anything is served: whoever revokes a key from then on waits for this gate too.
///
/// # Errors
/// [`StartError::NodeTaken`] if another process beats under this gate's name.
pub(super) async fn enter(
    footing: Footing<'_>,
    applied: AppliedRevision,
    (link, quota_link): (&Arc<LeaseLink>, &Arc<QuotaLink>),
) -> Result<Arc<Beats>, StartError> {
    let fleet = &footing.config.fleet;
    let beats = Beats {
        store: Arc::clone(footing.store),
        clock: Arc::clone(footing.clock),
        node: Arc::clone(footing.node),
        boot: footing.boot,
        applied,
        seen: Arc::<Seen>::default(),
        link: Arc::clone(link),
        quota_link: Arc::clone(quota_link),
        rules: BeatRules {
            forget: fleet.forget,
            max_nodes: fleet.max_nodes,
            max_staleness: fleet.max_staleness,
        },
        peak: KeptPeak::open(PeakFile::of(footing.dir)),
        failures: AtomicU64::new(0),
    };
    beats.seat_as_kept();
    beats
        .enter()
        .await
        .map_err(|source| StartError::NodeTaken {
            node: footing.node.to_string(),
            source: Box::new(source),
        })?;
    Ok(Arc::new(beats))
}

/// Beats on, and tells whoever waits for a change that it is applied.
pub(super) fn spawn(tasks: &Tasks, beats: &Arc<Beats>, words: &Arc<Words>) {
    let (beating, telling) = (Arc::clone(beats), Arc::clone(beats));
    tasks.spawn("beats", move || {
        let beats = Arc::clone(&beating);
        async move { beats.run().await }
    });
    let words = Arc::clone(words);
    tasks.spawn("words", move || {
        let (beats, words) = (Arc::clone(&telling), Arc::clone(&words));
        async move { words.pass_on(&*beats.store, &beats.node).await }
    });
}

/// What is asked about the gates.
pub(super) fn service(beats: &Beats, writer: &Arc<Writer>) -> Arc<FleetService> {
    let service = FleetService::new(
        Arc::clone(&beats.store),
        Arc::clone(&beats.clock),
        Arc::clone(writer),
        Arc::clone(&beats.node),
        beats.rules.forget,
    );
    Arc::new(service.seeing(Arc::clone(&beats.seen)))
}
