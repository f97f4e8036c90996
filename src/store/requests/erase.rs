//! Takes the addresses of an owner's callers out of files of requests, so that what is signed stays proved.
//!
//! A file that is written to is changed in place. A closed one is not: a copy without the addresses is made
//! beside it, and a digest of that is signed which says when. Both then take the places of the old ones, the
//! file first. A crash leaves the old pair, the new one, or the new file beside the signature that waits for
//! it; [`settle`] goes on from any of them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::segment::{Signing, sign, signature_of};
use crate::domain::id::OwnerId;

/// A closed file without an owner's addresses, beside the one it is to replace.
pub(super) struct Rewritten {
    of: PathBuf,
}

impl Rewritten {
    /// Makes one of the file at `path`; `None` if there is nothing to be taken out of it.
    pub(super) fn make(
        path: &Path,
        owner: OwnerId,
        signing: &Signing<'_>,
    ) -> Result<Option<Self>, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if !has_addresses(&Connection::open_with_flags(path, flags)?, owner)? {
            return Ok(None);
        }
        let rewritten = Self {
            of: path.to_owned(),
        };
        let made = rewritten.write(owner, signing);
        if made.is_err() {
            rewritten.discard();
        }
        made.map(|()| Some(rewritten))
    }

    fn write(&self, owner: OwnerId, signing: &Signing<'_>) -> Result<(), Fault> {
        let (file, signature) = (new(&self.of), new(&signature_of(&self.of)));
        let mut copy = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?;
        io::copy(&mut File::open(&self.of)?, &mut copy)?;
        drop(copy);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags)?;
        // What is half changed is thrown away, and no journal is to keep what is erased.
        connection.query_row("PRAGMA journal_mode = off", [], |_| Ok(()))?;
        blank(&connection, owner)?;
        drop(connection);
        File::open(&file)?.sync_all()?;
        let name = self.of.file_name().unwrap_or_default().to_string_lossy();
        Ok(sign(&file, &name, &signature, signing)?)
    }

    /// Puts it in its place.
    pub(super) fn put(&self) -> io::Result<()> {
        let signature = signature_of(&self.of);
        fs::rename(new(&self.of), &self.of)?;
        fs::rename(new(&signature), &signature)?;
        match self.of.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Throws it away.
    pub(super) fn discard(&self) {
        for path in [new(&self.of), new(&signature_of(&self.of))] {
            // It may not be there yet.
            let _ = fs::remove_file(path);
        }
    }
}

/// Why nothing was taken out of a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("a file of requests cannot be changed")]
    Table(#[from] rusqlite::Error),
    #[error("a file of requests cannot be written anew")]
    Disk(#[from] io::Error),
}

/// Takes an owner's addresses out of a file that is written to, its log included.
pub(super) fn erase_in_place(connection: &Connection, owner: OwnerId) -> Result<bool, Fault> {
    if !has_addresses(connection, owner)? {
        return Ok(false);
    }
    blank(connection, owner)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(true)
}

/// Ends what a crash left half done in `folder`.
pub(super) fn settle(folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let Some(name) = path.to_str().and_then(|name| name.strip_suffix(NEW)) else {
            continue;
        };
        let (place, partner) = (Path::new(name), Path::new(name).with_extension("db"));
        // Its file is in its place already, so this signature is the one that fits.
        let is_awaited = place.extension().is_some_and(|it| it == "sig") && !new(&partner).exists();
        if is_awaited && partner.exists() {
            fs::rename(&path, place)?;
        } else if place.extension().is_some_and(|it| it == "sig") {
            fs::remove_file(&path)?;
        }
    }
    // Only now, so that a second crash finds the same.
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.to_str().is_some_and(|name| name.ends_with(NEW)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn has_addresses(connection: &Connection, owner: OwnerId) -> rusqlite::Result<bool> {
    connection
        .prepare("SELECT 1 FROM requests WHERE owner = ?1 AND address IS NOT NULL")?
        .exists([owner.chars()])
}

fn blank(connection: &Connection, owner: OwnerId) -> rusqlite::Result<()> {
    // What is deleted is overwritten, or it could be read from the file all the same.
    connection.query_row("PRAGMA secure_delete = on", [], |_| Ok(()))?;
    connection
        .prepare("UPDATE requests SET address = NULL WHERE owner = ?1 AND address IS NOT NULL")?
        .execute([owner.chars()])?;
    Ok(())
}

/// Where something waits to take a place.
fn new(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(NEW);
    name.into()
}

const NEW: &str = ".new";
