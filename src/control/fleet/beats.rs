//! The task that says once a second that this gate is there, and seats limits by who else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::control::sync::AppliedRevision;
use crate::domain::fleet::{LIVE_WITHIN, Peak, Roster};
use crate::domain::time::Clock;
use crate::state::leases::{LeaseLink, Roster as Seats};
use crate::state::quotas::QuotaLink;
use crate::store::peak_file::PeakFile;
use crate::store::{Beat, Beaten, Store};

use super::Seen;

/// Beats of this gate.
pub(crate) struct Beats {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: Arc<str>,
    /// Which start of this gate it is.
    pub(crate) boot: u64,
    pub(crate) applied: AppliedRevision,
    pub(crate) seen: Arc<Seen>,
    pub(crate) link: Arc<LeaseLink>,
    pub(crate) quota_link: Arc<QuotaLink>,
    pub(crate) rules: BeatRules,
    pub(crate) peak: KeptPeak,
    pub(crate) failures: AtomicU64,
}

/// How the configuration wants the gates judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BeatRules {
    /// How long a silent gate is counted on.
    pub(crate) forget: Duration,
    /// How many gates there will ever be, if that is known.
    pub(crate) max_nodes: Option<u32>,
    /// After how long without the store this gate refuses.
    pub(crate) max_staleness: Duration,
}

/// The most gates there were, in memory and on this gate's disk.
#[derive(Debug)]
pub(crate) struct KeptPeak {
    peak: Mutex<Peak>,
    file: PeakFile,
}

/// Another process beats under this gate's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another gate goes by this name and was heard of {} ms ago", since.as_millis())]
pub(crate) struct NameTaken {
    since: Duration,
}

impl KeptPeak {
    /// What is kept in `file`; nothing, if it holds nothing that can be read.
    pub(crate) fn open(file: PeakFile) -> Self {
        let peak = file.read().unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "how many gates there were is not known, counting anew"
            );
            Peak::default()
        });
        Self {
            peak: Mutex::new(peak),
            file,
        }
    }

    /// The most there were.
    pub(crate) fn most(&self) -> u32 {
        self.peak.lock().most()
    }

    /// Takes in how many there are; what to keep, if the most there were is another number now.
    fn see(&self, roster: &Roster) -> Option<Peak> {
        let mut peak = self.peak.lock();
        let before = peak.most();
        peak.see(roster.at, roster.live());
        (peak.most() != before).then(|| peak.clone())
    }
}

impl Beats {
    /// Says for the first time that this gate is there. Where its name is another's, waits until that one has
    /// not been heard of for long enough: it was this gate before it was started again.
    ///
    /// # Errors
    /// If the other beats on.
    pub(crate) async fn enter(&self) -> Result<(), NameTaken> {
        let begun = Instant::now();
        let mut is_told = false;
        while let Some(since) = self.beat().await {
            if begun.elapsed() > TAKEN_PATIENCE {
                return Err(NameTaken { since });
            }
            if !is_told {
                tracing::info!(node = %self.node, "this gate's name was heard of a moment ago, waiting until it is free");
                is_told = true;
            }
            sleep(TAKEN_PAUSE).await;
        }
        Ok(())
    }

    /// Seats limits by what is kept, until a beat says who is there.
    pub(crate) fn seat_as_kept(&self) {
        if self.store.fleet().is_none() {
            return;
        }
        let most = self.rules.max_nodes.unwrap_or_else(|| self.peak.most());
        self.seat(Seats {
            live: most,
            index: None,
            max_recent: most,
            lost: 0,
        });
    }

    /// Says to those who hold limits and quotas among how many they are divided.
    fn seat(&self, seats: Seats) {
        self.quota_link.seat(seats.max_recent);
        self.link.seat(seats);
    }

    /// Beats for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.beat().await.is_some() {
                self.note_taken();
            }
        }
    }

    /// Says that this gate serves no more. The last beat: no other may come after it.
    pub(crate) async fn sign_off(&self) {
        let Some(fleet) = self.store.fleet() else {
            return;
        };
        if let Err(error) = fleet.sign_off(&self.row()).await {
            tracing::info!(%error, "this gate could not sign off, its share is left to it until it is forgotten");
        }
    }

    /// How many beats the store did not take.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Beats once. How long ago another process of this name did, where one has it.
    async fn beat(&self) -> Option<Duration> {
        let fleet = self.store.fleet()?;
        match fleet.beat(&self.row()).await {
            Ok(Beaten::Known(roster)) => {
                if self.seen.taken_since.lock().take().is_some() {
                    tracing::info!(node = %self.node, "this gate's name is its own again");
                }
                self.learn(roster).await;
                None
            }
            Ok(Beaten::Taken { since }) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Some(since)
            }
            Ok(Beaten::Full) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!("the roster is full of live gates, and this one is not in it");
                None
            }
            Err(error) => {
                // That the store is away is said by those who follow it.
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "the store took no beat");
                None
            }
        }
    }

    /// Another process took this gate's name while this one could not beat.
    fn note_taken(&self) {
        let mut since = self.seen.taken_since.lock();
        if since.is_none() {
            *since = Some(self.clock.now());
            tracing::error!(node = %self.node, "another process goes by the name of this gate; one of them must be given another (`node`)");
        }
    }

    async fn learn(&self, roster: Roster) {
        let changed = self.peak.see(&roster);
        let forget = self.rules.forget;
        // Those whose share is left to them are among those a limit is divided by, however long that is so.
        let most = self.peak.most().max(roster.counted_on(forget));
        self.seat(Seats {
            live: roster.live(),
            index: roster.find(&self.node).map(|me| me.index),
            max_recent: self.rules.max_nodes.unwrap_or(most),
            lost: roster.lost(&self.node, forget),
        });
        let before = std::mem::replace(&mut *self.seen.roster.lock(), Arc::new(roster));
        self.tell(&before);
        if let Some(peak) = changed {
            let file = self.peak.file.clone();
            // A panic of the thread has been told of by the hook.
            let kept = tokio::task::spawn_blocking(move || file.write(&peak)).await;
            if let Ok(Err(error)) = kept {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "how many gates there are cannot be kept");
            }
        }
    }

    /// Says who came, went, or fell silent.
    fn tell(&self, before: &Roster) {
        let (now, forget) = (self.seen.roster(), self.rules.forget);
        for node in now.nodes.iter().filter(|node| node.name != self.node) {
            let presence = node.presence(now.at, forget);
            let known = before.find(&node.name);
            if known.map(|known| known.presence(before.at, forget)) != Some(presence) {
                let (name, state) = (&node.name, presence.as_str());
                tracing::info!(node = %name, "gate `{name}` is {state}");
            }
        }
    }

    fn row(&self) -> Beat {
        let (applied, renewals) = self.applied.now();
        Beat {
            node: Arc::clone(&self.node),
            boot: self.boot,
            applied,
            renewals,
            max_staleness: self.rules.max_staleness,
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);
/// How long a gate waits for its own name: its last start is not live any more by then.
const TAKEN_PATIENCE: Duration = LIVE_WITHIN.saturating_mul(2);
const TAKEN_PAUSE: Duration = Duration::from_millis(250);
