//! Hands out every key, to those who begin.
//!
//! Reading a million records takes a fraction of a second, making keys of them a few times as long. So
//! they are read here and made elsewhere: pieces go round a few threads and come back in turn.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::{Connection, Rows};

use super::fault::{Fault, Quarantine};
use super::tables;
use crate::domain::change::Revision;
use crate::domain::key::Key;
use crate::store::StoreError;
use crate::store::record;

/// Hands every key that can be read to `take`, and says as of when.
pub(super) fn snapshot(
    connection: &Connection,
    quarantine: &Quarantine,
    mut take: impl FnMut(Key),
) -> Result<Revision, Fault> {
    let revision = tables::revision(connection)?;
    let mut statement = connection.prepare_cached("SELECT id, record FROM keys")?;
    let mut rows = statement.query([])?;
    let first = piece(&mut rows)?;
    if first.len() < PIECE {
        make(first, quarantine).into_iter().for_each(take);
        return Ok(revision);
    }
    thread::scope(|scope| {
        let mut makers = VecDeque::new();
        for _ in 0..makers_count() {
            let (give, given) = sync_channel(AHEAD);
            let (back, made) = sync_channel(AHEAD);
            thread::Builder::new()
                .name("store-snapshot".into())
                .spawn_scoped(scope, move || work(&given, &back, quarantine))
                .map_err(StoreError::unavailable)?;
            makers.push_back(Maker {
                give,
                made,
                ahead: 0,
            });
        }
        let mut next = first;
        while !next.is_empty() {
            let Some(mut maker) = makers.pop_front() else {
                break;
            };
            if maker.ahead == AHEAD {
                maker.collect(&mut take)?;
            }
            maker.send(next)?;
            makers.push_back(maker);
            next = piece(&mut rows)?;
        }
        for mut maker in makers {
            while maker.ahead > 0 {
                maker.collect(&mut take)?;
            }
        }
        Ok(revision)
    })
}

type Piece = Vec<(String, Vec<u8>)>;

/// The way to a thread that makes keys of records, and back.
struct Maker {
    give: SyncSender<Piece>,
    made: Receiver<Vec<Key>>,
    /// How many pieces are with it.
    ahead: usize,
}

impl Maker {
    fn send(&mut self, piece: Piece) -> Result<(), Fault> {
        self.give.send(piece).map_err(|_| gone())?;
        self.ahead += 1;
        Ok(())
    }

    fn collect(&mut self, take: &mut impl FnMut(Key)) -> Result<(), Fault> {
        let keys = self.made.recv().map_err(|_| gone())?;
        self.ahead -= 1;
        keys.into_iter().for_each(take);
        Ok(())
    }
}

fn work(given: &Receiver<Piece>, back: &SyncSender<Vec<Key>>, quarantine: &Quarantine) {
    while let Ok(piece) = given.recv() {
        if back.send(make(piece, quarantine)).is_err() {
            return;
        }
    }
}

/// Reads as many rows as make a piece, or what is left.
fn piece(rows: &mut Rows<'_>) -> rusqlite::Result<Piece> {
    let mut piece = Vec::with_capacity(PIECE);
    while piece.len() < PIECE
        && let Some(row) = rows.next()?
    {
        piece.push((row.get(0)?, row.get(1)?));
    }
    Ok(piece)
}

fn make(piece: Piece, quarantine: &Quarantine) -> Vec<Key> {
    let mut keys = Vec::with_capacity(piece.len());
    for (id, bytes) in piece {
        match record::decode_key(&bytes) {
            Ok(key) => keys.push(key),
            Err(why) => quarantine.take("keys", &id, &why),
        }
    }
    keys
}

fn makers_count() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().clamp(1, 4))
}

fn gone() -> Fault {
    StoreError::unavailable("a thread that reads records has ended").into()
}

/// How many records go together: enough that handing them over costs nothing.
const PIECE: usize = 512;
/// How many pieces a thread has before it is waited for.
const AHEAD: usize = 4;
