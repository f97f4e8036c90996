//! What can go wrong inside, what it means outside, and what was set aside.

use std::collections::HashSet;

use parking_lot::Mutex;
use rusqlite::ErrorCode;
use tracing::warn;

use crate::store::StoreError;
use crate::store::record::DecodeError;

/// Why a piece of work was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said so.
    Sql(rusqlite::Error),
    /// We did, and nothing was wrong with the file.
    Refused(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Sql(error) => match gravity(&error) {
                Gravity::Full => Self::Full {
                    source: error.into(),
                },
                Gravity::Passing | Gravity::Lasting => Self::unavailable(error),
            },
        }
    }
}

/// What a failure of SQLite says about the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gravity {
    /// It may succeed.
    Passing,
    /// It will succeed once there is room.
    Full,
    /// After this nothing that is written can be relied on: what the disk said it had may be lost, and
    /// asking it again would only hide that.
    Lasting,
}

pub(super) fn gravity(error: &rusqlite::Error) -> Gravity {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return Gravity::Passing;
    };
    match (failure.code, failure.extended_code) {
        // The shared-memory file grows by writing; SQLite reports a full disk there as an I/O error.
        (ErrorCode::DiskFull, _) | (_, rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => Gravity::Full,
        (_, rusqlite::ffi::SQLITE_IOERR_NOMEM) => Gravity::Passing,
        (ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            Gravity::Lasting
        }
        _ => Gravity::Passing,
    }
}

/// Records that could not be read; each is told of once.
#[derive(Debug, Default)]
pub(super) struct Quarantine(Mutex<HashSet<(&'static str, String)>>);

impl Quarantine {
    /// Sets a record aside.
    pub(super) fn take(&self, table: &'static str, key: &str, why: &DecodeError) {
        let mut taken = self.0.lock();
        if taken.len() < TOLD_MAX && taken.insert((table, key.to_owned())) {
            warn!(
                store.table = table,
                store.key = key,
                error = why as &dyn std::error::Error,
                "a record cannot be read and is set aside"
            );
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.lock().len() as u64
    }
}

/// That a record asked for by its name cannot be read.
pub(super) fn corrupt(table: &'static str, key: impl ToString, why: DecodeError) -> StoreError {
    StoreError::Corrupt {
        table,
        key: key.to_string(),
        source: why.into(),
    }
}

/// Beyond so many, counting says nothing more.
const TOLD_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_full_disk_passes_and_a_failed_fsync_does_not() {
        for (code, expected) in [
            (ffi::SQLITE_FULL, Gravity::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, Gravity::Full),
            (ffi::SQLITE_IOERR_FSYNC, Gravity::Lasting),
            (ffi::SQLITE_IOERR_WRITE, Gravity::Lasting),
            (ffi::SQLITE_CORRUPT, Gravity::Lasting),
            (ffi::SQLITE_BUSY, Gravity::Passing),
            (ffi::SQLITE_IOERR_NOMEM, Gravity::Passing),
        ] {
            assert_eq!(gravity(&failure(code)), expected, "{code}");
        }
    }

    #[test]
    fn a_record_is_counted_once_however_often_it_is_met() {
        let quarantine = Quarantine::default();
        for key in ["a", "b", "a"] {
            quarantine.take("keys", key, &DecodeError::Checksum);
        }
        assert_eq!(quarantine.len(), 2);
    }
}
