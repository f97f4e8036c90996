//! A store's file in the making: under another name until all of it is there, and looked through before it is
//! given its own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fault::Fault;
use super::file;
use super::held::{Held, TableOf};
use super::tables::{self, Followers};
use crate::store::StoreError;

/// A store's file in the making.
pub(in crate::store) struct Making {
    connection: Connection,
    directory: PathBuf,
    path: PathBuf,
    followers: Followers,
}

impl Making {
    /// Begins one in `directory`, with the tables of a store of `version`. What an earlier attempt left is taken
    /// away.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if the version is newer than this binary, or the directory cannot be written.
    pub(in crate::store) fn begin(directory: &Path, version: u32) -> Result<Self, StoreError> {
        let path = directory.join(UNFINISHED);
        let steps = tables::MIGRATIONS.get(..version as usize).ok_or_else(|| {
            file::unusable(
                &path,
                format_args!(
                    "what is carried has format {version}, and this binary knows formats up to {}",
                    tables::VERSION
                ),
            )
        })?;
        file::make_directory(directory)?;
        for suffix in ["", "-wal", "-shm", "-journal"] {
            remove(&file::beside(&path, suffix))?;
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| file::unusable(&path, error))?;
        let begin = || -> Result<(Connection, Followers), Fault> {
            let connection = file::bare(&path)?;
            for step in steps {
                connection.execute_batch(step)?;
            }
            connection.pragma_update(None, "application_id", tables::APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", version)?;
            // Made when all rows are there: each is then sorted once.
            let followers = tables::drop_followers(&connection, None)?;
            connection.execute_batch("BEGIN")?;
            Ok((connection, followers))
        };
        let (connection, followers) = begin()?;
        Ok(Self {
            connection,
            directory: directory.to_owned(),
            path,
            followers,
        })
    }

    /// Puts a row into a table.
    ///
    /// # Errors
    /// If there is no such table or column, or no room.
    pub(in crate::store) fn put(
        &self,
        table: &TableOf,
        values: &[Value],
    ) -> Result<(), StoreError> {
        let is_name = |name: &String| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if !is_name(&table.name) || !table.columns.iter().all(is_name) {
            return Err(file::unusable(
                &self.path,
                "what is carried names no table of a store",
            ));
        }
        let put = || -> Result<(), Fault> {
            let (columns, marks) = (table.columns.join(", "), vec!["?"; table.columns.len()]);
            let sql = format!(
                "INSERT INTO {} ({columns}) VALUES ({})",
                table.name,
                marks.join(", ")
            );
            self.connection
                .prepare_cached(&sql)?
                .execute(params_from_iter(values))?;
            Ok(())
        };
        Ok(put()?)
    }

    /// Makes it whole and looks through it: it has these tables, and nothing else in them.
    ///
    /// # Errors
    /// If there is no room, or it is not what was carried.
    pub(in crate::store) fn finish(self, carried: &[TableOf]) -> Result<Made, StoreError> {
        let Self {
            mut connection,
            directory,
            path,
            followers,
        } = self;
        let finish = || -> Result<(), Fault> {
            followers.restore(&connection)?;
            connection.execute_batch("COMMIT")?;
            tables::migrate(&mut connection)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        };
        finish()?;
        connection
            .close()
            .map_err(|(_, error)| StoreError::from(Fault::Sql(error)))?;
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|error| file::unusable(&path, error))?;
        let held = Held::of_file(&path)?;
        let found = held.tables()?;
        for table in carried {
            let rows = found
                .iter()
                .find(|it| it.name == table.name)
                .map(|it| it.rows);
            if rows != Some(table.rows) {
                return Err(file::unusable(
                    &path,
                    format_args!(
                        "{} has {} rows, and {} were carried",
                        table.name,
                        rows.unwrap_or_default(),
                        table.rows
                    ),
                ));
            }
        }
        Ok(Made {
            held,
            directory,
            path,
        })
    }
}

/// A store's file that is whole, and has not its name yet.
pub(in crate::store) struct Made {
    /// What is in it.
    pub(in crate::store) held: Held,
    directory: PathBuf,
    path: PathBuf,
}

impl Made {
    /// Gives it its name: from now on it is the store of its directory. What was there before is kept beside it,
    /// under another name.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub(in crate::store) fn into_place(self) -> Result<Held, StoreError> {
        let Self {
            held,
            directory,
            path,
        } = self;
        drop(held);
        let place = directory.join(file::FILE_NAME);
        let done = || -> io::Result<()> {
            for suffix in ["-wal", "-shm"] {
                let beside = file::beside(&place, suffix);
                match fs::metadata(&beside) {
                    Ok(about) if suffix == "-wal" && about.len() > 0 => {
                        return Err(io::Error::other("the store there was not closed"));
                    }
                    Ok(_) => fs::remove_file(&beside)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            match fs::rename(&place, directory.join(REPLACED)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            for suffix in ["-wal", "-shm"] {
                match fs::remove_file(file::beside(&path, suffix)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(&path, &place)?;
            File::open(&directory)?.sync_all()
        };
        done().map_err(|error| file::unusable(&place, error))?;
        Held::of_file(&place)
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file::unusable(path, error)),
        _ => Ok(()),
    }
}

/// Its name until it is whole.
const UNFINISHED: &str = "portcullis.db.carried";
/// The name of what was there before.
const REPLACED: &str = "portcullis.db.replaced";
