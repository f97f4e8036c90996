//! What a gate has of one shared limit of one key.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::domain::lease::{LeaseTerms, share};
use crate::state::limiter::LimitId;

/// The shared limits of one key, by their ids; a few, and more behind them.
#[derive(Debug, Default)]
pub(in crate::state) struct Till {
    tokens: [Tokens; 2],
    more: OnceLock<Box<Till>>,
}

impl Till {
    /// The tokens of a limit; made at its first use.
    pub(in crate::state) fn of(&self, limit: LimitId) -> &Tokens {
        let mut here = self;
        loop {
            if let Some(tokens) = here.tokens.iter().find(|it| it.claim(limit)) {
                return tokens;
            }
            here = here.more.get_or_init(Box::default);
        }
    }
}

/// What a gate has of one shared limit. Requests take, `control::leases` puts in.
///
/// **Invariant:** what lies here is never more than the store has in this gate's row, and is not spent after the
/// lease has ended.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Whose they are: a limit's id, or 0 while they are nobody's. Never changes once set.
    limit: AtomicU32,
    held: AtomicU32,
    /// Below this more should be asked for; 0: never.
    low: AtomicU32,
    /// Someone has asked, and was not answered yet.
    is_asked: AtomicBool,
    /// The state of the token that is set aside for this gate: one of the constants below.
    aside: AtomicU8,
    /// Some of the share was spent since the store answered last.
    has_shared: AtomicBool,
    /// When the lease ends, by the monotonic clock.
    ends_ns: AtomicU64,
    /// Until when nothing is to be had.
    denied_until_ns: AtomicU64,
    /// When the bucket is whole if nobody takes of it, as far as is known; also where the share stands.
    whole_at_ns: AtomicU64,
    /// How many tokens were ever asked for here, refused ones included.
    asked: AtomicU64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// There is nothing, for so many nanoseconds.
    Denied(u64),
    /// There may be some, but not here: the store is to be asked.
    Short,
}

impl Tokens {
    fn claim(&self, limit: LimitId) -> bool {
        limit.claims(&self.limit)
    }

    /// Takes `cost`; whether more should be asked for, which is said once until [`Tokens::answered`].
    ///
    /// # Errors
    /// If there are not so many here.
    pub(in crate::state) fn take(
        &self,
        cost: u32,
        now_ns: u64,
        owns_aside: bool,
    ) -> Result<bool, Lack> {
        self.note(cost);
        if self.ends_ns.load(Ordering::Acquire) > now_ns {
            let before = self
                .held
                .try_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                    held.checked_sub(cost)
                });
            if let Ok(before) = before {
                let is_low = before - cost < self.low.load(Ordering::Relaxed);
                return Ok(is_low && self.claim_ask());
            }
        }
        let denied_ns = self.denied_until_ns.load(Ordering::Acquire);
        if owns_aside && cost == 1 && self.take_aside() {
            // Where it is scarce the control plane asks again by itself.
            return Ok(denied_ns <= now_ns && self.claim_ask());
        }
        match denied_ns.checked_sub(now_ns) {
            None | Some(0) => Err(Lack::Short),
            Some(wait_ns) => Err(Lack::Denied(wait_ns)),
        }
    }

    /// Notes that `cost` was asked for.
    pub(in crate::state) fn note(&self, cost: u32) {
        self.asked.fetch_add(cost.into(), Ordering::Relaxed);
    }

    /// Gives back what was taken, to where it can have been taken from: the lease, or the share.
    pub(in crate::state) fn give_back(
        &self,
        cost: u32,
        now_ns: u64,
        terms: &LeaseTerms,
        nodes: u64,
    ) {
        if self.ends_ns.load(Ordering::Acquire) > now_ns {
            self.held.fetch_add(cost, Ordering::AcqRel);
        } else {
            let price_ns = share::price_ns(terms, nodes, cost.into());
            self.whole_at_ns
                .update(Ordering::AcqRel, Ordering::Acquire, |at| {
                    at.saturating_sub(price_ns)
                });
        }
    }

    /// Takes `cost` of this gate's share of one in `nodes`.
    ///
    /// # Errors
    /// In how many nanoseconds it could be taken.
    pub fn take_share(
        &self,
        terms: &LeaseTerms,
        nodes: u64,
        cost: u32,
        now_ns: u64,
    ) -> Result<(), u64> {
        let mut seen = self.whole_at_ns.load(Ordering::Acquire);
        loop {
            let next = share::spend(seen, terms, nodes, cost.into(), now_ns)?;
            let swapped = self.whole_at_ns.compare_exchange_weak(
                seen,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Ok(_) => break,
                Err(other) => seen = other,
            }
        }
        self.has_shared.store(true, Ordering::Release);
        Ok(())
    }

    /// What may be spent now.
    #[must_use]
    pub fn held(&self, now_ns: u64) -> u32 {
        if self.ends_ns.load(Ordering::Acquire) > now_ns {
            self.held.load(Ordering::Acquire)
        } else {
            0
        }
    }

    /// In how long the bucket is whole, if nobody takes of it.
    #[must_use]
    pub fn missing_ns(&self, now_ns: u64) -> u64 {
        self.whole_at_ns
            .load(Ordering::Acquire)
            .saturating_sub(now_ns)
    }

    /// Whether whoever calls this is the one to ask for more.
    pub fn claim_ask(&self) -> bool {
        !self.is_asked.load(Ordering::Relaxed) && !self.is_asked.swap(true, Ordering::AcqRel)
    }

    /// Whoever asked is answered, or could not be.
    pub fn answered(&self) {
        self.is_asked.store(false, Ordering::Release);
    }

    /// How many tokens were ever asked for here.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// When the lease ends.
    #[must_use]
    pub fn ends_ns(&self) -> u64 {
        self.ends_ns.load(Ordering::Acquire)
    }

    /// What is there to be told to the store: nothing of a lease that has ended.
    pub fn standing(&self, now_ns: u64) -> u32 {
        if self.ends_ns.load(Ordering::Acquire) > now_ns {
            self.held.load(Ordering::Acquire)
        } else {
            self.held.store(0, Ordering::Release);
            0
        }
    }

    /// Takes out all there is, to give it back; nothing of a lease that has ended.
    pub fn withdraw(&self, now_ns: u64) -> u32 {
        let held = self.held.swap(0, Ordering::AcqRel);
        if self.ends_ns.load(Ordering::Acquire) > now_ns {
            held
        } else {
            0
        }
    }

    /// Takes `cost` for one who waited and is counted already; whether so many are there.
    pub fn spare(&self, cost: u32, now_ns: u64) -> bool {
        self.held(now_ns) >= cost
            && self
                .held
                .try_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                    held.checked_sub(cost)
                })
                .is_ok()
    }

    /// Puts tokens in, and prolongs the lease. One goes where it was set aside for this gate, if that was
    /// spent.
    pub fn put(&self, tokens: u32, ends_ns: u64, owns_aside: bool) {
        self.held.fetch_add(tokens, Ordering::AcqRel);
        self.ends_ns.store(ends_ns, Ordering::Release);
        if owns_aside && tokens > 0 {
            self.restock();
        }
    }

    /// More should be asked for when fewer than `low` are left; 0: never.
    pub fn set_low(&self, low: u32) {
        self.low.store(low, Ordering::Relaxed);
    }

    /// Nothing is to be had until then.
    pub fn deny(&self, until_ns: u64) {
        self.denied_until_ns.store(until_ns, Ordering::Release);
    }

    /// Until when nothing is to be had.
    #[must_use]
    pub fn denied_until_ns(&self) -> u64 {
        self.denied_until_ns.load(Ordering::Acquire)
    }

    /// The bucket is whole then, as the store says.
    pub fn set_whole_at(&self, whole_at_ns: u64) {
        self.whole_at_ns.store(whole_at_ns, Ordering::Release);
    }

    /// Whether some of the share was spent since this was last asked.
    pub fn take_shared(&self) -> bool {
        self.has_shared.swap(false, Ordering::AcqRel)
    }

    /// The store was not told of the share after all.
    pub fn set_shared(&self) {
        self.has_shared.store(true, Ordering::Release);
    }

    fn take_aside(&self) -> bool {
        let moves = |from, to| {
            self.aside
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        moves(ASIDE_UNTOUCHED, ASIDE_SPENT_UNPAID) || moves(ASIDE_THERE, ASIDE_SPENT)
    }

    /// The token that was set aside comes back from the lease. One that this process never bought may have
    /// been spent by the process before it, so it is paid for first.
    fn restock(&self) {
        let next = match self.aside.load(Ordering::Acquire) {
            ASIDE_SPENT_UNPAID => ASIDE_SPENT,
            ASIDE_SPENT => ASIDE_THERE,
            _ => return,
        };
        let paid = self
            .held
            .try_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_sub(1)
            });
        if paid.is_ok() {
            self.aside.store(next, Ordering::Release);
        }
    }
}

/// As it was when this process began.
const ASIDE_UNTOUCHED: u8 = 0;
const ASIDE_SPENT_UNPAID: u8 = 1;
const ASIDE_SPENT: u8 = 2;
const ASIDE_THERE: u8 = 3;
