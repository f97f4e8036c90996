//! Endpoints as they are now: how many requests each has in flight, and whether it is well.
//!
//! `proxy` reports here what it meets and asks here whom to try; the active probes report here too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::upstream::{Balance, Endpoint, Upstream};

/// A named pool of endpoints.
#[derive(Debug)]
pub(crate) struct UpstreamState {
    /// What was configured.
    pub(crate) upstream: Upstream,
    /// Its endpoints, in the order of the file.
    pub(crate) endpoints: Vec<Arc<EndpointState>>,
    next: AtomicU32,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct EndpointState {
    /// Where its connections are kept in each core's pool: unique among all endpoints.
    pub(crate) index: usize,
    /// Where it is.
    pub(crate) endpoint: Endpoint,
    /// Its `host:port`, as logs have it.
    pub(crate) name: Arc<str>,
    in_flight: AtomicU32,
    /// What the active probes last found.
    is_well: AtomicBool,
    /// Until when it is left alone because it could not be reached, on the monotonic clock.
    ejected_until_ns: AtomicU64,
    /// How often in a row it could not be reached.
    misses: AtomicU32,
}

/// A request in flight at an endpoint; no longer, once dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<EndpointState>);

impl InFlight {
    /// Where it is.
    pub(crate) fn endpoint(&self) -> &Arc<EndpointState> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UpstreamState {
    /// The upstream, its endpoints numbered from `first`.
    pub(crate) fn new(upstream: Upstream, first: usize) -> Self {
        let endpoints = upstream
            .endpoints
            .iter()
            .zip(first..)
            .map(|(endpoint, index)| {
                Arc::new(EndpointState {
                    index,
                    name: endpoint.to_string().into(),
                    endpoint: endpoint.clone(),
                    in_flight: AtomicU32::new(0),
                    is_well: AtomicBool::new(true),
                    ejected_until_ns: AtomicU64::new(0),
                    misses: AtomicU32::new(0),
                })
            });
        Self {
            endpoints: endpoints.collect(),
            upstream,
            next: AtomicU32::new(0),
        }
    }

    /// Chooses an endpoint that is well, other than `not`, and counts a request in flight there.
    ///
    /// Endpoints that could not be reached of late are left alone while another is there; when all are
    /// in that state one of them is tried, since a gate that tries nothing never learns better.
    pub(crate) fn pick(&self, draw: u32, now_ns: u64, not: Option<usize>) -> Option<InFlight> {
        let other = |endpoint: &EndpointState| not != Some(endpoint.index);
        let good = |e: &EndpointState| e.is_well() && !e.is_ejected(now_ns) && other(e);
        let well = |e: &EndpointState| e.is_well() && other(e);
        let chosen = self
            .choose(draw, good)
            .or_else(|| self.choose(draw, well))?;
        chosen.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(InFlight(Arc::clone(chosen)))
    }

    fn choose(
        &self,
        draw: u32,
        may: impl Fn(&EndpointState) -> bool,
    ) -> Option<&Arc<EndpointState>> {
        let count = self
            .endpoints
            .iter()
            .filter(|endpoint| may(endpoint))
            .count();
        let nth = |n: usize| {
            self.endpoints
                .iter()
                .filter(|endpoint| may(endpoint))
                .nth(n)
        };
        if count < 2 {
            return nth(0);
        }
        match self.upstream.balance {
            Balance::RoundRobin => nth(self.next.fetch_add(1, Ordering::Relaxed) as usize % count),
            Balance::LeastRequests => {
                let first = draw as usize % count;
                // Drawn from what is left of the number, and never the same one.
                let step = 1 + (draw as usize / count) % (count - 1);
                let (one, two) = (nth(first)?, nth((first + step) % count)?);
                Some(if two.in_flight() < one.in_flight() {
                    two
                } else {
                    one
                })
            }
        }
    }
}

impl EndpointState {
    /// How many requests are there now.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What the active probes last found; well, where there are none.
    pub(crate) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Takes down what a probe concluded; whether that is news.
    pub(crate) fn set_well(&self, is_well: bool) -> bool {
        self.is_well.swap(is_well, Ordering::Relaxed) != is_well
    }

    /// Whether it is left alone for now.
    pub(crate) fn is_ejected(&self, now_ns: u64) -> bool {
        now_ns < self.ejected_until_ns.load(Ordering::Relaxed)
    }

    /// It could not be reached: it is left alone for a second, twice as long each time, up to 16.
    pub(crate) fn missed(&self, now_ns: u64) {
        let misses = self.misses.fetch_add(1, Ordering::Relaxed).min(4);
        let alone = Duration::from_secs(1 << misses).as_nanos();
        let until = now_ns.saturating_add(u64::try_from(alone).unwrap_or(u64::MAX));
        self.ejected_until_ns.store(until, Ordering::Relaxed);
    }

    /// It was reached.
    pub(crate) fn met(&self) {
        if self.misses.load(Ordering::Relaxed) != 0 {
            self.misses.store(0, Ordering::Relaxed);
            self.ejected_until_ns.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(count: u16, balance: Balance) -> UpstreamState {
        let endpoint = |port| Endpoint {
            tls: false,
            host: "127.0.0.1".into(),
            port,
        };
        let upstream = Upstream {
            name: "u".into(),
            endpoints: (1..=count).map(endpoint).collect(),
            balance,
            health: None,
            idle_max: 8,
            idle_timeout: Duration::from_secs(60),
        };
        UpstreamState::new(upstream, 10)
    }

    #[test]
    fn of_two_drawn_the_one_with_fewer_requests_is_taken() {
        let state = upstream(2, Balance::LeastRequests);
        let mut held = Vec::new();
        for draw in [7, 12, 0, 3, 99, 4] {
            held.extend(state.pick(draw, 1, None));
        }
        let loads: Vec<u32> = state.endpoints.iter().map(|e| e.in_flight()).collect();
        assert_eq!(loads, [3, 3]);
        held.clear();
        assert!(state.endpoints.iter().all(|e| e.in_flight() == 0));
    }

    #[test]
    fn round_robin_takes_them_in_turn() {
        let state = upstream(3, Balance::RoundRobin);
        let order: Vec<usize> = (0..6)
            .filter_map(|_| state.pick(0, 1, None))
            .map(|it| it.endpoint().index)
            .collect();
        assert_eq!(order, [10, 11, 12, 10, 11, 12]);
    }

    #[test]
    fn what_cannot_be_reached_is_left_alone_and_tried_again() {
        let state = upstream(2, Balance::RoundRobin);
        state.endpoints[0].missed(0);
        let picked = |now| state.pick(0, now, None).map(|it| it.endpoint().index);
        assert_eq!([picked(1), picked(999_999_999)], [Some(11), Some(11)]);
        let later: Vec<_> = (0..2).map(|_| picked(1_000_000_000)).collect();
        assert!(later.contains(&Some(10)) && later.contains(&Some(11)));
    }

    #[test]
    fn when_all_are_ejected_one_is_tried_but_none_that_the_probes_gave_up() {
        let state = upstream(2, Balance::LeastRequests);
        state.endpoints.iter().for_each(|e| e.missed(0));
        assert!(state.pick(5, 1, None).is_some());
        state
            .endpoints
            .iter()
            .for_each(|e| assert!(e.set_well(false)));
        assert!(state.pick(5, 1, None).is_none());
    }

    #[test]
    fn a_retry_goes_to_another_endpoint() {
        let state = upstream(2, Balance::LeastRequests);
        for draw in 0..10 {
            let picked = state.pick(draw, 1, Some(10)).map(|it| it.endpoint().index);
            assert_eq!(picked, Some(11));
        }
        assert!(
            upstream(1, Balance::LeastRequests)
                .pick(0, 1, Some(10))
                .is_none()
        );
    }
}
