//! Too many wrong tokens from one address: the next wrong ones are told to wait.
//!
//! A token made here cannot be guessed at any rate, and a short one in the configuration is warned of. So
//! what an address (v6: its /64) loses by wrong tokens is the gate's attention, not its right to enter:
//! its tokens are looked at a few at a time, however many come, and a right one still opens the door.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::time::Reading;
use crate::state::failures::neighbourhood;

/// The wrong tokens of late, by address. Bounded: the address that is next to be forgotten anyway goes.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// When each address will have nothing held against it (GCRA), in monotonic nanoseconds.
    clean_at: Mutex<HashMap<IpAddr, u64>>,
    turns: Semaphore,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            clean_at: Mutex::default(),
            turns: Semaphore::new(TURNS),
        }
    }
}

impl Throttle {
    /// One of the few turns that all addresses share which have to wait; held while a token of theirs is
    /// looked at.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// How long an address has to wait before a wrong token is held against it again, not refused at once;
    /// `None` if it need not.
    pub(crate) fn wait(&self, address: IpAddr, now: Reading) -> Option<Duration> {
        let clean_at = *self.clean_at.lock().get(&neighbourhood(address))?;
        let free_at = clean_at.saturating_sub(EACH_NS * (FAILURES_MAX - 1));
        let wait = free_at.checked_sub(now.mono_ns).filter(|wait| *wait > 0)?;
        Some(Duration::from_nanos(wait))
    }

    /// Holds a wrong token against an address.
    pub(crate) fn failed(&self, address: IpAddr, now: Reading) {
        let address = neighbourhood(address);
        let mut clean_at = self.clean_at.lock();
        if clean_at.len() >= ADDRESSES_MAX && !clean_at.contains_key(&address) {
            clean_at.retain(|_, at| *at > now.mono_ns);
            if clean_at.len() >= ADDRESSES_MAX
                && let Some(first) = clean_at.iter().min_by_key(|(_, at)| **at)
            {
                let first = *first.0;
                clean_at.remove(&first);
            }
        }
        let at = clean_at.entry(address).or_default();
        *at = (*at).max(now.mono_ns).saturating_add(EACH_NS);
    }
}

/// How many wrong tokens an address may have held against it at once.
const FAILURES_MAX: u64 = 10;
/// How long each is held against it.
const EACH_NS: u64 = 6_000_000_000;
/// How many tokens are looked at at once of addresses that have to wait.
const TURNS: usize = 2;
/// How many addresses are remembered.
const ADDRESSES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::domain::time::Timestamp;

    fn at(seconds: u64) -> Reading {
        Reading {
            wall: Timestamp::default(),
            mono_ns: seconds * 1_000_000_000,
        }
    }

    #[test]
    fn the_tenth_failure_is_the_last_for_a_while() {
        let throttle = Throttle::default();
        let address = IpAddr::from([203, 0, 113, 7]);
        for _ in 0..9 {
            throttle.failed(address, at(100));
        }
        assert_eq!(throttle.wait(address, at(100)), None);
        throttle.failed(address, at(100));
        assert_eq!(
            throttle.wait(address, at(100)),
            Some(Duration::from_secs(6))
        );
        assert_eq!(throttle.wait(address, at(106)), None);
        assert_eq!(throttle.wait(IpAddr::from([203, 0, 113, 8]), at(100)), None);
    }

    #[test]
    fn a_v6_host_cannot_change_its_address_to_try_again() {
        let throttle = Throttle::default();
        let mut addresses =
            (0..10).map(|host| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host)));
        for address in addresses.by_ref() {
            throttle.failed(address, at(1));
        }
        let next = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9));
        let neighbour = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0));
        assert!(throttle.wait(next, at(1)).is_some());
        assert!(throttle.wait(neighbour, at(1)).is_none());
    }

    #[test]
    fn many_addresses_take_no_more_room_than_there_is() {
        let throttle = Throttle::default();
        for address in 0..5_000_u32 {
            throttle.failed(IpAddr::from(address.to_be_bytes()), at(1));
        }
        assert_eq!(throttle.clean_at.lock().len(), ADDRESSES_MAX);
    }
}
