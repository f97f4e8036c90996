//! Counts that were taken and are not in their tables yet.
//!
//! Bringing the counts of a second into the tables touches four rows for each key that was used in it,
//! wherever those lie: with ten thousand keys, more than everything else that is done for their requests
//! away from the cores. So a batch is durable as one row when it has been taken, and several are brought
//! into the tables at once: each ten seconds, and before anyone asks for counts. When a key was last used is
//! known from memory meanwhile, so that a list does not need that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Fault, Quarantine};
use super::tables::signed;
use super::usage::{self, Sweep};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::UsageBatch;
use crate::store::record;

/// The writer's own: what waits, and when it is brought into the tables.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    waiting: u64,
    /// When the first of them was taken.
    since: Timestamp,
    has_folded: bool,
    sweep: Sweep,
}

impl Ledger {
    /// The ledger of a store in which so many batches wait.
    pub(super) fn new(waiting: u64) -> Self {
        Self {
            waiting,
            ..Self::default()
        }
    }

    /// Whether anything waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Looks for what waits, after a transaction that was undone.
    pub(super) fn recount(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.waiting = waiting(connection)?;
        self.has_folded = false;
        Ok(())
    }

    /// Takes a batch, unless it or a later one of its run was taken before; whether it did.
    pub(super) fn take(
        &mut self,
        transaction: &Connection,
        batch: &UsageBatch,
        now: Timestamp,
        quarantine: &Quarantine,
    ) -> Result<bool, Fault> {
        let (epoch, seq) = (signed(batch.epoch), signed(batch.seq));
        let last: Option<i64> = transaction
            .prepare_cached("SELECT seq FROM usage_mark WHERE node = ?1 AND epoch = ?2")?
            .query_row(params![batch.node, epoch], |row| row.get(0))
            .optional()?;
        if last.is_some_and(|last| last >= seq) {
            return Ok(false);
        }
        transaction
            .prepare_cached(
                "INSERT INTO usage_mark (node, epoch, seq) VALUES (?1, ?2, ?3)
                 ON CONFLICT (node, epoch) DO UPDATE SET seq = excluded.seq",
            )?
            .execute(params![batch.node, epoch, seq])?;
        transaction
            .prepare_cached("INSERT INTO usage_batch (record) VALUES (?1)")?
            .execute([record::encode_usage(batch)])?;
        if self.waiting == 0 {
            self.since = now;
        }
        self.waiting += 1;
        if now.since(self.since) >= FOLD_EVERY || self.waiting >= WAITING_MAX {
            self.fold(transaction, now, quarantine)?;
        }
        Ok(true)
    }

    /// Brings what waits into the tables.
    pub(super) fn fold(
        &mut self,
        transaction: &Connection,
        now: Timestamp,
        quarantine: &Quarantine,
    ) -> Result<(), Fault> {
        let batches: Vec<(i64, Vec<u8>)> = transaction
            .prepare_cached("SELECT seq, record FROM usage_batch ORDER BY seq")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut rows = Vec::new();
        let mut delete = transaction.prepare_cached("DELETE FROM usage_batch WHERE seq = ?1")?;
        for (seq, batch) in batches {
            match record::decode_usage(&batch) {
                Ok(batch) => {
                    rows.extend(batch.rows);
                    delete.execute([seq])?;
                }
                Err(why) => quarantine.take("usage_batch", &seq.to_string(), &why),
            }
        }
        usage::add(transaction, &rows)?;
        self.sweep.some(transaction, now)?;
        self.waiting = 0;
        self.has_folded = true;
        Ok(())
    }

    /// Tells everyone what has become durable: `taken` are the batches of the transaction.
    pub(super) fn publish<'a>(
        &mut self,
        unfolded: &Unfolded,
        taken: impl Iterator<Item = &'a UsageBatch>,
    ) {
        let mut uses = unfolded.uses.lock();
        for batch in taken {
            uses.note(batch);
        }
        if std::mem::take(&mut self.has_folded) {
            uses.turn();
        }
        unfolded.waiting.store(self.waiting, Ordering::Release);
    }
}

/// What waits, for whoever reads.
#[derive(Debug, Default)]
pub(super) struct Unfolded {
    waiting: AtomicU64,
    uses: Mutex<Uses>,
}

/// When versions were last used, by batches that wait. What has been brought into the tables stays for one
/// round more, because someone may have read the tables before and ask here after.
#[derive(Debug, Default)]
struct Uses {
    latest: HashMap<KeyId, Versions>,
    before: HashMap<KeyId, Versions>,
}

impl Unfolded {
    /// What is known of a store in which so many batches wait.
    pub(super) fn new(waiting: u64) -> Self {
        Self {
            waiting: AtomicU64::new(waiting),
            ..Self::default()
        }
    }

    /// How many batches the tables lack.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Brings what the tables said of the last use of a key's versions up to date.
    pub(super) fn update(&self, key: KeyId, said: &mut Vec<(u16, Timestamp)>) {
        let uses = self.uses.lock();
        for known in [&uses.before, &uses.latest] {
            for (version, at) in known.get(&key).into_iter().flatten() {
                note(said, *version, *at);
            }
        }
    }
}

impl Uses {
    fn note(&mut self, batch: &UsageBatch) {
        for row in &batch.rows {
            if let Some(at) = row.tally.last_used_at {
                note(self.latest.entry(row.key).or_default(), row.version, at);
            }
        }
    }

    fn turn(&mut self) {
        self.before = std::mem::take(&mut self.latest);
    }
}

/// Versions of one key, in order, and when each was last used. There is one, or a few.
type Versions = Vec<(u16, Timestamp)>;

fn note(uses: &mut Versions, version: u16, at: Timestamp) {
    match uses.binary_search_by_key(&version, |(version, _)| *version) {
        Ok(place) => {
            if let Some((_, known)) = uses.get_mut(place) {
                *known = (*known).max(at);
            }
        }
        Err(place) => uses.insert(place, (version, at)),
    }
}

/// How many batches there are that wait in a file.
pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 =
        connection.query_row("SELECT count(*) FROM usage_batch", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// How long a batch waits at most, while others follow it.
const FOLD_EVERY: Duration = Duration::from_secs(10);
/// How many wait at most, whatever the clock says.
const WAITING_MAX: u64 = 64;
