//! A store that has lost changes: after a failover, a crash, or with an old backup.
//!
//! What it lacks is a tail. Where it has gone no further, it is sent again what is missing, as it was: the same
//! changes at the same revisions, with the same audit entries, so that the chain is one. Any number of gates may
//! do so at once: each step lands once. Where others went on without the tail, the mirror takes their history
//! instead of its own, and what it had is owed: [`super::make_good`] gives what it can of that.
//!
//! **Invariant:** nothing that this gate has applied is forgotten before the store has it, or it is written down
//! that it is owed.

use std::collections::HashSet;

use tracing::{info, warn};

use super::commit::{self, Answer};
use super::connect::{Cause, Connection, Fault};
use super::feed::{self, Entry, Stand};
use super::follow::Shared;
use super::mirror::tombstones_of;
use super::reload::History;
use crate::domain::audit::chain::Sealed;
use crate::domain::change::{Change, Revision, Write};
use crate::domain::id::KeyId;
use crate::domain::tombstone::{Ended, ended_in, let_back_in};
use crate::store::tombstones::{Owed, OwedKind};
use crate::store::{Concern, Feed as _, News, StoreError};

impl Shared {
    /// Gives a store of this history back what it has lost, or takes what others made of it. Whether the mirror
    /// then is in step; if not, the store has moved on meanwhile.
    ///
    /// # Errors
    /// If the store or the mirror cannot be read or written; it may be tried again.
    pub(super) async fn repair(
        &self,
        connection: &Connection,
        theirs: Stand,
    ) -> Result<bool, Fault> {
        let Some(mine) = self.mirror.stand() else {
            return Ok(false);
        };
        let known = self.mirror.place(theirs.revision).await;
        let known = known.map_err(|source| self.mirror_fault(source))?;
        let is_prefix = theirs.revision < mine.revision && known.is_some_and(|it| theirs.is_at(it));
        let common = if is_prefix {
            match self.give_back(theirs, mine.revision).await? {
                Given::To(reached) if reached == mine.revision => {
                    info!(from = %theirs.revision, to = %reached, "gave the store back what it had lost");
                    self.mirror.doubt();
                    return Ok(true);
                }
                // What follows is not wholly here.
                Given::To(reached) => Some(reached),
                Given::Overtaken => return Ok(false),
            }
        } else {
            self.common(connection, theirs, mine).await?
        };
        let is_all_known = match common {
            Some(common) if !is_prefix => self.knows_between(common, mine.revision).await?,
            _ => false,
        };
        warn!(
            mine = %mine.revision,
            theirs = %theirs.revision,
            common = common.map(tracing::field::display),
            "the store has another history than this gate, and it is taken"
        );
        let lost_after = common.unwrap_or(theirs.revision.min(mine.revision));
        let parted = self.tombstones.part(mine.incarnation, lost_after).await;
        parted.map_err(|source| self.mirror_fault(source))?;
        self.owe_since(lost_after, is_all_known, mine).await?;
        let signed = match common {
            Some(common) => self.mirror.tables().audit_end_at(common).await,
            None => Ok(None),
        };
        let signed = signed.map_err(|source| self.mirror_fault(source))?;
        // What was signed before the two parted, both have; but what was signed of their last common entry may have
        // been written down only in what is lost.
        self.give_up_signed(signed.unwrap_or(0))?;
        // Changes that are not known here may have made keys that nobody else knows.
        let shown = if is_all_known {
            None
        } else {
            Some(self.begin_to_fade(mine.incarnation).await?)
        };
        let lifted = match common {
            Some(common) => self.lifted_since(common).await?,
            None => Vec::new(),
        };
        self.reload(connection, History::Diverged, lifted).await?;
        if let Some(shown) = shown {
            self.miss_since(shown).await?;
        }
        Ok(true)
    }

    /// Whether the mirror knows all changes after `common`, up to `mine`.
    async fn knows_between(&self, common: Revision, mine: Revision) -> Result<bool, Fault> {
        let first = self.mirror.tables().places(common, 1).await;
        let first = first.map_err(|source| self.mirror_fault(source))?;
        Ok(match first.first() {
            Some(first) => first.revision == common.next(),
            None => mine <= common,
        })
    }

    /// Tells of keys that the store has lost, or secrets of theirs, and that nobody can make again.
    pub(super) fn miss(&self, mut gone: Vec<KeyId>) {
        if gone.is_empty() {
            return;
        }
        gone.sort_unstable();
        for some in gone.chunks(NAMED_AT_ONCE) {
            let names: Vec<_> = some.iter().map(ToString::to_string).collect();
            warn!(
                keys = names.join(" "),
                "the store has lost these keys, or secrets of theirs, and refuses them now"
            );
        }
        let first: Vec<_> = gone.iter().take(10).map(ToString::to_string).collect();
        let more = if gone.len() > 10 { ", …" } else { "" };
        self.losses.lock().push(Concern {
            code: "keys_lost",
            detail: format!(
                "{} keys, or secrets of theirs, were lost with the store, which came back older than this gate's journal: {}{more}; \
                 the log has them all",
                gone.len(),
                first.join(", ")
            ),
        });
    }

    /// Sends again what comes after `at`, and says how far that went.
    async fn give_back(&self, mut at: Stand, until: Revision) -> Result<Given, Fault> {
        let tables = self.mirror.tables();
        while at.revision < until {
            let journal = tables.journal(at.revision, at.head.seq, AT_ONCE).await;
            let journal = journal.map_err(|source| self.mirror_fault(source))?;
            if journal.is_empty() {
                break;
            }
            for missing in journal {
                let erased = self.erased_by(&missing.change).await;
                let erased = erased.map_err(|source| self.mirror_fault(source))?;
                let sent =
                    commit::send(self, &missing.change, &missing.sealed, &erased, (at, None)).await;
                match sent {
                    Ok(Answer::Landed) => {}
                    Ok(Answer::Conflict(found)) => {
                        // Another gate does the same, or went on without it.
                        let there = self.entry_in_store(missing.revision).await?;
                        let is_there = there.is_some_and(|it| it.is_at(missing.place()));
                        if found < missing.revision || !is_there {
                            return Ok(Given::Overtaken);
                        }
                    }
                    // Only a job's change is ever fenced off.
                    Ok(Answer::Fenced) => return Ok(Given::Overtaken),
                    Err(fault) if matches!(fault.cause(), Cause::Forked) => {
                        return Ok(Given::Overtaken);
                    }
                    Err(fault) => return Err(fault),
                }
                at.revision = missing.revision;
                at.change = missing.change.id;
                at.head = missing.sealed.last().map_or(at.head, Sealed::head);
            }
        }
        Ok(Given::To(at.revision))
    }

    /// The numbers of the audit entries that a change has taken the personal values out of.
    async fn erased_by(&self, change: &Change) -> Result<Vec<u64>, StoreError> {
        let mut all = Vec::new();
        for write in &change.writes {
            if let Write::Erasure(owner) = write {
                all.extend(self.mirror.tables().audit_erased(*owner).await?);
            }
        }
        Ok(all)
    }

    async fn entry_in_store(&self, revision: Revision) -> Result<Option<Entry>, Fault> {
        let before = Revision(revision.0.saturating_sub(1));
        let entries = self.read_feed(before, Some(revision), 1).await?;
        Ok(entries.into_iter().find(|it| it.revision == revision))
    }

    /// The store's changes after `after`, at most `most`, up to `until` if given.
    pub(super) async fn read_feed(
        &self,
        after: Revision,
        until: Option<Revision>,
        most: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let ask = feed::ask_range(&self.names, after, until, most);
        self.entries(feed::read_range(self.link.ask(&ask).await?))
    }

    /// The last revision at which both are of the same change and of the same audit chain, as far as both remember.
    async fn common(
        &self,
        connection: &Connection,
        theirs: Stand,
        mine: Stand,
    ) -> Result<Option<Revision>, Fault> {
        let mut high = theirs.revision.min(mine.revision);
        loop {
            let low = Revision(high.0.saturating_sub(AT_ONCE as u64));
            let ask = feed::ask_range(&self.names, low, Some(high), AT_ONCE);
            let read = self.entries(feed::read_range(connection.ask(&ask).await?))?;
            let known = self.mirror.tables().places(low, AT_ONCE).await;
            let known = known.map_err(|source| self.mirror_fault(source))?;
            let mut entries = read.iter().rev();
            // One without audit entries says nothing of what was before it, and may have been made again.
            let is_known = |it: &&Entry| {
                let mut places = known.iter();
                places.any(|place| it.is_at(*place) && it.proves(*place))
            };
            if let Some(entry) = entries.find(is_known) {
                if entry.revision == theirs.revision && !entry.is_at(theirs.place()) {
                    let what = "its last change is not the one that it says it is".to_owned();
                    return Err(connection.blame(Cause::Damaged { what }));
                }
                return Ok(Some(entry.revision));
            }
            // The first entry that is left names the one before it.
            if let Some(first) = read.first() {
                let before = Revision(first.revision.0.saturating_sub(1));
                let ours = self.mirror.place(before).await;
                let ours = ours.map_err(|source| self.mirror_fault(source))?;
                let is_proof = |ours| before == Revision(0) || first.proves(ours);
                if ours.is_some_and(|ours| first.follows(ours) && is_proof(ours)) {
                    return Ok(Some(before));
                }
            }
            if read.len() < AT_ONCE || known.is_empty() || low == Revision(0) {
                return Ok(None);
            }
            high = low;
        }
    }

    /// Writes down what this gate has and the store has not: it is owed.
    async fn owe_since(
        &self,
        after: Revision,
        is_all_known: bool,
        mine: Stand,
    ) -> Result<(), Fault> {
        let lost = self.changes_after(after).await;
        let lost = lost.map_err(|source| self.mirror_fault(source))?;
        let now = self.clock.now();
        let (mut owed, mut ended) = (Vec::new(), Vec::new());
        for change in lost {
            let writes = change.writes.iter();
            ended.extend(writes.flat_map(|write| tombstones_of(write, None, now)));
            owed.push(Owed {
                change,
                // Where changes before it are not known, nothing proves what it was made upon: it is told of.
                incarnation: if is_all_known {
                    mine.incarnation
                } else {
                    [0; 16]
                },
                since: after,
                kind: OwedKind::Lost,
            });
        }
        let owed = self.tombstones.owe(owed, ended).await;
        owed.map_err(|source| self.mirror_fault(source))
    }

    /// The owners whom others have let back in since `common`, but for those who were switched off here since.
    async fn lifted_since(&self, common: Revision) -> Result<Vec<Ended>, Fault> {
        let mut lifted = HashSet::new();
        let mut at = common;
        loop {
            let entries = self.read_feed(at, None, AT_ONCE).await?;
            let Some(last) = entries.last() else {
                break;
            };
            at = last.revision;
            let owners = entries.iter().flat_map(|it| let_back_in(&it.change.audit));
            lifted.extend(owners.map(Ended::Owner));
        }
        let lost = self.changes_after(common).await;
        for change in lost.map_err(|source| self.mirror_fault(source))? {
            for (what, _) in change.writes.iter().flat_map(ended_in) {
                lifted.remove(&what);
            }
        }
        Ok(lifted.into_iter().collect())
    }

    /// The changes of the mirror after `after`, as far as they are known.
    async fn changes_after(&self, after: Revision) -> Result<Vec<Change>, StoreError> {
        let tables = self.mirror.tables();
        let mut at = match tables.places(after, 1).await?.first() {
            Some(first) => Revision(first.revision.0.saturating_sub(1)),
            None => return Ok(Vec::new()),
        };
        let mut all = Vec::new();
        loop {
            match tables.since(at, AT_ONCE).await? {
                News::Changes(changes) if changes.is_empty() => return Ok(all),
                News::Changes(changes) => {
                    for (revision, change) in changes {
                        at = revision;
                        all.push(Change::clone(&change));
                    }
                }
                // One that cannot be read; it was counted.
                News::Trimmed => at = at.next(),
            }
            if at >= self.revision() {
                return Ok(all);
            }
        }
    }
}

/// How far giving back went.
enum Given {
    /// To this revision: further, nothing is known here.
    To(Revision),
    /// Others went on without it.
    Overtaken,
}

/// How many keys a line of the log names.
const NAMED_AT_ONCE: usize = 100;
/// How many changes are read at once.
const AT_ONCE: usize = 256;
