//! What was refused to callers who are known, on its way into the audit log: a few at a time, off the
//! path of the call that was refused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::audit::AuditEntry;
use crate::domain::change::ChangeId;

/// Entries that wait to be written.
#[derive(Debug, Default)]
pub(in crate::control) struct Refusals {
    waiting: Mutex<Waiting>,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<AuditEntry>,
    /// What was being written when whoever wrote it ended: it may have landed, and is sent again as it was.
    unsure: Vec<Batch>,
    /// The calls that were last told of.
    told: VecDeque<String>,
}

/// Entries that are written together. Sent again under its name, a change that has landed does nothing more.
#[derive(Debug, Clone)]
pub(in crate::control) struct Batch {
    pub(in crate::control) id: ChangeId,
    pub(in crate::control) entries: Vec<AuditEntry>,
}

impl Waiting {
    fn len(&self) -> usize {
        let unsure = self.unsure.iter().map(|batch| batch.entries.len());
        unsure.sum::<usize>() + self.entries.len()
    }

    /// Whether a call was told of before. A service knows more of what was tried than whoever only sees
    /// the answer, and comes first.
    fn is_told(&mut self, entry: &AuditEntry) -> bool {
        let Some(call) = &entry.request_id else {
            return false;
        };
        if self.told.contains(call) {
            return true;
        }
        if self.told.len() == TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back(call.clone());
        false
    }
}

impl Refusals {
    /// Has an entry wait, unless its call was told of; or counts it as lost where too many do: someone who
    /// is refused without end must not fill the store.
    pub(in crate::control) fn add(&self, entry: AuditEntry) {
        let mut waiting = self.waiting.lock();
        if waiting.is_told(&entry) {
            return;
        }
        if waiting.len() < WAITING_MAX {
            waiting.entries.push(entry);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes what waits, to be written as the change `id`; what was begun before goes first, under the id it
    /// had. Unless it is [`Sending::written`], it waits again.
    pub(in crate::control) fn take(&self, id: ChangeId) -> Option<Sending<'_>> {
        let mut waiting = self.waiting.lock();
        let batch = if !waiting.unsure.is_empty() {
            waiting.unsure.remove(0)
        } else if !waiting.entries.is_empty() {
            let entries = std::mem::take(&mut waiting.entries);
            Batch { id, entries }
        } else {
            return None;
        };
        Some(Sending {
            refusals: self,
            batch: Some(batch),
        })
    }

    fn give_back(&self, batch: Batch) {
        let mut waiting = self.waiting.lock();
        waiting.unsure.push(batch);
        let too_many = waiting.len().saturating_sub(WAITING_MAX);
        let kept = waiting.entries.len().saturating_sub(too_many);
        let lost = waiting.entries.len() - kept;
        waiting.entries.truncate(kept);
        self.lost.fetch_add(lost as u64, Ordering::Relaxed);
    }

    /// How many were lost.
    pub(in crate::control) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Entries on their way into the store. Whoever is writing them may end at any await, by a client that
/// hangs up or by the gate's stop, and what it had taken must not go with it.
#[derive(Debug)]
pub(in crate::control) struct Sending<'a> {
    refusals: &'a Refusals,
    batch: Option<Batch>,
}

impl Sending<'_> {
    /// What is to be written.
    pub(in crate::control) fn batch(&self) -> Batch {
        self.batch.clone().unwrap_or_else(|| Batch {
            id: ChangeId([0; 16]),
            entries: Vec::new(),
        })
    }

    /// They are in the store.
    pub(in crate::control) fn written(mut self) {
        self.batch = None;
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.refusals.give_back(batch);
        }
    }
}

/// How many wait at most. They are written every second, so this is also the most a second.
const WAITING_MAX: usize = 100;
/// How many calls are remembered, so that none is told of twice.
const TOLD_MAX: usize = 64;
