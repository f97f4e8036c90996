//! Wrong credentials, by the address they come from: many of them are answered 429.
//!
//! Only a *wrong* credential comes here. A right one is never refused because of its neighbours, and a
//! missing one is no attempt.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use crate::domain::limit::{Rate, RateLimit, Unit};
use crate::state::limiter::{LimitBook, NamedLimit, Slot};

/// Who failed how often.
#[derive(Debug)]
pub(crate) struct Failures {
    by_address: DashMap<IpAddr, Arc<Slot>, foldhash::fast::RandomState>,
    limit: Option<NamedLimit>,
}

impl Failures {
    /// Allows this many wrong credentials a minute from one address; 0 allows any number.
    pub(crate) fn new(per_minute: u32, limits: &LimitBook) -> Self {
        let limit = NonZeroU32::new(per_minute)
            .map(|count| {
                RateLimit::local(Rate {
                    count,
                    unit: Unit::Minute,
                })
            })
            .and_then(|limit| limits.named("failures", &[limit]).pop());
        Self {
            by_address: DashMap::default(),
            limit,
        }
    }

    /// Counts a wrong credential.
    ///
    /// # Errors
    /// How long the address should wait, if it has had too many.
    pub(crate) fn count(&self, address: IpAddr, now_ns: u64) -> Result<(), Duration> {
        let Some(limit) = &self.limit else {
            return Ok(());
        };
        if self.by_address.len() >= ADDRESSES_MAX {
            self.forget_the_quiet(limit, now_ns);
        }
        let slot = Arc::clone(&self.by_address.entry(neighbourhood(address)).or_default());
        let taken = limit.limiter.take(&slot, limit.id, 1, now_ns);
        taken.map(|_| ()).map_err(|spent| spent.retry_after)
    }

    /// Drops whoever has behaved long enough to be as good as new; all, if that frees too little.
    fn forget_the_quiet(&self, limit: &NamedLimit, now_ns: u64) {
        let is_loud = |slot: &Arc<Slot>| {
            !limit
                .limiter
                .level(slot, limit.id, now_ns)
                .whole_in
                .is_zero()
        };
        self.by_address.retain(|_, slot| is_loud(slot));
        if self.by_address.len() >= ADDRESSES_MAX / 4 * 3 {
            self.by_address.clear();
        }
    }
}

/// Who counts as one: an IPv4 address, or the /64 that a v6 host has to itself.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

/// How many addresses are remembered: a client can choose them, so there is an end to it.
const ADDRESSES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;

    #[test]
    fn an_address_may_fail_so_often_and_no_more() {
        let failures = Failures::new(2, &LimitBook::default());
        let one: IpAddr = [10, 0, 0, 1].into();
        assert!(failures.count(one, NOW).is_ok() && failures.count(one, NOW).is_ok());
        assert_eq!(failures.count(one, NOW), Err(Duration::from_secs(30)));
        assert!(failures.count([10, 0, 0, 2].into(), NOW).is_ok());
    }

    #[test]
    fn a_v6_network_counts_as_one() {
        let failures = Failures::new(1, &LimitBook::default());
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(failures.count(parse("2001:db8::1"), NOW).is_ok());
        assert!(failures.count(parse("2001:db8::ffff:1"), NOW).is_err());
        assert!(failures.count(parse("2001:db8:0:1::1"), NOW).is_ok());
    }

    #[test]
    fn however_many_addresses_come_the_table_stays_bounded() {
        let failures = Failures::new(1, &LimitBook::default());
        for n in 0..200_000_u32 {
            let _ = failures.count(IpAddr::V4(n.into()), NOW);
        }
        assert!(failures.by_address.len() <= ADDRESSES_MAX);
    }
}
