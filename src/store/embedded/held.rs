//! A store's file as something to be carried: all its tables, row by row, as of one moment.
//!
//! Everything is read in one transaction of SQLite's, so a gate that runs on the file goes on writing and
//! what is read here is one revision all the same.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, Statement};

use super::fault::Fault;
use super::{audit, feed, file, seal, tables, usage, walk};
use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::audit::verify::Verdict;
use crate::domain::change::{Change, ChangeId, Revision};
use crate::domain::usage::{Step, UsageBucket};
use crate::store::node_key::MirrorKey;
use crate::store::{StoreError, record};

/// A store's file, held still.
pub(in crate::store) struct Held {
    connection: Connection,
    /// A change that is known from elsewhere.
    known: Option<(Revision, ChangeId)>,
}

/// A table and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct TableOf {
    /// Its name.
    pub(in crate::store) name: String,
    /// Its columns, in their order.
    pub(in crate::store) columns: Vec<String>,
    /// How many rows it has.
    pub(in crate::store) rows: u64,
}

/// A sealed audit entry without its veil, and the veil as it is stored.
pub(in crate::store) type Unveiled = (Sealed, Option<Vec<u8>>);

/// Where a store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct StandOf {
    /// Which history it is.
    pub(in crate::store) incarnation: [u8; 16],
    /// Its revision.
    pub(in crate::store) revision: Revision,
    /// The change that this is; `None` where none has landed, or it is not known any more.
    pub(in crate::store) change: Option<ChangeId>,
    /// Where its audit chain ends.
    pub(in crate::store) head: Head,
}

impl Held {
    /// Holds the store in `directory`.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if there is none, or it is of another version than this binary's.
    pub(in crate::store) fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = file::existing(directory)?;
        Self::of_file(&path)
    }

    /// Holds the store in the file at `path`.
    pub(super) fn of_file(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let connection = file::reader(path)?;
            connection.execute_batch("BEGIN")?;
            // The transaction sees what its first read does.
            tables::revision(&connection)?;
            let version: u32 =
                connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok((connection, version))
        };
        let (connection, version) = open().map_err(Fault::Sql)?;
        if version != tables::VERSION {
            return Err(StoreError::Unusable {
                place: path.display().to_string(),
                reason: format!(
                    "it has format {version}, and this binary format {}: stop the gate that runs on it",
                    tables::VERSION
                ),
            });
        }
        Ok(Self {
            connection,
            known: None,
        })
    }

    /// Where the store stands.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::store) fn stand(&self) -> Result<StandOf, StoreError> {
        let read = || -> Result<StandOf, Fault> {
            let revision = tables::revision(&self.connection)?;
            let change = match feed::change_at(&self.connection, revision)? {
                None => match self.known {
                    Some((at, change)) if at == revision => Some(change),
                    _ => tables::last_change(&self.connection)?,
                },
                change => change,
            };
            Ok(StandOf {
                incarnation: tables::incarnation(&self.connection)?,
                revision,
                change,
                head: audit::head(&self.connection)?,
            })
        };
        Ok(read()?)
    }

    /// Tells which change a revision is, where the tables do not.
    pub(in crate::store) fn know(&mut self, revision: Revision, change: ChangeId) {
        self.known = Some((revision, change));
    }

    /// Whether the tables are as the gate with this key left them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn sealed_by(&self, key: &MirrorKey) -> Result<seal::Seen, StoreError> {
        Ok(seal::Seal::new(key)?.look_at(&self.connection)?)
    }

    /// The rows that `sql` finds, to be read a piece at a time.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn find(&self, sql: &str) -> Result<Statement<'_>, StoreError> {
        let found = self.connection.prepare(sql);
        found.map_err(|error| Fault::Sql(error).into())
    }

    /// The counts by hour or by day, to be read by [`Pieces::of_counts`].
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn counts(&self, step: Step) -> Result<Statement<'_>, StoreError> {
        self.find(match step {
            Step::Minute | Step::Hour => "SELECT * FROM usage_hour",
            Step::Day => "SELECT * FROM usage_day",
        })
    }

    /// The audit entries after the one of number `after`, at most `most`, each without its veil, and the veil.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn audit_after(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<Unveiled>, StoreError> {
        let read = || -> Result<Vec<_>, Fault> {
            let mut statement = self.connection.prepare_cached(
                "SELECT seq, hash, body, veil FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let page = statement
                .query_map(
                    [tables::signed(after), tables::signed(most as u64)],
                    |row| {
                        let sealed = Sealed {
                            seq: tables::unsigned(row.get(0)?),
                            hash: row.get(1)?,
                            body: row.get(2)?,
                            veil: None,
                        };
                        Ok((sealed, row.get(3)?))
                    },
                )?
                .collect::<Result<_, _>>()?;
            Ok(page)
        };
        Ok(read()?)
    }

    /// Finds the sealed entries of these ids, each with its veil.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn sealed(
        &self,
        wanted: &mut BTreeMap<String, Option<Sealed>>,
    ) -> Result<(), StoreError> {
        let mut read = || -> Result<(), Fault> {
            let mut statement = self
                .connection
                .prepare("SELECT id, seq, hash, body, veil FROM audit")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                if let Some(found) = wanted.get_mut(&id) {
                    let veil: Option<Vec<u8>> = row.get(4)?;
                    *found = Some(Sealed {
                        seq: tables::unsigned(row.get(1)?),
                        hash: row.get(2)?,
                        body: row.get(3)?,
                        veil: veil.and_then(|veil| record::decode_veil(&veil).ok()),
                    });
                }
            }
            Ok(())
        };
        Ok(read()?)
    }

    /// All tables that are carried, and how many rows each has. What authenticates a mirror is its gate's own.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn tables(&self) -> Result<Vec<TableOf>, StoreError> {
        let read = || -> Result<Vec<TableOf>, Fault> {
            let names: Vec<String> = self
                .connection
                .prepare(
                    // Not what only finds names: it is made anew from what is carried.
                    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
                         AND name NOT LIKE 'sqlite%' ORDER BY name",
                )?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut tables = Vec::with_capacity(names.len());
            for name in names {
                let rows: i64 = self.connection.query_row(
                    &format!("SELECT count(*) FROM {name} {}", but(&name)),
                    [],
                    |row| row.get(0),
                )?;
                let statement = self.connection.prepare(&format!("SELECT * FROM {name}"))?;
                let columns = statement.column_names();
                tables.push(TableOf {
                    columns: columns.into_iter().map(str::to_owned).collect(),
                    name,
                    rows: tables::unsigned(rows),
                });
            }
            Ok(tables)
        };
        Ok(read()?)
    }

    /// Hands every row of a table to `take`, in the order of its key.
    ///
    /// # Errors
    /// If they cannot be read, or what `take` says.
    pub(in crate::store) fn rows(
        &self,
        table: &TableOf,
        mut take: impl FnMut(&[ValueRef<'_>]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let name = &table.name;
        let mut read = || -> Result<(), Fault> {
            let mut statement = self
                .connection
                .prepare(&format!("SELECT * FROM {name} {}", but(name)))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let mut values = Vec::with_capacity(table.columns.len());
                for column in 0..table.columns.len() {
                    values.push(row.get_ref(column)?);
                }
                take(&values)?;
            }
            Ok(())
        };
        Ok(read()?)
    }

    /// Hands what `sql` finds to `take`, row by row.
    ///
    /// # Errors
    /// If it cannot be read, or what `take` says.
    pub(in crate::store) fn each(
        &self,
        sql: &'static str,
        mut take: impl FnMut(&rusqlite::Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut read = || -> Result<(), Fault> {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                take(row)?;
            }
            Ok(())
        };
        Ok(read()?)
    }

    /// Walks the audit chain.
    ///
    /// # Errors
    /// If it cannot be read, or a part of it is not here.
    pub(in crate::store) fn verify(&self) -> Result<Verdict, StoreError> {
        Ok(walk::verify(&self.connection)?)
    }

    /// Whether a part of the audit log is missing.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::store) fn has_gap(&self) -> Result<bool, StoreError> {
        Ok(audit::gap(&self.connection)?.is_some())
    }

    /// The changes that are still known, the oldest first, each with its name and its audit entries' numbers.
    ///
    /// # Errors
    /// If they cannot be read, or what `take` says. One that cannot be read is passed over.
    pub(in crate::store) fn changes(
        &self,
        mut take: impl FnMut(Revision, Change) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.each(
            "SELECT revision, record FROM feed ORDER BY revision",
            |row| {
                let revision: i64 = row.get(0).map_err(Fault::Sql)?;
                let bytes: Vec<u8> = row.get(1).map_err(Fault::Sql)?;
                match record::decode_change(&bytes) {
                    Ok(change) => take(Revision(tables::unsigned(revision)), change),
                    Err(_) => Ok(()),
                }
            },
        )
    }
}

/// Rows that are read a piece at a time, so that what is done with them can be waited for in between.
pub(in crate::store) struct Pieces<'s, T> {
    rows: Rows<'s>,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
}

impl<'s, T> Pieces<'s, T> {
    /// The rows of a statement.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn of(
        statement: &'s mut Statement<'_>,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Self, StoreError> {
        let rows = statement.query([]).map_err(Fault::Sql)?;
        Ok(Self { rows, read })
    }

    /// The next of them; none if there are no more.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn next(&mut self) -> Result<Vec<T>, StoreError> {
        let mut piece = Vec::new();
        while piece.len() < PIECE
            && let Some(row) = self.rows.next().map_err(Fault::Sql)?
        {
            piece.push((self.read)(row).map_err(Fault::Sql)?);
        }
        Ok(piece)
    }
}

impl<'s> Pieces<'s, (String, UsageBucket)> {
    /// Counts, each with the key it is of.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::store) fn of_counts(
        statement: &'s mut Statement<'_>,
    ) -> Result<Self, StoreError> {
        Self::of(statement, usage::read_row)
    }
}

/// How many rows are read at once.
const PIECE: usize = 1_000;

/// Which rows of a table are not carried.
fn but(table: &str) -> String {
    match table {
        "meta" => format!("WHERE name NOT IN ('{}', '{}')", seal::SUM, seal::SEAL),
        _ => String::new(),
    }
}
