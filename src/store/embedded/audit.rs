//! The audit log: entries are numbered and chained in the transaction of the change they tell of.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::fault::{Fault, Quarantine, corrupt};
use super::tables::{millis, set_meta, signed, strange, unsigned};
use crate::domain::audit::AuditEntry;
use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::form::NotAnEntry;
use crate::domain::audit::query::{AuditQuery, Kind};
use crate::domain::id::{AuditId, OwnerId};
use crate::domain::query::{Page, Position, SortValue};
use crate::store::record::DecodeError;
use crate::store::search::{Index, Search};
use crate::store::{StoreError, record};

/// Puts entries at the end of the chain.
pub(super) fn seal(transaction: &Connection, entries: &[AuditEntry]) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut head = head(transaction)?;
    for entry in entries {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(StoreError::unavailable)?;
        let sealed = head.seal(entry, salt);
        if !put(transaction, &sealed)? {
            // The end of the chain is not where it is said to be. A change whose entry has no place of its
            // own is not made.
            return Err(strange("audit", sealed.seq).into());
        }
    }
    set_head(transaction, head)
}

/// Takes entries that were sealed elsewhere; those that [`fill`] brought before are here already.
pub(super) fn take(transaction: &Connection, entries: &[Sealed]) -> Result<(), Fault> {
    for sealed in entries {
        put(transaction, sealed)?;
    }
    match entries.last() {
        Some(last) => set_head(
            transaction,
            Head {
                seq: last.seq,
                hash: last.hash,
            },
        ),
        None => Ok(()),
    }
}

/// Takes entries from before those that are here; `gap` is what is still missing then.
pub(super) fn fill(
    transaction: &Connection,
    entries: &[Sealed],
    gap: Option<&str>,
) -> Result<(), Fault> {
    for sealed in entries {
        put(transaction, sealed)?;
    }
    set_gap(transaction, gap)
}

/// Where the chain ends.
pub(super) fn head(connection: &Connection) -> Result<Head, Fault> {
    let found: Option<Vec<u8>> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([HEAD], |row| row.get(0))
        .optional()?;
    let Some(found) = found else {
        return Ok(Head::default());
    };
    let read = || {
        let (seq, hash) = found.split_first_chunk::<8>()?;
        Some(Head {
            seq: u64::from_be_bytes(*seq),
            hash: hash.try_into().ok()?,
        })
    };
    read().ok_or_else(|| strange("meta", HEAD).into())
}

/// Says where the chain ends.
pub(super) fn set_head(transaction: &Connection, head: Head) -> Result<(), Fault> {
    let mut value = head.seq.to_be_bytes().to_vec();
    value.extend(head.hash);
    Ok(set_meta(transaction, HEAD, value)?)
}

/// What is missing of the entries before those that are here; `None` if nothing is.
pub(super) fn gap(connection: &Connection) -> Result<Option<String>, Fault> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([GAP], |row| row.get(0))
        .optional()?)
}

/// Says what is missing.
pub(super) fn set_gap(transaction: &Connection, gap: Option<&str>) -> Result<(), Fault> {
    match gap {
        Some(gap) => set_meta(transaction, GAP, gap)?,
        None => drop(transaction.execute("DELETE FROM meta WHERE name = ?1", [GAP])?),
    }
    Ok(())
}

/// Refuses what needs the whole log while a part of it is not here yet.
pub(super) fn ensure_whole(connection: &Connection) -> Result<(), Fault> {
    match gap(connection)? {
        Some(_) => {
            Err(StoreError::unavailable("the audit log is still being read from the store").into())
        }
        None => Ok(()),
    }
}

/// Keeps a signed checkpoint.
pub(super) fn put_checkpoint(
    transaction: &Connection,
    checkpoint: &Checkpoint,
) -> Result<(), Fault> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO checkpoints (seq, record) VALUES (?1, ?2)")?
        .execute(params![
            signed(checkpoint.head.seq),
            record::encode_checkpoint(checkpoint)
        ])?;
    Ok(())
}

/// The checkpoints at `from` and after it, at most `most`.
pub(super) fn checkpoints(
    connection: &Connection,
    from: u64,
    most: usize,
) -> Result<Vec<Checkpoint>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, record FROM checkpoints WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query(params![signed(from), signed(most as u64)])?;
    read_checkpoints(rows)
}

/// The last checkpoint.
pub(super) fn last_checkpoint(connection: &Connection) -> Result<Option<Checkpoint>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT seq, record FROM checkpoints ORDER BY seq DESC LIMIT 1")?;
    let rows = statement.query([])?;
    Ok(read_checkpoints(rows)?.pop())
}

fn read_checkpoints(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Checkpoint>, Fault> {
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        read.push(
            record::decode_checkpoint(&bytes).map_err(|why| corrupt("checkpoints", seq, why))?,
        );
    }
    Ok(read)
}

/// Takes the personal values out of all entries that are about `owner` or by it.
pub(super) fn erase(transaction: &Connection, owner: OwnerId) -> Result<(), Fault> {
    let owner = owner.to_string();
    transaction
        .prepare_cached("UPDATE audit SET veil = NULL WHERE owner = ?1 AND veil IS NOT NULL")?
        .execute([&owner])?;
    transaction
        .prepare_cached("UPDATE audit SET veil = NULL WHERE actor = ?1 AND veil IS NOT NULL")?
        .execute([&owner])?;
    Ok(())
}

/// The numbers of the entries whose values [`erase`] would take out.
pub(super) fn to_erase(connection: &Connection, owner: OwnerId) -> Result<Vec<u64>, Fault> {
    ensure_whole(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT seq FROM audit WHERE owner = ?1 AND veil IS NOT NULL
         UNION SELECT seq FROM audit WHERE actor = ?1 AND veil IS NOT NULL",
    )?;
    let rows = statement.query_map([owner.to_string()], |row| row.get(0))?;
    let seqs: Vec<i64> = rows.collect::<Result<_, _>>()?;
    Ok(seqs.into_iter().map(unsigned).collect())
}

/// The numbers of the entries whose values [`erase`] has taken out.
pub(super) fn erased(connection: &Connection, owner: OwnerId) -> Result<Vec<u64>, Fault> {
    ensure_whole(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT seq FROM audit WHERE owner = ?1 AND veil IS NULL
         UNION SELECT seq FROM audit WHERE actor = ?1 AND veil IS NULL",
    )?;
    let rows = statement.query_map([owner.to_string()], |row| row.get(0))?;
    let seqs: Vec<i64> = rows.collect::<Result<_, _>>()?;
    Ok(seqs.into_iter().map(unsigned).collect())
}

/// The entries after number `after`, up to number `end`; those that cannot be read are missing.
pub(super) fn sealed_between(
    connection: &Connection,
    after: u64,
    end: u64,
) -> Result<Vec<Sealed>, Fault> {
    if after >= end {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(
        "SELECT id, timestamp, seq, hash, body, veil FROM audit WHERE seq > ?1 AND seq <= ?2
         ORDER BY seq",
    )?;
    let mut rows = statement.query(params![signed(after), signed(end)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.extend(read_sealed(row, unsigned(row.get(2)?)));
    }
    Ok(entries)
}

/// A page of the entries that `query` asks for, the newest first.
pub(super) fn page(
    connection: &Connection,
    query: &AuditQuery,
    limit: usize,
    after: Option<&Position>,
    quarantine: &Quarantine,
) -> Result<Page<Sealed>, Fault> {
    let Some((sql, values)) = ask(query, limit, after) else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut items, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        if count > limit {
            return Ok(Page { items, next: last });
        }
        let seq = unsigned(row.get(2)?);
        last = Some(position(row)?);
        match read_sealed(row, seq) {
            Ok(sealed) => items.push(sealed),
            Err(why) => quarantine.take("audit", &seq.to_string(), &why),
        }
    }
    Ok(Page { items, next: None })
}

/// Where a row of [`page`] stands, of which only the time is sure to be one.
fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    let at: i64 = row.get(1)?;
    let id = match row.get_ref(0)? {
        // No row is met twice: up to where it cannot be read, an id sorts before the whole of it.
        ValueRef::Text(id) => id.utf8_chunks().next().map(|chunk| chunk.valid()),
        _ => None,
    };
    let id = id.unwrap_or_default();
    Ok(Position {
        value: SortValue::Number(unsigned(at)),
        id: id.strip_prefix(AuditId::PREFIX).unwrap_or(id).to_owned(),
    })
}

/// The entry of a row of [`page`], unless what is there could not be shown.
fn read_sealed(row: &Row<'_>, seq: u64) -> Result<Sealed, DecodeError> {
    let odd = |column| move |_: rusqlite::Error| DecodeError::Value(column);
    let veil: Option<Vec<u8>> = row.get(5).map_err(odd("veil"))?;
    let sealed = Sealed {
        seq,
        hash: row.get(3).map_err(odd("hash"))?,
        body: row.get(4).map_err(odd("body"))?,
        veil: veil.map(|veil| record::decode_veil(&veil)).transpose()?,
    };
    match sealed.form() {
        Ok(_) => Ok(sealed),
        Err(NotAnEntry(what)) => Err(DecodeError::Value(what)),
    }
}

/// What to ask the table; `None` if nothing can be found.
fn ask(query: &AuditQuery, limit: usize, after: Option<&Position>) -> Option<(String, Vec<Value>)> {
    let action = match query.kind {
        Kind::All => None,
        Kind::Request => return None,
        Kind::Action(action) => Some(action.as_str()),
    };
    let mut search = Search::default();
    search.text("request = ?", query.request_id.as_ref());
    search.text("key = ?", query.key);
    search.number("version = ?", query.key_version);
    search.text("owner = ?", query.owner);
    search.text("actor = ?", query.actor.as_ref());
    search.text("code = ?", query.code.as_ref());
    search.text("type = ?", action);
    let columns = "id, timestamp, seq, hash, body, veil";
    let id = |id: &str| format!("{}{id}", AuditId::PREFIX);
    search.sql((columns, "audit"), &INDEXES, query, after, id, limit + 1)
}

/// Puts a sealed entry in its place, with what questions are answered by beside it; whether the place was
/// free.
fn put(transaction: &Connection, sealed: &Sealed) -> Result<bool, Fault> {
    let form: serde_json::Value =
        serde_json::from_slice(&sealed.body).map_err(StoreError::unavailable)?;
    let text = |place| form.pointer(place).and_then(serde_json::Value::as_str);
    let at = text("/timestamp").and_then(|at| at.parse().ok());
    let version = form.get("key_version").and_then(serde_json::Value::as_u64);
    let put = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO audit (seq, id, timestamp, type, actor, code, request, key,
                 version, owner, hash, body, veil)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            signed(sealed.seq),
            text("/id").unwrap_or_default(),
            at.map_or(0, millis),
            text("/type").unwrap_or_default(),
            text("/actor/id").unwrap_or_default(),
            text("/code"),
            text("/request_id"),
            text("/key_id"),
            version.map(signed),
            text("/owner_id"),
            sealed.hash,
            sealed.body,
            sealed.veil.as_ref().map(record::encode_veil),
        ])?;
    Ok(put > 0)
}

/// The narrowest first.
const INDEXES: [Index; 9] = [
    ("audit_by_request", &["request = ?"]),
    ("audit_by_key_version", &["key = ?", "version = ?"]),
    ("audit_by_key", &["key = ?"]),
    ("audit_by_owner", &["owner = ?"]),
    ("audit_by_code", &["code = ?"]),
    ("audit_by_actor", &["actor = ?"]),
    ("audit_by_version", &["version = ?"]),
    ("audit_by_type", &["type = ?"]),
    ("audit_by_time", &[]),
];
const HEAD: &str = "audit_head";
/// Where the part of the log begins, in the words of whoever reads it, that a mirror lacks.
const GAP: &str = "audit_gap";
