//! Shared limits in Redis: the script does what the arithmetic says.

use std::sync::Arc;

use portcullis::domain::lease::{Bucket, LeaseCall, LeaseTerms, Level};
use portcullis::store::{LeaseStore, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::Gate;
use crate::store::contract::{call, settle};
use crate::store::things::key_id;
use crate::support::redis::RedisServer;

/// One step: who calls, with what, and how much time has passed before.
#[derive(Debug, Clone)]
struct Step {
    node: usize,
    run: u64,
    passed_us: i64,
    call: LeaseCall,
    forgets: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let amounts = (
        0..40_u64,
        0..80_u64,
        0..20_u64,
        0..6_u64,
        0..60_u64,
        0..9_999_u64,
    );
    let estimate = (-40..120_i64, 0..1_000_u64, prop::option::of(0..900_000_u64));
    let passed_us = prop_oneof![
        Just(0_i64),
        0..200_000_i64,
        0..9_000_000_i64,
        -400_000..0_i64,
        Just(40_000_000_000_i64),
    ];
    let who = (0..3_usize, 1..4_u64, prop::bool::weighted(0.05));
    let flags = (prop::bool::weighted(0.1), 0..3_u8);
    (who, passed_us, amounts, estimate, flags).prop_map(
        |(
            (node, run, forgets),
            passed_us,
            amounts,
            (tokens, part_ns, elapsed_us),
            (away, rate),
        )| {
            let (held, received, handed, need, want, demand) = amounts;
            let terms = [
                (1_000, 1_000_000_000, 0),
                (10_000_000, 100, 5),
                (86_400_000_000_000, 7, 0),
            ];
            let (token_ns, burst, aside) = terms[usize::from(rate)];
            let call = LeaseCall {
                terms: LeaseTerms {
                    token_ns,
                    burst,
                    aside,
                },
                run,
                held,
                received,
                handed,
                least: need / 2,
                need,
                want: want.max(need),
                demand: demand * demand * demand,
                estimate: Level { tokens, part_ns },
                elapsed_us,
                was_away: away,
                ..call(1, 1, 0)
            };
            Step {
                node,
                run,
                passed_us,
                call,
                forgets,
            }
        },
    )
}

/// Whatever is asked, in whatever state: script and arithmetic come to the same numbers, and leave the same
/// behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_does_what_the_arithmetic_says() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let nodes: Vec<Arc<str>> = vec!["gate-a".into(), "gate-b".into(), "c d".into()];
    let name = format!("pc:l:{{{}}}:key-1", key_id(1).chars());
    let mut runner = TestRunner::deterministic();
    let mut bucket: Option<Bucket> = None;
    let mut granted = 0;
    for seq in 1..=600 {
        let step = step().new_tree(&mut runner).unwrap().current();
        if step.forgets {
            bucket = None;
            let _: u64 = server.ask(&["DEL", &name]);
        }
        if let Some(bucket) = &mut bucket {
            pass(bucket, step.passed_us);
            write(&server, &name, bucket);
        }
        // Now and then one that comes late.
        let seq = if seq % 7 == 0 { seq - 5 } else { seq };
        let asked = LeaseCall {
            seq,
            run: step.run,
            ..step.call
        };
        let node = &nodes[step.node];
        let reply = settle(&gate.store, node, asked.clone()).await;
        let now_us = reply.map_or(0, |reply| reply.at_us);
        assert_eq!(
            reply,
            Bucket::settle(&mut bucket, node, &asked, now_us),
            "{asked:?}"
        );
        assert_eq!(read(&server, &name), fields(bucket.as_ref().unwrap()));
        granted += reply.map_or(0, |reply| reply.granted);
    }
    assert!(granted > 1_000, "{granted}");
}

/// A bucket goes by itself when it is whole again, and one that never will be for many years stays.
#[tokio::test]
async fn a_bucket_expires_when_it_is_whole_again() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let name = format!("pc:l:{{{}}}:key-1", key_id(1).chars());
    settle(&gate.store, "a", call(1, 1, 10)).await.unwrap();
    let lives_ms: u64 = server.ask(&["PTTL", &name]);
    // Ten hours, and two lives of four seconds.
    assert!((36_007_000..=36_008_000).contains(&lives_ms), "{lives_ms}");
    let slow = LeaseTerms {
        token_ns: 86_400_000_000_000,
        burst: 1_000_000_000,
        aside: 0,
    };
    let slow = LeaseCall {
        terms: slow,
        run: 2,
        ..call(1, 2, 0)
    };
    settle(&gate.store, "a", slow).await.unwrap();
    let lives_ms: u64 = server.ask(&["PTTL", &name]);
    assert!(lives_ms > 315_359_000_000, "{lives_ms}");
}

/// While Redis is away nothing is granted, and each call says so.
#[tokio::test]
async fn nothing_is_granted_while_the_store_is_away() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    server.kill();
    let calls = vec![call(1, 1, 10), call(2, 1, 10)];
    let answers = gate.store.settle(&"a".into(), calls).await;
    assert!(answers.len() == 2 && answers.iter().all(Result::is_err));
    let answers = gate
        .store
        .leases()
        .unwrap()
        .settle(&"a".into(), vec![])
        .await;
    assert!(answers.len() == 1 && answers[0].is_err());
}

/// Moves everything that a bucket knows of into the past, or back.
fn pass(bucket: &mut Bucket, us: i64) {
    let earlier = |at: &mut u64| *at = at.saturating_add_signed(-us);
    earlier(&mut bucket.at_us);
    for row in bucket.rows.values_mut() {
        earlier(&mut row.until_us);
        earlier(&mut row.at_us);
    }
}

fn fields(bucket: &Bucket) -> Vec<(String, String)> {
    let row = |row: &portcullis::domain::lease::Row| {
        let numbers = [
            row.run,
            row.seq,
            row.held,
            row.demand,
            row.received,
            row.handed,
            row.until_us,
            row.at_us,
        ];
        numbers.map(|number| number.to_string()).join(" ")
    };
    let rows = bucket
        .rows
        .iter()
        .map(|(node, it)| (format!("n:{node}"), row(it)));
    let mut fields: Vec<_> = rows.collect();
    fields.push(("v".into(), bucket.level.tokens.to_string()));
    fields.push(("f".into(), bucket.level.part_ns.to_string()));
    fields.push(("t".into(), bucket.at_us.to_string()));
    fields.sort();
    fields
}

fn read(server: &RedisServer, name: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = server.ask(&["HGETALL", name]);
    fields.sort();
    fields
}

fn write(server: &RedisServer, name: &str, bucket: &Bucket) {
    let fields = fields(bucket);
    let mut command = vec!["HSET", name];
    command.extend(
        fields
            .iter()
            .flat_map(|(field, value)| [&**field, &**value]),
    );
    let _: u64 = server.ask(&command);
}
