//! Takes all control state anew, as a mirror does that was away for too long.
//!
//! A million keys are put into tables without indexes, which only grow at their end, and the indexes are
//! made when all are there: each is then sorted once, instead of being read and written all over for
//! every key.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::audit;
use super::change::{Claim, insert_key, put_key, put_other};
use super::fault::Fault;
use super::tables::{self, set_meta, set_revision};
use super::writer::Seed;
use crate::domain::change::{Revision, Write};
use crate::domain::time::Timestamp;

/// Drops all control state and takes what `seed` gives instead; of a key that comes more than once, the
/// last. Counts stay.
pub(super) fn replace(
    transaction: &Connection,
    seed: &Seed,
    now: Timestamp,
) -> Result<Revision, Fault> {
    let followers = tables::drop_followers(transaction, Some(&["keys", "key_list"]))?;
    for table in CONTROL_TABLES {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    transaction.execute_batch("CREATE TABLE claims (digest BLOB, pepper INTEGER, seq INTEGER)")?;
    let mut taken = HashSet::new();
    let mut again = Vec::new();
    for write in &mut **seed.writes.lock() {
        match write? {
            // Changed while it was read: put in its place once places can be found.
            Write::Key(key) if !taken.insert(key.id) => again.push(key),
            Write::Key(key) => {
                let seq = insert_key(transaction, &key)?;
                for version in &key.versions {
                    transaction
                        .prepare_cached("INSERT INTO claims VALUES (?1, ?2, ?3)")?
                        .execute(params![version.hash.digest, version.hash.pepper, seq])?;
                }
            }
            other => put_other(transaction, &other, now)?,
        }
    }
    transaction.execute_batch(
        "INSERT OR REPLACE INTO key_hash (digest, pepper, seq)
             SELECT digest, pepper, seq FROM claims ORDER BY digest, pepper, seq;
         DROP TABLE claims;",
    )?;
    followers.restore(transaction)?;
    for key in again {
        put_key(transaction, &key, Claim::Take)?;
    }
    let (revision, head) = (seed.stand)();
    // The entries themselves are many; they are read later, the newest first.
    audit::set_head(transaction, head)?;
    audit::set_gap(transaction, (head.seq > 0).then_some(FROM_THE_END))?;
    set_meta(transaction, tables::INCARNATION, seed.incarnation)?;
    set_revision(transaction, revision)?;
    Ok(revision)
}

/// That all of the audit log is missing.
const FROM_THE_END: &str = "+";
/// What a mirror takes from its store.
const CONTROL_TABLES: [&str; 13] = [
    "keys",
    "key_list",
    "key_hash",
    "key_product",
    "key_label",
    "owners",
    "tokens",
    "receipts",
    "events",
    "rules",
    "feed",
    "audit",
    "checkpoints",
];
