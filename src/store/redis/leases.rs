//! Limits that gates share: a hash each, in the slot of whoever the limit is of; a script call a lease.

use futures_util::stream::{self, StreamExt as _};

use crate::domain::lease::{LeaseCall, LeaseReply, Level};
use crate::store::StoreError;

use super::connect::Route;
use super::names::Names;
use super::scripts::{Call, Script};

/// Settles calls, at most one on each limit, each on its own.
pub(super) async fn settle(
    route: Route<'_>,
    script: &Script,
    names: &Names,
    node: &str,
    calls: &[LeaseCall],
) -> Vec<Result<Option<LeaseReply>, StoreError>> {
    if calls.is_empty() {
        let answered = route.ask::<()>(&redis::cmd("PING")).await;
        return vec![answered.map(|()| None).map_err(StoreError::from)];
    }
    let calls: Vec<Call> = calls.iter().map(|call| wire(names, node, call)).collect();
    stream::iter(calls)
        .map(|call| async move {
            let reply: Option<(u64, i64, u64, u64)> = script.run(route, &call).await?;
            Ok(reply.map(|(granted, tokens, part_ns, at_us)| LeaseReply {
                granted,
                level: Level { tokens, part_ns },
                at_us,
            }))
        })
        .buffered(CALLS_AT_ONCE)
        .collect()
        .await
}

fn wire(names: &Names, node: &str, call: &LeaseCall) -> Call {
    let mut wire = Call::default();
    wire.key(names.lease(&call.holder, &call.limit));
    wire.bytes(node.as_bytes())
        .number(call.run)
        .number(call.seq)
        .number(call.terms.token_ns)
        .number(call.terms.burst)
        .number(call.terms.aside)
        .number(call.terms.horizon_ns() / 1_000)
        .number(call.terms.life_ns() / 1_000)
        .number(call.held)
        .number(call.received)
        .number(call.handed)
        .number(call.least)
        .number(call.need)
        .number(call.want)
        .number(call.demand)
        .bytes(call.estimate.tokens.to_string())
        .number(call.estimate.part_ns);
    match call.elapsed_us {
        Some(elapsed_us) => wire.number(elapsed_us),
        None => wire.bytes("-1"),
    };
    wire.number(call.was_away.into());
    wire
}

/// They go out one after the other on one connection without waiting for each other.
const CALLS_AT_ONCE: usize = 256;
