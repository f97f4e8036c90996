//! The file: made whole or not at all, and looked at before anything is written to it.
//!
//! A file that is damaged, foreign, or of a newer binary is refused, and neither it nor anything beside
//! it is changed. Its header is read as plain bytes first, since SQLite would put its own files beside
//! whatever it opens.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::tables::{self, APPLICATION_ID, VERSION};
use crate::store::StoreError;

/// Opens the store in `directory`, made if it is not there: its file, and a connection that may write.
pub(super) fn open(directory: &Path) -> Result<(PathBuf, Connection), StoreError> {
    let path = directory.join(FILE_NAME);
    make_directory(directory)?;
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory, &path)?,
        Err(error) => return Err(unusable(&path, error)),
        Ok(file) => inspect(&path, file)?,
    }
    let connection = writer(&path).map_err(|error| unusable(&path, error))?;
    Ok((path, connection))
}

/// The file of the store in `directory`, which is there and one of ours.
pub(super) fn existing(directory: &Path) -> Result<PathBuf, StoreError> {
    let path = directory.join(FILE_NAME);
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(unusable(&path, "there is no store"))
        }
        Err(error) => Err(unusable(&path, error)),
        Ok(file) => inspect(&path, file).map(|()| path),
    }
}

/// Makes the directory of a store, which nobody else may look into.
pub(super) fn make_directory(directory: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| unusable(directory, error))
}

/// Makes the file under another name and gives it its own once it is whole.
fn create(directory: &Path, path: &Path) -> Result<(), StoreError> {
    // SQLite would play a log left behind by another file into the new one.
    if beside(path, "-wal").exists() {
        return Err(unusable(path, "it is gone, but its log is still there"));
    }
    let unfinished = beside(path, ".new");
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(&unfinished, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unusable(&unfinished, error));
            }
            _ => {}
        }
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(|error| unusable(&unfinished, error))?;
    let mut incarnation = [0; 16];
    getrandom::fill(&mut incarnation).map_err(|error| unusable(&unfinished, error))?;
    fill(&unfinished, incarnation).map_err(|error| unusable(&unfinished, error))?;
    file.sync_all()
        .and_then(|()| fs::rename(&unfinished, path))
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|error| unusable(path, error))
}

fn fill(path: &Path, incarnation: [u8; 16]) -> rusqlite::Result<()> {
    let mut connection = Connection::open_with_flags(path, READ_WRITE)?;
    tables::migrate(&mut connection)?;
    tables::begin(&connection, incarnation)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.close().map_err(|(_, error)| error)
}

/// Says why the file cannot be used, if it cannot.
fn inspect(path: &Path, mut file: File) -> Result<(), StoreError> {
    let length = file
        .metadata()
        .map_err(|error| unusable(path, error))?
        .len();
    let mut header = [0; HEADER_LEN];
    if file.read_exact(&mut header).is_err() {
        return Err(unusable(
            path,
            format_args!("it is cut short, to {length} bytes"),
        ));
    }
    let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let header = Header::read(&header).ok_or_else(|| unusable(path, "it is no SQLite file"))?;
    if header.application_id != APPLICATION_ID {
        return Err(unusable(path, "it belongs to another application"));
    }
    ensure_not_newer(path, header.version)?;
    // With a log, pages may still stand there alone; SQLite itself then compares.
    if !has_log && header.length.is_some_and(|whole| length < whole) {
        return Err(unusable(
            path,
            format_args!("it is cut short, to {length} bytes"),
        ));
    }
    let connection = if has_log {
        reader(path)
    } else {
        // Without a log nothing can change under us, and SQLite then puts no files beside this one.
        Connection::open_with_flags(
            immutable_uri(path),
            READ_ONLY.union(OpenFlags::SQLITE_OPEN_URI),
        )
    };
    connection
        .and_then(|connection| look_inside(&connection, length))
        .map_err(|error| unusable(path, format_args!("it is damaged: {error}")))
        .and_then(|found| match found {
            Inside::Sound(version) => ensure_not_newer(path, version),
            Inside::Damaged(how) => Err(unusable(path, format_args!("it is damaged: {how}"))),
        })
}

fn ensure_not_newer(path: &Path, version: u32) -> Result<(), StoreError> {
    if version <= VERSION {
        return Ok(());
    }
    Err(unusable(
        path,
        format_args!("it has format {version}, and this binary knows formats up to {VERSION}"),
    ))
}

/// What SQLite finds in a file.
enum Inside {
    /// Tables that can be read, of this version.
    Sound(u32),
    /// Something that is not as it must be.
    Damaged(String),
}

/// Reads the schema and what the store knows of itself, and checks the pages: all of a small file's,
/// the small tables' of a large one. (The snapshot at start reads all keys besides.)
fn look_inside(connection: &Connection, length: u64) -> rusqlite::Result<Inside> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Ok(Inside::Sound(version));
    }
    tables::revision(connection)?;
    tables::incarnation(connection)?;
    let checks: &[&str] = if length <= WHOLE_CHECK_MAX {
        &["PRAGMA quick_check(1)"]
    } else {
        &[
            "PRAGMA quick_check(meta)",
            "PRAGMA quick_check(owners)",
            "PRAGMA quick_check(tokens)",
            "PRAGMA quick_check(rules)",
        ]
    };
    for check in checks {
        let verdict: String = connection.query_row(check, [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Inside::Damaged(verdict));
        }
    }
    Ok(Inside::Sound(version))
}

/// What the first bytes of an SQLite file say (<https://sqlite.org/fileformat2.html> §1.3).
struct Header {
    application_id: u32,
    version: u32,
    /// How long the file must be; `None` if an older SQLite left that open.
    length: Option<u64>,
}

impl Header {
    fn read(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let number = |at: usize| {
            bytes
                .get(at..)
                .and_then(<[u8]>::first_chunk)
                .map(|four| u32::from_be_bytes(*four))
        };
        let page_bytes = match bytes.get(16..)?.first_chunk() {
            Some([0, 1]) => 65_536,
            Some(two) => u64::from(u16::from_be_bytes(*two)),
            None => return None,
        };
        let pages = u64::from(number(28)?);
        bytes.starts_with(b"SQLite format 3\0").then_some(Self {
            application_id: number(68)?,
            version: number(60)?,
            length: (number(24) == number(92)).then_some(pages * page_bytes),
        })
    }
}

/// The connection that writes.
fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(path, READ_WRITE)?;
    tune(&connection)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some("its file system has no shared memory for a write-ahead log".into()),
        ));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    if tables::migrate(&mut connection)? {
        // So that the header alone tells an older binary, before it opens anything.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(connection)
}

/// A connection to a file that is no store yet: nobody else looks at it, and what breaks off is begun anew.
pub(super) fn bare(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, READ_WRITE)?;
    tune(&connection)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "synchronous", "off")?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, READ_ONLY)?;
    tune(&connection)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// `file:` with every byte that could mean something written as `%hh`.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

pub(super) fn unusable(place: &Path, reason: impl ToString) -> StoreError {
    StoreError::Unusable {
        place: place.display().to_string(),
        reason: reason.to_string(),
    }
}

/// The file's name in its directory.
pub(super) const FILE_NAME: &str = "portcullis.db";
const HEADER_LEN: usize = 100;
/// Up to this size the whole file is checked at each start: a tenth of a second or so.
const WHOLE_CHECK_MAX: u64 = 32 * 1024 * 1024;
const READ_WRITE: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
const READ_ONLY: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
