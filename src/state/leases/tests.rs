//! Tokens in hand: taken, lapsed, given back, set aside; and the way to the store.

use std::time::Duration;

use super::*;
use crate::domain::lease::LeaseTerms;

const MS: u64 = 1_000_000;
const NOW: u64 = 5_000 * MS;
const HUNDRED: LeaseTerms = LeaseTerms {
    token_ns: 10 * MS,
    burst: 100,
    aside: 0,
};

#[test]
fn what_is_leased_is_spent_until_the_lease_ends_and_no_longer() {
    let tokens = Tokens::default();
    assert_eq!(tokens.take(1, NOW, false), Err(Lack::Short));
    tokens.put(3, NOW + 10, false);
    assert_eq!(tokens.take(2, NOW, false), Ok(false));
    assert_eq!(tokens.take(2, NOW, false), Err(Lack::Short));
    assert_eq!(tokens.take(1, NOW + 10, false), Err(Lack::Short));
    assert_eq!((tokens.held(NOW + 9), tokens.held(NOW + 10)), (1, 0));
    assert_eq!(tokens.take(1, NOW + 9, false), Ok(false));
    // Refused or not, all of it was asked for.
    assert_eq!(tokens.asked(), 7);
}

#[test]
fn more_is_asked_for_once_when_few_are_left() {
    let tokens = Tokens::default();
    tokens.put(4, NOW + 10, false);
    tokens.set_low(3);
    let take = || tokens.take(1, NOW, false);
    assert_eq!([take(), take(), take()], [Ok(false), Ok(true), Ok(false)]);
    tokens.answered();
    assert_eq!(take(), Ok(true));
}

#[test]
fn a_denial_stands_until_its_time() {
    let tokens = Tokens::default();
    tokens.deny(NOW + 7);
    assert_eq!(tokens.take(1, NOW, false), Err(Lack::Denied(7)));
    assert_eq!(tokens.take(1, NOW + 7, false), Err(Lack::Short));
    // What is there is spent all the same.
    tokens.put(1, NOW + 100, false);
    assert_eq!(tokens.take(1, NOW, false), Ok(false));
}

#[test]
fn the_token_set_aside_is_paid_for_twice_when_it_is_first_spent() {
    let tokens = Tokens::default();
    assert_eq!(tokens.take(2, NOW, true), Err(Lack::Short));
    assert_eq!(tokens.take(1, NOW, true), Ok(true));
    assert_eq!(tokens.take(1, NOW, true), Err(Lack::Short));
    // Once for the process before this one, once for itself.
    for (tokens_put, held) in [(2, 1), (2, 2), (0, 2)] {
        tokens.put(tokens_put, NOW + 100, true);
        assert_eq!(tokens.held(NOW), held);
    }
}

impl Tokens {
    fn takes(&self, cost: u32) -> bool {
        self.take_share(&HUNDRED, 4, cost, NOW).is_ok()
    }
}

#[test]
fn a_share_begins_where_the_bucket_was_last_seen() {
    let tokens = Tokens::default();
    // 40 of 100 are there, so 10 for each of four gates.
    tokens.set_whole_at(NOW + 60 * HUNDRED.token_ns);
    assert!(!tokens.take_shared());
    assert!(tokens.takes(7) && tokens.takes(3) && !tokens.takes(1));
    assert!(tokens.take_shared() && !tokens.take_shared());
    assert_eq!(HUNDRED.level(tokens.missing_ns(NOW)).tokens, 0);
    tokens.give_back(2, NOW, &HUNDRED, 4);
    assert!(tokens.takes(2) && !tokens.takes(1));
}

#[test]
fn what_is_given_back_while_the_lease_lasts_can_be_taken_again() {
    let tokens = Tokens::default();
    tokens.put(1, NOW + 10, false);
    assert_eq!(tokens.take(1, NOW, false), Ok(false));
    tokens.give_back(1, NOW, &HUNDRED, 4);
    assert_eq!(tokens.withdraw(NOW), 1);
    tokens.put(5, NOW + 10, false);
    assert_eq!((tokens.standing(NOW + 10), tokens.withdraw(NOW)), (0, 0));
}

#[test]
fn a_till_holds_as_many_limits_as_come() {
    use crate::domain::limit::RateLimit;
    use crate::state::limiter::LimitBook;
    let limits = vec![RateLimit::new("1/hour".parse().unwrap()); 40];
    let (till, limits) = (Till::default(), LimitBook::default().named("key", &limits));
    for (at, named) in limits.iter().enumerate() {
        till.of(named.id)
            .put(u32::try_from(at).unwrap(), NOW, false);
    }
    for (at, named) in limits.iter().enumerate() {
        assert_eq!(till.of(named.id).held(0), u32::try_from(at).unwrap());
    }
}

#[test]
fn nobody_waits_after_two_misses_in_a_second_until_an_answer_is_swift() {
    let link = LeaseLink::default();
    assert!(!link.missed(NOW) && !link.missed(NOW + 1_000 * MS) && !link.is_away());
    assert!(link.missed(NOW + 1_999 * MS) && link.is_away());
    assert!(!link.met(NOW, 10 * MS) && link.is_away());
    assert!(link.met(NOW, 10 * MS - 1) && !link.is_away());
    assert!(link.lost() && link.is_away());
}

#[test]
fn a_share_is_spent_at_once_where_nothing_listens_and_after_a_silence_where_that_is_asked_for() {
    let link = LeaseLink::new(Duration::ZERO, Duration::from_secs(3));
    link.met(NOW, 0);
    assert!(!link.may_share(NOW + 2_999 * MS) && link.may_share(NOW + 3_000 * MS));
    link.lost();
    assert!(link.may_share(NOW));
    assert!(LeaseLink::default().may_share(0));
    // One that begins without the store has not heard it be silent yet.
    let new = LeaseLink::new(Duration::ZERO, Duration::from_secs(3));
    new.begin(NOW);
    assert!(!new.may_share(NOW + 2_999 * MS) && new.may_share(NOW + 3_000 * MS));
}

#[test]
fn a_roster_says_among_how_many_and_who_has_a_token_set_aside() {
    let link = LeaseLink::default();
    assert!(link.roster() == Roster::default() && !link.owns_one_of(5));
    let roster = Roster {
        live: 3,
        index: Some(4),
        max_recent: 7,
        lost: 1,
    };
    link.seat(roster);
    assert_eq!((link.roster(), link.shares()), (roster, 7));
    assert!(link.owns_one_of(5) && !link.owns_one_of(4));
}

#[test]
fn a_limit_that_gates_divide_is_never_less_than_one_and_whole_where_there_is_one_gate() {
    let link = LeaseLink::default();
    assert_eq!((link.part_of(1), link.part_of(7)), (1, 7));
    let live = |live| Roster {
        live,
        ..Roster::default()
    };
    link.seat(live(3));
    assert_eq!(
        [1, 2, 3, 5, 6, 7].map(|limit| link.part_of(limit)),
        [1, 1, 1, 1, 2, 2]
    );
    link.seat(live(1));
    assert_eq!(link.part_of(7), 7);
}

#[test]
fn all_gates_agree_on_what_is_set_aside_before_they_know_their_places() {
    let link = LeaseLink::default();
    assert!(!link.has_places());
    link.give_places();
    assert!(link.has_places() && !link.owns_one_of(5));
    let placed = LeaseLink::default();
    placed.seat(Roster {
        index: Some(0),
        ..Roster::default()
    });
    assert!(placed.has_places());
}
