//! A rate held by this gate alone: governor's GCRA over states that lie in the slots of keys.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota as Bucket, RateLimiter};
use http::HeaderValue;
use parking_lot::Mutex;

use crate::domain::limit::RateLimit;
use crate::state::leases::{LeaseLink, Till, Tokens};
use crate::state::limiter::named::{NamedLimit, Sharing};
use crate::state::quotas::{Account, Accounts, NamedQuota, QuotaId};

/// What is left of one key's limits, and how many of its requests are in flight.
///
/// Each limit's state is found by its [`LimitId`] among the few that the key ever had here.
#[derive(Debug, Default)]
pub struct Slot {
    /// Requests in flight, for the concurrency limit.
    in_flight: AtomicU32,
    states: [LimitState; 2],
    more: OnceLock<Box<MoreStates>>,
    /// Made at the first use of a quota: most keys have none.
    accounts: OnceLock<Box<Accounts>>,
    /// Made at the first use of a limit that is shared with other gates.
    till: OnceLock<Box<Till>>,
}

#[derive(Debug, Default)]
struct LimitState {
    /// Whose state this is: a [`LimitId`], or 0 while it is nobody's. Never changes once set.
    limit: AtomicU32,
    /// The theoretical arrival time of GCRA in nanoseconds; 0 until first used.
    arrival_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct MoreStates {
    states: [LimitState; 4],
    more: OnceLock<Box<MoreStates>>,
}

impl Slot {
    /// Takes a place among the requests in flight, unless `most` are.
    #[must_use]
    pub fn enter(&self, most: u32) -> bool {
        let taken = self
            .in_flight
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                (now < most).then(|| now + 1)
            });
        taken.is_ok()
    }

    /// How many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// What the key has of a quota.
    #[must_use]
    pub fn account(&self, quota: QuotaId) -> &Account {
        self.accounts.get_or_init(Box::default).of(quota)
    }

    /// What this gate has of a limit that is shared.
    #[must_use]
    pub fn tokens(&self, limit: LimitId) -> &Tokens {
        self.till.get_or_init(Box::default).of(limit)
    }

    fn arrival(&self, limit: LimitId) -> &AtomicU64 {
        if let Some(state) = self.states.iter().find_map(|state| state.claim(limit)) {
            return state;
        }
        let mut more = self.more.get_or_init(Box::default);
        loop {
            if let Some(state) = more.states.iter().find_map(|state| state.claim(limit)) {
                return state;
            }
            more = more.more.get_or_init(Box::default);
        }
    }
}

impl LimitState {
    /// The state of `limit`, if this is it or can become it.
    fn claim(&self, limit: LimitId) -> Option<&AtomicU64> {
        limit.claims(&self.limit).then_some(&self.arrival_ns)
    }
}

/// Names a limit of a key, its product or a route: `key-1`, `product-starter-2`. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitId(u32);

impl LimitId {
    /// Whether the place whose owner stands in `owner` is this limit's, or can become it: 0 is nobody's.
    pub(in crate::state) fn claims(self, owner: &AtomicU32) -> bool {
        let holder = owner.load(Ordering::Acquire);
        holder == self.0
            || holder == 0
                && match owner.compare_exchange(0, self.0, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => true,
                    Err(winner) => winner == self.0,
                }
    }
}

/// One rate and burst, for all keys that have it.
#[derive(Debug)]
pub struct Limiter {
    gcra: RateLimiter<Probe, Slots, RequestClock, StateInformationMiddleware>,
    token_ns: u64,
    burst: u32,
}

/// What passes if it is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// How many tokens are left.
    pub remaining: u32,
    /// In how long the bucket is whole again.
    pub whole_in: Duration,
}

/// What was asked does not pass now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// After how long it would, if nothing else were asked.
    pub retry_after: Duration,
    /// What the bucket holds instead.
    pub level: Level,
}

impl Limiter {
    fn new(limit: &RateLimit) -> Self {
        let token = Duration::from_nanos(limit.token_ns());
        let bucket = Bucket::with_period(token)
            .unwrap_or(Bucket::per_second(NonZeroU32::MIN))
            .allow_burst(limit.burst);
        // governor measures from when a limiter was made; all of ours were made at 0, so that they
        // read each other's states.
        let gcra = at(0, || RateLimiter::new(bucket, Slots, RequestClock));
        Self {
            gcra,
            token_ns: limit.token_ns(),
            burst: limit.burst.get(),
        }
    }

    /// Takes `cost` tokens for the limit `id` of the key with this slot, or none.
    ///
    /// # Errors
    /// [`Spent`] if there are not that many.
    pub fn take(
        &self,
        slot: &Arc<Slot>,
        id: LimitId,
        cost: u32,
        now_ns: u64,
    ) -> Result<Level, Spent> {
        let Some(cost) = NonZeroU32::new(cost) else {
            return Ok(self.level(slot, id, now_ns));
        };
        let probe = Probe {
            slot: Arc::clone(slot),
            limit: id,
        };
        let answer = at(now_ns, || self.gcra.check_key_n(&probe, cost));
        let level = self.level(slot, id, now_ns);
        match answer {
            Ok(Ok(_)) => Ok(level),
            Ok(Err(not_yet)) => {
                let retry_after = not_yet.wait_time_from(Duration::from_nanos(now_ns));
                Err(Spent { retry_after, level })
            }
            // More than the bucket ever holds: waiting for all of it is the most that can be said.
            Err(_) => {
                let whole = self.token_ns.saturating_mul(u64::from(self.burst));
                Err(Spent {
                    retry_after: Duration::from_nanos(whole),
                    level,
                })
            }
        }
    }

    /// Gives `cost` tokens back, as when another limit refuses the request.
    pub fn give_back(&self, slot: &Slot, id: LimitId, cost: u32) {
        let back = self.token_ns.saturating_mul(u64::from(cost));
        slot.arrival(id)
            .update(Ordering::Relaxed, Ordering::Relaxed, |arrival| {
                arrival.saturating_sub(back).max(1)
            });
    }

    /// What is left, without taking any.
    #[must_use]
    pub fn level(&self, slot: &Slot, id: LimitId, now_ns: u64) -> Level {
        let missing_ns = slot
            .arrival(id)
            .load(Ordering::Relaxed)
            .saturating_sub(now_ns);
        let missing = missing_ns.div_ceil(self.token_ns);
        Level {
            remaining: self
                .burst
                .saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX)),
            whole_in: Duration::from_nanos(missing_ns),
        }
    }
}

/// Limits and quotas as `RateLimit-Policy` has them (draft-ietf-httpapi-ratelimit-headers §3): burst and
/// seconds to refill it, allowance and period. Those that only count are not told of.
#[must_use]
pub fn policy(limits: &[NamedLimit], quotas: &[Arc<NamedQuota>]) -> Option<HeaderValue> {
    let limits = limits.iter().filter(|named| named.is_enforced());
    let limits = limits.map(|named| {
        let (burst, window) = (named.limit.burst, named.limit.window_s());
        format!("\"{}\";q={burst};w={window}", quotable(&named.name))
    });
    let quotas = quotas.iter().filter(|named| named.quota.hard);
    let quotas = quotas.map(|named| {
        let allowance = format!("\"{}\";q={}", quotable(&named.name), named.quota.limit);
        match named.quota.per.window_s() {
            Some(window) => format!("{allowance};w={window}"),
            None => allowance,
        }
    });
    let items: Vec<String> = limits.chain(quotas).collect();
    (!items.is_empty())
        .then(|| HeaderValue::from_str(&items.join(", ")).ok())
        .flatten()
}

/// A name as it may stand in a quoted string (RFC 9651 §3.3.3): names of ours have nothing to escape.
fn quotable(name: &str) -> String {
    name.chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
        .collect()
}

/// All limits there are: names to ids, rates to limiters.
#[derive(Debug, Default)]
pub struct LimitBook {
    pages: Mutex<Pages>,
    /// Where shared limits are asked for; `None` where this gate has the store for itself.
    link: Option<Arc<LeaseLink>>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Never shrinks: a name keeps its id, and with it its state in every slot.
    ids: HashMap<Arc<str>, LimitId>,
    limiters: HashMap<(u64, u32), Arc<Limiter>>,
}

impl LimitBook {
    /// A book whose limits are shared with other gates, those that say so.
    #[must_use]
    pub fn shared_over(link: Arc<LeaseLink>) -> Self {
        Self {
            link: Some(link),
            ..Self::default()
        }
    }

    /// The limits of `owner`, which calls them `owner-1`, `owner-2`, ….
    #[must_use]
    pub fn named(&self, owner: &str, limits: &[RateLimit]) -> Vec<NamedLimit> {
        let mut pages = self.pages.lock();
        let number = 1..;
        let named = limits.iter().zip(number).map(|(limit, number)| {
            let name: Arc<str> = format!("{owner}-{number}").into();
            let next = LimitId(u32::try_from(pages.ids.len()).unwrap_or(u32::MAX - 1) + 1);
            let id = *pages.ids.entry(Arc::clone(&name)).or_insert(next);
            let rate = (limit.token_ns(), limit.burst.get());
            let limiter = pages
                .limiters
                .entry(rate)
                .or_insert_with(|| Arc::new(Limiter::new(limit)));
            let sharing = self.link.as_ref();
            let sharing = sharing.and_then(|link| Sharing::of(limit, link));
            NamedLimit {
                name,
                id,
                limit: *limit,
                limiter: Arc::clone(limiter),
                sharing: sharing.map(Arc::new),
            }
        });
        named.collect()
    }
}

/// Where governor finds a state: the slot, and the limit in it.
#[derive(Debug, Clone)]
struct Probe {
    slot: Arc<Slot>,
    limit: LimitId,
}

// governor's keyed interface asks for these; nothing here is looked up by hash.
impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slot, &other.slot) && self.limit == other.limit
    }
}

impl Eq for Probe {}

impl Hash for Probe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.limit.hash(state);
    }
}

/// governor's view of all slots: it brings the one it means along.
#[derive(Debug)]
struct Slots;

impl StateStore for Slots {
    type Key = Probe;

    fn measure_and_replace<T, F, E>(&self, probe: &Probe, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let arrival = probe.slot.arrival(probe.limit);
        let mut seen = arrival.load(Ordering::Relaxed);
        loop {
            let (answer, next) = decide((seen != 0).then(|| Nanos::from(seen)))?;
            let swapped = arrival.compare_exchange_weak(
                seen,
                next.as_u64(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Ok(answer),
                Err(other) => seen = other,
            }
        }
    }
}

/// The request's own reading of the clock.
#[derive(Debug, Clone, Copy)]
struct RequestClock;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

impl Clock for RequestClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(NOW_NS.get())
    }
}

/// Does `work` with the clock at `now_ns`.
fn at<T>(now_ns: u64, work: impl FnOnce() -> T) -> T {
    NOW_NS.set(now_ns);
    work()
}
