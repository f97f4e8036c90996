//! Quotas: a hash a key, quota and period, in the slot of the key; a script call a draw.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::domain::draw::{QuotaDraw, QuotaGrant, QuotaPlace};
use crate::domain::time::Timestamp;

use super::connect::{Fault, Link, Route};
use super::names::Names;
use super::scripts::{Call, Script};

/// Settles draws, at most one on each quota.
///
/// # Errors
/// If one of them could not be settled. Drawing again in the same run is safe.
pub(super) async fn draw(
    route: Route<'_>,
    script: &Script,
    names: &Names,
    node: &str,
    draws: &[QuotaDraw],
    now: Timestamp,
) -> Result<Vec<QuotaGrant>, Fault> {
    let calls: Vec<Call> = draws
        .iter()
        .map(|draw| call(names, node, draw, now))
        .collect();
    stream::iter(calls)
        .map(|call| async move {
            let (units, granted, reached_before) = script.run(route, &call).await?;
            Ok(QuotaGrant {
                units,
                granted,
                reached_before,
            })
        })
        .buffered(CALLS_AT_ONCE)
        .try_collect()
        .await
}

/// What was given out of each of these, in its period.
///
/// # Errors
/// If it cannot be read.
pub(super) async fn granted(
    link: &Link,
    names: &Names,
    places: &[QuotaPlace],
) -> Result<Vec<u64>, Fault> {
    let mut granted = Vec::with_capacity(places.len());
    for places in places.chunks(READS_AT_ONCE) {
        let mut reads = redis::pipe();
        for place in places {
            let hash = names.quota(place.key, &place.quota, place.span.first_day);
            reads.hget(hash, "g");
        }
        let counts: Vec<Option<u64>> = link.ask_all(&reads).await?;
        granted.extend(counts.into_iter().map(Option::unwrap_or_default));
    }
    Ok(granted)
}

fn call(names: &Names, node: &str, draw: &QuotaDraw, now: Timestamp) -> Call {
    let lives_s = draw.span.end().map_or(0, |end| {
        end.since(now).as_secs().saturating_add(KEPT_S).max(1)
    });
    let mut call = Call::default();
    call.key(names.quota(draw.key, &draw.quota, draw.span.first_day));
    call.bytes(node.as_bytes())
        .number(draw.run)
        .number(draw.received)
        .number(draw.limit)
        .number(draw.need)
        .number(draw.want)
        .number(draw.charge)
        .number(draw.back)
        .number(u64::from(draw.reached))
        .number(lives_s);
    call
}

/// For how long after its end a period's hash is kept: 35 days.
pub(super) const KEPT_S: u64 = 35 * 86_400;
const CALLS_AT_ONCE: usize = 64;
/// As many as a page has keys: more would keep others waiting for their answers.
const READS_AT_ONCE: usize = 1_000;
