//! What this gate has drawn of quotas, an account at a time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::control::thresholds::Thresholds;
use crate::domain::draw::{self, QuotaDraw, QuotaGrant, QuotaPlace, Reached, threshold};
use crate::domain::id::KeyId;
use crate::domain::period::Span;
use crate::domain::time::Reading;
use crate::state::limiter::Slot;
use crate::state::quotas::{Account, NamedQuota, QuotaAsk, QuotaId};

#[derive(Debug, Default)]
pub(super) struct Leases {
    pub(super) by_account: HashMap<(KeyId, QuotaId), Lease>,
    /// The runs under which debts of ended periods are charged, by the period's first day.
    pub(super) ended: HashMap<(KeyId, QuotaId, u32), u64>,
    /// The number of the next lease of this run of the gate.
    pub(super) next_run: u64,
}

/// What this gate has drawn of one quota of one key, in one period.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) slot: Arc<Slot>,
    pub(super) quota: Arc<NamedQuota>,
    pub(super) span: Span,
    pub(super) run: u64,
    pub(super) received: u64,
    /// What was held after the last draw, and when that was.
    pub(super) held_then: u64,
    pub(super) drawn_at: Reading,
    /// For how many sweeps nothing has been spent, and what had been then.
    pub(super) idle_for: u32,
    pub(super) spent_then: u64,
    /// Up to which threshold there is nothing more to tell: told, or noted to be.
    pub(super) reached: u8,
    /// What was told and the store is to remember with the next draw; 0: nothing.
    pub(super) told: u8,
}

impl Lease {
    pub(super) fn account(&self) -> &Account {
        self.slot.account(self.quota.id)
    }

    pub(super) fn draw(&self, key: KeyId) -> QuotaDraw {
        QuotaDraw {
            key,
            quota: Arc::clone(&self.quota.name),
            span: self.span,
            limit: self.quota.quota.limit,
            need: 0,
            want: 0,
            charge: self.account().debt(self.span.first_day),
            back: 0,
            run: self.run,
            received: self.received,
            reached: self.told,
        }
    }

    /// What is missing of about what is spent in two seconds, going by what was spent since the last draw.
    pub(super) fn wanted(&self, now: Reading) -> u64 {
        let held = self.account().standing(self.span.first_day).held;
        let spent = self.held_then.saturating_sub(held);
        let since_ms = u64::try_from(now.since(self.drawn_at).as_millis()).unwrap_or(u64::MAX);
        let ahead = if since_ms < TOO_SOON_MS {
            // Too short to know a rate by, and too short a grant.
            self.held_then.saturating_mul(2)
        } else {
            spent.saturating_mul(AHEAD_MS) / since_ms
        };
        ahead.saturating_sub(held).max(1)
    }

    /// Takes in what the store has said.
    pub(super) fn take_in(&mut self, draw: &QuotaDraw, grant: &QuotaGrant, now: Reading) {
        let day = draw.span.first_day;
        let account = self.account();
        // Charged now, so owed no more; the other way round it would count twice for a moment.
        account.forgive(day, draw.charge);
        if draw.run != self.run {
            // Of a period that has ended meanwhile.
            return;
        }
        account.deposit(day, grant.units, grant.granted);
        let held = account.standing(day).held;
        self.received = (self.received + grant.units + draw.charge).saturating_sub(draw.back);
        if draw.want > 0 || draw.need > 0 {
            self.held_then = held;
            self.drawn_at = now;
        }
        self.reached = self.reached.max(draw.reached).max(grant.reached_before);
        if self.told <= draw.reached {
            self.told = 0;
        }
    }

    /// Holds again what was to be given back.
    pub(super) fn take_back(&self, units: u64) {
        if units > 0 {
            let day = self.span.first_day;
            let granted = self.account().standing(day).granted.unwrap_or(0);
            self.account().deposit(day, units, granted + units);
        }
    }

    /// Whether it is this quota, period and limit of which something was reached.
    pub(super) fn is_of(&self, reached: &Reached) -> bool {
        let place = &reached.place;
        (&place.quota, place.span, reached.limit)
            == (&self.quota.name, self.span, self.quota.quota.limit)
    }

    /// Notes the thresholds that were reached since.
    pub(super) fn note(&mut self, key: KeyId, thresholds: &Thresholds, now: Reading) {
        let limit = self.quota.quota.limit;
        let spent = self.account().standing(self.span.first_day).spent();
        for percent in draw::thresholds(self.reached, threshold(spent, limit)) {
            let reached = Reached {
                place: QuotaPlace {
                    key,
                    quota: Arc::clone(&self.quota.name),
                    span: self.span,
                },
                limit,
                percent,
                spent,
                at: now.wall,
            };
            if !thresholds.note(reached) {
                return;
            }
            self.reached = percent;
        }
    }
}

impl Leases {
    /// Takes in what the store has said of draws, or that it has said nothing.
    pub(super) fn land(
        &mut self,
        places: &[(KeyId, QuotaId)],
        draws: &[QuotaDraw],
        grants: Option<&[QuotaGrant]>,
        now: Reading,
    ) {
        let mut grants = grants.into_iter().flatten();
        for ((key, quota), draw) in places.iter().zip(draws) {
            let Some(lease) = self.by_account.get_mut(&(*key, *quota)) else {
                continue;
            };
            match grants.next() {
                Some(grant) => {
                    self.ended.remove(&(*key, *quota, draw.span.first_day));
                    lease.take_in(draw, grant, now);
                }
                None => lease.take_back(draw.back),
            }
        }
    }

    /// The draws that charge what is owed of periods that have ended.
    pub(super) fn ended_debts(&mut self) -> Vec<((KeyId, QuotaId), QuotaDraw)> {
        let mut ended = Vec::new();
        for ((key, quota), lease) in &self.by_account {
            for (day, units) in lease.account().debts() {
                if day == lease.span.first_day {
                    continue;
                }
                // Under one number until it is known to have been charged: so it is not charged twice.
                let run = *self.ended.entry((*key, *quota, day)).or_insert_with(|| {
                    self.next_run += 1;
                    self.next_run
                });
                let draw = QuotaDraw {
                    span: lease.quota.span_from(day),
                    charge: units,
                    run,
                    received: 0,
                    reached: 0,
                    ..lease.draw(*key)
                };
                ended.push(((*key, *quota), draw));
            }
        }
        ended
    }

    /// The lease that an ask is about; begun if there is none, or none of this period.
    pub(super) fn of(&mut self, ask: &QuotaAsk, now: Reading) -> &mut Lease {
        let run = self.run();
        let begin = || Lease {
            slot: Arc::clone(&ask.slot),
            quota: Arc::clone(&ask.quota),
            span: ask.span,
            run,
            received: 0,
            held_then: 0,
            drawn_at: now,
            idle_for: 0,
            spent_then: 0,
            reached: 0,
            told: 0,
        };
        let lease = self
            .by_account
            .entry((ask.key, ask.quota.id))
            .or_insert_with(begin);
        if lease.span.first_day < ask.span.first_day {
            *lease = begin();
        }
        if lease.quota.quota.limit != ask.quota.quota.limit {
            // Of another limit the store says what was told.
            (lease.reached, lease.told) = (0, 0);
        }
        lease.quota = Arc::clone(&ask.quota);
        lease.idle_for = 0;
        lease
    }

    pub(super) fn run(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run
    }
}

/// Below this a rate is not known.
const TOO_SOON_MS: u64 = 250;
/// What a grant is to last for.
const AHEAD_MS: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::{Period, Quota};
    use crate::domain::time::Timestamp;
    use crate::state::quotas::QuotaBook;

    const DAY_MS: u64 = 86_400_000;

    fn at(day: u64) -> Reading {
        Reading {
            wall: Timestamp::from_millis(day * DAY_MS),
            mono_ns: 0,
        }
    }

    /// Leases on a quota of ten a day of so many keys, which hold all ten on this day.
    fn leases(keys: u8, quota: &Arc<NamedQuota>, day: u64) -> (Leases, Vec<(KeyId, QuotaId)>) {
        let mut leases = Leases::default();
        let mut places = Vec::new();
        for key in 0..keys {
            let key = KeyId::from_random([key + 1; 10]);
            let ask = ask(key, quota, Arc::default(), day);
            let lease = leases.of(&ask, at(day));
            lease.account().deposit(ask.span.first_day, 10, 10);
            places.push((key, quota.id));
        }
        (leases, places)
    }

    fn ask(key: KeyId, quota: &Arc<NamedQuota>, slot: Arc<Slot>, day: u64) -> QuotaAsk {
        QuotaAsk {
            key,
            slot,
            quota: Arc::clone(quota),
            span: quota.span(at(day).wall),
            need: 1,
            answer: None,
        }
    }

    fn ten_a_day() -> Arc<NamedQuota> {
        let quota = Quota {
            limit: 10,
            per: Period::Day,
            on_day: None,
            hard: true,
        };
        QuotaBook::default().named("key", &[quota]).remove(0)
    }

    fn held(leases: &Leases, at: &(KeyId, QuotaId), day: u32) -> u64 {
        leases.by_account[at].account().standing(day).held
    }

    /// A unit is at the store or here, never at both.
    #[test]
    fn only_what_the_store_did_not_take_back_is_held_again() {
        let (quota, day) = (ten_a_day(), 5);
        let (mut leases, places) = leases(3, &quota, day.into());
        let draws: Vec<_> = places
            .iter()
            .map(|place| {
                let lease = &leases.by_account[place];
                let back = lease.account().withdraw(day);
                QuotaDraw {
                    back,
                    ..lease.draw(place.0)
                }
            })
            .collect();
        let grant = QuotaGrant {
            units: 0,
            granted: 0,
            reached_before: 0,
        };
        leases.land(&places[..2], &draws[..2], Some(&[grant; 2]), at(5));
        leases.land(&places[2..], &draws[2..], None, at(5));
        let held: Vec<_> = places
            .iter()
            .map(|place| held(&leases, place, day))
            .collect();
        assert_eq!(held, [0, 0, 10]);
    }

    #[test]
    fn what_is_granted_of_a_period_that_has_ended_is_not_of_the_next() {
        let quota = ten_a_day();
        let (mut leases, places) = leases(1, &quota, 5);
        let draw = leases.by_account[&places[0]].draw(places[0].0);
        let slot = Arc::clone(&leases.by_account[&places[0]].slot);
        leases.of(&ask(places[0].0, &quota, slot, 6), at(6));
        let grant = QuotaGrant {
            units: 7,
            granted: 7,
            reached_before: 0,
        };
        leases.land(&places, &[draw], Some(&[grant]), at(6));
        let lease = &leases.by_account[&places[0]];
        assert_eq!((lease.received, held(&leases, &places[0], 6)), (0, 0));
    }

    /// The store takes back what it gave a run whose answer was lost, so the run must be the same.
    #[test]
    fn what_is_owed_of_an_ended_period_is_charged_under_one_run_until_that_is_known() {
        let quota = ten_a_day();
        let (mut leases, places) = leases(1, &quota, 6);
        let account = |leases: &Leases| -> Vec<_> {
            leases.by_account[&places[0]].account().debts().collect()
        };
        let slot = Arc::clone(&leases.by_account[&places[0]].slot);
        slot.account(quota.id).owe(5, 3);
        slot.account(quota.id).owe(6, 1);
        let first = leases.ended_debts();
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].1.charge, first[0].1.span.first_day), (3, 5));
        let again = leases.ended_debts();
        assert_eq!(again, first);
        let grant = QuotaGrant {
            units: 0,
            granted: 3,
            reached_before: 0,
        };
        leases.land(&places, &[again[0].1.clone()], Some(&[grant]), at(6));
        assert_eq!(account(&leases), [(6, 1)]);
        assert!(leases.ended_debts().is_empty() && leases.ended.is_empty());
    }
}
