//! Who is it, may it, can it still: the decision on a request, made in memory and without allocating.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::permission::{Method, address_allowed, path_covers};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::route::Route;
use crate::domain::secret::{Form, Hasher, KeyHash, form};
use crate::state::keys::{CachedVersion, KeyCache, KeyEntry};
use crate::state::limiter::{Level, NamedLimit, Slot, Taking};

/// A key that was shown.
#[derive(Debug)]
pub struct Known {
    /// The key.
    pub entry: Arc<KeyEntry>,
    /// The version whose secret it was.
    pub version: CachedVersion,
    /// What that secret is known by.
    pub hash: KeyHash,
}

/// Finds the key that a credential is a secret of.
///
/// A credential of our form with a wrong checksum costs no hash and no look-up; what it gets is the same
/// as for any other unknown one.
///
/// # Errors
/// `unknown_key`. Whether a key that is known may pass is asked of its entry.
pub fn authenticate(
    keys: &KeyCache,
    hasher: &Hasher,
    prefix: &str,
    credential: &[u8],
) -> Result<Known, RefusalCode> {
    if form(prefix, credential) == Form::Mistyped {
        return Err(RefusalCode::UnknownKey);
    }
    let find = |hash: KeyHash| {
        let (entry, version) = keys.find(&hash)?;
        Some(Known {
            entry,
            version,
            hash,
        })
    };
    find(hasher.hash(credential))
        .or_else(|| find(hasher.other_hash(credential)?))
        .ok_or(RefusalCode::UnknownKey)
}

/// What of a request its permissions are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: Method,
    /// The canonical path.
    pub path: &'a str,
    /// Who asks.
    pub address: IpAddr,
}

/// Whether a key may do what a request asks on its route.
///
/// # Errors
/// The first permission it lacks.
pub fn authorise(entry: &KeyEntry, route: &Route, asked: &Asked<'_>) -> Result<(), RefusalCode> {
    let grants = &entry.grants;
    if !grants.hold(&route.scopes) {
        return Err(RefusalCode::ScopeMissing);
    }
    if !grants.methods.allows(asked.method) {
        return Err(RefusalCode::MethodNotAllowedForKey);
    }
    if !grants.reach.covers(&route.name) {
        return Err(RefusalCode::PathNotAllowed);
    }
    if !grants.paths.is_empty()
        && !grants
            .paths
            .iter()
            .any(|path| path_covers(path, asked.path))
    {
        return Err(RefusalCode::PathNotAllowed);
    }
    if !address_allowed(&grants.ips, asked.address) {
        return Err(RefusalCode::IpNotAllowed);
    }
    let env = grants.env.as_bytes();
    if !route.envs.is_empty() && !route.envs.iter().any(|allowed| allowed.as_bytes() == env) {
        return Err(RefusalCode::EnvNotAllowed);
    }
    Ok(())
}

/// The right to one request in flight; given back when dropped.
#[derive(Debug)]
pub struct Permit(Option<Arc<Slot>>);

impl Permit {
    /// Takes a place among a key's requests in flight, where that is limited.
    ///
    /// # Errors
    /// `concurrency_exceeded`.
    pub fn take(slot: &Arc<Slot>, most: Option<u32>) -> Result<Self, Refusal> {
        let Some(most) = most else {
            return Ok(Self(None));
        };
        if slot.enter(most) {
            return Ok(Self(Some(Arc::clone(slot))));
        }
        // When one of the others ends cannot be known; a second is the least that can be said.
        Err(Refusal::new(RefusalCode::ConcurrencyExceeded).after(Duration::from_secs(1)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = &self.0 {
            slot.leave();
        }
    }
}

/// The limit that is nearest its end, and where it stands.
#[derive(Debug, Clone)]
pub struct Tightest<'a> {
    /// Which.
    pub limit: &'a NamedLimit,
    /// What is left of it.
    pub level: Level,
}

/// What taking from all limits came to.
#[derive(Debug, Default)]
pub struct Spending<'a> {
    /// The enforced limit nearest its end; `None` if none is enforced.
    pub tightest: Option<Tightest<'a>>,
    /// How many shadow limits would have refused.
    pub shadowed: u64,
    /// The refusal, if a limit refused: then nothing was spent.
    pub refusal: Option<Refusal>,
    /// The place of the limit that the store must be asked for: those before it were taken from, those
    /// after it not.
    pub short: Option<usize>,
    /// Shared limits of which more should be asked for.
    pub low: SmallVec<[&'a NamedLimit; 2]>,
}

/// Takes what a request costs from each of its limits, narrow before wide, or from none.
pub fn spend<'a>(
    slot: &Arc<Slot>,
    limits: impl Iterator<Item = &'a NamedLimit> + Clone,
    cost: u32,
    now_ns: u64,
) -> Spending<'a> {
    let mut spending = Spending::default();
    for (named, taken) in limits.clone().zip(0..) {
        match named.take(slot, cost, now_ns) {
            Taking::Taken { level, is_low } => {
                if named.is_enforced() {
                    spending.tighten(named, level);
                }
                if is_low {
                    spending.low.push(named);
                }
            }
            Taking::Spent(_) if !named.is_enforced() => spending.shadowed += 1,
            Taking::Spent(spent) => {
                give_back(slot, limits.take(taken), cost, now_ns);
                spending.refuse(named, spent.retry_after, spent.level);
                return spending;
            }
            // Nobody waits for a limit that refuses nobody.
            Taking::Short if !named.is_enforced() => {
                if slot.tokens(named.id).claim_ask() {
                    spending.low.push(named);
                }
            }
            Taking::Short => {
                spending.short = Some(taken);
                return spending;
            }
        }
    }
    spending
}

/// Gives back what a request took that is refused after all. Shadow limits keep what they took: they
/// count what is asked, not what passes.
pub fn give_back<'a>(
    slot: &Slot,
    limits: impl Iterator<Item = &'a NamedLimit>,
    cost: u32,
    now_ns: u64,
) {
    for limit in limits.filter(|limit| limit.is_enforced()) {
        limit.give_back(slot, cost, now_ns);
    }
}

impl<'a> Spending<'a> {
    /// Takes a limit down that was taken from.
    pub(crate) fn tighten(&mut self, limit: &'a NamedLimit, level: Level) {
        if self
            .tightest
            .as_ref()
            .is_none_or(|now| level.remaining < now.level.remaining)
        {
            self.tightest = Some(Tightest { limit, level });
        }
    }

    /// A limit refuses, for so long.
    pub(crate) fn refuse(&mut self, limit: &'a NamedLimit, retry_after: Duration, level: Level) {
        let level = Level {
            remaining: 0,
            ..level
        };
        self.tightest = Some(Tightest { limit, level });
        self.refusal = Some(Refusal::new(RefusalCode::RateLimited).after(retry_after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::{Enforce, RateLimit};
    use crate::state::limiter::LimitBook;

    const NOW: u64 = 1_000_000_000;

    fn limits(book: &LimitBook, rates: &[(&str, Enforce)]) -> Vec<NamedLimit> {
        let limits: Vec<RateLimit> = rates
            .iter()
            .map(|(rate, enforce)| RateLimit {
                enforce: *enforce,
                ..RateLimit::new(rate.parse().unwrap())
            })
            .collect();
        book.named("key", &limits)
    }

    #[test]
    fn a_request_that_one_limit_refuses_spends_nothing_of_the_others() {
        let (book, slot) = (LimitBook::default(), Arc::default());
        let limits = limits(&book, &[("5/hour", Enforce::On), ("2/hour", Enforce::On)]);
        for left in [1, 0] {
            let spending = spend(&slot, limits.iter(), 1, NOW);
            assert_eq!(
                spending.tightest.map(|tightest| tightest.level.remaining),
                Some(left)
            );
        }
        for _ in 0..10 {
            let spending = spend(&slot, limits.iter(), 1, NOW);
            let refusal = spending.refusal.unwrap();
            assert_eq!(refusal.code, RefusalCode::RateLimited);
            assert_eq!(refusal.retry_after, Some(Duration::from_secs(1_800)));
            assert_eq!(&*spending.tightest.unwrap().limit.name, "key-2");
        }
        let first = &limits[0];
        assert_eq!(first.limiter.level(&slot, first.id, NOW).remaining, 3);
    }

    #[test]
    fn a_shadow_limit_counts_and_refuses_nobody() {
        let (book, slot) = (LimitBook::default(), Arc::default());
        let limits = limits(&book, &[("1/hour", Enforce::Shadow)]);
        assert_eq!(spend(&slot, limits.iter(), 1, NOW).shadowed, 0);
        let spending = spend(&slot, limits.iter(), 1, NOW);
        assert!(spending.refusal.is_none() && spending.tightest.is_none());
        assert_eq!(spending.shadowed, 1);
    }

    #[test]
    fn a_permit_is_given_back_when_it_is_dropped() {
        let slot = Arc::default();
        let held = Permit::take(&slot, Some(1)).unwrap();
        assert_eq!(
            Permit::take(&slot, Some(1)).map_err(|it| it.code).err(),
            Some(RefusalCode::ConcurrencyExceeded)
        );
        drop(held);
        assert!(Permit::take(&slot, Some(1)).is_ok());
        assert!(Permit::take(&slot, None).is_ok());
    }
}
