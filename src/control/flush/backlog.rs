//! Frozen batches, oldest first, from when they are frozen until the store surely has them.
//!
//! They lie on this gate's disk, where there is a spool; in memory where there is none, or the disk does not
//! take them. While the store is away they are folded into ever fewer: those alone that were never sent, since
//! the store knows what was sent by its number.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::usage::{BatchMark, UsageBatch, fold_rows};
use crate::store::StoreError;
use crate::store::spool::{Spool, SpoolError, Spooled};

/// Batches on their way to the store.
pub(super) struct Backlog {
    spool: Option<Arc<Spool>>,
    entries: Mutex<VecDeque<Entry>>,
    /// Requests that will never be counted.
    lost: AtomicU64,
    /// Whether the disk took the last batch.
    is_disk_well: AtomicBool,
}

/// A batch: on the disk, in memory or both.
#[derive(Debug, Clone)]
struct Entry {
    from: BatchMark,
    mark: BatchMark,
    rows: usize,
    requests: u64,
    /// Whether it may have been sent: it must not be folded with others any more.
    is_tried: bool,
    stage: Stage,
    batch: Option<Arc<UsageBatch>>,
    file: Option<Spooled>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not with the store yet.
    Waiting,
    /// Being folded with others.
    Folding,
    /// With the store since then, by the monotonic clock in nanoseconds; it may lose it again.
    Counted(u64),
}

/// How much is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// Batches that are in memory alone.
    pub(crate) queued: u64,
    /// Batches on the disk.
    pub(crate) spooled: u64,
    /// Rows of either.
    pub(crate) rows: u64,
    /// Requests that will never be counted.
    pub(crate) lost: u64,
}

impl Entry {
    fn of(batch: Arc<UsageBatch>, from: BatchMark, is_tried: bool, file: Option<Spooled>) -> Self {
        Self {
            from,
            mark: batch.mark(),
            rows: batch.rows.len(),
            requests: batch.requests(),
            is_tried,
            stage: Stage::Waiting,
            batch: Some(batch),
            file,
        }
    }

    fn waits(&self) -> bool {
        !matches!(self.stage, Stage::Counted(_))
    }

    fn may_fold(&self) -> bool {
        self.stage == Stage::Waiting && !self.is_tried
    }
}

impl Backlog {
    /// What `spool` holds of the runs before, or nothing.
    pub(super) fn new(spooled: Option<(Spool, Vec<Spooled>)>) -> Self {
        let (spool, found) = spooled.map_or((None, Vec::new()), |(spool, found)| {
            (Some(Arc::new(spool)), found)
        });
        let entries = found.into_iter().map(|file| Entry {
            from: file.from,
            mark: file.mark,
            rows: usize::try_from(file.bytes).unwrap_or(usize::MAX) / ROW_BYTES,
            requests: file.requests,
            is_tried: file.is_tried,
            stage: Stage::Waiting,
            batch: None,
            file: Some(file),
        });
        Self {
            spool,
            entries: Mutex::new(entries.collect()),
            lost: AtomicU64::new(0),
            is_disk_well: AtomicBool::new(true),
        }
    }

    /// How much is on its way.
    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing {
            lost: self.lost.load(Ordering::Relaxed),
            ..Standing::default()
        };
        for entry in self.entries.lock().iter().filter(|entry| entry.waits()) {
            standing.rows += entry.rows as u64;
            match entry.file {
                Some(_) => standing.spooled += 1,
                None => standing.queued += 1,
            }
        }
        standing
    }

    /// Rows that are in memory, on the disk or not.
    #[cfg(test)]
    pub(super) fn held_rows(&self) -> usize {
        let entries = self.entries.lock();
        let held = entries.iter().filter_map(|entry| entry.batch.as_ref());
        held.map(|batch| batch.rows.len()).sum()
    }

    /// Takes in a batch that was just frozen, and folds what has waited long.
    pub(super) async fn push(&self, batch: UsageBatch) {
        let is_first = !self.entries.lock().iter().any(Entry::waits);
        let batch = Arc::new(batch);
        // The first is sent at once, so it is one that may have been.
        let file = self.keep(&batch, batch.mark(), is_first, false).await;
        let entry = Entry::of(batch, BatchMark::default(), is_first, file);
        let entry = Entry {
            from: entry.mark,
            ..entry
        };
        {
            let mut entries = self.entries.lock();
            let in_memory = entries.iter().filter(|it| it.file.is_none());
            let rows: usize = in_memory.map(|it| it.rows).sum();
            if entry.file.is_none() && rows + entry.rows > HELD_MAX {
                self.lose(entry.requests, "there is no room for usage counts any more");
                return;
            }
            entries.push_back(entry);
        }
        self.fold().await;
    }

    /// Folds the newest of those that wait, once there are some: as many of them as weigh about the same, so
    /// that a count is written anew ever less often.
    async fn fold(&self) {
        let chosen = {
            let mut entries = self.entries.lock();
            let foldable = entries.iter().rev().take_while(|entry| entry.may_fold());
            let rows: Vec<usize> = foldable.map(|entry| entry.rows).collect();
            if rows.len() < FOLD_AT {
                return;
            }
            let (mut count, mut weight) = (0, 0);
            for rows in rows {
                if count >= FOLD_AT - 1 && rows > weight {
                    break;
                }
                count += 1;
                weight += rows;
            }
            let first = entries.len() - count;
            let chosen: Vec<Entry> = entries.iter().skip(first).cloned().collect();
            for entry in entries.iter_mut().skip(first) {
                entry.stage = Stage::Folding;
            }
            chosen
        };
        if let Some(folded) = self.fold_all(&chosen).await {
            self.take_the_place(folded);
            let files = chosen.iter().filter_map(|entry| entry.file);
            self.remove(files.collect()).await;
            return;
        }
        for entry in self.entries.lock().iter_mut() {
            if entry.stage == Stage::Folding {
                // What is on the disk is not tried again with every second.
                entry.is_tried = entry.file.is_some();
                entry.stage = Stage::Waiting;
            }
        }
    }

    /// Puts a batch in the place of those it was folded of.
    fn take_the_place(&self, folded: Entry) {
        let mut entries = self.entries.lock();
        let first = entries.iter().position(|it| it.stage == Stage::Folding);
        entries.retain(|entry| entry.stage != Stage::Folding);
        let at = first.unwrap_or(0).min(entries.len());
        entries.insert(at, folded);
    }

    /// One batch in the place of several; `None` if they cannot become one.
    async fn fold_all(&self, chosen: &[Entry]) -> Option<Entry> {
        let (first, last) = (chosen.first()?, chosen.last()?);
        let mut node = None;
        let mut rows = Vec::new();
        for entry in chosen {
            let batch = self.load(entry).await.ok()?;
            if *node.get_or_insert_with(|| Arc::clone(&batch.node)) != batch.node {
                return None;
            }
            rows.extend(batch.rows.iter().cloned());
        }
        let batch = Arc::new(UsageBatch {
            node: node?,
            epoch: last.mark.epoch,
            seq: last.mark.seq,
            rows: fold_rows(rows, ROWS_MAX),
        });
        let file = self.keep(&batch, first.from, false, true).await;
        if file.is_none() && chosen.iter().any(|entry| entry.file.is_some()) {
            // What is on the disk stays there.
            return None;
        }
        let mut folded = Entry::of(batch, first.from, false, file);
        if folded.file.is_some() {
            folded.batch = None;
        }
        Some(folded)
    }

    /// Writes a batch to the disk, if there is one that takes it.
    async fn keep(
        &self,
        batch: &Arc<UsageBatch>,
        from: BatchMark,
        is_tried: bool,
        must_stay: bool,
    ) -> Option<Spooled> {
        let spool = Arc::clone(self.spool.as_ref()?);
        let bytes: u64 = {
            let entries = self.entries.lock();
            let files = entries.iter().filter_map(|entry| entry.file);
            files.map(|file| file.bytes).sum()
        };
        let written = if bytes > SPOOL_MAX {
            Err(io::Error::other("there is more than it may hold"))
        } else {
            let batch = Arc::clone(batch);
            on_disk(move || spool.write(&batch, from, is_tried, must_stay)).await
        };
        let was_well = self.is_disk_well.swap(written.is_ok(), Ordering::Relaxed);
        if let Err(error) = &written
            && was_well
        {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "usage counts cannot be kept on this gate's disk, keeping them in memory"
            );
        }
        written.ok()
    }

    /// The oldest batch that is not with the store, ready to be sent; `None` where there is none, or it is just
    /// being folded.
    ///
    /// # Errors
    /// If it cannot be read from the disk just now, or not be noted there that it is sent.
    pub(super) async fn next(&self) -> Result<Option<Arc<UsageBatch>>, StoreError> {
        loop {
            let entry = {
                let mut entries = self.entries.lock();
                let mut waiting = entries.iter_mut().filter(|entry| entry.waits());
                let Some(first) = waiting.next().filter(|it| it.stage == Stage::Waiting) else {
                    return Ok(None);
                };
                // From here on it is folded with nothing.
                first.is_tried = true;
                first.clone()
            };
            let batch = match self.load(&entry).await {
                Ok(batch) => batch,
                Err(Unreadable::Now(error)) => return Err(StoreError::unavailable(error)),
                Err(Unreadable::Ever) => {
                    self.drop_unreadable(&entry).await;
                    continue;
                }
            };
            if let (Some(spool), Some(file)) = (&self.spool, entry.file)
                && !file.is_tried
            {
                let spool = Arc::clone(spool);
                let tried = on_disk(move || spool.note_tried(&file)).await;
                let tried = tried.map_err(StoreError::unavailable)?;
                let mut entries = self.entries.lock();
                if let Some(entry) = entries.iter_mut().find(|it| it.mark == entry.mark) {
                    entry.file = Some(tried);
                }
            }
            return Ok(Some(batch));
        }
    }

    /// The store has counted it.
    pub(super) fn counted(&self, mark: BatchMark, now_ns: u64) {
        let mut entries = self.entries.lock();
        if self.spool.is_none() {
            // The store is on this machine, and loses nothing that it took.
            entries.retain(|entry| entry.mark != mark);
        } else if let Some(entry) = entries.iter_mut().find(|entry| entry.mark == mark) {
            entry.stage = Stage::Counted(now_ns);
            if entry.file.is_some() {
                entry.batch = None;
            }
        }
    }

    /// The store may have lost what it counted last: all that is still here is sent again.
    pub(super) fn again(&self) {
        for entry in self.entries.lock().iter_mut() {
            if !entry.waits() {
                entry.stage = Stage::Waiting;
            }
        }
    }

    /// Lets go of what the store has had for so long that it does not lose it any more.
    pub(super) async fn forget(&self, now_ns: u64) {
        let mut gone = Vec::new();
        self.entries.lock().retain(|entry| {
            let is_old = matches!(entry.stage, Stage::Counted(at) if now_ns.saturating_sub(at) >= KEPT_FOR_NS);
            if is_old {
                gone.extend(entry.file);
            }
            !is_old
        });
        self.remove(gone).await;
    }

    async fn load(&self, entry: &Entry) -> Result<Arc<UsageBatch>, Unreadable> {
        if let Some(batch) = &entry.batch {
            return Ok(Arc::clone(batch));
        }
        let (Some(spool), Some(file)) = (&self.spool, entry.file) else {
            return Err(Unreadable::Ever);
        };
        let spool = Arc::clone(spool);
        let read = tokio::task::spawn_blocking(move || spool.read(&file)).await;
        match read {
            Ok(Ok(batch)) => Ok(Arc::new(batch)),
            // A disk that fails, or a process without descriptors, may give it yet.
            Ok(Err(SpoolError::Disk(error))) if error.kind() != io::ErrorKind::NotFound => {
                Err(Unreadable::Now(error))
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a batch of usage counts is lost");
                Err(Unreadable::Ever)
            }
            Err(ended) => Err(Unreadable::Now(io::Error::other(ended))),
        }
    }

    async fn drop_unreadable(&self, entry: &Entry) {
        self.entries.lock().retain(|it| it.mark != entry.mark);
        self.lose(entry.requests, "what was kept on the disk cannot be read");
        if let (Some(spool), Some(file)) = (&self.spool, entry.file) {
            let spool = Arc::clone(spool);
            let aside = on_disk(move || spool.set_aside(&file)).await;
            if let Ok(aside) = aside {
                tracing::error!(file = %aside.display(), "it is set aside");
            }
        }
    }

    fn lose(&self, requests: u64, why: &'static str) {
        let before = self.lost.fetch_add(requests, Ordering::Relaxed);
        if before == 0 {
            tracing::error!(requests, "requests will never be counted: {why}");
        }
    }

    async fn remove(&self, files: Vec<Spooled>) {
        let Some(spool) = self.spool.as_ref().filter(|_| !files.is_empty()) else {
            return;
        };
        let spool = Arc::clone(spool);
        let removed = on_disk(move || files.iter().try_for_each(|file| spool.remove(file))).await;
        if let Err(error) = removed {
            // It is sent once more after the next start, and counts no second time.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "usage counts that were sent cannot be taken away");
        }
    }
}

/// Why a batch cannot be had.
#[derive(Debug)]
enum Unreadable {
    /// It may be had later.
    Now(io::Error),
    /// It is not there any more, or is no batch.
    Ever,
}

/// Does what waits for the disk where it holds up nobody.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

/// How many that were never sent are folded at the latest.
const FOLD_AT: usize = 10;
/// Beyond so many rows the hours of a day fold, then routes.
const ROWS_MAX: usize = 100_000;
/// How many rows may be in memory, where no disk takes them: some 200 MB.
const HELD_MAX: usize = 1_000_000;
/// How much there may be on the disk.
const SPOOL_MAX: u64 = 512 << 20;
/// How long what was counted is kept to be sent again: longer than a replica lags behind.
const KEPT_FOR_NS: u64 = 10_000_000_000;
/// About what a row takes in a file.
const ROW_BYTES: usize = 64;
