//! Taking from all quotas of a key, or from none.

use std::sync::Arc;
use std::time::Duration;

use super::NamedQuota;
use super::account::Lack;
use crate::domain::period::Span;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Timestamp;
use crate::state::limiter::Slot;

/// The hard quota nearest its end.
#[derive(Debug, Clone, Copy)]
pub struct Nearest<'a> {
    /// Which.
    pub quota: &'a NamedQuota,
    /// What is left of it.
    pub remaining: u64,
    /// When it renews; `None`: never.
    pub renews_at: Option<Timestamp>,
}

/// What taking from all quotas of a key came to.
#[derive(Debug)]
pub enum Charge<'a> {
    /// All were charged.
    Paid {
        /// The hard quota nearest its end; `None` if none is hard.
        nearest: Option<Nearest<'a>>,
        /// How many soft quotas are past their limit.
        over: u64,
    },
    /// One is exhausted; nothing was charged.
    Refused {
        /// Which, and what is left of it.
        nearest: Nearest<'a>,
        /// What the client is told.
        refusal: Refusal,
    },
    /// More of some must be granted first; nothing was charged.
    Short,
}

/// Takes `cost` from each of a key's quotas, or from none. With `on_credit`, as when the store is away, what is
/// not held is taken on credit, as far as what was last seen leaves any.
pub fn charge<'a>(
    slot: &Slot,
    quotas: &'a [Arc<NamedQuota>],
    cost: u64,
    now: Timestamp,
    on_credit: bool,
) -> Charge<'a> {
    let mut nearest: Option<Nearest<'a>> = None;
    let mut over = 0;
    for (taken, named) in quotas.iter().enumerate() {
        let span = named.span(now);
        let (day, limit) = (span.first_day, named.quota.limit);
        let account = slot.account(named.id);
        if !named.quota.hard {
            account.owe(day, cost);
            let standing = account.standing(day);
            over += u64::from(standing.spent() > limit);
            continue;
        }
        let outcome = match account.take(day, cost, limit) {
            Err(Lack::Ungranted) if on_credit && account.borrow(day, cost, limit) => Ok(0),
            Err(Lack::Ungranted) if on_credit => Err(Lack::Exhausted),
            outcome => outcome,
        };
        let standing = account.standing(day);
        let here = Nearest {
            quota: named,
            remaining: limit.saturating_sub(standing.spent()),
            renews_at: span.end(),
        };
        match outcome {
            Ok(_) => {
                if nearest.is_none_or(|nearest| here.remaining < nearest.remaining) {
                    nearest = Some(here);
                }
            }
            Err(lack) => {
                for earlier in quotas.iter().take(taken) {
                    give_back(slot, earlier, cost, now);
                }
                return match lack {
                    Lack::Ungranted => Charge::Short,
                    Lack::Exhausted => Charge::Refused {
                        nearest: here,
                        refusal: refusal(span, now),
                    },
                };
            }
        }
    }
    Charge::Paid { nearest, over }
}

/// The quotas of a key of which more should be asked for, ahead of need. Whoever is told of one has to ask:
/// nobody else is, until the account has been answered.
pub fn low<'a>(
    slot: &'a Slot,
    quotas: &'a [Arc<NamedQuota>],
    now: Timestamp,
) -> impl Iterator<Item = &'a Arc<NamedQuota>> {
    quotas.iter().filter(move |named| {
        let (day, limit) = (named.span(now).first_day, named.quota.limit);
        let account = slot.account(named.id);
        let standing = account.standing(day);
        // Of a soft quota nothing is held; once the store has told of it, it is settled every second.
        let is_open = named.quota.hard || standing.granted.is_none();
        is_open && account.wants_more(day, standing.held, limit)
    })
}

/// The quotas of a key of which `cost` is not held here, though it may be left.
pub fn short<'a>(
    slot: &'a Slot,
    quotas: &'a [Arc<NamedQuota>],
    cost: u64,
    now: Timestamp,
) -> impl Iterator<Item = (&'a Arc<NamedQuota>, Span)> {
    quotas.iter().filter_map(move |named| {
        let span = named.span(now);
        let standing = slot.account(named.id).standing(span.first_day);
        (named.quota.hard && standing.held < cost).then_some((named, span))
    })
}

fn give_back(slot: &Slot, named: &NamedQuota, cost: u64, now: Timestamp) {
    let day = named.span(now).first_day;
    let account = slot.account(named.id);
    if named.quota.hard {
        account.put_back(day, cost);
    } else {
        account.forgive(day, cost);
    }
}

fn refusal(span: Span, now: Timestamp) -> Refusal {
    let refusal = Refusal::new(RefusalCode::QuotaExhausted);
    match span.end() {
        Some(end) => refusal.after(end.since(now)),
        None => refusal.after(ASK_AGAIN).because("the credits are used up"),
    }
}

/// When to come again for credits, which do not renew: someone may have added some.
const ASK_AGAIN: Duration = Duration::from_secs(3_600);
