//! The one thread that writes.
//!
//! It takes whatever waits, puts it into one transaction, each piece in a savepoint of its own, and
//! answers all of them after one `fsync`. A piece that is refused leaves nothing behind and does not
//! disturb the others; if the transaction itself fails, each piece is tried alone, so that every caller
//! learns of its own fate only.
//!
//! **Fencing.** After an I/O error what is on the disk is not known any more, and a second `fsync` may
//! say yes to what was lost. So from then on nothing is written, and every caller is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use super::fault::{Fault, Gravity, Quarantine, gravity};
use super::ledger::{Ledger, Unfolded};
use super::seal::Seal;
use super::{audit, change, quotas, replace, tables, usage};
use crate::domain::audit::chain::{Head, Sealed};
use crate::domain::change::{Change, Revision, Write};
use crate::domain::draw::{QuotaDraw, QuotaGrant};
use crate::domain::id::KeyId;
use crate::domain::time::{Clock, Timestamp};
use crate::domain::usage::UsageBatch;
use crate::store::StoreError;

/// What is to be written. Everything is answered with one number.
pub(super) enum Work {
    /// A change; its revision.
    Commit(Arc<Change>),
    /// A change whose revision was decided elsewhere, and its sealed audit entries; that revision.
    Apply(Revision, Arc<Change>, Vec<Sealed>),
    /// Audit entries from before those that are here, and what is then still missing; nothing.
    Fill(Vec<Sealed>, Option<String>),
    /// Counts; whether they were new.
    Usage(Arc<UsageBatch>),
    /// That all counts be in their tables; nothing.
    Fold,
    /// That a node begins to run; its epoch.
    Epoch(String, Timestamp),
    /// When versions were last used; nothing.
    Used(Vec<(KeyId, u16, Timestamp)>),
    /// Draws on quotas; nothing, but see [`Drawing`].
    Draw(Arc<Drawing>),
    /// Records in the place of those there, at no revision; nothing.
    Revise(Vec<Write>),
    /// All control state anew; its revision.
    Replace(Box<Seed>),
}

/// Draws on quotas, and what came of them once they have been settled.
pub(super) struct Drawing {
    pub(super) draws: Vec<QuotaDraw>,
    pub(super) grants: Mutex<Vec<QuotaGrant>>,
}

/// All control state, from elsewhere.
pub(super) struct Seed {
    pub(super) incarnation: [u8; 16],
    pub(super) writes: Mutex<Box<dyn Iterator<Item = Result<Write, StoreError>> + Send>>,
    /// Asked when the last write has come: the revision, and where the audit chain ends.
    pub(super) stand: Box<dyn Fn() -> (Revision, Head) + Send>,
}

/// Work, and who waits for it.
pub(super) struct Job {
    work: Work,
    answer: oneshot::Sender<Answer>,
}

/// What whoever waits is told.
pub(super) type Answer = Result<u64, StoreError>;

/// What the thread and the callers both see.
pub(super) struct Shared {
    /// The last revision that is durable.
    pub(super) revision: watch::Sender<Revision>,
    /// Whether the last thing asked was answered.
    pub(super) is_up: AtomicBool,
    /// When it was, in milliseconds.
    pub(super) answered_at: AtomicU64,
    /// What could not be read.
    pub(super) quarantine: Quarantine,
    /// Counts that are not in their tables yet.
    pub(super) unfolded: Unfolded,
    pub(super) clock: Arc<dyn Clock>,
    /// What seals the tables, where they are a mirror's.
    pub(super) seal: Option<Seal>,
}

impl Shared {
    pub(super) fn note(&self, answered: bool) {
        self.is_up.store(answered, Ordering::Relaxed);
        if answered {
            self.answered_at
                .store(self.clock.now().as_millis(), Ordering::Relaxed);
        }
    }
}

/// The way to the thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let desk = Desk::new(connection, shared);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || desk.run(jobs))?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Has `work` done, durably, or learns why not. Work that was handed over is done even if nobody
    /// waits for it any more; but a change is not, unless it is being written already.
    pub(super) async fn have(&self, work: Work) -> Answer {
        let closed = || StoreError::unavailable("the store is closed");
        let queue = self.queue.lock().clone().ok_or_else(closed)?;
        let (job, answer) = Job::new(work);
        queue.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Does what waits, closes the file and ends the thread.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // A panic of the thread has been told of by the hook; there is nothing to add.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// The thread's own.
pub(super) struct Desk {
    connection: Connection,
    shared: Arc<Shared>,
    ledger: Ledger,
    /// Why nothing is written any more.
    fence: Option<String>,
}

impl Desk {
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Self {
        let ledger = Ledger::new(shared.unfolded.waiting());
        Self {
            connection,
            shared,
            ledger,
            fence: None,
        }
    }

    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        // What a run left that was cut off.
        self.finish_counts();
        let mut next = jobs.blocking_recv();
        while let Some(first) = next.take() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX && !batch.iter().any(Job::stands_alone) {
                match jobs.try_recv() {
                    Ok(job) if job.stands_alone() => {
                        next = Some(job);
                        break;
                    }
                    Ok(job) => batch.push(job),
                    Err(_) => break,
                }
            }
            self.settle(batch);
            if next.is_none() {
                next = jobs.blocking_recv();
            }
        }
        self.end();
    }

    /// Does a batch and answers it.
    pub(super) fn settle(&mut self, batch: Vec<Job>) {
        if let Some(why) = &self.fence {
            for job in batch {
                job.tell(Err(StoreError::unavailable(why.as_str())));
            }
            return;
        }
        match self.together(&batch) {
            Ok(outcomes) => {
                self.shared.note(true);
                let taken = batch.iter().zip(&outcomes);
                let taken = taken.filter_map(|(job, outcome)| match (&job.work, outcome) {
                    (Work::Usage(batch), Ok(1)) => Some(&**batch),
                    _ => None,
                });
                self.ledger.publish(&self.shared.unfolded, taken);
                self.checkpoint_if_long(&batch);
                match tables::revision(&self.connection) {
                    Ok(revision) => self.publish(revision),
                    Err(error) => warn!(%error, "the revision just written cannot be read back"),
                }
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    job.tell(outcome);
                }
            }
            Err(_) if batch.len() > 1 => {
                for job in batch {
                    self.settle(vec![job]);
                }
            }
            Err(fault) => {
                self.judge(&fault);
                for (job, fault) in batch.into_iter().zip([fault]) {
                    job.tell(Err(fault.into()));
                }
            }
        }
    }

    /// Does a batch in one transaction. An error means that none of it was done.
    fn together(&mut self, batch: &[Job]) -> Result<Vec<Answer>, Fault> {
        let outcomes = self.write(batch);
        if outcomes.is_err() {
            self.ledger.recount(&self.connection)?;
        }
        outcomes
    }

    fn write(&mut self, batch: &[Job]) -> Result<Vec<Answer>, Fault> {
        let now = self.shared.clock.now();
        let shared = Arc::clone(&self.shared);
        let mut transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for job in batch {
            if job.is_withdrawn() {
                outcomes.push(Err(withdrawn()));
                continue;
            }
            let savepoint = transaction.savepoint()?;
            match job.work.write(&savepoint, now, &mut self.ledger, &shared) {
                Ok(number) => {
                    savepoint.commit()?;
                    outcomes.push(Ok(number));
                }
                Err(Fault::Refused(error)) => {
                    savepoint.finish()?;
                    outcomes.push(Err(error));
                }
                Err(fault) => return Err(fault),
            }
        }
        // Whoever was told that it took too long must not find it done all the same.
        let done = batch.iter().zip(&outcomes);
        if done
            .into_iter()
            .any(|(job, done)| done.is_ok() && job.is_withdrawn())
        {
            return Err(withdrawn().into());
        }
        transaction.commit()?;
        Ok(outcomes)
    }

    /// Brings all counts into their tables. If that fails they still lie in the file, and are brought there
    /// later.
    fn finish_counts(&mut self) {
        if !self.ledger.is_empty() {
            let (job, _nobody_waits) = Job::new(Work::Fold);
            self.settle(vec![job]);
        }
    }

    pub(super) fn judge(&mut self, fault: &Fault) {
        let Fault::Sql(error) = fault else { return };
        let gravity = gravity(error);
        self.shared.note(gravity == Gravity::Full);
        match gravity {
            Gravity::Lasting => {
                error!(%error, "the store cannot be relied on any more and takes no changes until restarted");
                self.fence = Some(format!("fenced since it failed: {error}"));
            }
            Gravity::Full => warn!(%error, "the store has no room left"),
            Gravity::Passing => warn!(%error, "the store could not write"),
        }
    }

    /// Takes the log over into the file at once where it has become long, so that the next small change
    /// does not pay for it.
    fn checkpoint_if_long(&self, batch: &[Job]) {
        if batch.iter().any(Job::stands_alone) {
            self.checkpoint();
        }
    }

    fn checkpoint(&self) {
        let done = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            // The next start finds everything in the log all the same.
            warn!(%error, "the log could not be taken over into the store");
        }
    }

    fn publish(&self, revision: Revision) {
        self.shared.revision.send_if_modified(|known| {
            let moved = *known != revision;
            *known = revision;
            moved
        });
    }

    #[cfg(test)]
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Leaves one whole file behind, nothing beside it.
    fn end(mut self) {
        self.finish_counts();
        if self.fence.is_none() {
            self.checkpoint();
        }
        if let Err((_, error)) = self.connection.close() {
            warn!(%error, "the store could not be closed");
        }
    }
}

impl Job {
    pub(super) fn new(work: Work) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, told) = oneshot::channel();
        (Self { work, answer }, told)
    }

    /// Replacing everything takes its seed up as it goes, so it cannot be tried again after another's
    /// failure.
    fn stands_alone(&self) -> bool {
        matches!(self.work, Work::Replace(_))
    }

    /// Whether whoever asked for a change waits no more. Anything else is done all the same.
    fn is_withdrawn(&self) -> bool {
        matches!(self.work, Work::Commit(_)) && self.answer.is_closed()
    }

    fn tell(self, outcome: Answer) {
        // Whoever asked may have gone; what was written stands.
        let _ = self.answer.send(outcome);
    }
}

impl Work {
    fn write(
        &self,
        transaction: &Connection,
        now: Timestamp,
        ledger: &mut Ledger,
        shared: &Shared,
    ) -> Result<u64, Fault> {
        let (quarantine, seal) = (&shared.quarantine, shared.seal.as_ref());
        match self {
            Self::Commit(change) => change::commit(transaction, change, now).map(|at| at.0),
            Self::Apply(revision, change, sealed) => {
                let apply = || change::apply(transaction, *revision, change, sealed, now);
                let at = match seal {
                    Some(seal) => seal.around(transaction, &change.writes, apply)?,
                    None => apply()?,
                };
                Ok(at.0)
            }
            Self::Fill(entries, gap) => {
                audit::fill(transaction, entries, gap.as_deref()).map(|()| 0)
            }
            Self::Usage(batch) => ledger
                .take(transaction, batch, now, quarantine)
                .map(u64::from),
            Self::Fold => ledger.fold(transaction, now, quarantine).map(|()| 0),
            Self::Epoch(node, now) => usage::begin_epoch(transaction, node, *now),
            Self::Used(uses) => usage::note_used(transaction, uses).map(|()| 0),
            Self::Draw(drawing) => {
                let grants = quotas::draw(transaction, &drawing.draws, now)?;
                // Whoever asked reads it when the transaction has been answered for.
                *drawing.grants.lock() = grants;
                Ok(0)
            }
            Self::Revise(writes) => {
                let revise = || change::revise(transaction, writes, now);
                match seal {
                    Some(seal) => seal.around(transaction, writes, revise)?,
                    None => revise()?,
                }
                Ok(0)
            }
            Self::Replace(seed) => {
                let at = replace::replace(transaction, seed, now)?;
                if let Some(seal) = seal {
                    seal.anew(transaction)?;
                }
                Ok(at.0)
            }
        }
    }
}

fn withdrawn() -> StoreError {
    StoreError::unavailable("the change was withdrawn before it was written")
}

/// How much may wait: more would only wait longer.
const QUEUE_MAX: usize = 1_024;
/// How much goes into one transaction: enough to share an `fsync`, not enough to be waited for.
const BATCH_MAX: usize = 128;
