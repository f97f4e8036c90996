//! The files together: written to, asked, and let go of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::erase::{Rewritten, settle};
use super::segment::{Segment, Signing};
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::request::RequestEntry;
use crate::domain::id::OwnerId;
use crate::domain::query::{Page, Position, SortValue};
use crate::domain::time::{Clock, Timestamp};
use crate::store::StoreError;
use crate::store::node_key::NodeKey;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// For how long.
    pub age: Duration,
    /// How many bytes.
    pub bytes: u64,
}

/// The requests of this gate.
pub struct RequestLog {
    dir: PathBuf,
    node: Arc<str>,
    key: Arc<NodeKey>,
    clock: Arc<dyn Clock>,
    kept: Kept,
    /// The oldest first; the last is written to, unless it is closed.
    segments: Mutex<Vec<Segment>>,
    /// Held by whoever erases.
    erasing: Mutex<()>,
}

impl RequestLog {
    /// Opens what is in `dir`, made if it is not there. Waits for the disk.
    ///
    /// # Errors
    /// If the folder cannot be had.
    pub fn open(
        dir: &Path,
        node: Arc<str>,
        key: Arc<NodeKey>,
        clock: Arc<dyn Clock>,
        kept: Kept,
    ) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        settle(dir)?;
        let mut segments = Vec::new();
        for file in fs::read_dir(dir)? {
            let path = file?.path();
            if let Some(segment) = Segment::found(&path, &node) {
                segments.push(segment);
            }
        }
        segments.sort_by_key(Segment::begun);
        let log = Self {
            dir: dir.to_owned(),
            node,
            key,
            clock,
            kept,
            segments: Mutex::new(segments),
            erasing: Mutex::default(),
        };
        log.finish();
        Ok(log)
    }

    /// Writes entries down, and lets go of what is too old. Waits for the disk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, entries: &[RequestEntry]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut segments = self.segments.lock();
        if self.is_full(&mut segments, now)? {
            segments.push(Segment::make(&self.dir, now, &self.node)?);
            self.let_go(&mut segments, now);
        }
        match segments.last_mut() {
            Some(last) => last.write(entries),
            None => Ok(()),
        }
    }

    /// A page of the entries that `query` asks for, the newest first; at most `limit`, after `after`.
    /// Waits for the disk.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn find(
        &self,
        query: &AuditQuery,
        limit: usize,
        after: Option<&Position>,
    ) -> Result<Page<RequestEntry>, StoreError> {
        let readers: Vec<_> = {
            let segments = self.segments.lock();
            let touched = segments
                .iter()
                .filter(|segment| segment.may_hold(query, after));
            touched.map(Segment::reader).collect()
        };
        let mut found = Vec::new();
        for reader in readers {
            found.extend(reader.find(query, limit + 1, after)?);
        }
        found.sort_by(|a, b| (b.timestamp, b.id.chars()).cmp(&(a.timestamp, a.id.chars())));
        let is_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| is_more).map(|last| Position {
            value: SortValue::Number(last.timestamp.as_millis()),
            id: last.id.chars().to_owned(),
        });
        Ok(Page { items: found, next })
    }

    /// Takes the addresses out of all requests that were made with an owner's keys; out of how many closed
    /// files. To be done again if it fails; where nothing is left to take out it does nothing. Waits for the
    /// disk, and holds up whoever writes only while the file written to is changed.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn erase(&self, owner: OwnerId) -> Result<usize, StoreError> {
        let _turn = self.erasing.lock();
        let closed = {
            let segments = self.segments.lock();
            let closed = segments.iter().map(|segment| segment.erase(owner));
            closed
                .collect::<Result<Vec<_>, _>>()
                .map_err(StoreError::unavailable)?
        };
        let signing = Signing {
            key: &self.key,
            node: &self.node,
            erased_at: Some(self.clock.now()),
        };
        let mut count = 0;
        for path in closed.into_iter().flatten() {
            let rewritten = match Rewritten::make(&path, owner, &signing) {
                Ok(Some(rewritten)) => rewritten,
                Ok(None) => continue,
                // It was let go of meanwhile.
                Err(_) if !path.exists() => continue,
                Err(error) => return Err(StoreError::unavailable(error)),
            };
            let segments = self.segments.lock();
            if segments.iter().any(|segment| segment.is_at(&path)) {
                rewritten.put().map_err(StoreError::unavailable)?;
                count += 1;
            } else {
                rewritten.discard();
            }
        }
        Ok(count)
    }

    /// Lets go of what is too old, though nothing is written. Waits for the disk.
    ///
    /// # Errors
    /// If what is written to is done and cannot be closed.
    pub fn tidy(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut segments = self.segments.lock();
        self.is_full(&mut segments, now)?;
        self.let_go(&mut segments, now);
        Ok(())
    }

    /// Whether another file is to be begun; the last one is then closed.
    fn is_full(&self, segments: &mut [Segment], now: Timestamp) -> Result<bool, StoreError> {
        match segments.last_mut() {
            None => Ok(true),
            Some(last) if last.is_done(now, self.kept) => last.close(&self.key, &self.node),
            Some(_) => Ok(false),
        }
    }

    /// Closes those that a run before began another file after, and could not.
    fn finish(&self) {
        let mut segments = self.segments.lock();
        let Some((_, earlier)) = segments.split_last_mut() else {
            return;
        };
        for segment in earlier {
            if let Err(error) = segment.close(&self.key, &self.node) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a file of requests cannot be closed");
            }
        }
    }

    /// Makes what was written durable; the file is written to again after the next start.
    pub fn close(&self) {
        self.segments.lock().clear();
    }

    fn let_go(&self, segments: &mut Vec<Segment>, now: Timestamp) {
        let oldest = now.before(self.kept.age);
        let mut bytes: u64 = segments.iter().map(Segment::bytes).sum();
        segments.retain(|segment| {
            let is_kept =
                !segment.is_closed() || segment.last_at() >= oldest && bytes <= self.kept.bytes;
            if !is_kept {
                bytes = bytes.saturating_sub(segment.bytes());
                segment.delete();
            }
            is_kept
        });
    }
}
