//! What a gate spends while the store does not answer: its share of the limit, for itself.
//!
//! A bucket that would be whole at a certain time is, divided among N gates, N buckets that are whole at that
//! same time: a share has a fraction of the tokens, and each takes as many times longer to come back. So
//! the one number [*whole at*](spend) is both where a share stands and, times N, what is thought to be in
//! the bucket of all.

use super::terms::LeaseTerms;

/// Takes `cost` of a share of one in `nodes`; when the share is whole again, afterwards.
///
/// A share holds no less than the cost: a burst smaller than the number of gates would otherwise admit
/// nobody.
///
/// # Errors
/// In how many nanoseconds it could be taken.
pub fn spend(
    whole_at_ns: u64,
    terms: &LeaseTerms,
    nodes: u64,
    cost: u64,
    now_ns: u64,
) -> Result<u64, u64> {
    let price_ns = price_ns(terms, nodes, cost);
    let room_ns = terms.whole_ns().max(price_ns);
    let then_ns = whole_at_ns.max(now_ns).saturating_add(price_ns);
    match (then_ns - now_ns).checked_sub(room_ns) {
        None | Some(0) => Ok(then_ns),
        Some(wait_ns) => Err(wait_ns),
    }
}

/// How many tokens a share of one in `nodes` has.
#[must_use]
pub fn left(whole_at_ns: u64, terms: &LeaseTerms, nodes: u64, now_ns: u64) -> u64 {
    let room_ns = terms.whole_ns().max(price_ns(terms, nodes, 1));
    let missing_ns = whole_at_ns.saturating_sub(now_ns);
    room_ns.saturating_sub(missing_ns) / price_ns(terms, nodes, 1)
}

/// How long `cost` tokens of a share take to come back.
#[must_use]
pub fn price_ns(terms: &LeaseTerms, nodes: u64, cost: u64) -> u64 {
    let nodes = nodes.max(1);
    terms.token_ns.saturating_mul(nodes).saturating_mul(cost)
}
