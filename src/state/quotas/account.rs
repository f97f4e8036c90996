//! What one key has of one quota: a few numbers that only ever change by one atomic step.
//!
//! Each number stands beside the period it is of, in one word, so that a period's end needs no step of its
//! own: whoever comes first in the next one finds that what is there is not of today.
//!
//! *Held* are units that the store has granted and nobody has spent; *granted* is what it has given out in
//! all; *owed* was spent without being granted, and is charged as soon as the store takes it. So *spent* is
//! granted + owed − held.
//!
//! **Invariant:** held grows before granted does and shrinks after it. Read in the other order, spent is never
//! more than was really spent, so nobody is refused who should pass; and a unit is only ever taken from
//! held, so no more pass than were granted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::QuotaId;

/// What one key has of one quota.
#[derive(Debug, Default)]
pub struct Account {
    /// Whose: a [`QuotaId`], or 0 while it is nobody's. Never changes once set.
    quota: AtomicU32,
    /// Whether the control plane is asked for more already.
    is_asked: AtomicBool,
    /// Whether `granted` is what was last seen, and others may have given back since.
    is_stale: AtomicBool,
    held: Dated,
    granted: Dated,
    owed: Dated,
    /// What was owed when a period ended.
    owed_before: Dated,
    /// When so little is held, more is asked for.
    low: AtomicU64,
}

/// The accounts that a key ever had here.
#[derive(Debug, Default)]
pub struct Accounts {
    accounts: [Account; 2],
    more: OnceLock<Box<Accounts>>,
}

impl Accounts {
    /// The account of a quota; made at its first use.
    pub(in crate::state) fn of(&self, quota: QuotaId) -> &Account {
        let mut here = self;
        loop {
            if let Some(account) = here.accounts.iter().find(|it| it.claim(quota)) {
                return account;
            }
            here = here.more.get_or_init(Box::default);
        }
    }
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// So many are not left in this period.
    Exhausted,
    /// They may be left, but not here: the store is to be asked.
    Ungranted,
}

/// An account at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Granted and not spent.
    pub held: u64,
    /// Spent and not granted.
    pub owed: u64,
    /// Granted in all; `None` if the store has not said so in this period.
    pub granted: Option<u64>,
}

impl Standing {
    /// What was spent in this period, as far as it is known here.
    #[must_use]
    pub fn spent(&self) -> u64 {
        let known = self.granted.unwrap_or(self.held).saturating_add(self.owed);
        known.saturating_sub(self.held)
    }
}

impl Account {
    fn claim(&self, quota: QuotaId) -> bool {
        match self.quota.load(Ordering::Acquire) {
            0 => {
                let claimed =
                    self.quota
                        .compare_exchange(0, quota.0, Ordering::AcqRel, Ordering::Acquire);
                claimed.is_ok() || claimed == Err(quota.0)
            }
            holder => holder == quota.0,
        }
    }

    /// Takes `cost` of what is held; how much is held then.
    pub(super) fn take(&self, day: u32, cost: u64, limit: u64) -> Result<u64, Lack> {
        // A limit that was lowered binds what was granted under the old one, too.
        let granted = self.known(day);
        let held = self.held.of(day).unwrap_or(0);
        let spent = granted.unwrap_or(0).saturating_sub(held) + self.owed.of(day).unwrap_or(0);
        if spent.saturating_add(cost) > limit {
            // What is given back to the store leaves granted before held: only what stands still is sure.
            return Err(if self.known(day) == granted {
                Lack::Exhausted
            } else {
                Lack::Ungranted
            });
        }
        self.held.subtract(day, cost).ok_or(Lack::Ungranted)
    }

    /// Puts back what was taken for a request that another limit refuses.
    pub(super) fn put_back(&self, day: u32, cost: u64) {
        self.held.add_within(day, cost);
    }

    /// Takes `cost` without a grant, to be charged later.
    pub(crate) fn owe(&self, day: u32, cost: u64) {
        self.borrow(day, cost, u64::MAX);
    }

    /// Takes `cost` without a grant, if no more than `most` is owed then; whether it was.
    pub(super) fn borrow(&self, day: u32, cost: u64, most: u64) -> bool {
        match self.owed.add(day, cost, most) {
            Ok(None) => true,
            Ok(Some(before)) => {
                self.owed_before.set(before.day, before.units);
                true
            }
            Err(TooMany) => false,
        }
    }

    /// What is left of `limit`, as far as the store was ever seen in this period: all of it, if it was not.
    pub(super) fn left(&self, day: u32, limit: u64) -> u64 {
        limit.saturating_sub(self.granted.of(day).unwrap_or(0))
    }

    /// The first day of the latest period that anything was of.
    pub(super) fn latest_day(&self) -> u32 {
        self.granted.read().day.max(self.owed.read().day)
    }

    /// What the store has given out in all; `None` if that is not known.
    fn known(&self, day: u32) -> Option<u64> {
        let granted = self.granted.of(day);
        granted.filter(|_| !self.is_stale.load(Ordering::Acquire))
    }

    /// Forgets that `cost` is owed: the request was refused after all, or it has been charged.
    pub fn forgive(&self, day: u32, cost: u64) {
        for owed in [&self.owed, &self.owed_before] {
            if owed.subtract(day, cost).is_some() {
                return;
            }
        }
    }

    /// The account as it stands in the period that began on `day`.
    #[must_use]
    pub fn standing(&self, day: u32) -> Standing {
        let granted = self.known(day);
        Standing {
            held: self.held.of(day).unwrap_or(0),
            owed: self.owed.of(day).unwrap_or(0),
            granted,
        }
    }

    /// What is owed, by the first day of its period: of this period and of the one before.
    pub fn debts(&self) -> impl Iterator<Item = (u32, u64)> {
        [self.owed_before.read(), self.owed.read()]
            .into_iter()
            .filter(|it| it.units > 0)
            .map(|it| (it.day, it.units))
    }

    /// What is owed of the period that began on `day`.
    #[must_use]
    pub fn debt(&self, day: u32) -> u64 {
        self.debts()
            .find(|(of, _)| *of == day)
            .map_or(0, |(_, units)| units)
    }

    /// Takes in what the store has granted: `units` more to spend, `granted` in all. What is of a
    /// period that has ended is of no use any more.
    pub fn deposit(&self, day: u32, units: u64, granted: u64) {
        if units > 0 {
            self.held.put(day, units);
            self.low.store(units / 2, Ordering::Relaxed);
        }
        self.granted.set(day, granted);
        self.is_stale.store(false, Ordering::Release);
    }

    /// Takes out all that is held, to give it back to the store.
    pub fn withdraw(&self, day: u32) -> u64 {
        let held = self.held.of(day).unwrap_or(0);
        if held == 0 || self.granted.subtract(day, held).is_none() {
            return 0;
        }
        if self.held.subtract(day, held).is_some() {
            return held;
        }
        // Someone spent meanwhile, so it is in use after all.
        self.granted.add_within(day, held);
        0
    }

    /// Trusts no more in what the store has given out, if nothing is held: the next request asks anew. Where it
    /// cannot, that is still what was last seen.
    pub fn forget(&self, day: u32) {
        if self.held.of(day).unwrap_or(0) == 0 {
            self.is_stale.store(true, Ordering::Release);
        }
    }

    /// Whether so little is held that more should be asked for; true once until [`Account::answered`].
    pub(super) fn wants_more(&self, day: u32, held: u64, limit: u64) -> bool {
        held <= self.low.load(Ordering::Relaxed)
            && self.known(day).is_none_or(|granted| granted < limit)
            && !self.is_asked.swap(true, Ordering::Relaxed)
    }

    /// The control plane has answered, or could not be asked.
    pub fn answered(&self) {
        self.is_asked.store(false, Ordering::Relaxed);
    }
}

/// A number of units and the period they are of, in one word: 24 bits of days, 40 of units.
#[derive(Debug, Default)]
struct Dated(AtomicU64);

/// It would be more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooMany;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    day: u32,
    units: u64,
}

impl Dated {
    fn read(&self) -> Entry {
        unpack(self.0.load(Ordering::Acquire))
    }

    /// The units of the period that began on `day`; `None` if what stands here is of another.
    fn of(&self, day: u32) -> Option<u64> {
        let word = self.0.load(Ordering::Acquire);
        (word != 0 && unpack(word).day == day).then(|| unpack(word).units)
    }

    /// Subtracts, if so many are there; how many remain.
    fn subtract(&self, day: u32, units: u64) -> Option<u64> {
        let before = self
            .0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let here = unpack(word);
                let rest = here.units.checked_sub(units)?;
                (word != 0 && here.day == day).then(|| pack(day, rest))
            });
        Some(unpack(before.ok()?).units.saturating_sub(units))
    }

    /// Adds to what is of this period; what is of another stays.
    fn add_within(&self, day: u32, units: u64) {
        // An error is what is meant: it is of another period.
        let _ = self
            .0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let here = unpack(word);
                (word != 0 && here.day == day).then(|| pack(day, here.units.saturating_add(units)))
            });
    }

    /// Adds to what is of this period or a later one, or begins it, if it is no more than `most` then; what
    /// stood here of an earlier one, if anything.
    fn add(&self, day: u32, units: u64, most: u64) -> Result<Option<Entry>, TooMany> {
        let before = self
            .0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let here = unpack(word);
                let kept = if word != 0 && here.day >= day {
                    here
                } else {
                    Entry { day, units: 0 }
                };
                let units = kept.units.saturating_add(units);
                (units <= most).then(|| pack(kept.day, units))
            });
        let before = unpack(before.map_err(|_| TooMany)?);
        Ok((before.units > 0 && before.day < day).then_some(before))
    }

    /// Adds to what is of this period, or begins it if it is later than what is here.
    fn put(&self, day: u32, units: u64) {
        let _ = self
            .0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let here = unpack(word);
                match () {
                    () if word == 0 || here.day < day => Some(pack(day, units)),
                    () if here.day == day => Some(pack(day, here.units.saturating_add(units))),
                    () => None,
                }
            });
    }

    /// Sets the number of this period, unless a later one stands here.
    fn set(&self, day: u32, units: u64) {
        let _ = self
            .0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word == 0 || unpack(word).day <= day).then(|| pack(day, units))
            });
    }
}

/// Never 0: that is a word in which nothing was ever written.
fn pack(day: u32, units: u64) -> u64 {
    (u64::from(day) + 1) << UNIT_BITS | units.min(UNITS_MAX)
}

fn unpack(word: u64) -> Entry {
    let day = (word >> UNIT_BITS).saturating_sub(1);
    Entry {
        day: u32::try_from(day).unwrap_or(u32::MAX),
        units: word & UNITS_MAX,
    }
}

const UNIT_BITS: u32 = 40;
const UNITS_MAX: u64 = (1 << UNIT_BITS) - 1;
