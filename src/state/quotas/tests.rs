//! Quotas in memory: what passes, what is asked for, what is never given twice.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::domain::id::KeyId;
use crate::domain::id::OwnerId;
use crate::domain::key::{Key, KeySettings};
use crate::domain::lifecycle::{Birth, create};
use crate::domain::limit::Period;
use crate::domain::limit::Quota;
use crate::domain::refusal::RefusalCode;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::Timestamp;
use crate::state::grants::GrantBook;
use crate::state::keys::KeyCache;
use crate::state::limiter::Slot;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn quota(limit: u64, per: Period, hard: bool) -> Quota {
    Quota {
        limit,
        per,
        on_day: None,
        hard,
    }
}

fn grant(slot: &Slot, named: &NamedQuota, units: u64, granted: u64, now: Timestamp) {
    slot.account(named.id)
        .deposit(named.span(now).first_day, units, granted);
}

fn passes(charge: &Charge<'_>) -> bool {
    matches!(charge, Charge::Paid { .. })
}

#[test]
fn a_name_says_the_period_and_stays_when_the_limit_changes() {
    let quotas = [
        quota(1, Period::Month, true),
        quota(5, Period::Day, false),
        quota(9, Period::Month, true),
        Quota {
            on_day: Some(3),
            ..quota(9, Period::Week, true)
        },
        Quota {
            on_day: Some(1),
            ..quota(9, Period::Month, true)
        },
    ];
    let named: Vec<_> = names("key", &quotas).map(|name| name.to_string()).collect();
    assert_eq!(
        named,
        [
            "key-month",
            "key-day",
            "key-month-2",
            "key-week@3",
            "key-month-3"
        ]
    );
}

#[test]
fn what_is_not_granted_is_asked_for_and_what_is_used_up_is_refused() {
    let now = at("2026-03-31T22:00:00Z");
    let book = QuotaBook::default();
    let quotas = book.named("key", &[quota(10, Period::Month, true)]);
    let slot = Slot::default();
    assert!(matches!(
        charge(&slot, &quotas, 1, now, None),
        Charge::Short
    ));
    grant(&slot, &quotas[0], 4, 10, now);
    for left in [3, 2, 1, 0] {
        let Charge::Paid { nearest, .. } = charge(&slot, &quotas, 1, now, None) else {
            panic!("refused with {left} left")
        };
        assert_eq!(nearest.map(|it| it.remaining), Some(left));
    }
    let Charge::Refused { refusal, nearest } = charge(&slot, &quotas, 1, now, None) else {
        panic!("passed")
    };
    assert_eq!(refusal.code, RefusalCode::QuotaExhausted);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7_200)));
    assert_eq!(nearest.remaining, 0);

    // The next month has an allowance of its own, and not before its first millisecond.
    let last = at("2026-03-31T23:59:59.999Z");
    assert!(!matches!(
        charge(&slot, &quotas, 1, last, None),
        Charge::Short
    ));
    let renewed = at("2026-04-01T00:00:00Z");
    assert!(matches!(
        charge(&slot, &quotas, 1, renewed, None),
        Charge::Short
    ));
    grant(&slot, &quotas[0], 1, 1, renewed);
    assert!(passes(&charge(&slot, &quotas, 1, renewed, None)));
}

#[test]
fn a_request_that_one_quota_refuses_spends_nothing_of_the_others() {
    let now = at("2026-03-31T22:00:00Z");
    let book = QuotaBook::default();
    let quotas = book.named(
        "key",
        &[
            quota(10, Period::Day, true),
            quota(5, Period::Week, false),
            quota(2, Period::Total, true),
        ],
    );
    let slot = Slot::default();
    grant(&slot, &quotas[0], 10, 10, now);
    grant(&slot, &quotas[2], 2, 2, now);
    for _ in 0..2 {
        assert!(passes(&charge(&slot, &quotas, 1, now, None)));
    }
    for _ in 0..5 {
        let Charge::Refused { refusal, .. } = charge(&slot, &quotas, 1, now, None) else {
            panic!("passed")
        };
        assert_eq!(refusal.detail, Some("the credits are used up"));
    }
    let standing = |at: usize| {
        let named = &quotas[at];
        slot.account(named.id).standing(named.span(now).first_day)
    };
    assert_eq!(
        (standing(0).spent(), standing(1).owed, standing(2).spent()),
        (2, 2, 2)
    );
}

#[test]
fn a_soft_quota_counts_and_refuses_nobody() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = QuotaBook::default().named("key", &[quota(2, Period::Day, false)]);
    let slot = Slot::default();
    let over: Vec<u64> = (0..4)
        .map(|_| match charge(&slot, &quotas, 1, now, None) {
            Charge::Paid {
                over,
                nearest: None,
                ..
            } => over,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(over, [0, 0, 1, 1]);
    // What is owed of a period that has ended is still charged to that one.
    let tomorrow = at("2026-04-01T00:00:00Z");
    assert!(passes(&charge(&slot, &quotas, 3, tomorrow, None)));
    let day = quotas[0].span(now).first_day;
    let debts: Vec<_> = slot.account(quotas[0].id).debts().collect();
    assert_eq!(debts, [(day, 4), (day + 1, 3)]);
}

#[test]
fn a_limit_that_was_lowered_binds_what_is_held_and_a_raised_one_asks_again() {
    let now = at("2026-03-31T22:00:00Z");
    let (book, slot) = (QuotaBook::default(), Slot::default());
    let ten = book.named("key", &[quota(10, Period::Day, true)]);
    grant(&slot, &ten[0], 10, 10, now);
    for _ in 0..3 {
        assert!(passes(&charge(&slot, &ten, 1, now, None)));
    }
    let four = book.named("key", &[quota(4, Period::Day, true)]);
    assert!(passes(&charge(&slot, &four, 1, now, None)));
    assert!(matches!(
        charge(&slot, &four, 1, now, None),
        Charge::Refused { .. }
    ));
    let twenty = book.named("key", &[quota(20, Period::Day, true)]);
    for _ in 0..6 {
        assert!(passes(&charge(&slot, &twenty, 1, now, None)));
    }
    assert!(matches!(
        charge(&slot, &twenty, 1, now, None),
        Charge::Short
    ));
}

#[test]
fn without_a_store_what_was_last_seen_is_spent_and_no_more() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = QuotaBook::default().named("key", &[quota(10, Period::Day, true)]);
    let slot = Slot::default();
    grant(&slot, &quotas[0], 2, 7, now);
    let passed = (0..20)
        .filter(|_| passes(&charge(&slot, &quotas, 1, now, Some(NonZeroU32::MIN))))
        .count();
    assert_eq!(passed, 5);
    let fresh = Slot::default();
    let passed = (0..20)
        .filter(|_| passes(&charge(&fresh, &quotas, 1, now, Some(NonZeroU32::MIN))))
        .count();
    assert_eq!(passed, 10);
}

/// However many cores lend at once, and however many gates there are.
#[test]
fn without_a_store_all_gates_together_lend_no_more_than_is_left() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = QuotaBook::default().named("key", &[quota(1_007, Period::Day, true)]);
    let mut all = 0;
    for _gate in 0..4 {
        let (slot, link) = (Slot::default(), QuotaLink::default());
        grant(&slot, &quotas[0], 0, 7, now);
        link.seat(4);
        assert_eq!(link.shares(), None);
        link.lost();
        let passed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        if passes(&charge(&slot, &quotas, 1, now, link.shares())) {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        all += passed.into_inner();
    }
    assert_eq!(all, 1_000);
}

#[test]
fn what_was_last_seen_of_an_idle_key_still_counts_when_the_store_goes_away() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = QuotaBook::default().named("key", &[quota(10, Period::Day, true)]);
    let (slot, day) = (Slot::default(), quotas[0].span(now).first_day);
    grant(&slot, &quotas[0], 0, 8, now);
    slot.account(quotas[0].id).forget(day);
    // With a store it is asked anew: others may have given back.
    assert!(matches!(
        charge(&slot, &quotas, 3, now, None),
        Charge::Short
    ));
    let alone = Some(NonZeroU32::MIN);
    assert!(!passes(&charge(&slot, &quotas, 3, now, alone)));
    assert!(passes(&charge(&slot, &quotas, 2, now, alone)));
    assert!(!passes(&charge(&slot, &quotas, 1, now, alone)));
}

/// Of a period that has ended nothing is granted any more, so it would wait in vain.
#[test]
fn a_request_that_came_before_a_period_ended_and_pays_after_it_pays_in_the_next() {
    let quotas = [quota(10, Period::Day, true), quota(5, Period::Day, false)];
    let quotas = QuotaBook::default().named("key", &quotas);
    let slot = Slot::default();
    let (before, after) = (at("2026-03-31T23:59:59.999Z"), at("2026-04-01T00:00:00Z"));
    let today = quotas[0].span(after).first_day;
    grant(&slot, &quotas[0], 2, 2, after);
    grant(&slot, &quotas[1], 0, 0, after);
    assert!(passes(&charge(&slot, &quotas, 1, before, None)));
    let standing = |at: usize| slot.account(quotas[at].id).standing(today);
    assert_eq!((standing(0).held, standing(1).owed), (1, 1));
    let debts: Vec<_> = slot.account(quotas[1].id).debts().collect();
    assert_eq!(debts, [(today, 1)]);
}

#[test]
fn more_is_asked_for_once_when_half_is_spent_and_not_when_nothing_is_left() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = QuotaBook::default().named("key", &[quota(100, Period::Day, true)]);
    let slot = Slot::default();
    grant(&slot, &quotas[0], 10, 10, now);
    let asks = |count: usize| {
        (0..count)
            .filter(|_| {
                passes(&charge(&slot, &quotas, 1, now, None))
                    && low(&slot, &quotas, now).next().is_some()
            })
            .count()
    };
    assert_eq!((asks(4), asks(6)), (0, 1));
    slot.account(quotas[0].id).answered();
    grant(&slot, &quotas[0], 10, 100, now);
    assert_eq!(asks(10), 0);
}

/// A soft quota that nobody asks about would be owed for ever, and lost when the gate stops.
#[test]
fn each_quota_of_which_more_is_wanted_is_asked_about() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = [
        quota(100, Period::Day, true),
        quota(9, Period::Total, false),
        quota(100, Period::Week, true),
    ];
    let quotas = QuotaBook::default().named("key", &quotas);
    let slot = Slot::default();
    for hard in [&quotas[0], &quotas[2]] {
        grant(&slot, hard, 1, 1, now);
    }
    assert!(passes(&charge(&slot, &quotas, 1, now, None)));
    let asked: Vec<_> = low(&slot, &quotas, now).map(|(it, _)| &*it.name).collect();
    assert_eq!(asked, ["key-day", "key-total", "key-week"]);
    assert_eq!(low(&slot, &quotas, now).count(), 0);
}

#[test]
fn what_is_given_back_was_not_spent_and_can_be_granted_again() {
    let now = at("2026-03-31T22:00:00Z");
    let quotas = QuotaBook::default().named("key", &[quota(10, Period::Day, true)]);
    let (slot, day) = (Slot::default(), quotas[0].span(now).first_day);
    grant(&slot, &quotas[0], 10, 10, now);
    assert!(passes(&charge(&slot, &quotas, 1, now, None)));
    let account = slot.account(quotas[0].id);
    assert_eq!(account.withdraw(day), 9);
    assert_eq!(
        (account.standing(day).spent(), account.standing(day).held),
        (1, 0)
    );
    assert!(matches!(
        charge(&slot, &quotas, 1, now, None),
        Charge::Short
    ));
}

proptest! {
    // Σ spent: whatever is granted, given back, charged and refused, on four threads at once, no more
    // passes than was granted, and spent + held is what was granted.
    #[test]
    fn no_more_pass_than_were_granted(grants in proptest::collection::vec(1_u64..50, 1..20), cost in 1_u64..4) {
        let now = at("2026-03-31T22:00:00Z");
        let quotas = QuotaBook::default().named("key", &[quota(1_000_000, Period::Day, true)]);
        let (slot, day) = (Slot::default(), quotas[0].span(now).first_day);
        let account = slot.account(quotas[0].id);
        let passed = AtomicU64::new(0);
        let (slot, quotas) = (&slot, &quotas);
        let total: u64 = std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if passes(&charge(slot, quotas, cost, now, None)) {
                            passed.fetch_add(cost, Ordering::Relaxed);
                        }
                    }
                });
            }
            let mut total = 0;
            for units in &grants {
                total += units;
                account.deposit(day, *units, total);
                total -= account.withdraw(day);
            }
            total
        });
        let standing = account.standing(day);
        let passed = passed.load(Ordering::Relaxed);
        prop_assert_eq!(standing.granted.unwrap_or(0), total);
        prop_assert_eq!(standing.spent(), passed);
        prop_assert_eq!(passed + standing.held, total);
    }
}

proptest! {
    // S2-09: Σ spent before = Σ spent after any rotation, on whichever version it is spent.
    #[test]
    fn rotating_a_key_gives_back_nothing_and_doubles_nothing(
        steps in proptest::collection::vec((1_u64..4, any::<bool>()), 1..40)
    ) {
        let now = at("2026-03-31T22:00:00Z");
        let mut book = GrantBook::new(vec![], Arc::default());
        let cache = KeyCache::default();
        let mut key = key(quota(60, Period::Month, true));
        cache.put(&key, book.grants(&key));
        let mut spent = 0;
        for (number, (cost, rotates)) in (2_u8..).zip(steps) {
            if rotates {
                let mut version = key.versions[0].clone();
                version.number = number.into();
                version.hash.digest = [number; 32];
                key.versions.push(version);
                cache.put(&key, book.grants(&key));
            }
            let version = key.versions[usize::from(number) % key.versions.len()].clone();
            let (entry, _) = cache.find(&version.hash).unwrap();
            let quotas = &entry.grants.quotas;
            let account = entry.slot().account(quotas[0].id);
            let day = quotas[0].span(now).first_day;
            prop_assert_eq!(account.standing(day).spent(), spent);
            let mut outcome = charge(entry.slot(), quotas, cost, now, None);
            if let Charge::Short = outcome {
                let granted = account.standing(day).granted.unwrap_or(0);
                let units = (60 - granted).min(7);
                account.deposit(day, units, granted + units);
                outcome = charge(entry.slot(), quotas, cost, now, None);
            }
            let is_paid = passes(&outcome);
            spent = account.standing(day).spent();
            prop_assert!(spent <= 60 && (is_paid || spent + cost > 60));
        }
    }
}

fn key(quota: Quota) -> Key {
    let birth = Birth {
        id: KeyId::from_random([1; 10]),
        owner: OwnerId::from_random([2; 10]),
        env: "live".into(),
        hash: KeyHash {
            pepper: 0,
            digest: [1; 32],
        },
        fingerprint: Fingerprint::from_bytes([1; 6]),
        created_by: "tok_x".into(),
    };
    let settings = KeySettings {
        quotas: vec![quota],
        ..KeySettings::named("k")
    };
    create(birth, settings, at("2026-01-01T00:00:00Z"))
}
