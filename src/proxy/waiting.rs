//! Shared limits on a request's way where nothing is in hand: asked for, waited for, or decided by the
//! gate's share.
//!
//! The store is not seen from here: what is needed is left at the desk, and the control plane wakes whoever
//! waits. Nobody waits longer than the configuration says, and nobody at all once two waits within a second
//! were in vain, until the store answers swiftly again.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::lease::LimitHolder;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::proxy::admit::{self, Spending};
use crate::proxy::record::Record;
use crate::state::leases::{LeaseAnswer, LeaseAsk};
use crate::state::limiter::{NamedLimit, Sharing, Slot};
use crate::state::routes::RouteState;

/// [`spend`] on the heap: it is seldom, and every request's future would have room for it.
pub(crate) fn boxed<'a>(
    route: &'a RouteState,
    record: &'a mut Record,
    short: usize,
) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + 'a>> {
    Box::pin(spend(route, record, short))
}

/// Takes what a request costs of the limit at `short`, waiting for it if need be, and of those after it. It was
/// taken from those before.
///
/// # Errors
/// `rate_limited`; `limits_unavailable` where a strict limit cannot be asked for. Then nothing was taken.
async fn spend(route: &RouteState, record: &mut Record, short: usize) -> Result<(), Refusal> {
    let key = record.key.as_ref().map(|(entry, _)| Arc::clone(entry));
    let slot = key.as_ref().map_or(&route.slot, |entry| entry.slot());
    let own = key.as_ref().map_or(&[][..], |entry| &entry.grants.limits);
    let (limits, cost) = (own.iter().chain(&route.limits), route.route.cost);
    let mut spending = Spending::default();
    let now_ns = record.opened_at().mono_ns;
    for named in limits.clone().take(short).filter(|it| it.is_enforced()) {
        spending.tighten(named, named.level(slot, now_ns));
    }
    let mut next = Some(short);
    while let Some(at) = next {
        let Some((named, sharing)) = limits
            .clone()
            .nth(at)
            .and_then(|named| Some((named, named.sharing.as_ref()?)))
        else {
            return Err(RefusalCode::Internal.into());
        };
        let outcome = wait(named, sharing, slot, route, record).await;
        let now_ns = record.worker().plane.clock.mono_ns();
        let level = named.level_after_waiting(slot, now_ns);
        match outcome {
            Ok(()) => spending.tighten(named, level),
            Err(no) => {
                admit::give_back(slot, limits.clone().take(at), cost, now_ns);
                let No::Spent(retry_after) = no else {
                    return Err(RefusalCode::LimitsUnavailable.into());
                };
                spending.refuse(named, retry_after, level);
                break;
            }
        }
        let rest = admit::spend(slot, limits.clone().skip(at + 1), cost, now_ns);
        ask_ahead(&rest.low, route, record);
        spending.shadowed += rest.shadowed;
        next = rest.short.map(|more| at + 1 + more);
        if rest.refusal.is_some() {
            admit::give_back(slot, limits.clone().take(at + 1), cost, now_ns);
            spending.refusal = rest.refusal;
            spending.tightest = rest.tightest;
        } else if let Some(tightest) = rest.tightest {
            spending.tighten(tightest.limit, tightest.level);
        }
    }
    record.spent(&spending);
    spending.refusal.map_or(Ok(()), Err)
}

/// Asks for more of these limits, ahead of need.
pub(crate) fn ask_ahead(low: &[&NamedLimit], route: &RouteState, record: &Record) {
    for named in low {
        let (slot, ask) = ask(named, route, record, None);
        if record.worker().plane.desk.leases.leave(ask).is_err() {
            slot.tokens(named.id).answered();
        }
    }
}

/// Why a limit refuses.
enum No {
    /// There is nothing, for so long.
    Spent(Duration),
    /// It is strict and cannot be asked for.
    Unavailable,
}

/// Has the store take what a request costs, or the gate's share where the store does not answer.
async fn wait(
    named: &NamedLimit,
    sharing: &Sharing,
    slot: &Arc<Slot>,
    route: &RouteState,
    record: &Record,
) -> Result<(), No> {
    let (plane, cost) = (&record.worker().plane, route.route.cost);
    let link = &sharing.link;
    let spent = |wait_ns| Err(No::Spent(Duration::from_nanos(wait_ns)));
    if link.is_away() {
        // Nobody waits, but someone must find out when the store is back.
        if slot.tokens(named.id).claim_ask() {
            ask_ahead(&[named], route, record);
        }
    } else {
        let (answer, mut answered) = oneshot::channel();
        let (_, ask) = ask(named, route, record, Some(answer));
        if plane.desk.leases.leave(ask).is_ok() {
            link.count_wait();
            let answer = match timeout(link.wait, &mut answered).await {
                Ok(answer) => answer.ok(),
                Err(_) => {
                    // It may have come while this was not looking.
                    let late = answered.try_recv().ok();
                    if late.is_none() && link.missed(plane.clock.mono_ns()) {
                        tracing::warn!(
                            "the store does not answer for shared limits in time, nobody waits for it"
                        );
                    }
                    late
                }
            };
            match answer {
                Some(LeaseAnswer::Taken) => return Ok(()),
                Some(LeaseAnswer::Denied(wait_ns)) => return spent(wait_ns),
                None => {}
            }
        }
    }
    if sharing.is_strict {
        return Err(No::Unavailable);
    }
    let now_ns = plane.clock.mono_ns();
    if !link.may_share(now_ns) {
        return spent(SILENT_NS);
    }
    link.count_share();
    let (tokens, nodes) = (slot.tokens(named.id), link.shares());
    let taken = tokens.take_share(&sharing.terms, nodes, cost, now_ns);
    taken.or_else(spent)
}

fn ask(
    named: &NamedLimit,
    route: &RouteState,
    record: &Record,
    answer: Option<oneshot::Sender<LeaseAnswer>>,
) -> (Arc<Slot>, LeaseAsk) {
    let (holder, slot) = match &record.key {
        Some((entry, _)) => (LimitHolder::Key(entry.id), entry.slot()),
        None => (LimitHolder::Route(Arc::clone(&route.name)), &route.slot),
    };
    let ask = LeaseAsk {
        holder,
        slot: Arc::clone(slot),
        limit: named.clone(),
        cost: route.route.cost,
        answer,
    };
    (Arc::clone(slot), ask)
}

/// When to come again while the store is silent and it is too early to go by the share.
const SILENT_NS: u64 = 1_000_000_000;
