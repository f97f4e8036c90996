//! On the strength of which secret an exchange goes on, after it was admitted.
//!
//! Keys are judged once, when a request comes. What goes on for long, a wait for an answer, a stream of events or
//! of messages, ends all the same when its key, the version or the owner is revoked; not by time, by a rotation or
//! by a suspension. Each core looks every tick whether anything was revoked, and then has whatever waits look after
//! its own.

use std::cell::Cell;
use std::rc::Rc;

use crate::domain::secret::KeyHash;
use crate::proxy::worker::Worker;

/// What lets an exchange go on.
#[derive(Debug, Clone)]
pub(crate) struct Warrant {
    hash: KeyHash,
    /// How many ends the core knew of when it held last; none once it is void.
    held_at: Cell<Option<u64>>,
}

impl Warrant {
    /// That of the secret that is known by `hash`.
    pub(crate) fn of(hash: KeyHash, worker: &Rc<Worker>) -> Self {
        Self {
            hash,
            held_at: Cell::new(Some(worker.ends.get())),
        }
    }

    /// Whether that secret was revoked since, by itself, with its key or with its owner; or is not known any more.
    /// One that was replaced was not, whether its grace is over or it had none.
    pub(crate) fn is_void(&self, worker: &Worker) -> bool {
        let ends = worker.ends.get();
        if self.held_at.get() == Some(ends) {
            return false;
        }
        let known = worker.plane.keys.find(&self.hash);
        let holds = self.held_at.get().is_some()
            && known.is_some_and(|(entry, version)| !entry.is_revoked(&version));
        self.held_at.set(holds.then_some(ends));
        !holds
    }
}
