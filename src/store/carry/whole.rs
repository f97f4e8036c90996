//! A whole store, and where it can go.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{Value, ValueRef};

use super::file;
use crate::config::RedisChoice;
use crate::domain::audit::form::hex;
use crate::domain::audit::verify::Verdict;
use crate::domain::change::Revision;
use crate::domain::time::{Clock, Timestamp};
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedStore, Held, Making, TableOf};
use crate::store::node_key::{MirrorKey, NodeKey};
use crate::store::redis;

/// How far a piece of work is: what it is, how much of it is done, and of how much.
pub type Progress<'a> = &'a mut dyn FnMut(&'static str, u64, u64);

/// A whole store, as of one revision of it.
pub struct Whole(Held);

/// What a store is, so that one can be told from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Which history it is, as 32 hexadecimal digits.
    pub incarnation: String,
    /// Its revision.
    pub revision: Revision,
    /// Its tables and how many rows each has.
    pub tables: Vec<(String, u64)>,
}

/// What stands where a store is to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which history it is, as 32 hexadecimal digits.
    pub incarnation: String,
    /// Its revision.
    pub revision: Revision,
}

/// Which store may be replaced: none but the one of this incarnation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MayReplace(pub Option<String>);

impl MayReplace {
    /// Refuses what stands in the way, if it does.
    pub(in crate::store) fn judge(
        &self,
        place: &str,
        standing: Option<&Standing>,
    ) -> Result<(), StoreError> {
        match (standing, &self.0) {
            (None, None) => Ok(()),
            (Some(standing), None) if standing.revision == Revision(0) => Ok(()),
            (Some(standing), Some(wanted)) if *wanted == standing.incarnation => Ok(()),
            (Some(standing), None) => Err(StoreError::Unusable {
                place: place.to_owned(),
                reason: format!(
                    "there is a store, at revision {}: nothing was changed. To replace it, say which it is: --replace {}",
                    standing.revision, standing.incarnation
                ),
            }),
            (Some(standing), Some(_)) => Err(StoreError::Unusable {
                place: place.to_owned(),
                reason: format!(
                    "the store there is another one, {} at revision {}: nothing was changed",
                    standing.incarnation, standing.revision
                ),
            }),
            (None, Some(_)) => Err(StoreError::Unusable {
                place: place.to_owned(),
                reason: "there is no store to replace: nothing was changed".to_owned(),
            }),
        }
    }
}

impl Whole {
    /// The embedded store in `directory`; a gate may be running on it.
    ///
    /// # Errors
    /// If there is none that this binary reads.
    pub fn of_embedded(directory: &Path) -> Result<Self, StoreError> {
        Held::open(directory).map(Self)
    }

    /// The same of one that no gate runs on: of an older version first, and with all counts in their tables.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub async fn of_idle(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        settle(directory, clock).await?;
        Self::of_embedded(directory)
    }

    /// The mirror in `directory`, if it is as the gate with this key left it. The gate may be running.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it is not, or has not all of the audit log yet.
    pub fn of_mirror(directory: &Path, key: &MirrorKey) -> Result<Self, StoreError> {
        let held = redis::hold_mirror(directory, key)?;
        Ok(Self(held))
    }

    /// The store in Redis, brought into `work`: what is there must be of nobody.
    ///
    /// # Errors
    /// If there is no store, or it cannot be read to its end.
    pub async fn of_redis(
        choice: &RedisChoice,
        work: &Path,
        clock: Arc<dyn Clock>,
        progress: Progress<'_>,
    ) -> Result<Self, StoreError> {
        let tables = redis::draw(choice, work, Arc::clone(&clock), progress).await?;
        Self::of_idle(&tables, clock).await
    }

    /// The store in a snapshot, brought into `work`. It must be signed by one of `trusted`.
    ///
    /// # Errors
    /// If it is not, or is no snapshot that this binary reads.
    pub async fn of_file(
        path: &Path,
        trusted: &[[u8; 32]],
        work: &Path,
        clock: Arc<dyn Clock>,
        progress: Progress<'_>,
    ) -> Result<Self, StoreError> {
        drop(file::read(path, trusted, work, progress)?);
        Self::of_idle(work, clock).await
    }

    /// What it is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn about(&self) -> Result<About, StoreError> {
        let stand = self.0.stand()?;
        let tables = self.0.tables()?;
        Ok(About {
            incarnation: hex(&stand.incarnation),
            revision: stand.revision,
            tables: tables.into_iter().map(|it| (it.name, it.rows)).collect(),
        })
    }

    /// Walks its audit chain.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn verify(&self) -> Result<Verdict, StoreError> {
        self.0.verify()
    }

    /// Writes it to a new file, signed with `key`: whole, or there is no file.
    ///
    /// # Errors
    /// If there is such a file, or no room.
    pub fn into_file(
        &self,
        path: &Path,
        key: &NodeKey,
        now: Timestamp,
        progress: Progress<'_>,
    ) -> Result<(), StoreError> {
        file::write(&self.0, path, key, now, progress)
    }

    /// Makes it the embedded store of `directory`, which nobody may be running on.
    ///
    /// # Errors
    /// If there is one that may not be replaced, or no room.
    pub fn into_embedded(
        &self,
        directory: &Path,
        may: &MayReplace,
        progress: Progress<'_>,
    ) -> Result<Self, StoreError> {
        let standing = embedded_there(directory)?;
        may.judge(&directory.display().to_string(), standing.as_ref())?;
        let made = copy(&self.0, directory, progress)?;
        made.into_place().map(Self)
    }

    /// Makes it the store in Redis.
    ///
    /// # Errors
    /// If there is one that may not be replaced, or it cannot be written to its end.
    pub async fn into_redis(
        &self,
        choice: &RedisChoice,
        may: &MayReplace,
        now: Timestamp,
        progress: Progress<'_>,
    ) -> Result<(), StoreError> {
        redis::seed(choice, &self.0, may, now, progress).await
    }
}

/// The revision of the store in Redis.
///
/// # Errors
/// If it cannot be read.
pub async fn revision_in_redis(choice: &RedisChoice) -> Result<Option<Standing>, StoreError> {
    redis::standing(choice).await
}

fn embedded_there(directory: &Path) -> Result<Option<Standing>, StoreError> {
    if !EmbeddedStore::is_there(directory) {
        return Ok(None);
    }
    let stand = Held::open(directory)?.stand()?;
    Ok(Some(Standing {
        incarnation: hex(&stand.incarnation),
        revision: stand.revision,
    }))
}

/// Opens and closes an embedded store, which brings its tables to this version and its counts into them.
async fn settle(directory: &Path, clock: Arc<dyn Clock>) -> Result<(), StoreError> {
    use crate::store::Feed as _;
    if !EmbeddedStore::is_there(directory) {
        return Ok(());
    }
    EmbeddedStore::open(directory, clock)?.close().await;
    Ok(())
}

fn copy(
    held: &Held,
    directory: &Path,
    progress: Progress<'_>,
) -> Result<crate::store::embedded::Made, StoreError> {
    let tables = held.tables()?;
    let making = Making::begin(directory, EmbeddedStore::VERSION)?;
    let mut count = Count::of(&tables);
    for table in &tables {
        held.rows(table, |values| {
            let values: Vec<Value> = values.iter().map(|value| owned(*value)).collect();
            count.step(progress);
            making.put(table, &values)
        })?;
    }
    making.finish(&tables)
}

fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        // Texts of a store are UTF-8: they came as such.
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// How many rows have been carried.
pub(super) struct Count {
    done: u64,
    total: u64,
}

impl Count {
    pub(super) fn of(tables: &[TableOf]) -> Self {
        Self {
            done: 0,
            total: tables.iter().map(|table| table.rows).sum(),
        }
    }

    pub(super) fn step(&mut self, progress: &mut dyn FnMut(&'static str, u64, u64)) {
        self.done += 1;
        if self.done.is_multiple_of(1_000) || self.done == self.total {
            progress("rows", self.done, self.total);
        }
    }
}
