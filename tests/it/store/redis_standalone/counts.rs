//! Counts beyond the contract: many keys in a shard, many routes in a key, several gates.

use std::sync::Arc;

use portcullis::domain::id::KeyId;
use portcullis::domain::query::{KeyQuery, KeySort};
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::domain::usage::{Step, Tally, UsageBatch, UsageRow};
use portcullis::store::{KeyStore, UsageStore};
use sha2::{Digest, Sha256};

use super::{Gate, making};
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
