//! On the strength of which secret an exchange goes on, after it was admitted.
//!
//! Keys are judged once, when a request comes. What goes on for long, a stream of events or of messages, ends
//! with its key all the same: each core looks every tick whether anything was revoked, and then has whatever
//! waits look after its own.

use std::cell::Cell;
use std::rc::Rc;

use crate::domain::secret::KeyHash;
use crate::proxy::worker::Worker;

/// What lets an exchange go on.
#[derive(Debug, Clone)]
pub(crate) struct Warrant {
    hash: KeyHash,
    /// How many ends the core knew of when it held last.
    seen: Cell<u64>,
}

impl Warrant {
    /// That of the secret that is known by `hash`.
    pub(crate) fn of(hash: KeyHash, worker: &Rc<Worker>) -> Self {
        Self {
            hash,
            seen: Cell::new(worker.ends.get()),
        }
    }

    /// Whether that secret was revoked since, by itself, with its key or with its owner. One that was replaced was
    /// not, whether its grace is over or it had none.
    pub(crate) fn is_void(&self, worker: &Worker) -> bool {
        let ends = worker.ends.get();
        if self.seen.replace(ends) == ends {
            return false;
        }
        let known = worker.plane.keys.find(&self.hash);
        known.is_none_or(|(entry, version)| entry.is_revoked(&version))
    }
}
