//! A store in one file: a head, each table with its rows, how many there were, and a signature over all of it.
//!
//! ```text
//! "portcullis store snapshot\n"
//! H  the head, as JSON: format, format of the tables, when, which store, which revision, by which version
//! T  a table: its name and its columns, with a line end after each
//! R  rows of that table: of each value its kind (0 null, 1 integer, 2 text, 3 blob, 4 real), then 8 bytes, or a
//!    length of 4 bytes and so many
//! E  the tables again, with how many rows there were of each, as JSON
//! S  the signer's public key, 32 bytes, and its Ed25519 signature of the SHA-256 of all before, 64 bytes
//! ```
//! Each part is a letter, a length of 4 bytes, and so many bytes; numbers are little-endian. Nothing of a file is
//! read for what it says before its signature has been checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::types::{Value, ValueRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::whole::{Count, Progress};
use crate::domain::audit::checkpoint::is_signed;
use crate::domain::audit::form::hex;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedStore, Held, Made, Making, TableOf};
use crate::store::node_key::NodeKey;

const MAGIC: &[u8] = b"portcullis store snapshot\n";
const FORMAT: u32 = 1;
/// The letter, the length, the key and the signature.
const SIGNATURE_LEN: u64 = 1 + 4 + 32 + 64;
/// How many bytes of rows go together.
const BLOCK: usize = 256 * 1_024;
/// No part is longer; the longest row is a change of thousands of records.
const PART_MAX: u32 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    tables: u32,
    made_at: String,
    incarnation: String,
    revision: u64,
    version: String,
}

/// Writes a store to a file that is not there yet.
pub(super) fn write(
    held: &Held,
    path: &Path,
    key: &NodeKey,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(unusable(path, "there is such a file"));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let written = write_all(held, &unfinished, key, now, progress);
    let placed = written.and_then(|()| {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        fs::rename(&unfinished, path)
            .and_then(|()| File::open(parent.unwrap_or(Path::new(".")))?.sync_all())
            .map_err(|error| of_disk(path, error))
    });
    if placed.is_err() {
        // What it says is said already.
        let _ = fs::remove_file(&unfinished);
    }
    placed
}

fn write_all(
    held: &Held,
    path: &Path,
    key: &NodeKey,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let disk = |error| of_disk(path, error);
    let json = |error: serde_json::Error| of_disk(path, error.into());
    // Never into a file, or through a link, that somebody else has laid there to read what is written.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(error)),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(disk)?;
    let mut out = Out {
        to: BufWriter::with_capacity(1 << 20, file),
        digest: Sha256::new(),
    };
    let (stand, tables) = (held.stand()?, held.tables()?);
    let head = Head {
        format: FORMAT,
        tables: EmbeddedStore::VERSION,
        made_at: now.to_string(),
        incarnation: hex(&stand.incarnation),
        revision: stand.revision.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    out.bytes(MAGIC).map_err(disk)?;
    let head = serde_json::to_vec(&head).map_err(json)?;
    out.part(b'H', &head).map_err(disk)?;
    let mut count = Count::of(&tables);
    let mut rows: Vec<(&str, u64)> = Vec::new();
    for table in &tables {
        let names = std::iter::once(&table.name).chain(&table.columns);
        let names: String = names.flat_map(|name| [name, "\n"]).collect();
        out.part(b'T', names.as_bytes()).map_err(disk)?;
        let mut block = Vec::with_capacity(BLOCK + 4_096);
        let mut number = 0;
        held.rows(table, |values| {
            values.iter().for_each(|value| put(&mut block, *value));
            number += 1;
            count.step(progress);
            if block.len() >= BLOCK {
                out.part(b'R', &block).map_err(disk)?;
                block.clear();
            }
            Ok(())
        })?;
        if !block.is_empty() {
            out.part(b'R', &block).map_err(disk)?;
        }
        rows.push((&table.name, number));
    }
    let end = serde_json::to_vec(&rows).map_err(json)?;
    out.part(b'E', &end).map_err(disk)?;
    let digest: [u8; 32] = out.digest.finalize().into();
    let mut signature = key.public().to_vec();
    signature.extend(key.sign(&signed_text(&digest)));
    let mut to = out.to;
    let length = u32::try_from(signature.len()).unwrap_or_default();
    to.write_all(b"S")
        .and_then(|()| to.write_all(&length.to_le_bytes()))
        .and_then(|()| to.write_all(&signature))
        .and_then(|()| to.flush())
        .and_then(|()| to.get_ref().sync_all())
        .map_err(disk)
}

/// What is signed: never the same as what is signed of an audit log.
fn signed_text(digest: &[u8; 32]) -> Vec<u8> {
    let mut text = b"portcullis store snapshot 1\0".to_vec();
    text.extend(digest);
    text
}

struct Out {
    to: BufWriter<File>,
    digest: Sha256,
}

impl Out {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.to.write_all(bytes)
    }

    fn part(&mut self, letter: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length <= PART_MAX)
            .ok_or_else(|| io::Error::other("a row is too long"))?;
        self.bytes(&[letter])?;
        self.bytes(&length.to_le_bytes())?;
        self.bytes(bytes)
    }
}

fn put(block: &mut Vec<u8>, value: ValueRef<'_>) {
    let mut long = |kind: u8, bytes: &[u8]| {
        block.push(kind);
        // Longer than a part may be is refused there.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        block.extend(length.to_le_bytes());
        block.extend(bytes);
    };
    match value {
        ValueRef::Text(text) => long(2, text),
        ValueRef::Blob(bytes) => long(3, bytes),
        ValueRef::Null => block.push(0),
        ValueRef::Integer(number) => {
            block.push(1);
            block.extend(number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            block.push(4);
            block.extend(number.to_le_bytes());
        }
    }
}

/// Makes the store of a snapshot in `directory`, if one of `trusted` signed it.
pub(super) fn read(
    path: &Path,
    trusted: &[[u8; 32]],
    directory: &Path,
    progress: Progress<'_>,
) -> Result<Held, StoreError> {
    let (digest, length) = check(path, trusted, progress)?;
    let file = File::open(path).map_err(|error| of_disk(path, error))?;
    let mut parts = Parts {
        from: BufReader::with_capacity(1 << 20, file).take(length),
        digest: Sha256::new(),
        path,
    };
    parts.expect(MAGIC)?;
    let head = parts.next()?.filter(|(letter, _)| *letter == b'H');
    let (_, head) = head.ok_or_else(|| damaged(path))?;
    let head: Head = serde_json::from_slice(&head).map_err(|_| damaged(path))?;
    if head.format > FORMAT {
        let reason = format!(
            "it is of format {}, and this binary knows formats up to {FORMAT}",
            head.format
        );
        return Err(unusable(path, reason));
    }
    let making = Making::begin(directory, head.tables)?;
    let made = fill(making, parts, &digest, progress)?;
    made.into_place()
}

/// Puts all rows into their tables.
fn fill(
    making: Making,
    mut parts: Parts<'_>,
    digest: &[u8; 32],
    progress: Progress<'_>,
) -> Result<Made, StoreError> {
    let path = parts.path;
    let mut tables: Vec<TableOf> = Vec::new();
    let mut done = 0;
    while let Some((letter, part)) = parts.next()? {
        match letter {
            b'T' => {
                let text = String::from_utf8(part).map_err(|_| damaged(path))?;
                let mut names = text.lines().map(str::to_owned);
                tables.push(TableOf {
                    name: names.next().ok_or_else(|| damaged(path))?,
                    columns: names.collect(),
                    rows: 0,
                });
            }
            b'R' => {
                let table = tables.last_mut().ok_or_else(|| damaged(path))?;
                let mut rest = part.as_slice();
                while !rest.is_empty() {
                    let mut row = Vec::with_capacity(table.columns.len());
                    for _ in &table.columns {
                        row.push(take(&mut rest).ok_or_else(|| damaged(path))?);
                    }
                    making.put(table, &row)?;
                    table.rows += 1;
                    done += 1;
                    if done % 1_000 == 0 {
                        progress("rows", done, 0);
                    }
                }
            }
            b'E' => {
                let told: Vec<(String, u64)> =
                    serde_json::from_slice(&part).map_err(|_| damaged(path))?;
                let found = tables.iter().map(|it| (it.name.clone(), it.rows));
                if !found.eq(told) || parts.next()?.is_some() {
                    return Err(damaged(path));
                }
                // Nobody has put other bytes in its place since it was checked.
                if <[u8; 32]>::from(parts.digest.finalize()) != *digest {
                    return Err(damaged(path));
                }
                return making.finish(&tables);
            }
            _ => return Err(damaged(path)),
        }
    }
    Err(damaged(path))
}

/// Whether one of `trusted` signed what is in the file: the digest of it, and how long it is.
fn check(
    path: &Path,
    trusted: &[[u8; 32]],
    progress: Progress<'_>,
) -> Result<([u8; 32], u64), StoreError> {
    let disk = |error| of_disk(path, error);
    let file = File::open(path).map_err(disk)?;
    let whole = file.metadata().map_err(disk)?.len();
    let length = whole
        .checked_sub(SIGNATURE_LEN)
        .ok_or_else(|| damaged(path))?;
    let mut file = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(|_| damaged(path))?;
    if magic != MAGIC {
        return Err(unusable(path, "it is no snapshot of a store"));
    }
    let mut digest = Sha256::new();
    digest.update(magic);
    let mut left = length.saturating_sub(MAGIC.len() as u64);
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let room = piece.get_mut(..most).unwrap_or_default();
        let read = file.read(room).map_err(disk)?;
        if read == 0 {
            return Err(damaged(path));
        }
        digest.update(room.get(..read).unwrap_or_default());
        left = left.saturating_sub(read as u64);
        progress("bytes", length - left, length);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let mut end = [0; 5];
    let mut public = [0; 32];
    let mut signature = [0; 64];
    file.read_exact(&mut end)
        .and_then(|()| file.read_exact(&mut public))
        .and_then(|()| file.read_exact(&mut signature))
        .map_err(|_| damaged(path))?;
    if end != [b'S', 96, 0, 0, 0] || !is_signed(&public, &signed_text(&digest), &signature) {
        return Err(unusable(
            path,
            "it is not as it was signed: it was altered, or cut short",
        ));
    }
    if !trusted.contains(&public) {
        return Err(unusable(
            path,
            format!(
                "it was signed by another gate's key. If that gate is yours, say so: --signed-by {}",
                hex(&public)
            ),
        ));
    }
    Ok((digest, length))
}

/// What is left of a file, part by part.
struct Parts<'a> {
    from: io::Take<BufReader<File>>,
    digest: Sha256,
    path: &'a Path,
}

impl Parts<'_> {
    fn expect(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut found = vec![0; bytes.len()];
        self.fill(&mut found)?;
        if found == bytes {
            Ok(())
        } else {
            Err(damaged(self.path))
        }
    }

    fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, StoreError> {
        if self.from.limit() == 0 {
            return Ok(None);
        }
        let (mut letter, mut length) = ([0], [0; 4]);
        self.fill(&mut letter)?;
        self.fill(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > PART_MAX || u64::from(length) > self.from.limit() {
            return Err(damaged(self.path));
        }
        let mut part = vec![0; length as usize];
        self.fill(&mut part)?;
        let [letter] = letter;
        Ok(Some((letter, part)))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.from
            .read_exact(bytes)
            .map_err(|_| damaged(self.path))?;
        self.digest.update(&*bytes);
        Ok(())
    }
}

fn take(rest: &mut &[u8]) -> Option<Value> {
    fn bytes<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(taken)
    }
    fn eight(rest: &mut &[u8]) -> Option<[u8; 8]> {
        bytes(rest, 8)?.try_into().ok()
    }
    fn long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(bytes(rest, 4)?.try_into().ok()?);
        bytes(rest, length as usize)
    }
    let kind = bytes(rest, 1)?.first().copied()?;
    Some(match kind {
        0 => Value::Null,
        1 => Value::Integer(i64::from_le_bytes(eight(rest)?)),
        2 => Value::Text(String::from_utf8(long(rest)?.to_vec()).ok()?),
        3 => Value::Blob(long(rest)?.to_vec()),
        4 => Value::Real(f64::from_le_bytes(eight(rest)?)),
        _ => return None,
    })
}

fn damaged(path: &Path) -> StoreError {
    unusable(path, "it is damaged, or cut short")
}

fn unusable(path: &Path, reason: impl ToString) -> StoreError {
    StoreError::Unusable {
        place: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn of_disk(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full {
            source: error.into(),
        },
        _ => unusable(path, error),
    }
}
