//! Batches of usage on this gate's disk, from when they are frozen until the store surely has them.
//!
//! A file is a batch. Its name says which, and whether it may have been sent: only one that was never sent may
//! be folded with others, since the store knows a batch by its number and counts it once. What is folded takes
//! the place of all it is made of at once, when its file gets its name; what it is made of is taken away after,
//! or at the next start.
//!
//! ```text
//! usage/1780000000.41-1780000000.41-512.sent     batch 41 of a run, 512 requests, may be with the store
//! usage/1780000000.42-1780000000.51-7031.kept    batches 42 to 51, folded, never sent
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::domain::usage::{BatchMark, UsageBatch};
use crate::store::record;

/// The folder that batches lie in.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// A batch that lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spooled {
    /// The first batch that is folded into it; its own mark, if none is.
    pub from: BatchMark,
    /// What it is sent as.
    pub mark: BatchMark,
    /// Requests it tells of.
    pub requests: u64,
    /// Whether it may have been sent.
    pub is_tried: bool,
    /// The size of its file.
    pub bytes: u64,
}

/// Why a batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk says no.
    #[error("its file cannot be read")]
    Disk(#[from] io::Error),
    /// The file is damaged, or of a newer version.
    #[error("its file holds no batch")]
    Damaged(#[from] record::DecodeError),
}

impl Spool {
    /// The one in `data_dir`, made if it is not there, and what lies in it, oldest first.
    ///
    /// # Errors
    /// If it cannot be made or read.
    pub fn open(data_dir: &Path) -> io::Result<(Self, Vec<Spooled>)> {
        let folder = data_dir.join("usage");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let spool = Self { folder };
        let mut found = Vec::new();
        for entry in fs::read_dir(&spool.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str().map(|name| (name, read_name(name))) {
                Some((_, Some(spooled))) => found.push(Spooled {
                    bytes: entry.metadata()?.len(),
                    ..spooled
                }),
                // Left by a gate that was killed while it wrote: never counted on.
                Some((UNFINISHED, _)) => fs::remove_file(entry.path())?,
                // Set aside, or somebody's.
                _ => {}
            }
        }
        found.sort_by_key(|spooled| (spooled.mark, spooled.from));
        let found = spool.without_folded(found)?;
        Ok((spool, found))
    }

    /// Takes away what another one was folded of.
    fn without_folded(&self, found: Vec<Spooled>) -> io::Result<Vec<Spooled>> {
        let covers = |whole: &Spooled, part: &Spooled| {
            let is_wider = whole.from < part.from || part.mark < whole.mark;
            whole.from <= part.from && part.mark <= whole.mark && is_wider
        };
        let (parts, left): (Vec<_>, Vec<_>) = found
            .iter()
            .copied()
            .partition(|part| found.iter().any(|whole| covers(whole, part)));
        for part in &parts {
            self.remove(part)?;
        }
        Ok(left)
    }

    /// Writes a batch that holds all batches since `from`. After a crash of the gate it is there; after one of
    /// the machine only if it `must_stay`.
    ///
    /// # Errors
    /// If it could not be written; then it is not there.
    pub fn write(
        &self,
        batch: &UsageBatch,
        from: BatchMark,
        is_tried: bool,
        must_stay: bool,
    ) -> io::Result<Spooled> {
        let bytes = record::encode_usage(batch);
        let spooled = Spooled {
            from,
            mark: batch.mark(),
            requests: batch.requests(),
            is_tried,
            bytes: bytes.len() as u64,
        };
        let unfinished = self.folder.join(UNFINISHED);
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(&bytes)?;
            if must_stay {
                file.sync_all()?;
            }
            fs::rename(&unfinished, self.path(&spooled))?;
            if must_stay {
                File::open(&self.folder)?.sync_all()?;
            }
            Ok(())
        };
        let written: io::Result<()> = write();
        if let Err(error) = written {
            // What is half written would only take up room; the error that matters is the first.
            let _ = fs::remove_file(&unfinished);
            let _ = fs::remove_file(self.path(&spooled));
            return Err(error);
        }
        Ok(spooled)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// If its file cannot be read, or is not what was written.
    pub fn read(&self, spooled: &Spooled) -> Result<UsageBatch, SpoolError> {
        let bytes = fs::read(self.path(spooled))?;
        Ok(record::decode_usage(&bytes)?)
    }

    /// Notes that a batch is about to be sent.
    ///
    /// # Errors
    /// If that cannot be noted; it must not be sent then.
    pub fn note_tried(&self, spooled: &Spooled) -> io::Result<Spooled> {
        let tried = Spooled {
            is_tried: true,
            ..*spooled
        };
        fs::rename(self.path(spooled), self.path(&tried))?;
        Ok(tried)
    }

    /// Takes a batch away.
    ///
    /// # Errors
    /// If it cannot be; one that is not there is no error.
    pub fn remove(&self, spooled: &Spooled) -> io::Result<()> {
        match fs::remove_file(self.path(spooled)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts a batch that cannot be read where it is in nobody's way, for people to look at.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn set_aside(&self, spooled: &Spooled) -> io::Result<PathBuf> {
        let mut aside = self.path(spooled).into_os_string();
        aside.push(".unreadable");
        let aside = PathBuf::from(aside);
        fs::rename(self.path(spooled), &aside)?;
        Ok(aside)
    }

    fn path(&self, spooled: &Spooled) -> PathBuf {
        let Spooled { from, mark, .. } = spooled;
        let word = if spooled.is_tried { "sent" } else { "kept" };
        self.folder.join(format!(
            "{}.{}-{}.{}-{}.{word}",
            from.epoch, from.seq, mark.epoch, mark.seq, spooled.requests
        ))
    }
}

fn read_name(name: &str) -> Option<Spooled> {
    let (name, word) = name.rsplit_once('.')?;
    let is_tried = match word {
        "sent" => true,
        "kept" => false,
        _ => return None,
    };
    let mut parts = name.split('-');
    let mut mark = || {
        let (epoch, seq) = parts.next()?.split_once('.')?;
        Some(BatchMark {
            epoch: epoch.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    };
    let (from, mark) = (mark()?, mark()?);
    let requests = parts.next()?.parse().ok()?;
    let is_whole = parts.next().is_none() && from <= mark;
    is_whole.then_some(Spooled {
        from,
        mark,
        requests,
        is_tried,
        bytes: 0,
    })
}

const UNFINISHED: &str = "unfinished";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::domain::id::KeyId;
    use crate::domain::usage::{Tally, UsageRow};

    fn mark(epoch: u64, seq: u64) -> BatchMark {
        BatchMark { epoch, seq }
    }

    fn batch(epoch: u64, seq: u64, requests: u64) -> UsageBatch {
        UsageBatch {
            node: "gate-1".into(),
            epoch,
            seq,
            rows: vec![UsageRow {
                key: KeyId::from_random([1; 10]),
                version: 1,
                route: "r".into(),
                minute: 60,
                tally: Tally {
                    requests,
                    ..Tally::default()
                },
            }],
        }
    }

    fn found(dir: &Path) -> Vec<(BatchMark, u64, bool)> {
        let (_, found) = Spool::open(dir).unwrap();
        let told = found.iter().map(|it| (it.mark, it.requests, it.is_tried));
        told.collect()
    }

    #[test]
    fn what_was_written_is_found_again_in_order_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, none) = Spool::open(dir.path()).unwrap();
        assert!(none.is_empty());
        for (epoch, seq) in [(9, 10), (9, 9), (10, 1)] {
            let batch = batch(epoch, seq, seq);
            spool.write(&batch, batch.mark(), false, seq == 9).unwrap();
        }
        let (spool, found) = Spool::open(dir.path()).unwrap();
        let marks: Vec<_> = found.iter().map(|it| it.mark).collect();
        assert_eq!(marks, [mark(9, 9), mark(9, 10), mark(10, 1)]);
        assert_eq!(spool.read(&found[0]).unwrap(), batch(9, 9, 9));
        let path = spool.path(&found[0]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&spool.folder), 0o700);

        let tried = spool.note_tried(&found[0]).unwrap();
        spool.remove(&found[1]).unwrap();
        spool.remove(&found[1]).unwrap();
        let left = self::found(dir.path());
        assert_eq!(left, [(mark(9, 9), 9, true), (mark(10, 1), 1, false)]);
        assert_eq!(spool.read(&tried).unwrap(), batch(9, 9, 9));
    }

    /// Killed between the two, a gate finds both: what was folded, and what it was folded of.
    #[test]
    fn what_was_folded_counts_in_the_place_of_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(dir.path()).unwrap();
        for (epoch, seq) in [(3, 7), (3, 8), (4, 1), (4, 2)] {
            let batch = batch(epoch, seq, 1);
            spool.write(&batch, batch.mark(), false, false).unwrap();
        }
        let whole = batch(4, 1, 2);
        spool.write(&whole, mark(3, 8), false, true).unwrap();
        fs::write(spool.folder.join(UNFINISHED), "half").unwrap();
        let expected = [
            (mark(3, 7), 1, false),
            (mark(4, 1), 2, false),
            (mark(4, 2), 1, false),
        ];
        for _ in 0..2 {
            assert_eq!(found(dir.path()), expected);
        }
        assert_eq!(fs::read_dir(&spool.folder).unwrap().count(), 3);
    }

    #[test]
    fn a_damaged_batch_is_named_and_set_aside_with_what_it_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(dir.path()).unwrap();
        let batch = batch(1, 1, 5);
        let spooled = spool.write(&batch, batch.mark(), true, false).unwrap();
        fs::write(spool.path(&spooled), "no batch").unwrap();
        let (spool, found) = Spool::open(dir.path()).unwrap();
        assert_eq!(found[0].requests, 5);
        let refused = spool.read(&found[0]).unwrap_err();
        assert!(matches!(refused, SpoolError::Damaged(_)));
        assert!(spool.set_aside(&found[0]).unwrap().exists());
        assert!(self::found(dir.path()).is_empty());
    }
}
