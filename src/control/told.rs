//! What this gate has told those outside: in the log, and counted by kind.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::event::{Event, EventKind};

/// Events that landed in the outbox by this gate, counted by kind.
#[derive(Debug)]
pub struct Told {
    counts: Vec<(EventKind, AtomicU64)>,
}

impl Default for Told {
    fn default() -> Self {
        let zero = |kind: &EventKind| (*kind, AtomicU64::new(0));
        Self {
            counts: EventKind::ALL.iter().map(zero).collect(),
        }
    }
}

impl Told {
    /// Counts events that have landed, and says so in the log.
    pub(in crate::control) fn tell(&self, events: &[Event]) {
        for event in events {
            let kind = event.kind.as_str();
            // Invariant: an event holds fingerprints and names, never a secret.
            let about = serde_json::Value::Object(event.data.clone());
            tracing::info!(event.id = %event.id, event.kind = kind, about = %about, "{kind}");
            let count = self.counts.iter().find(|(known, _)| *known == event.kind);
            if let Some((_, count)) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many events of each kind there were.
    pub fn counts(&self) -> impl Iterator<Item = (EventKind, u64)> {
        let counts = self.counts.iter();
        counts.map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
    }
}
