//! Counts beyond the contract: many keys in a shard, many routes in a key, several gates.

use std::sync::Arc;

use portcullis::config::RedisChoice;
use portcullis::domain::id::KeyId;
use portcullis::domain::query::{KeyQuery, KeySort};
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::domain::usage::{Step, Tally, UsageBatch, UsageRow};
use portcullis::store::{Added, KeyStore, UsageStore};
use sha2::{Digest, Sha256};

use super::{Gate, choice, making};
use crate::store::things::{HandClock, key_id};
use crate::support::redis::RedisServer;

/// A batch counts once however often it is sent, also when its keys fill several calls of one shard.
#[tokio::test]
async fn a_batch_of_many_keys_in_one_shard_counts_once() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let keys: Vec<_> = (0..)
        .map(key_id)
        .filter(|id| Sha256::digest(id.as_bytes())[0] == 0x2a)
        .take(600)
        .collect();
    let batch = |node, seq| batch(node, seq, keys.iter().map(|key| row(*key, "r", 7)));
    for batch in [batch("a", 1), batch("a", 1), batch("a", 2), batch("a", 1)] {
        a.store.add_usage(batch).await.unwrap();
    }
    b.store.add_usage(batch("b", 1)).await.unwrap();

    for gate in [&a, &b] {
        for key in [keys[0], keys[299], keys[599]] {
            for step in [Step::Hour, Step::Day] {
                assert_eq!(requests(gate, key, step).await, [("r".to_owned(), 21)]);
            }
        }
    }
    let marker: String = server.ask(&["HGET", "pc:u:{02a}:w", "a"]);
    assert_eq!(marker, "1 2 2");
}

/// A key with more routes than are kept apart has the rest under `other`, and no count is lost.
#[tokio::test]
async fn routes_beyond_the_bound_fold_into_other() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let rows = (0..5_000).map(|number| row(key_id(1), &format!("route-{number}"), 1));
    gate.store.add_usage(batch("a", 1, rows)).await.unwrap();

    let routes = requests(&gate, key_id(1), Step::Hour).await;

    assert_eq!(routes.len(), 4_097);
    assert_eq!(routes.iter().map(|(_, count)| count).sum::<u64>(), 5_000);
    assert!(routes.contains(&("other".to_owned(), 5_000 - 4_096)));
}

/// Counts expire by themselves, with the period they are of.
#[tokio::test]
async fn counts_are_given_a_time_to_live() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let rows = || [row(key_id(1), "r", 1)].into_iter();
    gate.store.add_usage(batch("a", 1, rows())).await.unwrap();
    gate.store.add_usage(batch("a", 2, rows())).await.unwrap();
    let names: Vec<String> = server.ask(&["KEYS", "pc:u:*"]);
    assert_eq!(names.len(), 4);
    for name in names {
        let days = server.ask::<i64>(&["TTL", &name]) / 86_400;
        let expected = match name.rsplit(':').nth(1) {
            Some("h") => 35..=66,
            Some("d") => 400..=766,
            _ => 399..=400,
        };
        assert!(expected.contains(&days), "{name} lives {days} days");
    }
}

/// A list says when a key was last used at any gate, not only at the one that is asked.
#[tokio::test]
async fn lists_tell_of_use_at_other_gates() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    a.commits(making(1)).await;
    b.reaches(1).await;
    let used = row(key_id(1), "r", 1);
    let at = used.tally.last_used_at.unwrap();
    a.store
        .add_usage(batch("a", 1, [used].into_iter()))
        .await
        .unwrap();
    for gate in [&a, &b] {
        let (query, sort) = (KeyQuery::default(), KeySort::default());
        let page = gate.store.keys(&query, sort, 10, None).await.unwrap();
        assert_eq!(page.items[0].last_used, [(1, at)]);
    }
}

async fn requests(gate: &Gate, key: KeyId, step: Step) -> Vec<(String, u64)> {
    let all = gate
        .store
        .usage(key, step, Timestamp::default(), Timestamp::NEVER)
        .await
        .unwrap();
    all.iter()
        .map(|bucket| (bucket.route.to_string(), bucket.tally.requests))
        .collect()
}

fn batch(node: &str, seq: u64, rows: impl Iterator<Item = UsageRow>) -> Arc<UsageBatch> {
    Arc::new(UsageBatch {
        node: node.into(),
        epoch: 1,
        seq,
        rows: rows.collect(),
    })
}

fn row(key: KeyId, route: &str, requests: u64) -> UsageRow {
    let now = HandClock::new().now();
    UsageRow {
        key,
        version: 1,
        route: route.into(),
        minute: u32::try_from(now.as_millis() / 60_000).unwrap(),
        tally: Tally {
            requests,
            cost: requests,
            last_used_at: Some(now),
            ..Tally::default()
        },
    }
}

/// A shard that has lost what it took, as after a failover, takes nothing before it is given that again; then
/// everything counts once.
// S1-14
#[tokio::test]
async fn a_shard_that_lost_what_it_had_is_given_it_again_in_order() {
    let server = RedisServer::start();
    loses_and_gets_again(&choice(&server.url()), |command| {
        server.ask::<u64>(command);
    })
    .await;
}

pub(crate) async fn loses_and_gets_again(choice: &RedisChoice, ask: impl Fn(&[&str])) {
    let gate = Gate::of(choice).await.unwrap();
    // Two shards.
    let keys = [key_id(1), key_id(2)];
    assert_ne!(shard(keys[0]), shard(keys[1]));
    let batch = |seq| batch("a", seq, keys.iter().map(|key| row(*key, "r", seq)));
    for seq in 1..=3 {
        let added = gate.store.add_usage(batch(seq)).await.unwrap();
        assert_eq!(added, Added::Counted);
    }
    // One of them is back where it was after the first.
    let names = |what: &str| format!("{}:u:{{0{}}}:{what}", choice.prefix, shard(keys[0]));
    let id = keys[0].to_string();
    let id = id.trim_start_matches("key_");
    let now = HandClock::new().now().to_string();
    let hours = format!("h:{}{}", &now[..4], &now[5..7]);
    for what in [&*hours, &format!("d:{}", &now[..4]), "l"] {
        ask(&["DEL", &names(&format!("{id}:{what}"))]);
    }
    ask(&["DEL", &names("w")]);

    assert_eq!(gate.store.add_usage(batch(4)).await.unwrap(), Added::Behind);
    let counted = async |key| requests(&gate, key, Step::Hour).await;
    assert!(counted(keys[0]).await.is_empty());
    for seq in 1..=4 {
        assert_eq!(
            gate.store.add_usage(batch(seq)).await.unwrap(),
            Added::Counted
        );
    }
    for key in keys {
        assert_eq!(counted(key).await, [("r".to_owned(), 10)]);
    }
}

fn shard(key: KeyId) -> String {
    format!("{:02x}", Sha256::digest(key.as_bytes())[0])
}
