//! What was used, counted where it happens: one map per core, emptied every second.
//!
//! Each core has its own map behind its own lock, which only the flush ever contends for, and that for
//! as long as it takes to swap two maps.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::id::KeyId;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;
use crate::domain::usage::Tally;

/// What a tally is of: a key, its version, a route and a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsageKey {
    /// Whose.
    pub key: KeyId,
    /// By which version.
    pub version: u16,
    /// On which route, by its number in the table, or [`OWN_PATHS`].
    pub route: u16,
    /// In which minute since 1970.
    pub minute: u32,
}

/// The number of what is no route: the gate's own paths.
pub const OWN_PATHS: u16 = u16::MAX;

/// The counts of one core.
#[derive(Debug, Default)]
pub struct CoreUsage {
    tallies: Mutex<HashMap<UsageKey, Tally, foldhash::fast::RandomState>>,
}

/// The counts of all cores.
#[derive(Debug, Clone)]
pub struct UsageRecorder {
    cores: Arc<[CoreUsage]>,
}

impl UsageRecorder {
    /// Counts for this many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self {
            cores: (0..cores).map(|_| CoreUsage::default()).collect(),
        }
    }

    /// Counts a request that was admitted and is over.
    pub fn admitted(&self, core: usize, what: UsageKey, at: Timestamp, spent: &Spent) {
        self.with(core, what, |tally| {
            tally.requests += 1;
            tally.add_status(spent.status);
            tally.cost += u64::from(spent.cost);
            tally.bytes_in += spent.bytes_in;
            tally.bytes_out += spent.bytes_out;
            tally.last_used_at = tally.last_used_at.max(Some(at));
        });
    }

    /// Counts a request of a known key that was refused.
    pub fn refused(&self, core: usize, what: UsageKey, code: RefusalCode) {
        self.with(core, what, |tally| tally.add_refused(code, 1));
    }

    /// Takes all counts out.
    #[must_use]
    pub fn drain(&self) -> Vec<(UsageKey, Tally)> {
        let mut all = Vec::new();
        for core in self.cores.iter() {
            let taken = std::mem::take(&mut *core.tallies.lock());
            all.extend(taken);
        }
        all
    }

    fn with(&self, core: usize, what: UsageKey, count: impl FnOnce(&mut Tally)) {
        if let Some(core) = self.cores.get(core) {
            count(core.tallies.lock().entry(what).or_default());
        }
    }
}

/// What one admitted request came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// What the client got.
    pub status: u16,
    /// Tokens of each limit.
    pub cost: u32,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's.
    pub bytes_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drained_is_everything_once() {
        let recorder = UsageRecorder::new(2);
        let what = UsageKey {
            key: KeyId::from_random([1; 10]),
            version: 1,
            route: 0,
            minute: 7,
        };
        let at = Timestamp::from_millis(5);
        let spent = Spent {
            status: 204,
            cost: 2,
            bytes_in: 3,
            bytes_out: 4,
        };
        recorder.admitted(0, what, at, &spent);
        recorder.admitted(1, what, at, &spent);
        recorder.refused(1, what, RefusalCode::RateLimited);

        let drained = recorder.drain();
        let mut sum = Tally::default();
        drained.iter().for_each(|(_, tally)| sum.add(tally));
        assert_eq!(
            (sum.requests, sum.status, sum.cost),
            (2, [0, 2, 0, 0, 0], 4)
        );
        assert_eq!(
            (sum.bytes_in, sum.bytes_out, sum.last_used_at),
            (6, 8, Some(at))
        );
        assert_eq!(sum.refused.as_slice(), [(RefusalCode::RateLimited, 1)]);
        assert!(recorder.drain().is_empty());
    }
}
