//! What was refused to callers who are known, on its way into the audit log: a few at a time, off the
//! path of the call that was refused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::audit::AuditEntry;

/// Entries that wait to be written.
#[derive(Debug, Default)]
pub(in crate::control) struct Refusals {
    waiting: Mutex<Waiting>,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<AuditEntry>,
    /// The calls that were last told of.
    told: VecDeque<String>,
}

impl Waiting {
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
    /// Has an entry wait, unless its call was told of; or counts it as lost where too many do: someone who is refused without end must
    /// not fill the store.
    pub(in crate::control) fn add(&self, entry: AuditEntry) {
        let mut waiting = self.waiting.lock();
        if waiting.is_told(&entry) {
            return;
        }
        if waiting.entries.len() < WAITING_MAX {
            waiting.entries.push(entry);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all that wait.
    pub(in crate::control) fn take(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.waiting.lock().entries)
    }

    /// Has these wait again, before those that came since.
    pub(in crate::control) fn give_back(&self, mut entries: Vec<AuditEntry>) {
        let mut waiting = self.waiting.lock();
        entries.append(&mut waiting.entries);
        let too_many = entries.len().saturating_sub(WAITING_MAX);
        entries.truncate(WAITING_MAX);
        self.lost.fetch_add(too_many as u64, Ordering::Relaxed);
        waiting.entries = entries;
    }

    /// How many were lost.
    pub(in crate::control) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// How many wait at most. They are written every second, so this is also the most a second.
const WAITING_MAX: usize = 100;
/// How many calls are remembered, so that none is told of twice.
const TOLD_MAX: usize = 64;
