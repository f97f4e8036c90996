//! Verifies the audit chain: rows are read here and hashed on other threads meanwhile.

use std::thread;

use rusqlite::{Connection, Row, Rows};

use super::audit;
use super::fault::Fault;
use super::tables::{timestamp, unsigned};
use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::audit::verify::{Columns, Link, Verdict, Walk};
use crate::domain::time::Timestamp;
use crate::store::{StoreError, record};

/// Walks the whole chain.
pub(super) fn verify(connection: &Connection) -> Result<Verdict, Fault> {
    audit::ensure_whole(connection)?;
    let checkpoints = audit::checkpoints(connection, 0, usize::MAX)?;
    let mut walk = Walk::new(Head::default(), &checkpoints);
    walk.ends_at(audit::head(connection)?);
    let mut statement = connection.prepare(
        "SELECT seq, hash, body, veil, id, timestamp, type, actor, code, request, key, version, owner
         FROM audit ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    let mut piece = read_piece(&mut rows)?;
    while !piece.is_empty() {
        let share = piece.len().div_ceil(threads);
        let (next, links) = thread::scope(|scope| {
            let parts: Vec<_> = piece
                .chunks(share)
                .map(|part| scope.spawn(|| part.iter().map(Entry::link).collect::<Vec<_>>()))
                .collect();
            let next = read_piece(&mut rows);
            let links: thread::Result<Vec<_>> = parts
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect();
            (next, links)
        });
        let links = links.map_err(|_| StoreError::unavailable("a thread that hashes has ended"))?;
        links.into_iter().flatten().for_each(|link| walk.pass(link));
        piece = next?;
    }
    Ok(walk.end())
}

/// A row, as it lies there.
struct Entry {
    sealed: Sealed,
    /// `None` if one of them holds what is never put there.
    beside: Option<Beside>,
}

/// What stands beside a body.
struct Beside {
    veil: Option<Vec<u8>>,
    id: String,
    timestamp: Timestamp,
    action: String,
    actor: String,
    code: Option<String>,
    request: Option<String>,
    key: Option<String>,
    version: Option<u16>,
    owner: Option<String>,
}

impl Entry {
    /// Reads a row. Only that there is none can fail: whoever alters one must not keep the others from
    /// being verified.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sealed: Sealed {
                seq: unsigned(row.get(0)?),
                // Of another length, it is the hash of nothing.
                hash: row.get(1).unwrap_or_default(),
                body: row.get(2).unwrap_or_default(),
                veil: None,
            },
            beside: Beside::read(row).ok(),
        })
    }

    fn link(&self) -> Link {
        let altered = || Link {
            is_sound: false,
            ..Link::of_stored(&self.sealed, None, &Columns::default())
        };
        let Some(beside) = &self.beside else {
            return altered();
        };
        let veil = beside.veil.as_deref().map(record::decode_veil).transpose();
        match veil {
            Ok(veil) => Link::of_stored(&self.sealed, veil.as_ref(), &beside.columns()),
            Err(_) => altered(),
        }
    }
}

impl Beside {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            veil: row.get(3)?,
            id: row.get(4)?,
            timestamp: timestamp(row.get(5)?),
            action: row.get(6)?,
            actor: row.get(7)?,
            code: row.get(8)?,
            request: row.get(9)?,
            key: row.get(10)?,
            version: row.get(11)?,
            owner: row.get(12)?,
        })
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            id: &self.id,
            timestamp: self.timestamp,
            action: &self.action,
            actor: &self.actor,
            code: self.code.as_deref(),
            request: self.request.as_deref(),
            key: self.key.as_deref(),
            version: self.version,
            owner: self.owner.as_deref(),
        }
    }
}

fn read_piece(rows: &mut Rows<'_>) -> rusqlite::Result<Vec<Entry>> {
    let mut piece = Vec::with_capacity(PIECE);
    while piece.len() < PIECE
        && let Some(row) = rows.next()?
    {
        piece.push(Entry::read(row)?);
    }
    Ok(piece)
}

/// How many rows are hashed together.
const PIECE: usize = 8_192;
