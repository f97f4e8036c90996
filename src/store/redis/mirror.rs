//! This gate's copy of the control state: the embedded store's own tables, kept in step with the feed.
//!
//! Lists, searches and look-ups are answered from here, so they cost Redis nothing and go on without it.
//! Beside the tables lies `origin`: which store they are of, and the change they began at.
//!
//! **Invariant:** the tables are the store as it was at [`Mirror::stand`]: changes are applied whole, in
//! order, each only after the one it names as the one before it. But what this gate knows to have ended is
//! ended in them, whatever the store says.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::change::{ChangeId, Revision, Write};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::tombstone::{Ended, Tombstone, ended_in, let_back_in};
use crate::store::embedded::{EmbeddedStore, Place, Seen};
use crate::store::local::{LocalError, keep};
use crate::store::node_key::MirrorKey;
use crate::store::tombstones::Tombstones;
use crate::store::{
    AuditStore as _, Feed as _, KeyStore as _, News, OwnerStore as _, StoreError, TokenStore as _,
};

use super::feed::{self, Entry, Stand};
use super::names::{hex, unhex};

/// The copy.
pub(super) struct Mirror {
    tables: EmbeddedStore,
    dir: PathBuf,
    stand: Mutex<Option<Stand>>,
    /// Held while changes are applied, by whoever has them first.
    turn: tokio::sync::Mutex<()>,
    unreadable: AtomicU64,
    is_refused: bool,
    tombstones: Tombstones,
    /// Whether the store was seen to lack the end of something.
    lacks: AtomicBool,
    /// How often the tables were taken anew.
    renewals: watch::Sender<u64>,
    /// What the tables did not take, and whether it was tried again.
    balked: Mutex<Option<(Revision, bool)>>,
    clock: Arc<dyn Clock>,
}

/// What became of changes that were to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are in, or were before.
    All,
    /// There is one missing between what is here and the first of them.
    Gap,
    /// They are of another history than what is here.
    Fork,
}

impl Mirror {
    /// Opens the copy in `dir`, or an empty one.
    ///
    /// # Errors
    /// If the tables cannot be opened.
    pub(super) async fn open(
        dir: &Path,
        key: &MirrorKey,
        tombstones: Tombstones,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let (mut tables, seen) = EmbeddedStore::open_mirror(dir, key, Arc::clone(&clock))?;
        let stand = match seen {
            Seen::Sound => stand_of(&tables, dir).await?,
            Seen::Empty => None,
            Seen::Unsealed | Seen::Altered => {
                tables.close().await;
                let aside = set_aside(dir).map_err(StoreError::unavailable)?;
                let aside = aside.display();
                if seen == Seen::Altered {
                    error!(
                        "the mirror is not as this gate left it: it is set aside in {aside} and read anew from the store; nothing of it is served"
                    );
                } else {
                    warn!(
                        "the mirror was written by a version that did not authenticate it: it is set aside in {aside} and read anew from the store"
                    );
                }
                tables = EmbeddedStore::open_mirror(dir, key, Arc::clone(&clock))?.0;
                None
            }
        };
        let mirror = Self {
            tables,
            dir: dir.to_owned(),
            stand: Mutex::new(stand),
            turn: tokio::sync::Mutex::new(()),
            unreadable: AtomicU64::new(0),
            is_refused: seen == Seen::Altered,
            tombstones,
            lacks: AtomicBool::new(true),
            renewals: watch::Sender::new(0),
            balked: Mutex::default(),
            clock,
        };
        // The tables may be those of an older copy of the file.
        let ended: Vec<_> = mirror
            .tombstones
            .graves(|graves| graves.iter().map(|it| it.what).collect());
        mirror.lay_over(&ended).await?;
        Ok(mirror)
    }

    /// The tables.
    pub(super) fn tables(&self) -> &EmbeddedStore {
        &self.tables
    }

    /// What the tables are a copy of; `None` while they are of nothing.
    pub(super) fn stand(&self) -> Option<Stand> {
        *self.stand.lock()
    }

    /// Whether what was here at the start was not as this gate had left it.
    pub(super) const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Records of the feed that could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Applies what is new of these changes, in order, up to the first that does not follow.
    ///
    /// # Errors
    /// If the tables cannot be written.
    pub(super) async fn take(&self, entries: Vec<Entry>) -> Result<Taken, StoreError> {
        let _turn = self.turn.lock().await;
        let Some(mut stand) = self.stand() else {
            return Ok(Taken::Gap);
        };
        self.note(&entries, stand).await?;
        let mut taken = Taken::All;
        let mut stands = Vec::new();
        let mut applying = Vec::new();
        for mut entry in entries {
            if entry.revision < stand.revision || entry.is_at(stand.place()) {
                continue;
            }
            if entry.revision > stand.revision.next() {
                taken = Taken::Gap;
                break;
            }
            if !entry.follows(stand.place()) {
                taken = Taken::Fork;
                break;
            }
            if entry.unreadable > 0 {
                warn!(revision = %entry.revision, records = entry.unreadable, "records of a change cannot be read and are set aside");
                self.set_aside(entry.unreadable);
            }
            stand = entry.moves(stand);
            self.end_again(&mut entry.change.writes);
            stands.push(stand);
            applying.push(
                self.tables
                    .apply(entry.revision, entry.change, entry.sealed),
            );
        }
        // Handed over in order and all at once, so that they share an fsync.
        let applied = join_all(applying).await;
        for (stand, applied) in stands.into_iter().zip(applied) {
            if let Err(error) = applied {
                // A disk without room will have some again.
                if !matches!(error, StoreError::Full { .. }) {
                    let mut balked = self.balked.lock();
                    let at = stand.revision;
                    *balked = Some((at, balked.is_some_and(|(before, _)| before == at)));
                }
                return Err(error);
            }
            *self.stand.lock() = Some(stand);
        }
        Ok(taken)
    }

    /// Writes down what these changes end, before anything of them is here.
    async fn note(&self, entries: &[Entry], stand: Stand) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (mut ended, mut lifted) = (Vec::<Tombstone>::new(), Vec::new());
        for entry in entries.iter().filter(|it| it.revision > stand.revision) {
            for owner in let_back_in(&entry.change.audit).map(Ended::Owner) {
                ended.retain(|it| it.what != owner);
                lifted.push(owner);
            }
            for write in &entry.change.writes {
                ended.extend(tombstones_of(write, Some(entry.revision), now));
            }
        }
        self.tombstones.note(ended, lifted).await
    }

    /// Ends in `writes`, which come from the store, what is known to have ended.
    pub(super) fn end_again(&self, writes: &mut [Write]) {
        for write in writes {
            if self.tombstones.lay_over(write) {
                self.lacks.store(true, Ordering::Release);
            }
        }
    }

    /// Whether the store was seen to lack the end of something since this was last asked.
    pub(super) fn found_lacking(&self) -> bool {
        self.lacks.swap(false, Ordering::AcqRel)
    }

    /// Has the store looked over again.
    pub(super) fn doubt(&self) {
        self.lacks.store(true, Ordering::Release);
    }

    /// Which change made `revision`, and in which history, as far as that is known here.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(super) async fn place(&self, revision: Revision) -> Result<Option<Place>, StoreError> {
        let Some(before) = revision.0.checked_sub(1) else {
            return Ok(Some(Place {
                revision,
                change: feed::NO_CHANGE,
                head: Some(Head::default()),
            }));
        };
        let places = self.tables.places(Revision(before), 1).await?;
        let known = places.into_iter().find(|it| it.revision == revision);
        let origin = || read_origin(&self.dir).filter(|origin| origin.revision == revision);
        Ok(known.or_else(|| origin().map(|origin| origin.place())))
    }

    /// How often the tables were taken anew.
    pub(super) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }

    /// Has whoever shows what is here read all of it again.
    pub(super) fn renew(&self) {
        self.renewals.send_modify(|count| *count += 1);
    }

    /// Whether the tables do not take the next change, however often it is tried: they are to be taken anew.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(*self.balked.lock(), Some((_, true)))
    }

    /// Ends in the tables what is known to have ended of these; all records that these are in, as they are now:
    /// who shows them elsewhere may not have been told of those that were ended in the tables before.
    ///
    /// # Errors
    /// If the tables cannot be read or written.
    pub(super) async fn lay_over(&self, what: &[Ended]) -> Result<Vec<Write>, StoreError> {
        let _turn = self.turn.lock().await;
        let mut records = self.records(what).await?;
        let mut changed = Vec::new();
        for write in &mut records {
            if self.tombstones.lay_over(write) {
                changed.push(write.clone());
            }
        }
        if !changed.is_empty() {
            self.tables.revise(changed).await?;
        }
        Ok(records)
    }

    /// The records that these are in, each once, as far as they are here.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(super) async fn records(&self, what: &[Ended]) -> Result<Vec<Write>, StoreError> {
        let (mut keys, mut owners, mut tokens) = (HashSet::new(), HashSet::new(), HashSet::new());
        for what in what {
            match what {
                Ended::Key(id) | Ended::Version { key: id, .. } => drop(keys.insert(*id)),
                Ended::Owner(id) => drop(owners.insert(*id)),
                Ended::Token(id) => drop(tokens.insert(*id)),
            }
        }
        let mut records = Vec::new();
        for id in keys {
            records.extend(readable(self.tables.key(id).await)?.map(Write::Key));
        }
        for id in owners {
            records.extend(readable(self.tables.owner(id).await)?.map(Write::Owner));
        }
        for id in tokens {
            records.extend(readable(self.tables.token(id).await)?.map(Write::Token));
        }
        Ok(records)
    }

    /// Takes these records instead of what is here, all of them or none, as the store stands at `stand`:
    /// which must be known when the last of them has come, or none is taken.
    ///
    /// # Errors
    /// If they end before that, or the tables cannot be written.
    pub(super) async fn replace(
        &self,
        incarnation: [u8; 16],
        mut writes: mpsc::Receiver<Vec<Write>>,
        stand: &Arc<OnceLock<Stand>>,
    ) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let cut_short = || StoreError::unavailable("reading the store ended early");
        let (known, tombstones) = (Arc::clone(stand), self.tombstones.clone());
        // Also when whoever reads was stopped: what has come by then must not be taken for all there is.
        let mut batch = Vec::new().into_iter();
        let writes = std::iter::from_fn(move || {
            loop {
                if let Some(mut write) = batch.next() {
                    // What was ended after it was read, and before it is here: whoever ended it waits for the
                    // turn only to find what had not come by then.
                    tombstones.lay_over(&mut write);
                    return Some(Ok(write));
                }
                match writes.blocking_recv() {
                    Some(more) => batch = more.into_iter(),
                    None => return known.get().is_none().then(|| Err(cut_short())),
                }
            }
        });
        let known = Arc::clone(stand);
        let stands = move || {
            let stand = known.get();
            stand.map_or_else(Default::default, |stand| (stand.revision, stand.head))
        };
        self.tables.replace(incarnation, writes, stands).await?;
        let stand = *stand.get().ok_or_else(cut_short)?;
        write_origin(&self.dir, stand).map_err(StoreError::unavailable)?;
        {
            // Whoever sees where the tables stand now sees that they were taken anew.
            let mut shown = self.stand.lock();
            self.renew();
            *shown = Some(stand);
        }
        *self.balked.lock() = None;
        self.lacks.store(true, Ordering::Release);
        Ok(())
    }

    /// Has audit entries from before those that are here put there, and what is then still missing.
    /// `read` is given what is missing now, and no change is applied meanwhile: what it takes from the
    /// store must not be older than what the mirror shows of it. What of it is newer comes with its change.
    ///
    /// # Errors
    /// What `read` says, or if the tables cannot be written.
    pub(super) async fn fill_audit<E: From<StoreError>>(
        &self,
        read: impl AsyncFnOnce(String) -> Result<(Vec<Sealed>, Option<String>), E>,
    ) -> Result<bool, E> {
        let _turn = self.turn.lock().await;
        let Some(gap) = self.tables.audit_gap().await? else {
            return Ok(false);
        };
        let (mut entries, gap) = read(gap).await?;
        let shown = self.stand().map_or(0, |stand| stand.head.seq);
        entries.retain(|entry| entry.seq <= shown);
        let is_missing = gap.is_some();
        self.tables.fill_audit(entries, gap).await?;
        Ok(is_missing)
    }

    /// Keeps changes out as long as the turn is held.
    pub(super) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Counts records that could not be read.
    pub(super) fn set_aside(&self, records: u64) {
        self.unreadable.fetch_add(records, Ordering::Relaxed);
    }
}

/// What is here, unless it cannot be read: that has been set aside.
fn readable<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Corrupt { .. }) => Ok(None),
        read => read,
    }
}

/// What a record says has ended not so long ago that no store may have it otherwise any more.
pub(super) fn tombstones_of(
    write: &Write,
    revision: Option<Revision>,
    now: Timestamp,
) -> impl Iterator<Item = Tombstone> {
    let ended = ended_in(write).into_iter();
    let young = ended.filter(move |(_, at)| now.since(*at) <= Tombstones::KEPT);
    young.map(move |(what, at)| Tombstone { what, at, revision })
}

/// What the tables are a copy of, by the origin beside them and the last change in them.
async fn stand_of(tables: &EmbeddedStore, dir: &Path) -> Result<Option<Stand>, StoreError> {
    let Some(origin) = read_origin(dir) else {
        return Ok(None);
    };
    if tables.incarnation().await? != origin.incarnation {
        return Ok(None);
    }
    let revision = tables.revision().await?;
    if revision <= origin.revision {
        return Ok((revision == origin.revision).then_some(origin));
    }
    let before = Revision(revision.0 - 1);
    let change = match tables.since(before, 1).await? {
        News::Changes(changes) => changes.first().map(|(_, change)| change.id),
        News::Trimmed => None,
    };
    let head = tables.audit_end().await?.head;
    Ok(change.map(|change| Stand {
        revision,
        change,
        head,
        ..origin
    }))
}

/// The revision that the mirror in `dir` began at, and the change that it is.
pub(super) fn began_at(dir: &Path) -> Option<(Revision, ChangeId)> {
    read_origin(dir).map(|origin| (origin.revision, origin.change))
}

/// Moves the mirror out of the way, in the place of one that was moved there before.
fn set_aside(dir: &Path) -> io::Result<PathBuf> {
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".set-aside");
    let aside = PathBuf::from(aside);
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(dir, &aside)?;
    Ok(aside)
}

fn read_origin(dir: &Path) -> Option<Stand> {
    let text = fs::read_to_string(dir.join(ORIGIN)).ok()?;
    let mut words = text.split_whitespace();
    let stand = Stand {
        incarnation: unhex(words.next()?.as_bytes())?,
        revision: Revision(words.next()?.parse().ok()?),
        change: ChangeId(unhex(words.next()?.as_bytes())?),
        // Missing where there was no audit entry yet.
        head: feed::read_head(words.next().unwrap_or_default())?,
    };
    words.next().is_none().then_some(stand)
}

/// Writes the origin so that after a crash it is there whole or not at all.
fn write_origin(dir: &Path, stand: Stand) -> Result<(), LocalError> {
    let (incarnation, change) = (hex(&stand.incarnation), hex(&stand.change.0));
    let head = feed::head_text(stand.head);
    let text = format!("{incarnation} {} {change} {head}\n", stand.revision);
    keep(dir, ORIGIN, text.as_bytes())
}

const ORIGIN: &str = "origin";
