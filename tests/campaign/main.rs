//! Four gates over one Redis, under load and under faults, and a checker that reads what happened.
//!
//! A seed is a schedule of work and of faults (`schedule`); a run carries it out against real processes
//! (`run`) and takes down what clients, administrators and the upstream saw (`history`); the checker, which
//! is pure, says which promise was broken (`checker`). docs/reliability.md has the promises, how to replay a
//! seed, and what came of many.
#![cfg(test)]

mod book;
mod checker;
mod history;
mod nemesis;
mod report;
mod run;
mod schedule;
mod support;
mod workload;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use run::Run;
use schedule::Plan;

/// Three seeds unless more are asked for.
///
/// `PORTCULLIS_CAMPAIGN_SEED=7` replays one seed, `PORTCULLIS_CAMPAIGN_SEEDS=0..200` runs many,
/// `PORTCULLIS_CAMPAIGN_SECONDS=20` says for how long each, `PORTCULLIS_CAMPAIGN_AT_ONCE=2` how many at
/// once, `PORTCULLIS_CAMPAIGN_REPORT=FILE` where the table goes, and `PORTCULLIS_BIN=FILE` which binary. For
/// finding out what does it: `PORTCULLIS_CAMPAIGN_ONLY=Kill,Cut` has these faults alone (`none` has none), and
/// `PORTCULLIS_CAMPAIGN_WITHOUT=Unnamed` does not look at that kind of violation.
#[test]
fn whatever_happens_to_gates_and_store_what_was_promised_holds() {
    let seeds = match (setting("SEED"), setting("SEEDS")) {
        (Some(seed), _) => {
            let seed = seed.parse().expect("PORTCULLIS_CAMPAIGN_SEED is a number");
            seed..seed + 1
        }
        (None, Some(seeds)) => {
            let (from, to) = seeds.split_once("..").expect("seeds are like 0..200");
            from.parse().expect("a number")..to.parse().expect("a number")
        }
        (None, None) => 0..3,
    };
    let number = |name: &str, otherwise: u64| {
        setting(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let seconds = number("SECONDS", 10);
    let is_asked = setting("SEED").is_some() || setting("SEEDS").is_some();
    let only = setting("ONLY").or_else(|| (!is_asked).then(|| STEADY.to_owned()));
    let without = setting("WITHOUT").unwrap_or_default();
    let next = AtomicU64::new(seeds.start);
    let runs = Mutex::new(Vec::<Run>::new());
    std::thread::scope(|threads| {
        for _ in 0..number("AT_ONCE", 1) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    println!(
                        "PORTCULLIS_CAMPAIGN_SEED={seed} PORTCULLIS_CAMPAIGN_SECONDS={seconds}"
                    );
                    let plan = Plan::of(seed, seconds, only.as_deref());
                    let run = Run::of(seed, seconds, plan, &without);
                    println!("{}", report::row(&run));
                    for violation in report::first_of_each(&run.violations) {
                        println!("    {violation}");
                    }
                    if let Some(kept) = &run.kept {
                        println!("    all of it: {}", kept.display());
                    }
                    runs.lock().unwrap().push(run);
                }
            });
        }
    });
    let mut runs = runs.into_inner().unwrap();
    runs.sort_by_key(|run| run.seed);
    let table = report::table(&runs, seconds);
    if let Some(file) = setting("REPORT") {
        std::fs::write(file, &table).expect("the report can be written");
    }
    println!("{table}");
    let bad: Vec<u64> = runs
        .iter()
        .filter(|run| !run.violations.is_empty())
        .map(|run| run.seed)
        .collect();
    assert!(bad.is_empty(), "promises were broken with seeds {bad:?}");
}

/// The faults of the three seeds that are always run: those of gates and of the way to a store that loses nothing.
/// Seeds that are asked for by number leave out none.
const STEADY: &str = "Kill,Pause,Step,Slow,Down";

#[expect(
    clippy::disallowed_methods,
    reason = "a longer campaign is the same test"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(format!("PORTCULLIS_CAMPAIGN_{name}")).ok()
}
