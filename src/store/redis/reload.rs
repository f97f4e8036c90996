//! Reading the store anew into the mirror: when there is none yet, or the feed does not go on from it.
//!
//! Buckets are read while others write, so a record may be newer than the revision the reading began at.
//! Therefore the changes up to a revision looked up *after* the last bucket are laid over them, and the
//! mirror takes all of it in one transaction: what it shows is the store as it was at that revision, and
//! before that what it showed until then.

use std::sync::{Arc, OnceLock};

use redis::Cmd;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::connect::{Cause, Connection, Fault};
use super::feed::{self, Stand};
use super::follow::Shared;
use super::frame::{self, Kind};
use super::mirror::tombstones_of;
use super::names::{Bucket, Table};
use crate::domain::change::{Revision, Write};
use crate::domain::tombstone::{Ended, Graves, Tombstone, ended_in};

impl Shared {
    /// Takes the store as it is instead of what the mirror holds. What has ended in the mirror stays so, even
    /// where the store has lost it; but who was `lifted` by others is not shut out again.
    ///
    /// # Errors
    /// If the store cannot be read to the end, or the mirror not be written: the mirror is as it was.
    pub(super) async fn reload(
        &self,
        connection: &Connection,
        history: History,
        lifted: Vec<Ended>,
    ) -> Result<(), Fault> {
        let mine = self.mirror.stand();
        let known = match history {
            History::Another => None,
            History::Continued | History::Diverged => mine,
        };
        let begun = self.look(connection, known).await?;
        let ended = self.mirror.ended().await;
        let mut ended = ended.map_err(|source| self.mirror_fault(source))?;
        for what in &lifted {
            ended.remove(what);
        }
        let noted = self.tombstones.note(Vec::new(), lifted).await;
        noted.map_err(|source| self.mirror_fault(source))?;
        let (writes, received) = mpsc::channel(BATCHES_AHEAD);
        let reading = Reading {
            shared: self,
            connection,
            ended,
            is_older_than: mine
                .filter(|_| history == History::Continued)
                .map(|mine| mine.revision),
            found: Vec::new(),
            lifted: Vec::new(),
            batch: Vec::new(),
            writes,
            unreadable: 0,
            kept: 0,
        };
        let stand = Arc::new(OnceLock::new());
        let (read, written) = tokio::join!(
            reading.all(begun, &stand),
            self.mirror.replace(begun.incarnation, received, &stand)
        );
        let stand = read?;
        written.map_err(|source| self.mirror_fault(source))?;
        info!(revision = %stand.revision, "read the store anew");
        Ok(())
    }
}

/// How a store that is read anew stands to what the mirror holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// It goes on from that, as far as anyone can tell.
    Continued,
    /// It is the same store and has lost some of that.
    Diverged,
    /// It is another store.
    Another,
}

/// One reading of the whole store.
struct Reading<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    /// What has ended in the mirror.
    ended: Graves,
    /// The revision up to which the mirror knew the history that the store goes on from.
    is_older_than: Option<Revision>,
    /// What has ended by what was read, or in the mirror and not in the store.
    found: Vec<Tombstone>,
    /// Who was let back in since the mirror was in step.
    lifted: Vec<Ended>,
    /// What was read and is not on its way yet.
    batch: Vec<Write>,
    writes: mpsc::Sender<Vec<Write>>,
    unreadable: u64,
    kept: u64,
}

impl Reading<'_> {
    /// Sends every record on; returns where the store then stands.
    async fn all(mut self, begun: Stand, known: &OnceLock<Stand>) -> Result<Stand, Fault> {
        let stand = self.read(begun).await?;
        self.send_batch().await?;
        // Before the mirror forgets it.
        let noted = self.shared.tombstones.note(
            std::mem::take(&mut self.found),
            std::mem::take(&mut self.lifted),
        );
        let noted = noted.await;
        noted.map_err(|source| self.shared.mirror_fault(source))?;
        // Invariant: known before the channel closes, which is when `self` goes.
        let stand = *known.get_or_init(|| stand);
        self.shared.mirror.set_aside(self.unreadable);
        if self.kept > 0 {
            warn!(
                records = self.kept,
                "the store has lost revocations: they are kept in force here"
            );
        }
        Ok(stand)
    }

    async fn read(&mut self, begun: Stand) -> Result<Stand, Fault> {
        let names = &self.shared.names;
        let buckets: Vec<_> = Bucket::all().map(|bucket| names.bucket(bucket)).collect();
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            let mut ask = redis::pipe();
            for bucket in buckets {
                ask.hgetall(bucket);
            }
            let records: Vec<Vec<Pair>> = self.connection.ask_all(&ask).await?;
            for (_id, record) in records.into_iter().flatten() {
                self.pass(Kind::Key, &record).await?;
            }
        }
        for (table, kind) in [
            (Table::Owners, Kind::Owner),
            (Table::Tokens, Kind::Token),
            (Table::Checkpoints, Kind::Checkpoint),
            (Table::Products, Kind::Product),
            (Table::Policies, Kind::Policy),
            (Table::Rotation, Kind::RotationRule),
        ] {
            self.table(&names.table(table), kind).await?;
        }
        self.changes_since(begun).await
    }

    async fn table(&mut self, name: &str, kind: Kind) -> Result<(), Fault> {
        let mut cursor: u64 = 0;
        loop {
            let (next, records): (u64, Vec<Pair>) =
                self.connection.ask(&scan(name, cursor)).await?;
            for (_id, record) in records {
                self.pass(kind, &record).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Lays over the records what was changed while they were read.
    async fn changes_since(&mut self, begun: Stand) -> Result<Stand, Fault> {
        let shared = self.shared;
        let until = shared.look(self.connection, Some(begun)).await?;
        let mut at = begun;
        let unreadable = self.unreadable;
        while at.revision < until.revision {
            let ask = feed::ask_range(&shared.names, at.revision, Some(until.revision), FEED_READ);
            let entries = shared.entries(feed::read_range(self.connection.ask(&ask).await?))?;
            let before = at.revision;
            for entry in entries {
                if !entry.follows(at.place()) {
                    return Err(shared.link.blame(Cause::Trimmed));
                }
                at = entry.moves(at);
                self.unreadable += entry.unreadable;
                for write in entry.change.writes {
                    self.send(entry.revision, write).await?;
                }
            }
            if at.revision == before {
                return Err(shared.link.blame(Cause::Trimmed));
            }
        }
        // Where the chain ends, the store knows also where its feed cannot be read.
        let is_there = at.head == until.head || self.unreadable > unreadable;
        let is_until = at.revision == until.revision && at.change == until.change;
        if !is_until || !is_there {
            return Err(shared.link.blame(Cause::Forked));
        }
        Ok(until)
    }

    async fn pass(&mut self, kind: Kind, record: &[u8]) -> Result<(), Fault> {
        match frame::read(kind, record) {
            Ok((revision, write)) => self.send(revision, write).await,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "a record cannot be read and is set aside"
                );
                self.unreadable += 1;
                Ok(())
            }
        }
    }

    async fn send(&mut self, revision: Revision, mut write: Write) -> Result<(), Fault> {
        match (&write, self.is_older_than) {
            (Write::Owner(owner), Some(known))
                if owner.disabled_at.is_none() && revision > known =>
            {
                self.lifted.push(Ended::Owner(owner.id));
            }
            _ => self.end_again(revision, &mut write),
        }
        self.batch.push(write);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.send_batch().await
    }

    async fn send_batch(&mut self) -> Result<(), Fault> {
        let batch = std::mem::take(&mut self.batch);
        // Nobody receives any more if the mirror failed; its own error says why.
        let gone = |_| self.shared.link.blame(Cause::NotConnected);
        self.writes.send(batch).await.map_err(gone)
    }

    /// Ends in a record of the store what has ended here.
    fn end_again(&mut self, revision: Revision, write: &mut Write) {
        let now = self.shared.clock.now();
        self.found.extend(tombstones_of(write, Some(revision), now));
        let has_lost = self.ended.lay_over(write);
        if has_lost {
            let ended = ended_in(write).into_iter();
            self.found.extend(ended.map(|(what, at)| Tombstone {
                what,
                at,
                revision: None,
            }));
        }
        if self.shared.tombstones.lay_over(write) || has_lost {
            self.kept += 1;
        }
    }
}

fn scan(name: &str, cursor: u64) -> Cmd {
    let mut command = redis::cmd("HSCAN");
    command.arg(name).arg(cursor).arg("COUNT").arg(SCAN_COUNT);
    command
}

/// How many buckets are asked for at once: up to 0.9 MB each at ten million keys.
const BUCKETS_AT_ONCE: usize = 8;
const SCAN_COUNT: usize = 1_000;
const FEED_READ: usize = 256;
/// How many records are handed over at once: for one alone, waking who waits for it takes longer than reading it.
const BATCH: usize = 256;
/// How far reading may be ahead of writing.
const BATCHES_AHEAD: usize = 4;

/// The name and the value of a field of a hash.
type Pair = (Vec<u8>, Vec<u8>);
