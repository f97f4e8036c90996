//! From a seed to what is done in a run, and when. The same seed gives the same schedule, always.

use crate::support::link::Weather;
use crate::support::watch::{At, SECOND};

/// Numbers that look random and are made of a seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// In so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A fault to come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) at: At,
    pub(crate) lasts: At,
    pub(crate) act: Act,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act {
    /// `kill -9`, and a start when it is over.
    Kill(usize),
    /// SIGSTOP, SIGCONT.
    Pause(usize),
    /// The gate's link to the store; whether its connections are reset when it heals.
    Cut(usize, Weather, bool),
    /// The gate's wall clock, in seconds from the right time.
    Step(usize, i64),
    /// The replica takes over; it lacks what was written in the last so many microseconds.
    FailOver { lost: At },
    /// The master dies, and comes back with what it had.
    Down,
    /// The master comes back with nothing, then is given back what it had.
    Empty,
    /// The master comes back with what it had so many microseconds ago.
    Older { lost: At },
    /// The store answers each gate late by so many milliseconds, both ways.
    Slow(u32),
}

/// All that is done in a run: three tracks that know nothing of each other, each in order of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) falls_back_late: bool,
    pub(crate) tracks: Vec<Vec<Planned>>,
}

impl Plan {
    /// Of a run that lasts so many seconds. All faults are over [`QUIET`] before its end.
    ///
    /// `only` leaves these kinds alone, by the names of [`Act`], for finding out what does it; another
    /// schedule, then.
    pub(crate) fn of(seed: u64, seconds: u64, only: Option<&str>) -> Self {
        let is_meant = |act: Act| {
            let name = format!("{act:?}");
            only.is_none_or(|kinds| kinds.split(',').any(|kind| name.starts_with(kind)))
        };
        let mut random = Random::new(seed);
        let falls_back_late = random.chance(50);
        let end = (seconds * SECOND).saturating_sub(QUIET);
        let mut tracks = vec![Vec::new(); 3];
        for (number, track) in tracks.iter_mut().enumerate() {
            let mut at = random.between(SECOND, 4 * SECOND);
            loop {
                // A track of whose kinds none is meant stays empty.
                let drawn = (0..1_000).map(|_| match number {
                    0 => of_the_store(&mut random),
                    // Of four gates, the one track has two, the other the others.
                    _ => of_a_gate(&mut random, number * 2 - 2),
                });
                let Some((act, lasts)) = { drawn }.find(|(act, _)| is_meant(*act)) else {
                    break;
                };
                let before = match act {
                    Act::FailOver { lost } | Act::Older { lost } => lost,
                    _ => 0,
                };
                if at + before + lasts > end {
                    break;
                }
                track.push(Planned { at, lasts, act });
                at += before + lasts + random.between(SECOND / 2, 5 * SECOND);
            }
        }
        Self {
            falls_back_late,
            tracks,
        }
    }

    /// How many things are done.
    pub(crate) fn len(&self) -> usize {
        self.tracks.iter().map(Vec::len).sum()
    }
}

fn of_the_store(random: &mut Random) -> (Act, At) {
    let lost = random.between(SECOND / 10, 3 * SECOND / 2);
    let act = match random.below(100) {
        0..20 => Act::FailOver { lost: 0 },
        20..45 => Act::FailOver { lost },
        45..60 => Act::Down,
        60..75 => Act::Empty,
        75..85 => Act::Older { lost },
        _ => Act::Slow(random.one_of(&[5, 60, 400, 2_000])),
    };
    (act, random.between(SECOND / 5, 4 * SECOND))
}

fn of_a_gate(random: &mut Random, first: usize) -> (Act, At) {
    let gate = first + random.below(2) as usize;
    let act = match random.below(100) {
        0..30 => Act::Kill(gate),
        30..50 => Act::Pause(gate),
        50..85 => {
            let weather = random.one_of(&[
                Weather::Refusing,
                Weather::Silent,
                Weather::Silent,
                Weather::NoReplies,
                Weather::Late(700),
            ]);
            Act::Cut(gate, weather, random.chance(50))
        }
        _ => {
            let step = random.one_of(&[-3_600, -30, -2, 2, 30, 600]);
            return (Act::Step(gate, step), 0);
        }
    };
    (act, random.between(SECOND / 5, 4 * SECOND))
}

/// How long before its end a run is left alone.
const QUIET: At = 2 * SECOND;

#[test]
fn a_seed_gives_one_schedule_and_another_seed_another() {
    assert_eq!(Plan::of(7, 20, None), Plan::of(7, 20, None));
    assert_ne!(Plan::of(7, 20, None), Plan::of(8, 20, None));
}

#[test]
fn every_fault_is_over_before_the_end_and_every_kind_comes_up() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let plan = Plan::of(seed, 20, None);
        assert!(plan.len() >= 3, "seed {seed} does next to nothing");
        for planned in plan.tracks.iter().flatten() {
            assert!(planned.at + planned.lasts <= 18 * SECOND);
            let text = format!("{:?}", planned.act);
            kinds.insert(text.split(['(', ' ']).next().unwrap().to_owned());
        }
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}
