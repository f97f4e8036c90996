//! One file of requests: SQLite while it is written to, and after.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params, params_from_iter};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::erase::{Fault, erase_in_place};
use super::log::Kept;
use crate::domain::audit::form::hex;
use crate::domain::audit::query::{AuditQuery, Kind};
use crate::domain::audit::request::RequestEntry;
use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::query::{Position, SortValue};
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::node_key::NodeKey;
use crate::store::search::{Index, Search};

/// A file, and what is known of it without looking.
pub(super) struct Segment {
    path: PathBuf,
    node: Arc<str>,
    begun: Timestamp,
    first_at: Timestamp,
    last_at: Timestamp,
    /// `None` once it is closed.
    connection: Option<Connection>,
}

/// What it takes to ask a file.
pub(super) struct Reader {
    path: PathBuf,
    node: Arc<str>,
    is_closed: bool,
}

impl Segment {
    /// The file at `path`, if it is one; else what cannot be read is told of and left alone.
    pub(super) fn found(path: &Path, node: &Arc<str>) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let begun = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let begun = Timestamp::from_millis(begun.parse().ok()?);
        let is_closed = signature_of(path).exists();
        let opened = open(path, is_closed).and_then(|connection| {
            let (first, last) = connection.query_row(
                "SELECT min(timestamp), max(timestamp) FROM requests",
                [],
                |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
            )?;
            Ok((connection, first, last))
        });
        match opened {
            Ok((connection, first, last)) => Some(Self {
                path: path.to_owned(),
                node: Arc::clone(node),
                begun,
                first_at: first.map_or(Timestamp::NEVER, timestamp),
                last_at: last.map_or(begun, timestamp),
                connection: (!is_closed).then_some(connection),
            }),
            Err(error) => {
                warn!(path = %path.display(), %error, "a file of requests cannot be read and is left alone");
                None
            }
        }
    }

    /// Begins a file.
    pub(super) fn make(dir: &Path, now: Timestamp, node: &Arc<str>) -> Result<Self, StoreError> {
        let mut begun = now;
        let path = loop {
            let path = dir.join(format!("{PREFIX}{}{SUFFIX}", begun.as_millis()));
            let made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match made {
                Ok(_) => break path,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    begun = begun.after(Duration::from_millis(1));
                }
                Err(error) => return Err(StoreError::unavailable(error)),
            }
        };
        let connection = open(&path, false).map_err(StoreError::unavailable)?;
        connection
            .execute_batch(TABLES)
            .map_err(StoreError::unavailable)?;
        Ok(Self {
            path,
            node: Arc::clone(node),
            begun,
            first_at: Timestamp::NEVER,
            last_at: begun,
            connection: Some(connection),
        })
    }

    pub(super) const fn begun(&self) -> Timestamp {
        self.begun
    }

    pub(super) const fn last_at(&self) -> Timestamp {
        self.last_at
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.connection.is_none()
    }

    /// What it takes of the disk: what was written last lies beside the file until it is taken over.
    pub(super) fn bytes(&self) -> u64 {
        let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        length(&self.path) + length(&self.path.with_extension("db-wal"))
    }

    /// Whether it is time for another file.
    pub(super) fn is_done(&self, now: Timestamp, kept: Kept) -> bool {
        self.is_closed()
            || now.since(self.begun) >= (kept.age / PARTS).min(DAY)
            || self.bytes() >= kept.bytes / u64::from(PARTS)
    }

    /// Whether entries that `query` asks for may lie here.
    pub(super) fn may_hold(&self, query: &AuditQuery, after: Option<&Position>) -> bool {
        let until = after.and_then(|after| match after.value {
            SortValue::Number(at) => Some(Timestamp::from_millis(at)),
            SortValue::Text(_) => None,
        });
        query.from.is_none_or(|from| self.last_at >= from)
            && query.until.is_none_or(|until| self.first_at < until)
            && until.is_none_or(|until| self.first_at <= until)
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            path: self.path.clone(),
            node: Arc::clone(&self.node),
            is_closed: self.is_closed(),
        }
    }

    pub(super) fn write(&mut self, entries: &[RequestEntry]) -> Result<(), StoreError> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        insert(connection, entries).map_err(StoreError::unavailable)?;
        for entry in entries {
            self.first_at = self.first_at.min(entry.timestamp);
            self.last_at = self.last_at.max(entry.until.unwrap_or(entry.timestamp));
        }
        Ok(())
    }

    /// Leaves one whole file, and the signed digest of it beside it; whether it could. While someone reads
    /// the file it cannot: it stays as it is, and is written to until the next attempt.
    pub(super) fn close(&mut self, key: &NodeKey, node: &str) -> Result<bool, StoreError> {
        let Some(connection) = &self.connection else {
            return Ok(true);
        };
        let whole = connection
            .execute_batch(INDEXES)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
            .and_then(|()| connection.pragma_update(None, "journal_mode", "delete"));
        match whole {
            Err(error) if is_busy(&error) => return Ok(false),
            whole => whole.map_err(StoreError::unavailable)?,
        }
        self.connection = None;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let signing = Signing {
            key,
            node,
            erased_at: None,
        };
        sign(&self.path, &name, &signature_of(&self.path), &signing)
            .map_err(StoreError::unavailable)?;
        Ok(true)
    }

    /// Takes an owner's addresses out of it, if it is written to; else its path, for one to be made anew.
    pub(super) fn erase(&self, owner: OwnerId) -> Result<Option<PathBuf>, Fault> {
        match &self.connection {
            Some(connection) => erase_in_place(connection, owner).map(|_| None),
            None => Ok(Some(self.path.clone())),
        }
    }

    /// Whether it is the file at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Deletes it, and its digest.
    pub(super) fn delete(&self) {
        for path in [self.path.clone(), signature_of(&self.path)] {
            if let Err(error) = fs::remove_file(&path) {
                warn!(path = %path.display(), %error, "a file of requests that is too old cannot be deleted");
            }
        }
    }
}

impl Reader {
    /// The newest `most` that `query` asks for, after `after`.
    pub(super) fn find(
        &self,
        query: &AuditQuery,
        most: usize,
        after: Option<&Position>,
    ) -> Result<Vec<RequestEntry>, StoreError> {
        let Some((sql, values)) = ask(query, most, after, self.is_closed) else {
            return Ok(Vec::new());
        };
        let found = open(&self.path, true).and_then(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map(params_from_iter(values), |row| self.read(row))?;
            rows.collect::<Result<Vec<_>, _>>()
        });
        match found {
            Ok(found) => Ok(found.into_iter().flatten().collect()),
            // It went while it was to be asked.
            Err(_) if !self.path.exists() => Ok(Vec::new()),
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }

    /// A row as an entry; `None` for one that holds what is never put there.
    fn read(&self, row: &Row<'_>) -> rusqlite::Result<Option<RequestEntry>> {
        let text = |at: usize| row.get::<_, Option<String>>(at);
        let id: String = row.get(0)?;
        let (key, owner, method, address) = (text(3)?, text(5)?, text(7)?, text(10)?);
        let Ok(id) = AuditId::from_chars(id.as_bytes()) else {
            return Ok(None);
        };
        Ok(Some(RequestEntry {
            id,
            timestamp: timestamp(row.get(1)?),
            code: text(2)?,
            key: key.and_then(|key| KeyId::from_chars(key.as_bytes()).ok()),
            key_version: row.get(4)?,
            owner: owner.and_then(|owner| OwnerId::from_chars(owner.as_bytes()).ok()),
            route: text(6)?.map(Into::into),
            method: method.and_then(|method| Method::from_token(&method)),
            path: text(8)?,
            status: row.get(9)?,
            address: address.and_then(|address| address.parse().ok()),
            request_id: text(11)?,
            node: Arc::clone(&self.node),
            count: u64::try_from(row.get::<_, i64>(12)?).unwrap_or_default(),
            until: row.get::<_, Option<i64>>(13)?.map(timestamp),
        }))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn open(path: &Path, is_read_only: bool) -> rusqlite::Result<Connection> {
    let flags = if is_read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    if !is_read_only {
        let _: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        // A second that a crash costs is what this log may lose; no request waits for it.
        connection.pragma_update(None, "synchronous", "normal")?;
    }
    Ok(connection)
}

fn insert(connection: &mut Connection, entries: &[RequestEntry]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO requests (id, timestamp, code, key, version, owner, route, method, path,
                 status, address, request, count, until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?;
        for entry in entries {
            insert.execute(params![
                entry.id.chars(),
                millis(entry.timestamp),
                entry.code,
                entry.key.as_ref().map(KeyId::chars),
                entry.key_version,
                entry.owner.as_ref().map(OwnerId::chars),
                entry.route.as_deref(),
                entry.method.map(Method::as_str),
                entry.path,
                entry.status,
                entry.address.map(|address| address.to_string()),
                entry.request_id,
                i64::try_from(entry.count).unwrap_or(i64::MAX),
                entry.until.map(millis),
            ])?;
        }
    }
    transaction.commit()
}

/// What to ask a file; `None` if nothing of it can be meant.
fn ask(
    query: &AuditQuery,
    most: usize,
    after: Option<&Position>,
    is_closed: bool,
) -> Option<(String, Vec<Value>)> {
    if matches!(query.kind, Kind::Action(_)) || query.actor.is_some() {
        return None;
    }
    let mut search = Search::default();
    search.text("request = ?", query.request_id.as_ref());
    search.text("key = ?", query.key.as_ref().map(KeyId::chars));
    search.number("version = ?", query.key_version);
    search.text("owner = ?", query.owner.as_ref().map(OwnerId::chars));
    search.text("code = ?", query.code.as_ref());
    let columns = "id, timestamp, code, key, version, owner, route, method, path, status, address, \
                   request, count, until";
    let indexes: &[Index] = if is_closed { &CLOSED } else { &OPEN };
    search.sql(
        (columns, "requests"),
        indexes,
        query,
        after,
        str::to_owned,
        most,
    )
}

/// Who signs a digest, and what else it says.
pub(super) struct Signing<'a> {
    pub(super) key: &'a NodeKey,
    pub(super) node: &'a str,
    /// When something was last erased from the file after it was closed.
    pub(super) erased_at: Option<Timestamp>,
}

/// Signs the digest of the file at `path`, which is known by `name`, into `beside`.
pub(super) fn sign(
    path: &Path,
    name: &str,
    beside: &Path,
    signing: &Signing<'_>,
) -> std::io::Result<()> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 64 * 1_024];
    loop {
        let read = file.read(&mut piece)?;
        match piece.get(..read) {
            None | Some([]) => break,
            Some(bytes) => hash.update(bytes),
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    let (key, node) = (signing.key, signing.node);
    let mut text = format!("portcullis request log\n{name}\n{}\n{node}\n", hex(&digest));
    if let Some(at) = signing.erased_at {
        text.push_str(&format!("erased {at}\n"));
    }
    let said = serde_json::json!({
        "file": name,
        "sha256": hex(&digest),
        "node": node,
        "erased_at": signing.erased_at.map(|at| at.to_string()),
        "public_key": hex(&key.public()),
        "signature": hex(&key.sign(text.as_bytes())),
    });
    let mut beside = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(beside)?;
    writeln!(beside, "{said}")?;
    beside.sync_all()
}

pub(super) fn signature_of(path: &Path) -> PathBuf {
    path.with_extension("sig")
}

fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}

const PREFIX: &str = "requests-";
const SUFFIX: &str = ".db";
/// Into how many files what is kept is divided, so that letting go of one loses little, and the one that is written to
/// is short.
const PARTS: u32 = 64;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What a file has that is written to.
const OPEN: [Index; 1] = [("requests_by_time", &[])];
/// What a closed one has, the narrowest first.
const CLOSED: [Index; 6] = [
    ("requests_by_request", &["request = ?"]),
    ("requests_by_key_version", &["key = ?", "version = ?"]),
    ("requests_by_key", &["key = ?"]),
    ("requests_by_owner", &["owner = ?"]),
    ("requests_by_code", &["code = ?"]),
    ("requests_by_time", &[]),
];

const TABLES: &str = "
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    code TEXT,
    key TEXT,
    version INTEGER,
    owner TEXT,
    route TEXT,
    method TEXT,
    path TEXT,
    status INTEGER NOT NULL,
    address TEXT,
    request TEXT,
    count INTEGER NOT NULL,
    until INTEGER
) STRICT;
CREATE INDEX requests_by_time ON requests (timestamp, id);
";

/// What a file gets when nothing more is written to it. While it is, it is short enough to be looked through, and
/// each index but that of the time would have every second write to all of it.
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS requests_by_key ON requests (key, timestamp, id) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS requests_by_key_version ON requests (key, version, timestamp, id)
    WHERE key IS NOT NULL AND version IS NOT NULL;
CREATE INDEX IF NOT EXISTS requests_by_owner ON requests (owner, timestamp, id) WHERE owner IS NOT NULL;
CREATE INDEX IF NOT EXISTS requests_by_code ON requests (code, timestamp, id) WHERE code IS NOT NULL;
CREATE INDEX IF NOT EXISTS requests_by_request ON requests (request) WHERE request IS NOT NULL;
";
