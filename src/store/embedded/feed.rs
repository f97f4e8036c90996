//! Keeps changes for those who follow.

use rusqlite::{Connection, OptionalExtension, params};

use super::audit;
use super::fault::{Fault, Quarantine};
use super::tables::{revision, signed, unsigned};
use crate::domain::audit::chain::{Digest, Head, Sealed};
use crate::domain::change::{Change, ChangeId, Revision};
use crate::store::{News, record};

/// Keeps a change, and lets go of the one that is too old.
///
/// A mirror may be told of one id twice: of a change that was made again after all, by who could not know that it
/// had landed. Then the later one stays, and whoever followed up to between the two is sent to the snapshot: a
/// mirror that refused the second could take nothing after it either.
pub(super) fn append(
    transaction: &Connection,
    revision: Revision,
    change: &Change,
) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO feed (revision, change, record) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            signed(revision.0),
            change.id.0,
            record::encode_change(change)
        ])?;
    transaction
        .prepare_cached("DELETE FROM feed WHERE revision <= ?1")?
        .execute([signed(revision.0.saturating_sub(FEED_MAX))])?;
    Ok(())
}

/// The change that landed at a revision, while the feed still holds it.
pub(super) fn change_at(
    connection: &Connection,
    revision: Revision,
) -> rusqlite::Result<Option<ChangeId>> {
    connection
        .prepare_cached("SELECT change FROM feed WHERE revision = ?1")?
        .query_row([signed(revision.0)], |row| row.get(0).map(ChangeId))
        .optional()
}

/// Where a change landed, while the feed still holds it.
pub(super) fn landed(transaction: &Connection, id: ChangeId) -> Result<Option<Revision>, Fault> {
    Ok(transaction
        .prepare_cached("SELECT revision FROM feed WHERE change = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?
        .map(|revision| Revision(unsigned(revision))))
}

/// The changes after `after`, at most `most`.
///
/// One that cannot be read ends what is given; whoever asks for it is sent to the snapshot, which leaves
/// out only what cannot be read.
pub(super) fn since(
    connection: &Connection,
    after: Revision,
    most: usize,
    quarantine: &Quarantine,
) -> Result<News, Fault> {
    let now = revision(connection)?;
    if after == now || most == 0 {
        return Ok(News::Changes(Vec::new()));
    }
    // A revision this store has not reached is of another history.
    if after > now {
        return Ok(News::Trimmed);
    }
    let mut changes = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT revision, record FROM feed WHERE revision > ?1 ORDER BY revision LIMIT ?2",
    )?;
    let mut rows = statement.query(params![signed(after.0), signed(most as u64)])?;
    let mut expected = after.next();
    while let Some(row) = rows.next()? {
        let found = Revision(unsigned(row.get(0)?));
        if found != expected {
            break;
        }
        match record::decode_change(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?) {
            Ok(change) => changes.push((found, change.into())),
            Err(why) => {
                quarantine.take("feed", &found.to_string(), &why);
                break;
            }
        }
        expected = expected.next();
    }
    if changes.is_empty() {
        return Ok(News::Trimmed);
    }
    Ok(News::Changes(changes))
}

/// Notes where the audit chain ends after a change.
pub(super) fn note_audit_end(
    transaction: &Connection,
    revision: Revision,
    seq: u64,
) -> Result<(), Fault> {
    transaction
        .prepare_cached("UPDATE feed SET audit_end = ?2 WHERE revision = ?1")?
        .execute(params![signed(revision.0), signed(seq)])?;
    Ok(())
}

/// The changes after `after`, at most `most`, by what tells them apart.
pub(super) fn places(
    connection: &Connection,
    after: Revision,
    most: usize,
) -> Result<Vec<Place>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT revision, change, audit_end, hash FROM feed LEFT JOIN audit ON seq = audit_end
         WHERE revision > ?1 ORDER BY revision LIMIT ?2",
    )?;
    let rows = statement.query_map(params![signed(after.0), signed(most as u64)], |row| {
        let seq: Option<i64> = row.get(2)?;
        // Whoever altered it is told of by who verifies it; here it says nothing.
        let hash: Option<Digest> = row
            .get_ref(3)?
            .as_blob()
            .ok()
            .and_then(|it| it.try_into().ok());
        Ok(Place {
            revision: Revision(unsigned(row.get(0)?)),
            change: ChangeId(row.get(1)?),
            head: match (seq.map(unsigned), hash) {
                (Some(0), _) => Some(Head::default()),
                (Some(seq), Some(hash)) => Some(Head { seq, hash }),
                _ => None,
            },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where the audit chain ended after a change, if that was noted.
pub(super) fn audit_end(connection: &Connection, revision: Revision) -> Result<Option<u64>, Fault> {
    let end: Option<Option<i64>> = connection
        .prepare_cached("SELECT audit_end FROM feed WHERE revision = ?1")?
        .query_row([signed(revision.0)], |row| row.get(0))
        .optional()?;
    Ok(end.flatten().map(unsigned))
}

/// The changes after `after`, in order and without gaps, at most `most`, each with its audit entries as they
/// were sealed; `head` is where the chain ended before them. The first that is not wholly here ends it.
pub(super) fn journal(
    connection: &Connection,
    after: Revision,
    mut head: u64,
    most: usize,
) -> Result<Vec<Journaled>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT revision, record, audit_end FROM feed WHERE revision > ?1 ORDER BY revision
         LIMIT ?2",
    )?;
    let mut rows = statement.query(params![signed(after.0), signed(most as u64)])?;
    let mut journal = Vec::new();
    let mut expected = after.next();
    while let Some(row) = rows.next()? {
        let revision = Revision(unsigned(row.get(0)?));
        let end: Option<i64> = row.get(2)?;
        let record = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let (Ok(change), Some(end), true) = (
            record::decode_change(record),
            end.map(unsigned),
            revision == expected,
        ) else {
            break;
        };
        let sealed = audit::sealed_between(connection, head, end)?;
        if sealed.len() as u64 != end.saturating_sub(head) {
            break;
        }
        head = end;
        expected = expected.next();
        journal.push(Journaled {
            revision,
            change,
            sealed,
        });
    }
    Ok(journal)
}

/// Which change landed at a revision, and in which history: a change that is made again keeps its id, and has
/// another audit chain behind it, if anything was written into that in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it landed.
    pub revision: Revision,
    /// The change.
    pub change: ChangeId,
    /// Where the audit chain then ended, if that is known.
    pub head: Option<Head>,
}

/// A change as a mirror took it.
#[derive(Debug, Clone)]
pub struct Journaled {
    /// Where it landed.
    pub revision: Revision,
    /// The change.
    pub change: Change,
    /// Its audit entries.
    pub sealed: Vec<Sealed>,
}

impl Journaled {
    /// What tells it apart. Without audit entries, where the chain ended is not known.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            revision: self.revision,
            change: self.change.id,
            head: self.sealed.last().map(Sealed::head),
        }
    }
}

/// How many changes are kept for those who follow.
const FEED_MAX: u64 = 16_384;
