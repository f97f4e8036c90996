//! A limit as a request meets it: counted here, or shared with other gates.

use std::sync::Arc;
use std::time::Duration;

use super::gcra::{Level, LimitId, Limiter, Slot, Spent};
use crate::domain::lease::{LeaseTerms, share};
use crate::domain::limit::{Enforce, LimitMode, RateLimit};
use crate::state::leases::{Lack, LeaseLink};

/// A limit as a request meets it.
#[derive(Debug, Clone)]
pub struct NamedLimit {
    /// What `RateLimit` fields call it, and the store.
    pub name: Arc<str>,
    /// Where its state lies in a slot.
    pub id: LimitId,
    /// What it is.
    pub limit: RateLimit,
    /// How it is held here.
    pub limiter: Arc<Limiter>,
    /// How it is shared with other gates; `None` where this gate counts it alone.
    pub sharing: Option<Arc<Sharing>>,
}

/// How a limit is shared.
#[derive(Debug)]
pub struct Sharing {
    /// Its bucket.
    pub terms: LeaseTerms,
    /// Whether the store is asked for each request.
    pub is_strict: bool,
    /// The way to the store.
    pub link: Arc<LeaseLink>,
}

/// What came of taking from a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// It was taken.
    Taken {
        /// What is left.
        level: Level,
        /// Whether the store should be asked for more, which is said once.
        is_low: bool,
    },
    /// It is not there.
    Spent(Spent),
    /// It is not here: the store is to be asked.
    Short,
}

impl NamedLimit {
    /// Whether it refuses, rather than only counting.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.limit.enforce == Enforce::On
    }

    /// Takes `cost` tokens for the key with this slot, or none.
    pub fn take(&self, slot: &Arc<Slot>, cost: u32, now_ns: u64) -> Taking {
        let Some(sharing) = &self.sharing else {
            return match self.limiter.take(slot, self.id, cost, now_ns) {
                Ok(level) => Taking::Taken {
                    level,
                    is_low: false,
                },
                Err(spent) => Taking::Spent(spent),
            };
        };
        let tokens = slot.tokens(self.id);
        let aside = self.aside(sharing);
        if u64::from(cost) > sharing.terms.burst - aside {
            // More than the bucket ever gives: waiting for all of it is the most that can be said.
            return Taking::Spent(Spent {
                retry_after: Duration::from_nanos(sharing.terms.whole_ns()),
                level: self.in_hand(sharing, slot, now_ns),
            });
        }
        if sharing.is_strict {
            tokens.note(cost);
            return Taking::Short;
        }
        let owns_aside = aside > 0 && sharing.link.owns_one_of(aside);
        match tokens.take(cost, now_ns, owns_aside) {
            Ok(is_low) => Taking::Taken {
                level: self.in_hand(sharing, slot, now_ns),
                is_low,
            },
            Err(Lack::Denied(wait_ns)) => Taking::Spent(Spent {
                retry_after: Duration::from_nanos(wait_ns),
                level: self.in_hand(sharing, slot, now_ns),
            }),
            Err(Lack::Short) => Taking::Short,
        }
    }

    /// Gives `cost` tokens back, as when another limit refuses the request. What the store handed to one who
    /// waited stays spent: it was refilled since.
    pub fn give_back(&self, slot: &Slot, cost: u32, now_ns: u64) {
        match &self.sharing {
            None => self.limiter.give_back(slot, self.id, cost),
            Some(sharing) if sharing.is_strict => {}
            Some(sharing) => {
                let (terms, nodes) = (&sharing.terms, sharing.link.shares());
                slot.tokens(self.id).give_back(cost, now_ns, terms, nodes);
            }
        }
    }

    /// What a request would find now, as far as this gate knows.
    #[must_use]
    pub fn level(&self, slot: &Slot, now_ns: u64) -> Level {
        let Some(sharing) = &self.sharing else {
            return self.limiter.level(slot, self.id, now_ns);
        };
        let tokens = slot.tokens(self.id);
        let missing_ns = tokens.missing_ns(now_ns);
        let known = if sharing.link.is_away() && !sharing.is_strict {
            share::left(
                tokens.missing_ns(now_ns),
                &sharing.terms,
                sharing.link.shares(),
                0,
            )
        } else {
            u64::try_from(sharing.terms.level(missing_ns).tokens).unwrap_or(0)
        };
        let remaining = known.saturating_add(tokens.held(now_ns).into());
        Level {
            remaining: narrow(remaining.min(sharing.terms.burst)),
            whole_in: Duration::from_nanos(missing_ns),
        }
    }

    /// What is left after the store, or the share, gave a request what it needed.
    #[must_use]
    pub fn level_after_waiting(&self, slot: &Slot, now_ns: u64) -> Level {
        match &self.sharing {
            Some(sharing) if !sharing.is_strict && !sharing.link.is_away() => {
                self.in_hand(sharing, slot, now_ns)
            }
            _ => self.level(slot, now_ns),
        }
    }

    /// What passes without anyone being asked: a lower bound of what would pass.
    fn in_hand(&self, sharing: &Sharing, slot: &Slot, now_ns: u64) -> Level {
        let tokens = slot.tokens(self.id);
        Level {
            remaining: tokens.held(now_ns),
            whole_in: Duration::from_nanos(tokens.missing_ns(now_ns).min(sharing.terms.whole_ns())),
        }
    }

    /// How many tokens are set aside: none while gates have no places.
    fn aside(&self, sharing: &Sharing) -> u64 {
        match sharing.link.roster().index {
            Some(_) => sharing.terms.with_tokens_set_aside().aside,
            None => 0,
        }
    }
}

impl Sharing {
    /// How `limit` is shared over `link`; `None` if each gate counts it for itself.
    pub(super) fn of(limit: &RateLimit, link: &Arc<LeaseLink>) -> Option<Self> {
        (limit.mode != LimitMode::Local).then(|| Self {
            terms: LeaseTerms::of(limit),
            // What refuses nobody is not worth asking for each time.
            is_strict: limit.mode == LimitMode::Strict && limit.enforce == Enforce::On,
            link: Arc::clone(link),
        })
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
