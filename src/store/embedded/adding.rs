//! Puts into the tables of a mirror what only the store it mirrors has: then it is all of that store.

use std::path::Path;

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::tables::{self, millis, signed};
use super::{change, feed, file, outbox, seal, usage};
use crate::domain::change::{Change, ChangeId, Receipt, Revision};
use crate::domain::event::{Event, EventPlace};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Step, UsageBucket};
use crate::store::StoreError;

/// A mirror's file, while the rest is put into it.
pub(in crate::store) struct Adding(Connection);

/// What was given out of a quota in a period, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct QuotaRow {
    /// Whose.
    pub(in crate::store) key: KeyId,
    /// Which.
    pub(in crate::store) quota: String,
    /// The day its period began on.
    pub(in crate::store) first_day: u32,
    /// When its period ends; [`Timestamp::NEVER`] where it does not.
    pub(in crate::store) ends_at: Timestamp,
    /// How much was given out.
    pub(in crate::store) granted: u64,
    /// Up to which threshold was told.
    pub(in crate::store) reached: u8,
    /// Of which limit.
    pub(in crate::store) reached_of: u64,
    /// Each gate's run and what it has received in it, as Redis has them.
    pub(in crate::store) holders: Vec<(String, String)>,
}

impl Adding {
    /// Opens the file in `directory`, of a mirror that nobody keeps any more.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(in crate::store) fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = file::existing(directory)?;
        let open = || -> Result<Connection, Fault> {
            let connection = file::bare(&path)?;
            connection.execute_batch("BEGIN")?;
            for table in ["events", "usage_hour", "usage_day", "last_used", "epochs"] {
                connection.execute(&format!("DELETE FROM {table}"), [])?;
            }
            Ok(connection)
        };
        Ok(Self(open()?))
    }

    /// A change of the feed, if it is not here.
    pub(in crate::store) fn change(
        &self,
        revision: Revision,
        change: &Change,
    ) -> Result<(), StoreError> {
        let put = || -> Result<(), Fault> {
            if feed::change_at(&self.0, revision)?.is_none() {
                feed::append(&self.0, revision, change)?;
            }
            Ok(())
        };
        Ok(put()?)
    }

    /// An event.
    pub(in crate::store) fn event(
        &self,
        place: EventPlace,
        event: &Event,
    ) -> Result<(), StoreError> {
        Ok(outbox::put(&self.0, place, event)?)
    }

    /// A receipt.
    pub(in crate::store) fn receipt(
        &self,
        receipt: &Receipt,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(change::put_receipt(&self.0, receipt, now)?)
    }

    /// Counts of a key.
    pub(in crate::store) fn counts(
        &self,
        step: Step,
        key: KeyId,
        bucket: &UsageBucket,
    ) -> Result<(), StoreError> {
        Ok(usage::put(&self.0, step, key, bucket)?)
    }

    /// When versions of keys were last used.
    pub(in crate::store) fn used(
        &self,
        uses: &[(KeyId, u16, Timestamp)],
    ) -> Result<(), StoreError> {
        Ok(usage::note_used(&self.0, uses)?)
    }

    /// Up to which batch a node has been counted.
    pub(in crate::store) fn mark(
        &self,
        node: &str,
        epoch: u64,
        seq: u64,
    ) -> Result<(), StoreError> {
        let put = || {
            self.0.execute(
                "INSERT INTO usage_mark (node, epoch, seq) VALUES (?1, ?2, ?3)
                 ON CONFLICT (node, epoch) DO UPDATE SET seq = max(seq, excluded.seq)",
                params![node, signed(epoch), signed(seq)],
            )
        };
        put().map(drop).map_err(|error| Fault::Sql(error).into())
    }

    /// What was given out of a quota.
    pub(in crate::store) fn quota(&self, row: &QuotaRow) -> Result<(), StoreError> {
        let put = || -> Result<(), Fault> {
            self.0
                .prepare_cached(
                    "INSERT OR REPLACE INTO quotas
                         (key, quota, first_day, ends_at, granted, reached, reached_of)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    row.key.chars(),
                    row.quota,
                    row.first_day,
                    millis(row.ends_at),
                    signed(row.granted),
                    row.reached,
                    signed(row.reached_of),
                ])?;
            for (node, received) in &row.holders {
                self.0
                    .prepare_cached(
                        "INSERT OR REPLACE INTO quota_holder (key, quota, first_day, node, received)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        row.key.chars(),
                        row.quota,
                        row.first_day,
                        node,
                        received
                    ])?;
            }
            Ok(())
        };
        Ok(put()?)
    }

    /// Makes all of it durable; the last change is this one. It is no mirror any more.
    ///
    /// # Errors
    /// If there is no room.
    pub(in crate::store) fn finish(self, change: ChangeId) -> Result<(), StoreError> {
        let finish = || -> Result<(), Fault> {
            self.0.execute(
                "DELETE FROM meta WHERE name IN (?1, ?2)",
                [seal::SUM, seal::SEAL],
            )?;
            tables::set_last_change(&self.0, change)?;
            self.0.execute_batch("COMMIT")?;
            Ok(())
        };
        finish()?;
        self.0
            .close()
            .map_err(|(_, error)| Fault::Sql(error).into())
    }
}
