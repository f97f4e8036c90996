//! A gate that stands still while it has a job: another takes it over, and what wakes is a gate like any other.
#![expect(
    clippy::disallowed_methods,
    reason = "what is waited for in another process is waited for by the real clock"
)]

use std::time::{Duration, Instant};

use super::gate::{Setup, Upstream};
use crate::support::patience::until;
use crate::support::redis::RedisServer;

/// Ten seconds by the clock of Redis, and one until the other asks again.
// S3-02
#[test]
fn a_job_of_a_gate_that_stands_still_passes_to_another() {
    let upstream = Upstream::start(0);
    let redis = RedisServer::start();
    let setups = ["gate-1", "gate-2"]
        .map(|node| Setup::over_redis(upstream.address, &redis.url(), node, ""));
    let gates = setups.each_ref().map(Setup::start);
    let does = |at: usize| gates[at].does("rotation");
    until("one of them does it", || does(0) != does(1));
    let first = usize::from(does(1));
    let other = 1 - first;
    let fence = || -> (String, u64) {
        let held: Vec<String> = redis.ask(&["HMGET", "{pc}:job:rotation", "owner", "fence"]);
        (held[0].clone(), held[1].parse().unwrap())
    };
    let (owner, before) = fence();
    assert!(
        owner.starts_with(&format!("gate-{} ", first + 1)),
        "{owner}"
    );

    gates[first].pause();
    let began = Instant::now();
    until("the other does it", || does(other));
    // A machine that runs many tests at once asks late.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    let (owner, after) = fence();
    assert!(
        owner.starts_with(&format!("gate-{} ", other + 1)),
        "{owner}"
    );
    assert_eq!(after, before + 1);

    gates[first].resume();
    until("it knows", || !does(first));
    assert!(does(other));
    assert_eq!(fence().1, after, "and takes nothing back");

    // One that stops gives it back at once.
    let mut gates = gates.map(Some);
    gates[other].take().unwrap().terminate();
    let began = Instant::now();
    until("the first does it again", || {
        gates[first].as_ref().unwrap().does("rotation")
    });
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
