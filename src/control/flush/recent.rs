//! The last hours, minute by minute, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::control::usage::{Counted, Minutes};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Tally, UsageBucket};
use crate::state::usage::UsageKey;

use super::route;

/// Counts of one minute, by key, version and route.
type ByPlace = HashMap<(KeyId, u16, Arc<str>), Tally>;

/// What was used in the last three hours, by minute.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_minute: Mutex<BTreeMap<u32, ByPlace>>,
}

impl Recent {
    pub(super) fn add(&self, counts: &[(UsageKey, Tally)], routes: &[Arc<str>], now: Timestamp) {
        let mut by_minute = self.by_minute.lock();
        for (key, tally) in counts {
            let place = (key.key, key.version, route(routes, key.route));
            by_minute
                .entry(key.minute)
                .or_default()
                .entry(place)
                .or_default()
                .add(tally);
        }
        let oldest = u32::try_from(now.as_millis() / 60_000)
            .unwrap_or(0)
            .saturating_sub(KEPT);
        while by_minute
            .first_key_value()
            .is_some_and(|(minute, _)| *minute < oldest)
        {
            by_minute.pop_first();
        }
    }
}

impl Minutes for Recent {
    fn usage(&self, key: KeyId, from: Timestamp, to: Timestamp) -> Vec<UsageBucket> {
        let minute = |time: Timestamp| u32::try_from(time.as_millis() / 60_000).unwrap_or(u32::MAX);
        let by_minute = self.by_minute.lock();
        let wanted = by_minute
            .iter()
            .filter(|(at, _)| **at >= minute(from) && u64::from(**at) * 60_000 < to.as_millis());
        wanted
            .flat_map(|(at, places)| {
                let start = Timestamp::from_millis(u64::from(*at) * 60_000);
                places.iter().filter(|((of, ..), _)| *of == key).map(
                    move |((_, version, route), tally)| UsageBucket {
                        start,
                        version: *version,
                        route: Arc::clone(route),
                        tally: tally.clone(),
                    },
                )
            })
            .collect()
    }

    fn each(&self, from: Timestamp, to: Timestamp, take: &mut dyn FnMut(Counted<'_>)) {
        let mut next = u32::try_from(from.as_millis() / 60_000).unwrap_or(u32::MAX);
        loop {
            // A minute a turn: whoever counts waits for one, not for all of them.
            let by_minute = self.by_minute.lock();
            let Some((minute, places)) = by_minute.range(next..).next() else {
                return;
            };
            let start = Timestamp::from_millis(u64::from(*minute) * 60_000);
            if start >= to {
                return;
            }
            for ((key, _, route), tally) in places {
                take(Counted {
                    key: *key,
                    start,
                    route,
                    tally,
                });
            }
            next = minute.saturating_add(1);
        }
    }
}

/// How many minutes are kept: three hours.
const KEPT: u32 = 180;
