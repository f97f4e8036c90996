//! How much a gate asks a shared limit for, and how soon it asks again.
//!
//! In plenty, enough that it seldom has to ask; where it is scarce, what it needs until it asks again, so
//! that no gate sits on tokens that another could spend.

use super::terms::{LeaseTerms, Level};

/// What a gate knows of a limit when it is about to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// What is asked of it in one horizon, in sixteenths of a token.
    pub demand: u64,
    /// What was last seen in the bucket.
    pub level: Level,
    /// Among how many gates.
    pub nodes: u64,
    /// What it was given last.
    pub last: u64,
    /// For how long that lasted.
    pub lasted_ns: u64,
    /// Whether it was given less than it needed.
    pub is_scarce: bool,
}

/// What is asked in one horizon, in sixteenths of a token, where `asked` tokens were asked for in `span_ns`.
#[must_use]
pub fn demand(terms: &LeaseTerms, asked: u64, span_ns: u64) -> u64 {
    let sixteenths = u128::from(asked) * 16 * u128::from(terms.horizon_ns());
    let demand = sixteenths / u128::from(span_ns.max(1));
    u64::try_from(demand).unwrap_or(u64::MAX).min(DEMAND_MAX)
}

impl Sight {
    /// Less than one token in a horizon: nothing to look ahead for.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.demand < 16
    }

    /// How many tokens to have after this call.
    #[must_use]
    pub fn size(&self, terms: &LeaseTerms) -> u64 {
        let base = self.demand.div_ceil(16).max(1);
        if self.is_scarce || self.is_slow() {
            return base;
        }
        let per_second = self.demand / 16 * SECOND_NS / terms.horizon_ns();
        let ahead = if self.lasted_ns < terms.horizon_ns() {
            self.last.saturating_mul(2)
        } else {
            per_second
        };
        let there = u64::try_from(self.level.tokens).unwrap_or(0);
        base.max(ahead.min(there / (4 * self.nodes.max(1))))
    }

    /// Whether to ask before it is needed. What is rarely asked for and runs short is left to whoever comes
    /// first.
    #[must_use]
    pub fn may_fetch_ahead(&self, terms: &LeaseTerms) -> bool {
        let enough = i64::try_from((terms.burst / 4).max(4)).unwrap_or(i64::MAX);
        !self.is_slow() || self.level.tokens >= enough
    }

    /// Whether a bucket with this level lacks what a gate has and does not use.
    #[must_use]
    pub fn is_missed(&self, terms: &LeaseTerms) -> bool {
        let enough = i64::try_from(terms.burst / 4 * 3).unwrap_or(i64::MAX);
        self.level.tokens < enough
    }
}

/// After how long to ask again where it is scarce, for the first time.
#[must_use]
pub fn pause_ns(terms: &LeaseTerms) -> u64 {
    terms.horizon_ns() / 16
}

/// And at most: half a horizon, or as long as 256 tokens of this gate's share take.
#[must_use]
pub fn pause_most_ns(terms: &LeaseTerms, nodes: u64) -> u64 {
    let tokens_ns = terms.token_ns.saturating_mul(256 * nodes.max(1));
    (terms.horizon_ns() / 2).min(tokens_ns.max(pause_ns(terms)))
}

const SECOND_NS: u64 = 1_000_000_000;
/// A thousand million tokens.
const DEMAND_MAX: u64 = 16_000_000_000;
