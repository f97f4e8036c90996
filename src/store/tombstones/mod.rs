//! What this gate knows to have ended, and what it still owes its store, on a disk of its own.
//!
//! One file, beside the mirror and not in it, so that neither a store that comes back as it was nor a mirror
//! that is lost or replaced brings anything back. It is only added to, line by line, and each addition is on
//! the disk before it is spoken of; now and then it is written anew without what nobody needs any more. Each
//! line is authenticated with the gate's key and has a number: one that somebody else wrote, or a number that
//! is missing, is noticed. Then a copy of the file is set aside, what is sound of it stays in force, and an alarm is
//! raised; the gate does not stop.
//!
//! A tombstone holds whatever store it is laid over: ids are drawn at random, and no other history gives one of
//! them to anything else. Why something ended is not in it: that is free text, which the audit log has and can
//! erase.
//!
//! **Invariant:** what [`Tombstones::graves`] shows is on the disk.

mod line;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use serde_json::Value;

use crate::domain::audit::form::{hex, unhex};
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::time::Timestamp;
use crate::domain::tombstone::{Ended, Graves, Tombstone};
use crate::store::StoreError;
use crate::store::local::{disk, keep};
use crate::store::node_key::NodeKey;

use line::Line;

/// What this gate knows to have ended, and what it owes.
#[derive(Clone)]
pub struct Tombstones(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    key: hmac::Key,
    known: Mutex<Known>,
    /// Held while the file is written.
    disk: Mutex<Disk>,
}

/// What the file says.
#[derive(Default, Clone)]
struct Known {
    graves: Graves,
    owed: Vec<Owed>,
    /// What was wrong with the file when it was opened.
    damage: Option<String>,
}

struct Disk {
    file: Option<File>,
    /// How long it is as far as it is known to be sound; beyond that, a write has failed.
    length: u64,
    /// The number of the next line.
    next: u64,
    lines: usize,
}

/// A change that the store does not have, or not any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Owed {
    /// The change, as it was made here.
    pub change: Change,
    /// Which history it was made in.
    pub incarnation: [u8; 16],
    /// The last revision that it and the store have in common.
    pub since: Revision,
    /// How it came to be owed.
    pub kind: OwedKind,
}

/// How a change came to be owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwedKind {
    /// It ended something while the store was away. It lands whatever has happened since.
    Held,
    /// The store had it and has lost it. It lands if nobody has touched since what it wrote.
    Lost,
}

impl Tombstones {
    /// How long a tombstone is kept that the store shows: longer than a backup is old that anyone puts back
    /// in haste.
    pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

    /// What is kept in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read, or one that is damaged can be neither set aside nor written anew.
    pub fn open(folder: &Path, node_key: &NodeKey, now: Timestamp) -> Result<Self, StoreError> {
        let unusable = |error: io::Error| StoreError::Unusable {
            place: folder.join(NAME).display().to_string(),
            reason: error.to_string(),
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*node_key.derive(NAME));
        let text = match fs::read(folder.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable(error)),
        };
        let (known, disk) = read(&key, &text);
        let is_damaged = known.damage.is_some();
        let is_torn = disk.length < text.len() as u64;
        let opened = Self(Arc::new(Shared {
            folder: folder.to_owned(),
            key,
            known: Mutex::new(known),
            disk: Mutex::new(disk),
        }));
        if is_damaged {
            let aside = folder.join(format!("{NAME}.damaged-{}", now.as_millis()));
            // A copy: until the file is written anew, what is sound of it is nowhere else.
            fs::copy(folder.join(NAME), aside).map_err(unusable)?;
        }
        if is_damaged || is_torn {
            let shared = &opened.0;
            let known = shared.known.lock().clone();
            shared
                .rewrite(&mut shared.disk.lock(), &known)
                .map_err(unusable)?;
        }
        Ok(opened)
    }

    /// What is known to have ended, by whoever looks at it in `look`.
    pub fn graves<T>(&self, look: impl FnOnce(&Graves) -> T) -> T {
        look(&self.0.known.lock().graves)
    }

    /// Ends in `write` what has ended; whether it said anything else.
    pub fn lay_over(&self, write: &mut Write) -> bool {
        self.0.known.lock().graves.lay_over(write)
    }

    /// What is owed, in the order it was made.
    #[must_use]
    pub fn owed(&self) -> Vec<Owed> {
        self.0.known.lock().owed.clone()
    }

    /// Whether anything is owed.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        !self.0.known.lock().owed.is_empty()
    }

    /// How many changes are held that the store has not had yet.
    #[must_use]
    pub fn held(&self) -> usize {
        let known = self.0.known.lock();
        let held = known.owed.iter().filter(|it| it.kind == OwedKind::Held);
        held.count()
    }

    /// What was wrong with the file when it was opened.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        self.0.known.lock().damage.clone()
    }

    /// Writes down what has ended, as far as it is not known, and who was let back in.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the disk does not take it. Nothing is then known that was not.
    pub async fn note(&self, ended: Vec<Tombstone>, lifted: Vec<Ended>) -> Result<(), StoreError> {
        let lines = self.graves(|graves| {
            let lifted = lifted.into_iter().filter(|what| graves.has(what));
            let lifted: Vec<_> = lifted.map(Line::Lifted).collect();
            let is_new = |what: &Ended| !graves.has(what) || lifted.contains(&Line::Lifted(*what));
            let ended = ended.into_iter().filter(|it| is_new(&it.what));
            let ended: Vec<_> = ended.map(Line::Ended).collect();
            lifted.into_iter().chain(ended).collect()
        });
        self.add(lines).await
    }

    /// Writes down a change that the store does not have, with what it ends.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the disk does not take it.
    pub async fn owe(&self, owed: Vec<Owed>, ended: Vec<Tombstone>) -> Result<(), StoreError> {
        let known: Vec<ChangeId> = self.owed().iter().map(|it| it.change.id).collect();
        let owed = owed.into_iter().filter(|it| !known.contains(&it.change.id));
        let owed = owed.map(|it| Line::Owed(Box::new(it)));
        let ended = ended.into_iter().map(Line::Ended);
        self.add(owed.chain(ended).collect()).await
    }

    /// Writes down that the store has no more in common with the history `incarnation` than up to `common`: what was
    /// owed before may now meet more.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the disk does not take it.
    pub async fn part(&self, incarnation: [u8; 16], common: Revision) -> Result<(), StoreError> {
        let is_younger = |it: &Owed| it.incarnation == incarnation && it.since > common;
        let owed = self.owed().into_iter().filter(is_younger);
        let lines = owed.map(|it| {
            let since = common;
            Line::Owed(Box::new(Owed { since, ..it }))
        });
        self.add(lines.collect()).await
    }

    /// Writes down that these have landed, or have been told of.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the disk does not take it.
    pub async fn settle(&self, changes: Vec<ChangeId>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.add(changes.into_iter().map(Line::Settled).collect())
            .await?;
        if !self.owed().is_empty() {
            return Ok(());
        }
        // What was owed says who did it and why, which the audit log has and can erase.
        self.on_disk(|shared, disk| {
            let known = shared.known.lock().clone();
            shared.rewrite(disk, &known)
        })
        .await
    }

    /// Writes the file anew without the tombstones that are older than a week and that the store shows, if
    /// that makes it much shorter.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the disk does not take it; the file is then as it was.
    pub async fn compact(&self, shown: Vec<Ended>, now: Timestamp) -> Result<(), StoreError> {
        self.on_disk(move |shared, disk| {
            let mut known = shared.known.lock().clone();
            for what in shown {
                let old = |it: &&Tombstone| it.what == what && now.since(it.at) > Self::KEPT;
                if known.graves.get(&what).filter(old).is_some() {
                    known.graves.remove(&what);
                }
            }
            let needed = known.graves.len() + known.owed.len();
            if disk.lines <= 2 * needed + SMALL {
                return Ok(());
            }
            shared.rewrite(disk, &known)?;
            let mut current = shared.known.lock();
            current.graves = known.graves;
            Ok(())
        })
        .await
    }

    async fn add(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.on_disk(move |shared, disk| {
            shared.append(disk, &lines)?;
            let mut known = shared.known.lock();
            for line in lines {
                known.take(line);
            }
            Ok(())
        })
        .await
    }

    async fn on_disk(
        &self,
        work: impl FnOnce(&Shared, &mut Disk) -> io::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let mut disk = shared.disk.lock();
            work(&shared, &mut disk)
        });
        let done = done.await.map_err(StoreError::unavailable)?;
        done.map_err(|source| StoreError::Full {
            source: Box::new(disk(&self.0.folder.join(NAME), "written")(source)),
        })
    }
}

impl Known {
    fn take(&mut self, line: Line) {
        match line {
            Line::Ended(tombstone) => drop(self.graves.add(tombstone)),
            Line::Lifted(what) => drop(self.graves.remove(&what)),
            Line::Owed(owed) => match self
                .owed
                .iter_mut()
                .find(|it| it.change.id == owed.change.id)
            {
                Some(known) => *known = *owed,
                None => self.owed.push(*owed),
            },
            Line::Settled(id) => self.owed.retain(|it| it.change.id != id),
        }
    }
}

impl Shared {
    /// Adds lines to the end, and has them on the disk.
    fn append(&self, disk: &mut Disk, lines: &[Line]) -> io::Result<()> {
        let text = self.text(&mut disk.next.clone(), lines);
        let written = self.file(disk).and_then(|file| {
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        match written {
            Ok(()) => {
                disk.length += text.len() as u64;
                disk.next += lines.len() as u64;
                disk.lines += lines.len();
                Ok(())
            }
            Err(error) => {
                // What lies there now is not known: the next time the file is opened anew and cut.
                disk.file = None;
                Err(error)
            }
        }
    }

    fn file<'a>(&self, disk: &'a mut Disk) -> io::Result<&'a mut File> {
        if disk.file.is_none() {
            let path = self.folder.join(NAME);
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o600).open(path)?;
            // Only what was answered for is kept.
            file.set_len(disk.length)?;
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()?;
            disk.file = Some(file);
        }
        disk.file
            .as_mut()
            .ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// Puts a new file in the place of the one there.
    fn rewrite(&self, disk: &mut Disk, known: &Known) -> io::Result<()> {
        let ended = known.graves.iter().map(|it| Line::Ended(*it));
        let owed = known.owed.iter();
        let owed = owed.map(|it| Line::Owed(Box::new(it.clone())));
        let lines: Vec<_> = ended.chain(owed).collect();
        let mut next = 1;
        let text = self.text(&mut next, &lines);
        disk.file = None;
        keep(&self.folder, NAME, text.as_bytes()).map_err(io::Error::other)?;
        disk.length = text.len() as u64;
        disk.next = next;
        disk.lines = lines.len();
        Ok(())
    }

    fn text(&self, next: &mut u64, lines: &[Line]) -> String {
        let mut text = String::new();
        for line in lines {
            let body = line.write(*next).to_string();
            let mac = hmac::sign(&self.key, body.as_bytes());
            text.push_str(&hex(mac.as_ref()));
            text.push(' ');
            text.push_str(&body);
            text.push('\n');
            *next += 1;
        }
        text
    }
}

/// Reads what the file says: all of its lines that are sound, and what is wrong with the others.
fn read(key: &hmac::Key, text: &[u8]) -> (Known, Disk) {
    let mut known = Known::default();
    let mut disk = Disk {
        file: None,
        length: 0,
        next: 1,
        lines: 0,
    };
    let (mut odd, mut missing) = (0_usize, 0_u64);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        // Without its end it was never answered for.
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        disk.length += line.len() as u64 + 1;
        disk.lines += 1;
        let Some((number, line)) = sound(key, line) else {
            odd += 1;
            continue;
        };
        if number != disk.next {
            missing += number.abs_diff(disk.next);
        }
        disk.next = number.saturating_add(1);
        known.take(line);
    }
    // A line that is odd is missing as well, and is told of once.
    let missing = missing.saturating_sub(odd as u64);
    if odd > 0 || missing > 0 {
        let damage = format!(
            "{odd} lines of the file of tombstones are not this gate's, {missing} are missing"
        );
        known.damage = Some(damage);
    }
    (known, disk)
}

fn sound(key: &hmac::Key, line: &[u8]) -> Option<(u64, Line)> {
    let (mac, body) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let mac: [u8; 32] = unhex(mac)?;
    hmac::verify(key, body.as_bytes(), &mac).ok()?;
    let body: Value = serde_json::from_str(body).ok()?;
    Some((body.get("n")?.as_u64()?, Line::read(&body)?))
}

const NAME: &str = "tombstones";
/// A file of so few lines is not worth writing anew.
const SMALL: usize = 1_000;
