//! The bucket of a shared limit, as the store keeps it, and the one rule by which it is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{LeaseCall, LeaseReply};
use super::terms::{LEASE_MARGIN_US, LeaseTerms, Level};

/// A shared limit at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// What is in it.
    pub level: Level,
    /// When that was, by the store's clock, in µs.
    pub at_us: u64,
    /// What each gate has of it, by the gate's name.
    pub rows: BTreeMap<Arc<str>, Row>,
}

/// What one gate has of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which of its leases that is.
    pub run: u64,
    /// The number of its last call.
    pub seq: u64,
    /// What it had after that call.
    pub held: u64,
    /// What was asked of it in one horizon then, in sixteenths of a token.
    pub demand: u64,
    /// What it was given to keep in this run, less what it gave back.
    pub received: u64,
    /// What it was given in this run for those who waited.
    pub handed: u64,
    /// Until when it may have them.
    pub until_us: u64,
    /// When it last called.
    pub at_us: u64,
}

impl Bucket {
    /// Settles the call of a gate at `now_us`; `bucket` is `None` where nothing is known of this limit.
    /// `None` is answered, and nothing changed, if a later call of the gate came first.
    ///
    /// **Invariant:** what is in the bucket, what is out on leases that have not ended and what is set aside
    /// are together at most the burst, and only time adds to them.
    pub fn settle(
        bucket: &mut Option<Self>,
        node: &Arc<str>,
        call: &LeaseCall,
        now_us: u64,
    ) -> Option<LeaseReply> {
        let rows = bucket.as_ref().map(|bucket| &bucket.rows);
        let mine = rows
            .and_then(|rows| rows.get(node))
            .filter(|row| row.run == call.run);
        if mine.is_some_and(|row| row.seq >= call.seq) {
            return None;
        }
        let others = || {
            let all = rows.into_iter().flatten();
            all.filter(|(name, _)| *name != node).map(|(_, row)| row)
        };
        let out = others().filter(|row| row.until_us > now_us);
        let out: u64 = out.map(|row| row.held).sum();
        let fresh_us = call.terms.horizon_ns() / 1_000 * 2;
        let rivals = others().filter(|row| row.at_us + fresh_us > now_us);
        let rivals: u64 = rivals.map(|row| row.demand).sum();

        let brim = brim(&call.terms, out + call.held);
        let mut level = bucket
            .as_ref()
            .map_or(brim, |bucket| bucket.refilled(&call.terms, now_us));
        // A reply that was lost gave nothing to keep, and what was given back is here again: unless that lease has
        // ended, and there was room to refill it. What was lost for those who waited has been refilled since, so
        // that stays spent. A write that was lost is made again.
        let mut is_lost = call.received + call.handed > 0;
        if let Some(row) = mine {
            let missing =
                call.received.saturating_sub(row.received) + call.handed.saturating_sub(row.handed);
            let back = row.received.saturating_sub(call.received).min(row.held);
            let back = if row.until_us > now_us { back } else { 0 };
            level.tokens += signed(back) - signed(missing);
            is_lost = missing > 0;
        }
        let ran_ahead = mine
            .zip(call.elapsed_us)
            .is_some_and(|(row, elapsed_us)| now_us > row.at_us + elapsed_us + AHEAD_US);
        if bucket.is_none() || is_lost || ran_ahead || call.was_away {
            level = level.min(call.estimate);
        }
        level = level.min(brim);

        let granted = grant(call, level, rivals);
        level.tokens -= signed(granted);
        // Whoever waits spends at once, so that is not out.
        let kept = granted.saturating_sub(call.need);
        let row = Row {
            run: call.run,
            seq: call.seq,
            held: call.held + kept,
            demand: call.demand,
            received: call.received + kept,
            handed: call.handed + (granted - kept),
            until_us: now_us + call.terms.life_ns() / 1_000 + LEASE_MARGIN_US,
            at_us: now_us,
        };
        let bucket = bucket.get_or_insert_with(|| Self {
            level,
            at_us: now_us,
            rows: BTreeMap::new(),
        });
        (bucket.level, bucket.at_us) = (level, now_us);
        bucket
            .rows
            .retain(|_, row| row.until_us + KEPT_US >= now_us);
        bucket.rows.insert(Arc::clone(node), row);
        Some(LeaseReply {
            granted,
            level,
            at_us: now_us,
        })
    }
}

impl Bucket {
    /// What is in it at `now_us`. It refills only as far as what is out on lease leaves room; a lease that
    /// ends, or is told to have been spent, makes room from then on and not before.
    fn refilled(&self, terms: &LeaseTerms, now_us: u64) -> Level {
        let mut leases: Vec<(u64, u64)> = self
            .rows
            .values()
            .filter(|row| row.held > 0 && row.until_us > self.at_us)
            .map(|row| (row.until_us, row.held))
            .collect();
        leases.sort_unstable();
        let mut out: u64 = leases.iter().map(|(_, held)| held).sum();
        let (mut level, mut at_us) = (self.level, self.at_us);
        for (until_us, held) in leases.into_iter().filter(|(until, _)| *until <= now_us) {
            let passed_ns = (until_us - at_us).saturating_mul(1_000);
            level = level
                .refilled(passed_ns, terms.token_ns)
                .min(brim(terms, out));
            (at_us, out) = (until_us, out - held);
        }
        // A clock that was set back refills nothing.
        let passed_ns = now_us.saturating_sub(at_us).saturating_mul(1_000);
        level
            .refilled(passed_ns, terms.token_ns)
            .min(brim(terms, out))
    }
}

/// The most that a bucket holds while `out` tokens are out on lease.
fn brim(terms: &LeaseTerms, out: u64) -> Level {
    Level::whole(signed(terms.burst) - signed(terms.aside) - signed(out))
}

/// How much of `level` a gate gets while others' demands come to `rivals`: what it asks for, as far as that
/// leaves the others what they need in one horizon, or, where there is not enough for all, in
/// proportion. Whoever waits gets what it cannot do without, if it is there.
fn grant(call: &LeaseCall, level: Level, rivals: u64) -> u64 {
    let there = u64::try_from(level.tokens).unwrap_or(0);
    let rivals = rivals.min(RIVALS_MAX);
    let parts = if rivals == 0 {
        0
    } else {
        rivals * SHARE_PARTS / (call.demand.min(RIVALS_MAX) + rivals)
    };
    let reserved = rivals.div_ceil(16).min(there * parts / SHARE_PARTS);
    let granted = call.want.min(there - reserved);
    if call.least > there {
        0
    } else {
        granted.max(call.least)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// By how much the store's clock may run ahead of a gate's before it is not believed.
const AHEAD_US: u64 = 250_000;
/// For how long a row is kept whose lease has ended.
const KEPT_US: u64 = 10_000_000;
/// Proportions are in such parts, so that a product with any level stays exact in a script.
const SHARE_PARTS: u64 = 1 << 16;
/// More than a limit can be asked for in one horizon, by eight gates at once.
const RIVALS_MAX: u64 = 1 << 37;
