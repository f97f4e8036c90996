//! The gates that share this gate's store: beating among them, seating limits by who is there, and knowing
//! where a revocation is in force.
//!
//! | file | |
//! |---|---|
//! | `beats` | the task that says once a second that this gate is there, and what it learns by that |
//! | `words` | what this gate tells those who wait for a change |
//! | `service` | who is there, where a change is in force, striking a gate off |

mod beats;
mod service;
mod words;

pub(crate) use beats::{BeatRules, Beats, KeptPeak};
pub use service::{FleetService, NodeView, Standing};
pub(crate) use words::Words;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::fleet::Roster;
use crate::domain::time::Timestamp;

/// What the last beats taught: written by the task, read by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Who is there.
    roster: Mutex<Arc<Roster>>,
    /// Since when another process beats under this gate's name.
    taken_since: Mutex<Option<Timestamp>>,
}

impl Seen {
    /// Who was there at the last beat.
    pub(crate) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.lock())
    }

    /// Since when another process beats under this gate's name, if one does.
    pub(crate) fn taken_since(&self) -> Option<Timestamp> {
        *self.taken_since.lock()
    }
}
