//! What passes, what does not, and what is left.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::limit::RateLimit;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn limit(rate: &str, burst: u32) -> RateLimit {
    RateLimit {
        burst: NonZeroU32::new(burst).unwrap(),
        ..RateLimit::new(rate.parse().unwrap())
    }
}

fn one(book: &LimitBook, rate: &str, burst: u32) -> NamedLimit {
    book.named("key", &[limit(rate, burst)]).remove(0)
}

#[test]
fn the_burst_passes_and_then_one_per_token() {
    let (book, slot) = (LimitBook::default(), Arc::default());
    let named = one(&book, "10/second", 3);
    let take = |now| {
        named
            .limiter
            .take(&slot, named.id, 1, now)
            .map(|level| level.remaining)
    };
    let start = 5 * SECOND;
    assert_eq!(
        [take(start), take(start), take(start)],
        [Ok(2), Ok(1), Ok(0)]
    );
    let spent = named.limiter.take(&slot, named.id, 1, start).unwrap_err();
    assert_eq!(spent.retry_after, Duration::from_millis(100));
    assert_eq!(
        spent.level,
        Level {
            remaining: 0,
            whole_in: Duration::from_millis(300)
        }
    );
    assert!(take(start + SECOND / 10 - 1).is_err());
    assert_eq!(take(start + SECOND / 10), Ok(0));
}

#[test]
fn a_refusal_spends_nothing_and_what_is_given_back_can_be_taken() {
    let (book, slot) = (LimitBook::default(), Arc::default());
    let named = one(&book, "1/minute", 4);
    let take = |cost| named.limiter.take(&slot, named.id, cost, SECOND).is_ok();
    assert!(take(3));
    assert!(!take(2));
    assert!(take(1));
    named.limiter.give_back(&slot, named.id, 3);
    assert!(take(3));
    assert!(!take(1));
}

#[test]
fn what_costs_more_than_the_burst_never_passes() {
    let (book, slot) = (LimitBook::default(), Arc::default());
    let named = one(&book, "10/second", 3);
    let spent = named.limiter.take(&slot, named.id, 4, SECOND).unwrap_err();
    assert_eq!(spent.retry_after, Duration::from_millis(300));
    assert_eq!(spent.level.remaining, 3);
}

#[test]
fn another_rate_for_the_same_limit_continues_from_its_state() {
    let (book, slot) = (LimitBook::default(), Arc::default());
    let narrow = one(&book, "1/second", 5);
    assert!(narrow.limiter.take(&slot, narrow.id, 5, SECOND).is_ok());
    let wide = one(&book, "1/second", 10);
    assert_eq!(wide.id, narrow.id);
    assert_eq!(wide.limiter.level(&slot, wide.id, SECOND).remaining, 5);
}

#[test]
fn a_slot_holds_as_many_limits_as_come() {
    let (book, slot) = (LimitBook::default(), Arc::<Slot>::default());
    let limits = book.named("key", &vec![limit("1/hour", 2); 40]);
    for round in [true, true, false] {
        for named in &limits {
            assert_eq!(
                named.limiter.take(&slot, named.id, 1, SECOND).is_ok(),
                round
            );
        }
    }
}

#[test]
fn threads_that_race_for_tokens_get_no_more_than_there_are() {
    let (book, slot) = (LimitBook::default(), Arc::<Slot>::default());
    let named = one(&book, "1/day", 1_000);
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let take = |_: &u32| named.limiter.take(&slot, named.id, 1, SECOND).is_ok();
                    (0..500).filter(take).count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(taken, 1_000);
}

#[test]
fn no_more_than_the_most_are_in_flight() {
    let slot = Slot::default();
    assert!(slot.enter(2) && slot.enter(2) && !slot.enter(2));
    slot.leave();
    assert!(slot.enter(2));
}

proptest! {
    /// In any window of time, no more passes than the burst and what the window refills.
    #[test]
    fn no_window_admits_more_than_burst_and_refill(
        burst in 1_u32..20,
        steps in prop::collection::vec((0_u64..400_000_000, 1_u32..4), 1..120),
    ) {
        let (book, slot) = (LimitBook::default(), Arc::default());
        let named = one(&book, "10/second", burst);
        let mut now = SECOND;
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (wait, cost) in steps {
            now += wait;
            if named.limiter.take(&slot, named.id, cost, now).is_ok() {
                admitted.push((now, u64::from(cost)));
            }
        }
        for (from, start) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (time, cost) in admitted.iter().skip(from) {
                sum += cost;
                let refilled = (time - start.0) / 100_000_000 + 1;
                prop_assert!(sum <= u64::from(burst) + refilled);
            }
        }
    }
}
