//! Quotas: spent here, granted to here.
//!
//! The store keeps what of a quota has been *granted*; a gate asks for a grant ahead of need and spends from
//! it in memory ([`Account`]), so that a request waits only where its key holds nothing. What a gate holds and
//! loses, killed outright, counts as spent: a quota is never exceeded. What it holds when it stops, it gives
//! back.
//!
//! A quota that is not *hard* refuses nobody: what is spent of it is owed, and charged every second.
//!
//! An account belongs to the key, as its [`Slot`] does, and is found by the quota's name: rotating a key
//! or changing a limit leaves it as it is.

mod account;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::domain::id::KeyId;
use crate::domain::limit::Quota;
use crate::domain::period::Span;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Timestamp;
use crate::state::limiter::Slot;

use account::Lack;
pub use account::{Account, Accounts, Standing};

/// Names a quota of a key or its product. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaId(u32);

/// A quota as a request meets it.
#[derive(Debug)]
pub struct NamedQuota {
    /// What `RateLimit` fields call it, and the store.
    pub name: Arc<str>,
    /// Where its account lies in a slot.
    pub id: QuotaId,
    /// What it is.
    pub quota: Quota,
    /// The period that was asked for last: its first day and its end.
    span: AtomicU64,
}

impl NamedQuota {
    /// The period that `now` lies in.
    #[must_use]
    pub fn span(&self, now: Timestamp) -> Span {
        let packed = self.span.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let known = Span {
            first_day: half(packed >> 32),
            end_day: half(packed),
        };
        if known.contains(now) {
            return known;
        }
        let span = self.quota.span(now);
        let packed = u64::from(span.first_day) << 32 | u64::from(span.end_day);
        self.span.store(packed, Ordering::Relaxed);
        span
    }
}

/// All quotas there are: names to ids.
#[derive(Debug, Default)]
pub struct QuotaBook {
    /// Never shrinks: a name keeps its id, and with it its account in every slot.
    ids: Mutex<HashMap<Arc<str>, QuotaId>>,
}

impl QuotaBook {
    /// The quotas of `owner`, named as [`names`] does.
    #[must_use]
    pub fn named(&self, owner: &str, quotas: &[Quota]) -> Vec<Arc<NamedQuota>> {
        let mut ids = self.ids.lock();
        let named = names(owner, quotas).zip(quotas).map(|(name, quota)| {
            let next = QuotaId(u32::try_from(ids.len()).unwrap_or(u32::MAX - 1) + 1);
            let id = *ids.entry(Arc::clone(&name)).or_insert(next);
            Arc::new(NamedQuota {
                name,
                id,
                quota: *quota,
                span: AtomicU64::new(0),
            })
        });
        named.collect()
    }
}

/// What the quotas of `owner` are called: `owner-month`, `owner-week@3` where the period begins on a chosen
/// day, `owner-month-2` for a second of the same period. So a name says of which period it is, and a quota
/// keeps it when its limit changes or another is put before it.
pub fn names<'a>(owner: &'a str, quotas: &'a [Quota]) -> impl Iterator<Item = Arc<str>> + 'a {
    quotas.iter().enumerate().map(move |(at, quota)| {
        let is_like =
            |other: &&Quota| other.per == quota.per && other.begins_on() == quota.begins_on();
        let mut name = format!("{owner}-{}", quota.per.as_str());
        if quota.begins_on() != 1 {
            name.push_str(&format!("@{}", quota.begins_on()));
        }
        match quotas.iter().take(at).filter(is_like).count() {
            0 => {}
            before => name.push_str(&format!("-{}", before + 1)),
        }
        name.into()
    })
}

/// Asks the control plane to have more granted, or to look how much there is.
#[derive(Debug)]
pub struct QuotaAsk {
    /// Whose.
    pub key: KeyId,
    /// Where its account lies.
    pub slot: Arc<Slot>,
    /// Of which quota.
    pub quota: Arc<NamedQuota>,
    /// Of which period.
    pub span: Span,
    /// How much whoever asks cannot do without.
    pub need: u64,
    /// Told when the store has answered; dropped untold if it has not.
    pub answer: Option<oneshot::Sender<()>>,
}

/// Whether the store answers, as far as quotas are concerned.
#[derive(Debug, Default)]
pub struct QuotaLink {
    is_away: AtomicBool,
}

impl QuotaLink {
    /// The store did not answer, or took too long: from now on nobody waits for it. Whether it had
    /// answered before.
    pub fn lost(&self) -> bool {
        !self.is_away.swap(true, Ordering::Relaxed)
    }

    /// The store has answered.
    pub fn met(&self) {
        self.is_away.store(false, Ordering::Relaxed);
    }

    /// Whether requests go by what was last seen.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }
}

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
        /// A quota of which more should be asked for, ahead of need.
        low: Option<&'a Arc<NamedQuota>>,
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
    let (mut over, mut low) = (0, None);
    for (taken, named) in quotas.iter().enumerate() {
        let span = named.span(now);
        let (day, limit) = (span.first_day, named.quota.limit);
        let account = slot.account(named.id);
        if !named.quota.hard {
            account.owe(day, cost);
            let standing = account.standing(day);
            over += u64::from(standing.spent() > limit);
            if standing.granted.is_none() && account.wants_more(day, 0, limit) {
                low = Some(named);
            }
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
            Ok(held) => {
                if account.wants_more(day, held, limit) {
                    low = Some(named);
                }
                if nearest.is_none_or(|nearest| here.remaining < nearest.remaining) {
                    nearest = Some(here);
                }
            }
            Err(lack) => {
                if let Some(asked) = low {
                    slot.account(asked.id).answered();
                }
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
    Charge::Paid { nearest, over, low }
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

#[cfg(test)]
mod tests;
