//! What lets a gate trust the tables of its mirror at a cold start: a sum over all records, kept in the
//! transaction of each change and authenticated with a key that the tables' file does not hold.
//!
//! Each row counts as the HMAC-SHA-256 of what it says, and the rows are added modulo 2²⁵⁶: a change takes
//! out what a row said before and adds what it says now, whatever the number of rows. The sum itself is
//! authenticated together with the store's incarnation and revision. Whoever lacks the key can neither
//! alter, add or take away a row, nor put an earlier state of one in the place of a later; only the whole
//! file can be set back, which the tombstones beside it are there for.
//!
//! Sealed are the tables that decide: keys, owners, tokens and rules. The audit log is a chain of its own,
//! lists only show, and the feed of a mirror is read beyond its revision alone, where there must be none.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::Sha256;

use super::fault::Fault;
use super::{file, rules, tables};
use crate::domain::change::Write;
use crate::store::StoreError;
use crate::store::node_key::MirrorKey;

/// The way to seal the tables of one gate's mirror.
pub(super) struct Seal(Hmac<Sha256>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// What a look at the seal of a mirror found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The tables are as this gate left them.
    Sound,
    /// They hold nothing yet.
    Empty,
    /// They hold something that nobody sealed: an earlier version wrote them.
    Unsealed,
    /// They are not as this gate left them.
    Altered,
}

/// The sum over rows, least word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum([u64; 4]);

impl Sum {
    fn add(&mut self, other: Self) {
        let mut carry = false;
        for (mine, more) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = mine.overflowing_add(more);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*mine, carry) = (sum, over || again);
        }
    }

    fn take(&mut self, other: Self) {
        // a − b = a + ¬b + 1
        self.add(Self(other.0.map(|word| !word)));
        self.add(Self([1, 0, 0, 0]));
    }

    fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    fn read(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }
}

/// A table that is sealed.
struct Sealed {
    /// Tells its rows from those of others; never used for another one.
    number: u8,
    /// All that a row says, its name first.
    all: &'static str,
    /// The same of one row, by its name.
    one: &'static str,
    columns: usize,
}

const KEYS: Sealed = Sealed {
    number: 1,
    all: "SELECT id, record FROM keys WHERE seq BETWEEN ?1 AND ?2",
    one: "SELECT id, record FROM keys WHERE id = ?1",
    columns: 2,
};
const OWNERS: Sealed = Sealed {
    number: 2,
    all: "SELECT id, kind, name, record FROM owners",
    one: "SELECT id, kind, name, record FROM owners WHERE id = ?1",
    columns: 4,
};
const TOKENS: Sealed = Sealed {
    number: 3,
    all: "SELECT id, digest, record FROM tokens",
    one: "SELECT id, digest, record FROM tokens WHERE id = ?1",
    columns: 3,
};
/// A rule's name is its kind and its id.
const RULES: Sealed = Sealed {
    number: 4,
    all: "SELECT kind || ':' || id, record FROM rules",
    one: "SELECT kind || ':' || id, record FROM rules WHERE kind || ':' || id = ?1",
    columns: 2,
};

impl Seal {
    pub(super) fn new(key: &MirrorKey) -> Result<Self, StoreError> {
        Hmac::new_from_slice(key.bytes())
            .map(Self)
            .map_err(StoreError::unavailable)
    }

    /// Seals the tables as `write` leaves them, which may change nothing but what `writes` name. Where
    /// nothing was sealed before, nothing is: there is a seal from the first time that all came anew.
    pub(super) fn around<T>(
        &self,
        transaction: &Connection,
        writes: &[Write],
        write: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(mut sum) = kept(transaction, SUM)?.map(Sum::read) else {
            return write();
        };
        let touched: BTreeSet<(u8, String)> = writes.iter().filter_map(touched).collect();
        sum.take(self.some(transaction, &touched)?);
        let done = write()?;
        sum.add(self.some(transaction, &touched)?);
        self.keep(transaction, sum)?;
        Ok(done)
    }

    /// Seals the tables as they are.
    pub(super) fn anew(&self, transaction: &Connection) -> Result<(), Fault> {
        let mut sum = self.few(transaction)?;
        sum.add(self.keys(transaction, i64::MIN, i64::MAX)?);
        self.keep(transaction, sum)
    }

    /// Whether the tables in the file at `path` are as this gate left them. All of it is read, on as many
    /// threads as there are cores.
    pub(super) fn look(&self, path: &Path) -> Result<Seen, Fault> {
        let connection = file::reader(path)?;
        self.judge(&connection, || self.keys_together(path, &connection))
    }

    /// The same of tables that are held as of one moment.
    pub(super) fn look_at(&self, connection: &Connection) -> Result<Seen, Fault> {
        self.judge(connection, || self.keys(connection, i64::MIN, i64::MAX))
    }

    fn judge(
        &self,
        connection: &Connection,
        keys: impl FnOnce() -> Result<Sum, Fault>,
    ) -> Result<Seen, Fault> {
        let Some(told) = kept(connection, SUM)? else {
            let is_held = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM owners)
                     OR EXISTS (SELECT 1 FROM tokens) OR EXISTS (SELECT 1 FROM rules)
                     OR EXISTS (SELECT 1 FROM feed)",
                [],
                |row| row.get(0),
            )?;
            return Ok(if is_held { Seen::Unsealed } else { Seen::Empty });
        };
        let told = Sum::read(told);
        let is_ours = kept(connection, SEAL)?
            .is_some_and(|seal| matches!(self.of(connection, told), Ok(mac) if mac == seal));
        let ahead: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM feed
                 WHERE revision > (SELECT value FROM meta WHERE name = 'revision'))",
            [],
            |row| row.get(0),
        )?;
        if !is_ours || ahead {
            return Ok(Seen::Altered);
        }
        let mut sum = self.few(connection)?;
        sum.add(keys()?);
        Ok(if sum == told {
            Seen::Sound
        } else {
            Seen::Altered
        })
    }

    fn keys_together(&self, path: &Path, connection: &Connection) -> Result<Sum, Fault> {
        let last: Option<i64> =
            connection.query_row("SELECT max(seq) FROM keys", [], |row| row.get(0))?;
        let Some(last) = last.filter(|last| *last > 0) else {
            // Rows below 1 are none of ours, and are read all the same.
            return self.keys(connection, i64::MIN, i64::MAX);
        };
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().clamp(1, 4));
        let threads = i64::try_from(threads).unwrap_or(1);
        let share = last / threads + 1;
        let parts = thread::scope(|scope| {
            let parts: Vec<_> = (0..threads)
                .map(|at| {
                    let from = if at == 0 { i64::MIN } else { at * share };
                    let to = if at + 1 == threads {
                        i64::MAX
                    } else {
                        (at + 1) * share - 1
                    };
                    scope.spawn(move || {
                        let connection = file::reader(path)?;
                        self.keys(&connection, from, to)
                    })
                })
                .collect();
            let parts: Vec<thread::Result<Result<Sum, Fault>>> = parts
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect();
            parts
        });
        let mut sum = Sum::default();
        for part in parts {
            let ended = |_| StoreError::unavailable("a thread that reads records has ended");
            sum.add(part.map_err(ended)??);
        }
        Ok(sum)
    }

    fn keys(&self, connection: &Connection, from: i64, to: i64) -> Result<Sum, Fault> {
        let mut statement = connection.prepare(KEYS.all)?;
        let mut rows = statement.query([from, to])?;
        let mut sum = Sum::default();
        while let Some(row) = rows.next()? {
            sum.add(self.of_row(&KEYS, row)?);
        }
        Ok(sum)
    }

    /// All but the keys.
    fn few(&self, connection: &Connection) -> Result<Sum, Fault> {
        let mut sum = Sum::default();
        for table in [&OWNERS, &TOKENS, &RULES] {
            let mut statement = connection.prepare(table.all)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                sum.add(self.of_row(table, row)?);
            }
        }
        Ok(sum)
    }

    fn some(
        &self,
        connection: &Connection,
        touched: &BTreeSet<(u8, String)>,
    ) -> Result<Sum, Fault> {
        let mut sum = Sum::default();
        for (number, name) in touched {
            for table in [&KEYS, &OWNERS, &TOKENS, &RULES] {
                if table.number != *number {
                    continue;
                }
                let mut statement = connection.prepare_cached(table.one)?;
                let mut rows = statement.query([name])?;
                while let Some(row) = rows.next()? {
                    sum.add(self.of_row(table, row)?);
                }
            }
        }
        Ok(sum)
    }

    fn of_row(&self, table: &Sealed, row: &Row<'_>) -> Result<Sum, Fault> {
        let mut mac = self.0.clone();
        mac.update(&[table.number]);
        for column in 0..table.columns {
            // Text or blob, so that a column of another type is another row.
            let value = row.get_ref(column)?;
            let bytes = value.as_bytes_or_null().map_err(rusqlite::Error::from)?;
            let bytes = bytes.unwrap_or_default();
            mac.update(&(bytes.len() as u64).to_le_bytes());
            mac.update(bytes);
        }
        Ok(Sum::read(mac.finalize().into_bytes().into()))
    }

    fn keep(&self, transaction: &Connection, sum: Sum) -> Result<(), Fault> {
        let seal = self.of(transaction, sum)?;
        tables::set_meta(transaction, SUM, sum.bytes())?;
        tables::set_meta(transaction, SEAL, seal)?;
        Ok(())
    }

    fn of(&self, connection: &Connection, sum: Sum) -> Result<[u8; 32], Fault> {
        let mut mac = self.0.clone();
        // No row has this number.
        mac.update(&[0]);
        mac.update(&tables::incarnation(connection)?);
        mac.update(&tables::revision(connection)?.0.to_le_bytes());
        mac.update(&sum.bytes());
        Ok(mac.finalize().into_bytes().into())
    }
}

/// Which row a write changes, by the number of its table and its name there.
fn touched(write: &Write) -> Option<(u8, String)> {
    match write {
        Write::Key(key) => Some((KEYS.number, key.id.chars().to_owned())),
        Write::Owner(owner) => Some((OWNERS.number, owner.id.chars().to_owned())),
        Write::Token(token) => Some((TOKENS.number, token.id.chars().to_owned())),
        Write::Product(_) | Write::Policy(_) | Write::RotationRule(_) | Write::Gone(_) => {
            rules::name(write).map(|(kind, id)| (RULES.number, format!("{kind}:{id}")))
        }
        Write::Receipt(_) | Write::Checkpoint(_) | Write::Erasure(_) | Write::Event(_) => None,
    }
}

fn kept(connection: &Connection, name: &str) -> rusqlite::Result<Option<[u8; 32]>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// The sum, in `meta`.
pub(super) const SUM: &str = "seal_sum";
/// What authenticates it.
pub(super) const SEAL: &str = "seal";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_out_in_any_order() {
        let words = [
            Sum([u64::MAX, u64::MAX, 0, 7]),
            Sum([1, 0, u64::MAX, u64::MAX]),
            Sum([5, 6, 7, 8]),
        ];
        let mut sum = Sum::default();
        words.iter().for_each(|word| sum.add(*word));
        assert_eq!(Sum::read(sum.bytes()), sum);
        sum.take(words[1]);
        sum.take(words[0]);
        assert_eq!(sum, words[2]);
        sum.take(words[2]);
        assert_eq!(sum, Sum::default());
    }
}
