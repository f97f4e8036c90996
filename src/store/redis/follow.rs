//! What keeps the mirror in step: connect, prove that the store goes on from what is here, follow.
//!
//! The follower waits in a blocking read, so a change is here as soon as Redis has it; each second without
//! news it looks where the store stands, which catches whatever a silent connection missed. It gives up
//! on nothing but connections: away from the store the mirror serves on as it is.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::domain::change::Revision;
use crate::domain::time::{Clock, Reading};
use crate::store::StoreError;

use super::connect::{Backoff, Cause, Connection, Fault, Link};
use super::feed::{self, Entry, Meta, NotAFeed, Stand};
use super::mirror::{Mirror, Taken};
use super::names::{Names, hex};
use super::scripts::{Call, Scripts};

/// What the follower and the callers share.
pub(super) struct Shared {
    pub(super) names: Names,
    pub(super) scripts: Scripts,
    pub(super) link: Link,
    pub(super) mirror: Mirror,
    pub(super) clock: Arc<dyn Clock>,
    stage: watch::Sender<Stage>,
    last_contact: Mutex<Option<Reading>>,
}

/// How the mirror stands to the store.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Not known yet.
    Starting,
    /// In step.
    Following,
    /// Not in step, and why.
    Away(Fault),
}

impl Shared {
    /// Everything, before anything was asked.
    pub(super) fn new(names: Names, link: Link, mirror: Mirror, clock: Arc<dyn Clock>) -> Self {
        Self {
            names,
            scripts: Scripts::new(),
            link,
            mirror,
            clock,
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

    /// Notes that the store has answered.
    pub(super) fn heard(&self) {
        *self.last_contact.lock() = Some(self.clock.read());
    }

    /// Follows the store for ever.
    pub(super) async fn follow(&self) {
        let mut pause = Backoff::default();
        loop {
            let Err(fault) = self.session(&mut pause).await;
            let is_news = match &*self.stage.borrow() {
                Stage::Away(known) => known.to_string() != fault.to_string(),
                Stage::Starting | Stage::Following => true,
            };
            if is_news {
                let cause = std::error::Error::source(&fault).map(tracing::field::display);
                warn!(cause, "the store is away, serving on what is here: {fault}");
            }
            self.stage.send_replace(Stage::Away(fault));
            pause.wait().await;
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
        self.join(&connection).await?;
        *pause = Backoff::default();
        info!(revision = %self.revision(), "following the store");
        let mut is_whole = false;
        loop {
            self.heard();
            self.stage.send_if_modified(|stage| {
                let is_news = !matches!(stage, Stage::Following);
                *stage = Stage::Following;
                is_news
            });
            is_whole = is_whole || !self.fill_audit(&connection).await?;
            let wait_ms = if is_whole { BLOCK_MS } else { 1 };
            let ask = feed::ask_news(&self.names, self.revision(), wait_ms, FEED_READ);
            let answer: Value = connection.ask(&ask).await?;
            let entries = self.entries(feed::read_news(answer))?;
            if entries.is_empty() {
                self.join(&connection).await?;
                is_whole = false;
            } else if self.take(entries).await? != Taken::All {
                self.reload(&connection).await?;
                is_whole = false;
            }
        }
    }

    /// Makes the mirror one that the feed goes on from: looks where the store stands, and reads it anew
    /// where the two have no common history.
    async fn join(&self, connection: &Connection) -> Result<(), Fault> {
        let Some(mine) = self.mirror.stand() else {
            if self.meta(connection).await? == Meta::Nothing {
                self.begin().await?;
            }
            return self.reload(connection).await;
        };
        // Mine was read first: a commit of ours in between can only make theirs the later one.
        let theirs = self.look(connection, Some(mine)).await?;
        match theirs.revision.cmp(&mine.revision) {
            Ordering::Equal if theirs.change == mine.change => return Ok(()),
            Ordering::Equal | Ordering::Less => {}
            Ordering::Greater => match self.catch_up(theirs.revision).await {
                Ok(()) if self.revision() >= theirs.revision => return Ok(()),
                Ok(()) => {}
                Err(fault) if matches!(fault.cause(), Cause::Trimmed | Cause::Forked) => {}
                Err(fault) => return Err(fault),
            },
        }
        self.reload(connection).await
    }

    /// Where the store stands, if it is one of ours, and the one whose mirror this is.
    ///
    /// # Errors
    /// If it cannot be read, or is not that one.
    pub(super) async fn look(
        &self,
        connection: &Connection,
        mine: Option<Stand>,
    ) -> Result<Stand, Fault> {
        let meta = self.meta(connection).await?;
        self.accept(meta, mine)
    }

    async fn meta(&self, connection: &Connection) -> Result<Meta, Fault> {
        let fields: Vec<_> = connection.ask(&feed::ask_meta(&self.names)).await?;
        self.heard();
        Ok(feed::read_meta(&fields))
    }

    fn accept(&self, meta: Meta, mine: Option<Stand>) -> Result<Stand, Fault> {
        let cause = match (meta, mine) {
            (Meta::At(theirs), None) => return Ok(theirs),
            (Meta::At(theirs), Some(mine)) if theirs.incarnation == mine.incarnation => {
                return Ok(theirs);
            }
            (Meta::At(theirs), Some(mine)) => Cause::Foreign {
                found: hex(&theirs.incarnation),
                mine: hex(&mine.incarnation),
            },
            (Meta::Nothing, Some(mine)) => Cause::Emptied {
                mine: hex(&mine.incarnation),
            },
            (Meta::Newer { format }, _) => Cause::Newer { format },
            (Meta::Nothing | Meta::Unreadable, _) => Cause::Damaged {
                what: "its meta cannot be read".to_owned(),
            },
        };
        Err(self.link.blame(cause))
    }

    /// Makes a store where there is none. Called only by a gate that has none itself.
    async fn begin(&self) -> Result<(), Fault> {
        let mut incarnation = [0; 16];
        getrandom::fill(&mut incarnation).map_err(|_| {
            self.link.blame(Cause::Damaged {
                what: "no random bytes to name it by".to_owned(),
            })
        })?;
        let mut call = Call::default();
        call.key(self.names.meta());
        call.key(self.names.feed());
        call.key(self.names.audit());
        call.number(feed::FORMAT)
            .number(feed::FORMAT)
            .bytes(hex(&incarnation))
            .bytes(feed::change_text(feed::NO_CHANGE));
        self.link.may_write().await?;
        let fields: Vec<Option<Vec<u8>>> = self.scripts.begin.run(&self.link, &call).await?;
        if let [Some(refused), Some(what)] = fields.as_slice()
            && refused == b"DAMAGED"
        {
            return Err(self.link.blame(Cause::Damaged {
                what: String::from_utf8_lossy(what).into_owned(),
            }));
        }
        self.accept(feed::read_meta(&fields), None).map(drop)
    }

    /// The revision that the mirror is at.
    pub(super) fn revision(&self) -> Revision {
        self.mirror
            .stand()
            .map_or(Revision(0), |stand| stand.revision)
    }
}

/// How long Redis holds a read that has no news.
const BLOCK_MS: u64 = 1_000;
/// How long an answer may take on the follower's connection: the blocking read, and 1.5 s.
const FOLLOW_DEADLINE: Duration = Duration::from_millis(2_500);
/// How many changes are read at once.
const FEED_READ: usize = 256;
