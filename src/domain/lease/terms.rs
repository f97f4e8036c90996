//! What a shared limit is, in tokens and nanoseconds, and how long things around it take.

use crate::domain::limit::RateLimit;

/// A bucket's size and rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// In how many nanoseconds one token comes back.
    pub token_ns: u64,
    /// The most the bucket holds.
    pub burst: u64,
    /// How many of them are set aside, one for each of so many gates.
    pub aside: u64,
}

/// How much is in a bucket: whole tokens, and the time that the next one has been growing for.
///
/// Below zero where more was spent than there was, as when a store forgot a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level {
    /// Whole tokens.
    pub tokens: i64,
    /// Less than one token's time.
    pub part_ns: u64,
}

impl LeaseTerms {
    /// A limit's terms where nothing is set aside.
    #[must_use]
    pub fn of(limit: &RateLimit) -> Self {
        Self {
            token_ns: limit.token_ns(),
            burst: limit.burst.get().into(),
            aside: 0,
        }
    }

    /// The same with a twentieth of the burst set aside, so that the first request of an idle key need not
    /// wait: one token each for as many gates.
    #[must_use]
    pub fn with_tokens_set_aside(self) -> Self {
        Self {
            aside: self.burst / 20,
            ..self
        }
    }

    /// What is left of it when `lost` of `nodes` gates are out of sight and spend their shares: the rate
    /// and the burst without those.
    #[must_use]
    pub fn without(self, lost: u64, nodes: u64) -> Self {
        let lost = lost.min(nodes.saturating_sub(1));
        if lost == 0 {
            return self;
        }
        let left = nodes - lost;
        let burst = self.burst.saturating_mul(left) / nodes;
        Self {
            token_ns: (self.token_ns.saturating_mul(nodes) / left).min(TOKEN_NS_MAX),
            burst: burst.max(1),
            aside: self.aside.min(burst.max(1) - 1),
        }
    }

    /// How many nanoseconds an empty bucket takes to fill.
    #[must_use]
    pub fn whole_ns(&self) -> u64 {
        self.token_ns.saturating_mul(self.burst)
    }

    /// How far ahead a gate looks: a fraction of the time that filling takes, so that what is out on lease
    /// is a fraction of the burst.
    #[must_use]
    pub fn horizon_ns(&self) -> u64 {
        let parts = if self.burst < SMALL_BURST { 8 } else { 4 };
        (self.whole_ns() / parts).clamp(HORIZON_MIN_NS, HORIZON_MAX_NS)
    }

    /// How long a lease lasts at the gate, from when it was asked for. The store keeps it longer by
    /// [`LEASE_MARGIN_US`].
    #[must_use]
    pub fn life_ns(&self) -> u64 {
        LIFE_MIN_NS.max(self.horizon_ns() * 4)
    }

    /// How full the bucket is if it is whole `missing_ns` from now and nobody takes of it.
    #[must_use]
    pub fn level(&self, missing_ns: u64) -> Level {
        let missing = i64::try_from(missing_ns.div_ceil(self.token_ns)).unwrap_or(i64::MAX);
        let burst = i64::try_from(self.burst).unwrap_or(i64::MAX);
        Level {
            tokens: burst.saturating_sub(missing),
            part_ns: (self.token_ns - missing_ns % self.token_ns) % self.token_ns,
        }
    }

    /// In how long a bucket with this level holds `tokens`, if nobody takes of it.
    #[must_use]
    pub fn missing_ns(&self, level: Level, tokens: u64) -> u64 {
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        let missing = tokens.saturating_sub(level.tokens);
        let missing = u64::try_from(missing).unwrap_or(0);
        self.token_ns
            .saturating_mul(missing)
            .saturating_sub(level.part_ns)
    }
}

impl Level {
    /// The same, `passed_ns` later, as if there were no brim.
    #[must_use]
    pub fn refilled(self, passed_ns: u64, token_ns: u64) -> Self {
        // The rate may have changed since, and the time of one token is not that of another.
        let part = self.part_ns.min(token_ns - 1) + passed_ns.min(PASSED_NS_MAX);
        Self {
            tokens: self
                .tokens
                .saturating_add(i64::try_from(part / token_ns).unwrap_or(i64::MAX)),
            part_ns: part % token_ns,
        }
    }

    /// So many whole tokens.
    #[must_use]
    pub const fn whole(tokens: i64) -> Self {
        Self { tokens, part_ns: 0 }
    }
}

/// For how long the store keeps a lease that has ended at its gate.
pub const LEASE_MARGIN_US: u64 = 50_000;

/// Below this burst a gate looks half as far ahead.
const SMALL_BURST: u64 = 64;
const HORIZON_MIN_NS: u64 = 10_000_000;
const HORIZON_MAX_NS: u64 = 1_000_000_000;
const LIFE_MIN_NS: u64 = 2_000_000_000;
/// As much time as scripts calculate with exactly: numbers there are doubles.
const PASSED_NS_MAX: u64 = 8_000_000_000_000_000;
/// A token a day, for a hundred gates.
const TOKEN_NS_MAX: u64 = 864_000_000_000_000;
