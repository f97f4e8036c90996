//! What was refused to callers who are known, on its way into the audit log: a few at a time, off the
//! path of the call that was refused.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::audit::AuditEntry;

/// Entries that wait to be written.
#[derive(Debug, Default)]
pub(in crate::control) struct Refusals {
    waiting: Mutex<Vec<AuditEntry>>,
    lost: AtomicU64,
}

impl Refusals {
    /// Has an entry wait, or counts it as lost where too many do: someone who is refused without end must
    /// not fill the store.
    pub(in crate::control) fn add(&self, entry: AuditEntry) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push(entry);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all that wait.
    pub(in crate::control) fn take(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Has these wait again, before those that came since.
    pub(in crate::control) fn give_back(&self, mut entries: Vec<AuditEntry>) {
        let mut waiting = self.waiting.lock();
        entries.append(&mut waiting);
        let too_many = entries.len().saturating_sub(WAITING_MAX);
        entries.truncate(WAITING_MAX);
        self.lost.fetch_add(too_many as u64, Ordering::Relaxed);
        *waiting = entries;
    }

    /// How many were lost.
    pub(in crate::control) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// How many wait at most. They are written every second, so this is also the most a second.
const WAITING_MAX: usize = 100;
