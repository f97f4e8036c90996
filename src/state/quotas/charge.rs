//! Taking from all quotas of a key, or from none.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::NamedQuota;
use super::account::{Account, Lack};
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

/// Takes `cost` from each of a key's quotas, or from none. With `shares`, as when the store is away, what is
/// not held is taken on credit, as far as one share goes of what was left when that was last seen.
pub fn charge<'a>(
    slot: &Slot,
    quotas: &'a [Arc<NamedQuota>],
    cost: u64,
    now: Timestamp,
    shares: Option<NonZeroU32>,
) -> Charge<'a> {
    let mut nearest: Option<Nearest<'a>> = None;
    let mut over = 0;
    for (taken, named) in quotas.iter().enumerate() {
        let (account, span) = here(slot, named, now);
        let (day, limit) = (span.first_day, named.quota.limit);
        if !named.quota.hard {
            account.owe(day, cost);
            let standing = account.standing(day);
            over += u64::from(standing.spent() > limit);
            continue;
        }
        let outcome = match (account.take(day, cost, limit), shares) {
            (Err(Lack::Ungranted), Some(shares)) => {
                let share = account.left(day, limit) / u64::from(shares.get());
                let is_lent = account.borrow(day, cost, share);
                is_lent.then_some(0).ok_or(Lack::Exhausted)
            }
            (outcome, _) => outcome,
        };
        let standing = account.standing(day);
        let nearer = Nearest {
            quota: named,
            remaining: limit.saturating_sub(standing.spent()),
            renews_at: span.end(),
        };
        match outcome {
            Ok(_) => {
                if nearest.is_none_or(|nearest| nearer.remaining < nearest.remaining) {
                    nearest = Some(nearer);
                }
            }
            Err(lack) => {
                for earlier in quotas.iter().take(taken) {
                    give_back(slot, earlier, cost, now);
                }
                return match lack {
                    Lack::Ungranted => Charge::Short,
                    Lack::Exhausted => Charge::Refused {
                        nearest: nearer,
                        refusal: refusal(span, now),
                    },
                };
            }
        }
    }
    Charge::Paid { nearest, over }
}

/// The quotas of a key of which more should be asked for, ahead of need, and in which period. Whoever is told of
/// one has to ask: nobody else is, until the account has been answered.
pub fn low<'a>(
    slot: &'a Slot,
    quotas: &'a [Arc<NamedQuota>],
    now: Timestamp,
) -> impl Iterator<Item = (&'a Arc<NamedQuota>, Span)> {
    quotas.iter().filter_map(move |named| {
        let (account, span) = here(slot, named, now);
        let (day, limit) = (span.first_day, named.quota.limit);
        let standing = account.standing(day);
        // Of a soft quota nothing is held; once the store has told of it, it is settled every second.
        let is_open = named.quota.hard || standing.granted.is_none();
        (is_open && account.wants_more(day, standing.held, limit)).then_some((named, span))
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
        let (account, span) = here(slot, named, now);
        let standing = account.standing(span.first_day);
        (named.quota.hard && standing.held < cost).then_some((named, span))
    })
}

/// The account of a quota and the period it is charged in: the one that `now` lies in, or the later one that the
/// account is in already. So a request that came before a period's end and asks after it is of the next: of the
/// one that has ended nothing is to be had.
fn here<'a>(slot: &'a Slot, named: &NamedQuota, now: Timestamp) -> (&'a Account, Span) {
    let account = slot.account(named.id);
    let (span, latest) = (named.span(now), account.latest_day());
    if latest > span.first_day {
        return (account, named.span_from(latest));
    }
    (account, span)
}

fn give_back(slot: &Slot, named: &NamedQuota, cost: u64, now: Timestamp) {
    let (account, span) = here(slot, named, now);
    let day = span.first_day;
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
