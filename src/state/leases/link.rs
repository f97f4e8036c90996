//! Whether shared limits can be asked for, and among how many gates they are divided if not.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The gates that share a store, as far as limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roster {
    /// How many are there now.
    pub live: u32,
    /// The place of this gate among them; `None` while places are not given.
    pub index: Option<u32>,
    /// The most there were lately: among so many a limit is divided while the store is away.
    pub max_recent: u32,
    /// How many of them are out of sight and have not signed off: their shares are left to them.
    pub lost: u32,
}

impl Default for Roster {
    /// This gate alone.
    fn default() -> Self {
        Self {
            live: 1,
            index: None,
            max_recent: 1,
            lost: 0,
        }
    }
}

/// The way from shared limits to the store.
#[derive(Debug)]
pub struct LeaseLink {
    /// How long a request may wait.
    pub wait: Duration,
    fallback_after_ns: u64,
    /// Nobody waits until the store has answered swiftly.
    is_away: AtomicBool,
    /// It cannot even be reached.
    is_down: AtomicBool,
    answered_ns: AtomicU64,
    missed_ns: AtomicU64,
    /// Each gate has, or will have, a place, and some have a token set aside for them.
    has_places: AtomicBool,
    live: AtomicU32,
    /// One more than the index; 0: none.
    place: AtomicU32,
    max_recent: AtomicU32,
    lost: AtomicU32,
    waits: AtomicU64,
    shares: AtomicU64,
}

impl Default for LeaseLink {
    fn default() -> Self {
        Self::new(Duration::from_millis(25), Duration::ZERO)
    }
}

impl LeaseLink {
    /// A way on which a request waits at most `wait`, and on which the gate spends its share once the store has
    /// been silent for `fallback_after`.
    #[must_use]
    pub fn new(wait: Duration, fallback_after: Duration) -> Self {
        let link = Self {
            wait,
            fallback_after_ns: u64::try_from(fallback_after.as_nanos()).unwrap_or(u64::MAX),
            is_away: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            answered_ns: AtomicU64::new(0),
            missed_ns: AtomicU64::new(0),
            has_places: AtomicBool::new(false),
            live: AtomicU32::new(1),
            place: AtomicU32::new(0),
            max_recent: AtomicU32::new(1),
            lost: AtomicU32::new(0),
            waits: AtomicU64::new(0),
            shares: AtomicU64::new(0),
        };
        link.seat(Roster::default());
        link
    }

    /// The gate begins: of a silence before that nothing is known.
    pub fn begin(&self, now_ns: u64) {
        self.answered_ns.store(now_ns, Ordering::Relaxed);
    }

    /// From now on these gates share the store.
    pub fn seat(&self, roster: Roster) {
        self.live.store(roster.live.max(1), Ordering::Relaxed);
        let place = roster.index.map_or(0, |index| index.saturating_add(1));
        self.place.store(place, Ordering::Relaxed);
        let most = roster.max_recent.max(roster.live).max(1);
        self.max_recent.store(most, Ordering::Relaxed);
        self.lost.store(roster.lost, Ordering::Relaxed);
    }

    /// Gates have places from now on, whether or not this one knows its own yet: all of them must agree on how
    /// much of a bucket is set aside.
    pub fn give_places(&self) {
        self.has_places.store(true, Ordering::Relaxed);
    }

    /// Whether part of every bucket is set aside for the first gates.
    #[must_use]
    pub fn has_places(&self) -> bool {
        self.has_places.load(Ordering::Relaxed) || self.place.load(Ordering::Relaxed) > 0
    }

    /// This gate's part of a limit that gates do not share but divide, as that of requests at once: at least
    /// one.
    #[must_use]
    pub fn part_of(&self, limit: u32) -> u32 {
        (limit / self.live.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// The gates that share the store.
    #[must_use]
    pub fn roster(&self) -> Roster {
        Roster {
            live: self.live.load(Ordering::Relaxed),
            index: self.place.load(Ordering::Relaxed).checked_sub(1),
            max_recent: self.max_recent.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// Among how many gates a limit is divided while the store is away.
    #[must_use]
    pub fn shares(&self) -> u64 {
        self.max_recent.load(Ordering::Relaxed).into()
    }

    /// Whether this gate has one of `aside` tokens that are set aside.
    #[must_use]
    pub fn owns_one_of(&self, aside: u64) -> bool {
        let place = self.place.load(Ordering::Relaxed);
        place > 0 && u64::from(place) <= aside
    }

    /// Whether nobody waits for the store, because it did not answer in time.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Whether the gate may spend its share: the store cannot be reached, or has been silent for long enough.
    #[must_use]
    pub fn may_share(&self, now_ns: u64) -> bool {
        let silent_ns = now_ns.saturating_sub(self.answered_ns.load(Ordering::Relaxed));
        self.is_down.load(Ordering::Relaxed) || silent_ns >= self.fallback_after_ns
    }

    /// Whether it is time to look if the store is there at all: it has not answered for a second.
    #[must_use]
    pub fn is_quiet(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.answered_ns.load(Ordering::Relaxed)) >= SECOND_NS
    }

    /// The store has answered, after `took_ns`. Whether that ends its absence.
    pub fn met(&self, now_ns: u64, took_ns: u64) -> bool {
        self.answered_ns.store(now_ns, Ordering::Relaxed);
        self.is_down.store(false, Ordering::Relaxed);
        took_ns < SWIFT_NS && self.is_away.swap(false, Ordering::Relaxed)
    }

    /// An answer did not come in time. The second within a second is taken for an absence; whether this
    /// begins one.
    pub fn missed(&self, now_ns: u64) -> bool {
        let before = self.missed_ns.swap(now_ns.max(1), Ordering::Relaxed);
        before > 0
            && now_ns.saturating_sub(before) < SECOND_NS
            && !self.is_away.swap(true, Ordering::Relaxed)
    }

    /// The store cannot be reached. Whether this begins its absence.
    pub fn lost(&self) -> bool {
        self.is_down.store(true, Ordering::Relaxed);
        !self.is_away.swap(true, Ordering::Relaxed)
    }

    /// A request waits.
    pub fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is decided by this gate's share.
    pub fn count_share(&self) {
        self.shares.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests have waited, and how many were decided by this gate's share.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.waits), read(&self.shares))
    }
}

const SECOND_NS: u64 = 1_000_000_000;
/// What answers within ten milliseconds is worth waiting for.
const SWIFT_NS: u64 = 10_000_000;
