//! What keeps the mirror in step: connect, prove that the store goes on from what is here, follow.
//!
//! The follower waits in a blocking read, so a change is here as soon as Redis has it; each second without
//! news it looks where the store stands, which catches whatever a silent connection missed. It gives up
//! on nothing but connections: away from the store the mirror serves on as it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::domain::change::Revision;
use crate::domain::time::{Clock, Reading};
use crate::store::signed_head::SignedHead;
use crate::store::tombstones::Tombstones;
use crate::store::{Concern, StoreError};

use super::backfill::Page;
use super::connect::{Backoff, Cause, Connection, Fault, Link};
use super::fading::Fading;
use super::feed::{self, Entry, Meta, NotAFeed, Stand};
use super::make_good::Rounds;
use super::mirror::{Mirror, Taken};
use super::names::{Names, hex};
use super::nodes::Neighbours;
use super::reload::History;
use super::scripts::Scripts;
use super::store::Local;

/// What the follower and the callers share.
pub(super) struct Shared {
    pub(super) names: Names,
    pub(super) scripts: Scripts,
    pub(super) link: Link,
    pub(super) mirror: Mirror,
    pub(super) tombstones: Tombstones,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) neighbours: Neighbours,
    /// A beat saw that the store has what the follower has not.
    pub(super) follower_missed: Notify,
    pub(super) stage: watch::Sender<Stage>,
    last_contact: Mutex<Option<Reading>>,
    /// Whether the store that is met first may be another than the one the mirror is of.
    accepts: AtomicBool,
    /// How far the audit log is signed, as the gate remembers it.
    signed_head: Option<Arc<SignedHead>>,
    /// The connection of commands that was seen to lead to this store, by how many were made.
    pub(super) verified: AtomicU64,
    /// What was lost for good.
    pub(super) losses: Mutex<Vec<Concern>>,
    pub(super) rounds: Rounds,
    /// What is shown though the store may have lost it.
    pub(super) fading: Fading,
}

/// How the mirror stands to the store.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Not known yet.
    Starting,
    /// In step.
    Following,
    /// Being read.
    CatchingUp,
    /// It has lost changes, which are given back.
    Repairing,
    /// Not in step, and why.
    Away(Fault),
    /// Another store than the mirror's, or none where there was one.
    Estranged(Fault),
}

impl Stage {
    /// What is in the way, if anything is.
    pub(super) const fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Away(fault) | Self::Estranged(fault) => Some(fault),
            Self::Starting | Self::Following | Self::CatchingUp | Self::Repairing => None,
        }
    }
}

impl Shared {
    /// Everything, before anything was asked.
    pub(super) fn new(
        names: Names,
        link: Link,
        mirror: Mirror,
        tombstones: Tombstones,
        clock: Arc<dyn Clock>,
        local: Local<'_>,
    ) -> Self {
        Self {
            tombstones,
            accepts: AtomicBool::new(local.accepts_store),
            signed_head: local.signed_head.cloned(),
            losses: Mutex::new(Vec::new()),
            verified: AtomicU64::new(0),
            rounds: Rounds::default(),
            fading: Fading::default(),
            names,
            scripts: Scripts::new(),
            link,
            mirror,
            clock,
            neighbours: Neighbours::default(),
            follower_missed: Notify::new(),
            stage: watch::Sender::new(Stage::Starting),
            last_contact: Mutex::new(None),
        }
    }

    /// How the mirror stands to the store, now and whenever it changes.
    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// When the store was last heard of.
    pub(super) fn last_contact(&self) -> Option<Reading> {
        *self.last_contact.lock()
    }

    /// Notes that the store has answered what it was asked at `asked`: of what came since nothing is known.
    pub(super) fn heard(&self, asked: Reading) {
        let mut last = self.last_contact.lock();
        if last.is_none_or(|last| last.mono_ns <= asked.mono_ns) {
            *last = Some(asked);
        }
    }

    /// Follows the store for ever.
    pub(super) async fn follow(&self) {
        let mut pause = Backoff::default();
        loop {
            let Err(fault) = self.session(&mut pause).await;
            let is_news = match &*self.stage.borrow() {
                Stage::Away(known) | Stage::Estranged(known) => {
                    known.to_string() != fault.to_string()
                }
                Stage::Starting | Stage::Following | Stage::CatchingUp | Stage::Repairing => true,
            };
            if is_news {
                let cause = std::error::Error::source(&fault).map(tracing::field::display);
                let goes_on = match self.mirror.stand() {
                    Some(_) => "serving on what is here",
                    None => "and there is nothing here to serve from",
                };
                warn!(cause, "the store is away, {goes_on}: {fault}");
            }
            let is_estranged =
                matches!(fault.cause(), Cause::Foreign { .. } | Cause::Emptied { .. });
            self.stage.send_replace(if is_estranged {
                Stage::Estranged(fault)
            } else {
                Stage::Away(fault)
            });
            self.fade().await;
            tokio::select! {
                () = pause.wait() => {}
                // The commands got through: so may this.
                () = self.link.connected() => {}
            }
        }
    }

    /// Nobody follows any more.
    pub(super) fn give_up(&self) {
        let fault = self.link.blame(Cause::Abandoned);
        self.stage.send_replace(Stage::Away(fault));
    }

    /// Brings the mirror up to `revision`, or as far as the feed goes, over the command connection.
    ///
    /// # Errors
    /// If the feed cannot be read, or does not go on from what is here: the follower will see to that.
    pub(super) async fn catch_up(&self, revision: Revision) -> Result<(), Fault> {
        loop {
            let Some(stand) = self
                .mirror
                .stand()
                .filter(|stand| stand.revision < revision)
            else {
                return Ok(());
            };
            let ask = feed::ask_range(&self.names, stand.revision, Some(revision), FEED_READ);
            let entries = self.entries(feed::read_range(self.link.ask(&ask).await?))?;
            if entries.is_empty() {
                return Ok(());
            }
            match self.take(entries).await? {
                Taken::All => {}
                Taken::Gap => return Err(self.link.blame(Cause::Trimmed)),
                Taken::Fork => return Err(self.link.blame(Cause::Forked)),
            }
        }
    }

    /// Applies changes to the mirror.
    ///
    /// # Errors
    /// If the mirror cannot be written.
    pub(super) async fn take(&self, entries: Vec<Entry>) -> Result<Taken, Fault> {
        for entry in &entries {
            if let Some(at_us) = entry.committed_us {
                self.neighbours.note_commit(entry.revision, at_us);
            }
        }
        let taken = self.mirror.take(entries).await;
        taken.map_err(|source| self.mirror_fault(source))
    }

    pub(super) fn mirror_fault(&self, source: StoreError) -> Fault {
        self.link.blame(Cause::Mirror {
            source: Arc::new(source),
        })
    }

    /// What an answer about the feed says.
    pub(super) fn entries(&self, read: Result<Vec<Entry>, NotAFeed>) -> Result<Vec<Entry>, Fault> {
        read.map_err(|NotAFeed| {
            self.link.blame(Cause::Damaged {
                what: "its feed cannot be read".to_owned(),
            })
        })
    }

    /// One connection's time.
    async fn session(&self, pause: &mut Backoff) -> Result<Infallible, Fault> {
        let connection = self.link.connect(FOLLOW_DEADLINE).await?;
        let mut asked = self.clock.read();
        self.join(&connection).await?;
        // From now on another store is a mistake, whatever was said at the start.
        self.accepts.store(false, Ordering::Release);
        self.mirror.doubt();
        *pause = Backoff::default();
        info!(revision = %self.revision(), "following the store");
        let (mut is_whole, mut page) = (false, Page::default());
        loop {
            self.heard(asked);
            // In step is who knows nothing that the store does not, if it takes it.
            self.make_good().await;
            self.fade().await;
            self.stage.send_if_modified(|stage| {
                let is_news = !matches!(stage, Stage::Following);
                *stage = Stage::Following;
                is_news
            });
            is_whole = is_whole || !self.fill_audit(&connection, &mut page).await?;
            let wait_ms = match (is_whole, self.tombstones.is_owed()) {
                (true, false) => BLOCK_MS,
                (true, true) => OWING_BLOCK_MS,
                (false, _) => u64::try_from(page.rest().as_millis()).unwrap_or(BLOCK_MS),
            };
            let ask = feed::ask_news(&self.names, self.revision(), wait_ms, FEED_READ);
            asked = self.clock.read();
            let answer: Value = tokio::select! {
                answer = connection.ask(&ask) => answer?,
                // Another connection sees more than this one, which is let go of.
                () = self.follower_missed.notified() => {
                    return Err(connection.blame(Cause::Silent));
                }
            };
            let entries = self.entries(feed::read_news(answer))?;
            if entries.is_empty() || self.take(entries).await? != Taken::All {
                is_whole &= !self.join(&connection).await?;
            }
        }
    }

    /// Makes the mirror one that the feed goes on from: looks where the store stands, gives it back what it has
    /// lost, and reads it anew where the two have no common history. Whether it was read anew.
    async fn join(&self, connection: &Connection) -> Result<bool, Fault> {
        let before = *self.mirror.renewals().borrow();
        for _ in 0..JOINS {
            if self.meet(connection).await? {
                return Ok(*self.mirror.renewals().borrow() != before);
            }
        }
        Err(self.link.blame(Cause::Forked))
    }

    /// One step of [`Self::join`]; whether it was the last.
    async fn meet(&self, connection: &Connection) -> Result<bool, Fault> {
        let Some(mine) = self.mirror.stand() else {
            if self.meta(connection).await? == Meta::Nothing {
                self.begin().await?;
            }
            self.stage.send_replace(Stage::CatchingUp);
            self.reload(connection, History::Another, Vec::new())
                .await?;
            return Ok(true);
        };
        // Mine was read first: a commit of ours in between can only make theirs the later one.
        let asked = self.clock.read();
        let meta = self.meta(connection).await?;
        let theirs = match self.accept(meta, Some(mine)) {
            Ok(theirs) => {
                // Only of its own store: another one, or none, tells nothing of what was revoked.
                self.heard(asked);
                theirs
            }
            Err(fault) if self.accepts.load(Ordering::Acquire) => {
                return match fault.cause() {
                    Cause::Foreign { .. } | Cause::Emptied { .. } => {
                        self.adopt(connection, meta, mine).await.map(|()| true)
                    }
                    _ => Err(fault),
                };
            }
            Err(fault) => return Err(fault),
        };
        if theirs.revision > mine.revision {
            let caught_up = if self.mirror.is_stuck() {
                Err(self.link.blame(Cause::Trimmed))
            } else {
                self.catch_up(theirs.revision).await
            };
            match caught_up {
                Ok(()) if self.revision() >= theirs.revision => return Ok(true),
                Err(fault) if matches!(fault.cause(), Cause::Forked) => {}
                Err(fault) if !matches!(fault.cause(), Cause::Trimmed) => return Err(fault),
                Ok(()) | Err(_) => {
                    self.stage.send_replace(Stage::CatchingUp);
                    self.reload(connection, History::Continued, Vec::new())
                        .await?;
                    return Ok(true);
                }
            }
        } else if theirs.is_at(mine.place()) {
            return Ok(true);
        }
        self.stage.send_replace(Stage::Repairing);
        self.repair(connection, theirs).await
    }

    /// Takes a store that is not the one the mirror is of, because someone said so.
    async fn adopt(&self, connection: &Connection, meta: Meta, mine: Stand) -> Result<(), Fault> {
        self.stage.send_replace(Stage::CatchingUp);
        if meta == Meta::Nothing {
            self.begin().await?;
        }
        self.give_up_signed(0)?;
        self.reload(connection, History::Another, Vec::new())
            .await?;
        let now = hex(&self
            .mirror
            .stand()
            .map_or([0; 16], |stand| stand.incarnation));
        warn!(
            store.accepted = now,
            store.left = hex(&mine.incarnation),
            "took another store, as `--accept-store` said"
        );
        let told = self.tell_accepted(&hex(&mine.incarnation), &now).await;
        if let Err(error) = told {
            let error = &error as &dyn std::error::Error;
            warn!(
                error,
                "that another store was taken could not be written into its audit log"
            );
        }
        Ok(())
    }

    /// Forgets what was signed of a history that is given up from entry `seq` on.
    pub(super) fn give_up_signed(&self, seq: u64) -> Result<(), Fault> {
        let Some(signed) = &self.signed_head else {
            return Ok(());
        };
        let given_up = signed.give_up_from(seq).map_err(StoreError::unavailable);
        if let Some(checkpoint) = given_up.map_err(|source| self.mirror_fault(source))? {
            warn!(
                audit.seq = checkpoint.head.seq,
                audit.hash = crate::domain::audit::form::hex(&checkpoint.head.hash),
                "what was signed up to this entry is in a history that the store has lost"
            );
        }
        Ok(())
    }

    /// What someone should look at.
    pub(super) fn concerns(&self) -> Vec<Concern> {
        let mut concerns = self.losses.lock().clone();
        if let Stage::Estranged(fault) = &*self.stage.borrow() {
            concerns.push(Concern {
                code: "store_estranged",
                detail: format!("{fault}; what is known is served, and nothing is written"),
            });
        }
        if matches!(*self.stage.borrow(), Stage::Repairing) {
            concerns.push(Concern {
                code: "store_repair",
                detail: "the store has lost changes, which are given back".to_owned(),
            });
        }
        let held = self.tombstones.held();
        if held > 0 {
            concerns.push(Concern {
                code: "revocations_held",
                detail: format!(
                    "{held} revocations are on this gate's disk, and not in the store yet"
                ),
            });
        }
        if let Some(detail) = self.tombstones.damage() {
            concerns.push(Concern {
                code: "tombstones_damaged",
                detail: format!("{detail}; the file was set aside, what is sound of it holds"),
            });
        }
        concerns
    }

    /// The revision that the mirror is at.
    pub(super) fn revision(&self) -> Revision {
        self.mirror
            .stand()
            .map_or(Revision(0), |stand| stand.revision)
    }
}

/// How often a store that moves on meanwhile is met anew before the connection is.
const JOINS: usize = 8;
/// How long Redis holds a read that has no news.
const BLOCK_MS: u64 = 1_000;
/// The same while the store is owed something: as soon as it takes that, it is to have it.
const OWING_BLOCK_MS: u64 = 100;
/// How long an answer may take on the follower's connection: the blocking read, and 1.5 s.
const FOLLOW_DEADLINE: Duration = Duration::from_millis(2_500);
/// How many changes are read at once.
const FEED_READ: usize = 256;
