//! What a bucket gives, to whom, and that it never gives too much.

use std::num::NonZeroU32;
use std::sync::Arc;

use proptest::prelude::*;

use super::size::Sight;
use super::*;
use crate::domain::id::KeyId;
use crate::domain::limit::RateLimit;

const SECOND_US: u64 = 1_000_000;
const START_US: u64 = 1_767_225_600_000_000;

fn terms(rate: &str, burst: u32) -> LeaseTerms {
    LeaseTerms::of(&RateLimit {
        burst: NonZeroU32::new(burst).unwrap(),
        ..RateLimit::new(rate.parse().unwrap())
    })
}

fn call(terms: LeaseTerms, seq: u64, want: u64) -> LeaseCall {
    LeaseCall {
        holder: LimitHolder::Key(KeyId::from_random([1; 10])),
        limit: "key-1".into(),
        terms,
        run: 1,
        seq,
        held: 0,
        received: 0,
        handed: 0,
        least: 0,
        need: 0,
        want,
        demand: 0,
        estimate: Level::whole(i64::try_from(terms.burst).unwrap()),
        elapsed_us: None,
        was_away: false,
    }
}

fn settle(bucket: &mut Option<Bucket>, node: &str, call: &LeaseCall, now_us: u64) -> LeaseReply {
    Bucket::settle(bucket, &node.into(), call, now_us).unwrap()
}

#[test]
fn a_new_bucket_is_whole_and_what_is_given_is_gone() {
    let mut bucket = None;
    let ten = terms("10/second", 10);
    let reply = settle(&mut bucket, "a", &call(ten, 1, 4), START_US);
    assert_eq!((reply.granted, reply.level), (4, Level::whole(6)));
    let reply = settle(&mut bucket, "b", &call(ten, 1, 20), START_US);
    assert_eq!((reply.granted, reply.level), (6, Level::whole(0)));
    let reply = settle(&mut bucket, "c", &call(ten, 1, 1), START_US);
    assert_eq!(reply.granted, 0);
    assert_eq!(ten.missing_ns(reply.level, 1), 100_000_000);
}

#[test]
fn what_whoever_waits_is_given_is_spent_and_not_out() {
    let (one, mut bucket) = (terms("10/second", 1), None);
    for turn in 0..20 {
        let waits = LeaseCall {
            least: 1,
            need: 1,
            run: turn,
            ..call(one, 1, 1)
        };
        let node = if turn % 2 == 0 { "a" } else { "b" };
        let now_us = START_US + turn * SECOND_US / 10;
        assert_eq!(settle(&mut bucket, node, &waits, now_us).granted, 1);
        assert_eq!(
            settle(&mut bucket, "c", &LeaseCall { run: turn, ..waits }, now_us).granted,
            0
        );
    }
}

#[test]
fn it_refills_as_far_as_what_is_out_leaves_room() {
    let mut bucket = None;
    let ten = terms("10/second", 10);
    settle(&mut bucket, "a", &call(ten, 1, 4), START_US);
    // `a` holds 4, so there is room for 6.
    let reply = settle(&mut bucket, "b", &call(ten, 1, 0), START_US + SECOND_US);
    assert_eq!(reply.level, Level::whole(6));
    // The lease of `a` ends after two seconds and the margin.
    let end_us = START_US + 2 * SECOND_US + LEASE_MARGIN_US;
    let held = settle(&mut bucket, "b", &call(ten, 2, 0), end_us - 1);
    assert_eq!(held.level, Level::whole(6));
    // From then on, and not before, it refills further.
    let ended = settle(&mut bucket, "b", &call(ten, 3, 0), end_us + SECOND_US / 5);
    assert_eq!(ended.level, Level::whole(8));
}

#[test]
fn a_reply_that_was_lost_gave_nothing_and_a_write_that_was_lost_is_charged() {
    let hundred = terms("1/hour", 100);
    let mut bucket = None;
    settle(&mut bucket, "a", &call(hundred, 1, 40), START_US);
    let before = bucket.clone();
    // The gate has not heard of the 40.
    let reply = settle(&mut bucket, "a", &call(hundred, 2, 10), START_US);
    assert_eq!((reply.granted, reply.level), (10, Level::whole(90)));

    // A store that knows nothing of the last grant, and an estimate that is no help.
    let mut older = before;
    let knows = LeaseCall {
        held: 20,
        received: 60,
        ..call(hundred, 3, 0)
    };
    let reply = settle(&mut older, "a", &knows, START_US);
    assert_eq!(reply.level, Level::whole(40));
}

#[test]
fn what_is_given_back_is_there_for_others() {
    let hundred = terms("1/hour", 100);
    let mut bucket = None;
    settle(&mut bucket, "a", &call(hundred, 1, 100), START_US);
    let back = LeaseCall {
        held: 0,
        received: 30,
        ..call(hundred, 2, 0)
    };
    assert_eq!(
        settle(&mut bucket, "a", &back, START_US).level,
        Level::whole(70)
    );
    assert_eq!(
        settle(&mut bucket, "b", &call(hundred, 1, 100), START_US).granted,
        70
    );
}

#[test]
fn a_call_that_comes_late_changes_nothing() {
    let hundred = terms("1/hour", 100);
    let mut bucket = None;
    settle(&mut bucket, "a", &call(hundred, 2, 10), START_US);
    let before = bucket.clone();
    let late = call(hundred, 1, 50);
    assert_eq!(
        Bucket::settle(&mut bucket, &"a".into(), &late, START_US),
        None
    );
    assert_eq!(bucket, before);
}

#[test]
fn a_gate_that_began_anew_lost_what_it_had() {
    let hundred = terms("1/hour", 100);
    let mut bucket = None;
    settle(&mut bucket, "a", &call(hundred, 7, 30), START_US);
    let anew = LeaseCall {
        run: 2,
        ..call(hundred, 1, 100)
    };
    assert_eq!(settle(&mut bucket, "a", &anew, START_US).granted, 70);
}

#[test]
fn a_bucket_that_is_gone_holds_no_more_than_is_thought() {
    let hundred = terms("100/second", 100);
    let mut bucket = None;
    let known = LeaseCall {
        received: 1_000,
        held: 2,
        estimate: Level {
            tokens: 7,
            part_ns: 5,
        },
        ..call(hundred, 900, 50)
    };
    let reply = settle(&mut bucket, "a", &known, START_US);
    let left = Level {
        tokens: 0,
        part_ns: 5,
    };
    assert_eq!((reply.granted, reply.level), (7, left));
}

#[test]
fn a_clock_that_steps_refills_nothing() {
    let hundred = terms("100/second", 100);
    let mut bucket = None;
    settle(&mut bucket, "a", &call(hundred, 1, 100), START_US);
    let asks = |seq, elapsed_us| LeaseCall {
        received: 100,
        estimate: Level::whole(1),
        elapsed_us: Some(elapsed_us),
        ..call(hundred, seq, 0)
    };
    let back = settle(&mut bucket, "a", &asks(2, 10_000), START_US - 5 * SECOND_US);
    assert_eq!(back.level, Level::whole(0));
    let ahead = settle(&mut bucket, "a", &asks(3, 10_000), START_US - 4 * SECOND_US);
    assert_eq!(ahead.level, Level::whole(1));
    let apace = settle(&mut bucket, "a", &asks(4, 200_000), START_US - 3_800_000);
    assert_eq!(apace.level, Level::whole(21));
}

#[test]
fn who_asks_for_much_leaves_others_what_they_need() {
    let hundred = terms("100/second", 100);
    let mut bucket = None;
    // `b` needs 25 tokens in a horizon of a quarter of a second.
    let rival = LeaseCall {
        demand: 25 * 16,
        ..call(hundred, 1, 0)
    };
    settle(&mut bucket, "b", &rival, START_US);
    let greedy = LeaseCall {
        demand: 300 * 16,
        ..call(hundred, 1, 1_000)
    };
    let reply = settle(&mut bucket, "a", &greedy, START_US);
    // A thirteenth of what is there, since that is less than 25.
    assert_eq!((reply.granted, reply.level.tokens), (93, 7));
    // Who waits gets what it needs all the same.
    let waits = LeaseCall {
        least: 5,
        need: 5,
        ..call(hundred, 1, 5)
    };
    assert_eq!(settle(&mut bucket, "c", &waits, START_US).granted, 5);
    assert_eq!(settle(&mut bucket, "d", &waits, START_US).granted, 0);
}

#[test]
fn horizons_and_lives_are_bounded() {
    let row = |rate, burst| {
        let terms = terms(rate, burst);
        (terms.horizon_ns() / 1_000_000, terms.life_ns() / 1_000_000)
    };
    assert_eq!(row("5/minute", 5), (1_000, 4_000));
    assert_eq!(row("100/second", 100), (250, 2_000));
    assert_eq!(row("100/second", 20), (25, 2_000));
    assert_eq!(row("50000/second", 50_000), (250, 2_000));
    assert_eq!(row("1000000/second", 1), (10, 2_000));
}

#[test]
fn the_share_of_a_gate_is_its_part_of_burst_and_rate() {
    let hundred = terms("100/second", 100);
    let (mut whole_at, mut taken) = (0, 0);
    while let Ok(next) = share::spend(whole_at, &hundred, 4, 1, 5_000_000_000) {
        (whole_at, taken) = (next, taken + 1);
    }
    assert_eq!(taken, 25);
    assert_eq!(share::left(whole_at, &hundred, 4, 5_000_000_000), 0);
    // A twenty-fifth of a second a token.
    assert_eq!(
        share::spend(whole_at, &hundred, 4, 1, 5_000_000_000),
        Err(40_000_000)
    );
    assert!(share::spend(whole_at, &hundred, 4, 1, 5_040_000_000).is_ok());
    // What all four have spent then is what the bucket lacks.
    let missing = whole_at - 5_000_000_000;
    assert_eq!(hundred.level(missing), Level::whole(0));

    // Fewer tokens than gates: one at a time all the same.
    let one = terms("1/second", 1);
    let next = share::spend(0, &one, 4, 1, 1_000).unwrap();
    assert_eq!(share::spend(next, &one, 4, 1, 1_000), Err(4_000_000_000));
}

#[test]
fn a_share_that_is_left_to_others_is_taken_off_rate_and_burst() {
    let hundred = terms("100/second", 100).with_tokens_set_aside();
    assert_eq!(hundred.without(0, 4), hundred);
    let left = hundred.without(1, 4);
    assert_eq!((left.burst, left.token_ns, left.aside), (75, 13_333_333, 5));
    assert_eq!(terms("1/day", 1).without(9, 4).burst, 1);
}

#[test]
fn a_gate_asks_for_more_as_it_needs_more_and_for_what_it_needs_where_it_is_scarce() {
    let hundred = terms("100/second", 100);
    let sight = |tokens, last, lasted_ms: u64, is_scarce| {
        Sight {
            demand: 20 * 16,
            level: Level::whole(100),
            nodes: 1,
            last,
            lasted_ns: lasted_ms * 1_000_000,
            is_scarce,
        }
        .with(tokens)
        .size(&hundred)
    };
    assert_eq!(sight(100, 11, 100, false), 22);
    assert_eq!(sight(100, 22, 250, false), 25);
    assert_eq!(sight(1_000, 22, 250, false), 80);
    assert_eq!(sight(100, 40, 100, true), 20);
    let slow = Sight {
        demand: 15,
        level: Level::whole(3),
        nodes: 1,
        last: 9,
        lasted_ns: 0,
        is_scarce: false,
    };
    let five = terms("5/minute", 5);
    assert_eq!(slow.size(&five), 1);
    assert!(!slow.may_fetch_ahead(&five) && slow.with(4).may_fetch_ahead(&five));
    assert!(slow.is_missed(&hundred) && !slow.with(75).is_missed(&hundred));
}

impl Sight {
    fn with(self, tokens: i64) -> Self {
        Self {
            level: Level::whole(tokens),
            ..self
        }
    }
}

/// A gate of the model: it spends what it has until its lease ends.
#[derive(Debug, Clone, Default)]
struct Gate {
    run: u64,
    seq: u64,
    held: u64,
    received: u64,
    handed: u64,
    ends_us: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Call {
        gate: usize,
        want: u64,
        need: u64,
        is_lost: bool,
    },
    /// A call that the store sees after the next one.
    Late {
        gate: usize,
        want: u64,
    },
    Spend {
        gate: usize,
        tokens: u64,
    },
    GiveBack {
        gate: usize,
    },
    Restart {
        gate: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let gate = 0..3_usize;
    prop_oneof![
        3 => (0..800_000_u64).prop_map(Step::Pass),
        1 => (0..6_000_000_u64).prop_map(Step::Pass),
        4 => (gate.clone(), 0..30_u64, 0..4_u64, prop::bool::weighted(0.2))
            .prop_map(|(gate, want, need, is_lost)| Step::Call { gate, want: want.max(need), need, is_lost }),
        1 => (gate.clone(), 1..30_u64).prop_map(|(gate, want)| Step::Late { gate, want }),
        6 => (gate.clone(), 1..30_u64).prop_map(|(gate, tokens)| Step::Spend { gate, tokens }),
        1 => gate.clone().prop_map(|gate| Step::GiveBack { gate }),
        1 => gate.prop_map(|gate| Step::Restart { gate }),
    ]
}

impl Gate {
    fn asks(&mut self, terms: LeaseTerms, want: u64, now_us: u64) -> LeaseCall {
        self.seq += 1;
        if now_us >= self.ends_us {
            self.held = 0;
        }
        LeaseCall {
            run: self.run,
            held: self.held,
            received: self.received,
            handed: self.handed,
            demand: want * 16,
            ..call(terms, self.seq, want)
        }
    }
}

proptest! {
    /// Whatever is lost or late on the way, all gates together admit no more than one bucket would.
    #[test]
    fn all_gates_together_spend_no_more_than_one_bucket(
        burst in 1..40_u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let terms = terms("10/second", burst);
        let nodes: Vec<Arc<str>> = vec!["a".into(), "b".into(), "c".into()];
        let (mut gates, mut bucket) = (vec![Gate::default(); 3], None);
        let mut late: Vec<Option<LeaseCall>> = vec![None; 3];
        let mut now_us = START_US;
        // One bucket that is asked for every token: when it is whole again.
        let mut whole_at_ns = 0_u64;
        let spend = |whole_at_ns: &mut u64, tokens, now_us| {
            let now_ns = (now_us - START_US) * 1_000;
            for _ in 0..tokens {
                let next = share::spend(*whole_at_ns, &terms, 1, 1, now_ns);
                prop_assert!(next.is_ok(), "one bucket would have refused this");
                *whole_at_ns = next.unwrap();
            }
            Ok(())
        };
        for step in steps {
            match step {
                Step::Pass(us) => now_us += us,
                Step::Call { gate, want, need, is_lost } => {
                    let asked = LeaseCall { least: need.min(1), need, ..gates[gate].asks(terms, want, now_us) };
                    let reply = Bucket::settle(&mut bucket, &nodes[gate], &asked, now_us);
                    if let Some(late) = late[gate].take() {
                        prop_assert_eq!(Bucket::settle(&mut bucket, &nodes[gate], &late, now_us), None);
                    }
                    if !is_lost {
                        let granted = reply.unwrap().granted;
                        let waits = need.min(granted);
                        spend(&mut whole_at_ns, waits, now_us)?;
                        gates[gate].held += granted - waits;
                        gates[gate].received += granted - waits;
                        gates[gate].handed += waits;
                        gates[gate].ends_us = now_us + terms.life_ns() / 1_000;
                    }
                }
                Step::Late { gate, want } => late[gate] = Some(gates[gate].asks(terms, want, now_us)),
                Step::Spend { gate, tokens } if now_us < gates[gate].ends_us => {
                    let spent = tokens.min(gates[gate].held);
                    gates[gate].held -= spent;
                    spend(&mut whole_at_ns, spent, now_us)?;
                }
                Step::Spend { .. } => {}
                Step::GiveBack { gate } => {
                    // What has lapsed is not given back: it may have been refilled already.
                    if now_us < gates[gate].ends_us {
                        gates[gate].received -= gates[gate].held;
                    }
                    gates[gate].held = 0;
                }
                Step::Restart { gate } => {
                    let run = gates[gate].run + 1;
                    late[gate] = None;
                    gates[gate] = Gate { run, ..Gate::default() };
                }
            }
            if let Some(bucket) = &bucket {
                let out: u64 = bucket.rows.values().filter(|it| it.until_us > now_us).map(|it| it.held).sum();
                prop_assert!(bucket.level.tokens + i64::try_from(out).unwrap() <= i64::from(burst));
            }
        }
    }

    /// A level and the time until it is whole are two names of one thing.
    #[test]
    fn a_level_reads_back_from_when_it_is_whole(missing_ns in 0..20_000_000_000_u64) {
        let terms = terms("7/second", 100);
        let level = terms.level(missing_ns);
        prop_assert_eq!(terms.missing_ns(level, terms.burst), missing_ns);
    }
}
