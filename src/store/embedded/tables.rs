//! The tables, and how those of an older binary become them.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use crate::domain::change::{ChangeId, Revision};
use crate::domain::time::Timestamp;
use crate::store::StoreError;

/// What `PRAGMA application_id` says of a file of ours: `Pcul`.
pub(super) const APPLICATION_ID: u32 = 0x5063_756c;

/// What `PRAGMA user_version` says: how many of [`MIGRATIONS`] have been done.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// Each step takes the tables from one version to the next. What was released is never edited.
pub(super) const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD, FOURTH, FIFTH];

/// Ids are the ten characters without prefix, times milliseconds since 1970, names lower case.
///
/// Rows that are written often are narrow and apart from records, which are not: `key_list` is what lists
/// walk, under the `seq` of its key, and `usage_*` begin with the time, so that the rows of the current
/// hour lie together and what is past its time goes in one sweep.
const FIRST: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE TABLE key_list (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    env TEXT NOT NULL,
    standing INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys_by_id ON keys (id);
CREATE INDEX key_list_by_creation ON key_list (created_at, id);
CREATE INDEX key_list_by_name ON key_list (name, id);
CREATE INDEX key_list_by_use ON key_list (used_at, id);
CREATE INDEX key_list_by_owner ON key_list (owner);
CREATE INDEX key_list_by_standing ON key_list (standing) WHERE standing <> 0;
CREATE INDEX key_list_by_end ON key_list (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE key_product (
    product TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (product, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_label (
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (label, value, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_hash (
    digest BLOB NOT NULL,
    pepper INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (digest, pepper)
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX owners_by_name ON owners (name, id);
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_digest ON tokens (digest);
CREATE INDEX tokens_by_creation ON tokens (created_at, id);
CREATE TABLE receipts (
    digest BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_by_time ON receipts (at);
CREATE TABLE rules (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    type TEXT NOT NULL,
    actor TEXT NOT NULL,
    code TEXT,
    request TEXT,
    key TEXT,
    version INTEGER,
    owner TEXT,
    hash BLOB NOT NULL,
    body BLOB NOT NULL,
    veil BLOB
) STRICT;
CREATE INDEX audit_by_time ON audit (timestamp, id);
CREATE INDEX audit_by_type ON audit (type, timestamp, id);
CREATE INDEX audit_by_actor ON audit (actor, timestamp, id);
CREATE INDEX audit_by_key ON audit (key, timestamp, id) WHERE key IS NOT NULL;
CREATE INDEX audit_by_key_version ON audit (key, version, timestamp, id)
    WHERE key IS NOT NULL AND version IS NOT NULL;
CREATE INDEX audit_by_version ON audit (version, timestamp, id) WHERE version IS NOT NULL;
CREATE INDEX audit_by_owner ON audit (owner, timestamp, id) WHERE owner IS NOT NULL;
CREATE INDEX audit_by_code ON audit (code, timestamp, id) WHERE code IS NOT NULL;
CREATE INDEX audit_by_request ON audit (request) WHERE request IS NOT NULL;
CREATE TABLE checkpoints (
    seq INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;
CREATE TABLE events (
    revision INTEGER NOT NULL,
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    type TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (revision, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE feed (
    revision INTEGER PRIMARY KEY,
    change BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE usage_hour (
    start INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    route TEXT NOT NULL,
    requests INTEGER NOT NULL,
    status_1xx INTEGER NOT NULL,
    status_2xx INTEGER NOT NULL,
    status_3xx INTEGER NOT NULL,
    status_4xx INTEGER NOT NULL,
    status_5xx INTEGER NOT NULL,
    refused TEXT,
    cost INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    PRIMARY KEY (start, key, version, route)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_day (
    start INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    route TEXT NOT NULL,
    requests INTEGER NOT NULL,
    status_1xx INTEGER NOT NULL,
    status_2xx INTEGER NOT NULL,
    status_3xx INTEGER NOT NULL,
    status_4xx INTEGER NOT NULL,
    status_5xx INTEGER NOT NULL,
    refused TEXT,
    cost INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    PRIMARY KEY (start, key, version, route)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_mark (
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (
    node TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE last_used (
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE quotas (
    key TEXT NOT NULL,
    quota TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    reached INTEGER NOT NULL,
    reached_of INTEGER NOT NULL,
    PRIMARY KEY (key, quota, first_day)
) STRICT, WITHOUT ROWID;
CREATE INDEX quotas_by_end ON quotas (ends_at);
";

/// Batches of counts that are not in their tables yet; events found by their ids.
const SECOND: &str = "
CREATE TABLE usage_batch (
    seq INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX events_by_id ON events (id);
";

/// Where the audit chain ended after a change, in a mirror: what gives the change back to a store that has
/// lost it gives back its entries, too.
const THIRD: &str = "
ALTER TABLE feed ADD COLUMN audit_end INTEGER;
";

/// What Redis knows of who holds what of a quota, where a store came from there: it goes back with it.
const FOURTH: &str = "
CREATE TABLE quota_holder (
    key TEXT NOT NULL,
    quota TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    node TEXT NOT NULL,
    received TEXT NOT NULL,
    PRIMARY KEY (key, quota, first_day, node)
) STRICT, WITHOUT ROWID;
";

/// The parts of three characters that names have, so that a part of a name is found without looking through all of
/// them. Of the names themselves nothing is in it: what it finds is looked at in `key_list`.
const FIFTH: &str = "
CREATE VIRTUAL TABLE key_name USING fts5(
    name, content = 'key_list', content_rowid = 'seq',
    tokenize = 'trigram case_sensitive 1', detail = 'none', columnsize = 0
);
CREATE TRIGGER key_name_of_new AFTER INSERT ON key_list BEGIN
    INSERT INTO key_name (rowid, name) VALUES (new.seq, new.name);
END;
CREATE TRIGGER key_name_of_old AFTER DELETE ON key_list BEGIN
    INSERT INTO key_name (key_name, rowid, name) VALUES ('delete', old.seq, old.name);
END;
CREATE TRIGGER key_name_of_renamed AFTER UPDATE OF name ON key_list WHEN old.name <> new.name BEGIN
    INSERT INTO key_name (key_name, rowid, name) VALUES ('delete', old.seq, old.name);
    INSERT INTO key_name (rowid, name) VALUES (new.seq, new.name);
END;
INSERT INTO key_name (key_name) VALUES ('rebuild');
";

/// What follows the rows of a table one by one and is quicker made when all are there: dropped, to be made again.
pub(super) struct Followers(Vec<String>);

/// Drops the indexes and triggers of the tables named, or of all.
pub(super) fn drop_followers(
    connection: &Connection,
    of: Option<&[&str]>,
) -> rusqlite::Result<Followers> {
    let all: Vec<(String, String, String, String)> = connection
        .prepare(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema
             WHERE type IN ('index', 'trigger') AND sql IS NOT NULL",
        )?
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut made = Vec::new();
    for (kind, name, table, sql) in all {
        if of.is_none_or(|of| of.contains(&table.as_str())) {
            connection.execute_batch(&format!("DROP {kind} {name}"))?;
            made.push(sql);
        }
    }
    Ok(Followers(made))
}

impl Followers {
    /// Makes them again, and what triggers had not kept.
    pub(super) fn restore(self, connection: &Connection) -> rusqlite::Result<()> {
        for sql in self.0 {
            connection.execute_batch(&sql)?;
        }
        let has_names: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'key_name')",
            [],
            |row| row.get(0),
        )?;
        if has_names {
            connection.execute_batch("INSERT INTO key_name (key_name) VALUES ('rebuild')")?;
        }
        Ok(())
    }
}

/// Does what is missing of [`MIGRATIONS`], in one transaction; whether there was anything to do.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<bool> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = MIGRATIONS.get(done as usize..).unwrap_or_default();
    for step in missing {
        transaction.execute_batch(step)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(!missing.is_empty())
}

/// Which history this store has: drawn at random when it was made, kept by what mirrors it.
pub(super) const INCARNATION: &str = "incarnation";
/// The revision of the last change.
const REVISION: &str = "revision";

/// Sets what a new store knows of itself.
pub(super) fn begin(connection: &Connection, incarnation: [u8; 16]) -> rusqlite::Result<()> {
    set_meta(connection, INCARNATION, incarnation)?;
    set_revision(connection, Revision(0))
}

pub(super) fn set_meta(
    connection: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![name, value])
        .map(drop)
}

pub(super) fn incarnation(connection: &Connection) -> rusqlite::Result<[u8; 16]> {
    connection.query_row(
        "SELECT value FROM meta WHERE name = ?1",
        [INCARNATION],
        |row| row.get(0),
    )
}

pub(super) fn revision(connection: &Connection) -> rusqlite::Result<Revision> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([REVISION], |row| row.get(0))
        .map(|revision| Revision(unsigned(revision)))
}

pub(super) fn set_revision(connection: &Connection, revision: Revision) -> rusqlite::Result<()> {
    set_meta(connection, REVISION, signed(revision.0))
}

/// The last change of a store that was carried here, whose feed may not hold it.
pub(super) fn last_change(connection: &Connection) -> rusqlite::Result<Option<ChangeId>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([LAST_CHANGE], |row| row.get(0).map(ChangeId))
        .optional()
}

pub(super) fn set_last_change(connection: &Connection, change: ChangeId) -> rusqlite::Result<()> {
    set_meta(connection, LAST_CHANGE, change.0)
}

/// What the last change was when a store was carried here.
const LAST_CHANGE: &str = "last_change";

/// The record that `sql` finds for `value`, if there is one.
pub(super) fn record(
    connection: &Connection,
    sql: &str,
    value: impl rusqlite::ToSql,
) -> Result<Option<Vec<u8>>, Fault> {
    Ok(connection
        .prepare_cached(sql)?
        .query_row([value], |row| row.get(0))
        .optional()?)
}

/// SQLite's integers have a sign; what does not fit stands for the most that does.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored integer as the count it is.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) fn millis(time: Timestamp) -> i64 {
    signed(time.as_millis())
}

pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(unsigned(millis))
}

/// That a column holds what is never put there.
pub(super) fn strange(table: &'static str, key: impl ToString) -> StoreError {
    StoreError::Corrupt {
        table,
        key: key.to_string(),
        source: "a column holds what is never put there".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing_the_second_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection).unwrap());
        assert!(!migrate(&mut connection).unwrap());
        begin(&connection, [7; 16]).unwrap();
        assert_eq!(revision(&connection).unwrap(), Revision(0));
        assert_eq!(incarnation(&connection).unwrap(), [7; 16]);
    }
}
