//! The store in a cluster of three masters: the whole contract, and what moving a slot must not do.

use std::sync::Arc;

use portcullis::config::RedisSite;
use portcullis::domain::change::{Change, Revision};
use portcullis::domain::usage::{Step, Tally, UsageBatch, UsageRow};
use portcullis::store::{Feed as _, Store as _, StoreError, UsageStore as _};
use zeroize::Zeroizing;

use super::contract::keeps_the_contract;
use super::gate::{Gate, acl, chain, choice, choice_at, making};
use super::redis_standalone::{counts, jobs};
use super::shared::{Shared, nodes_of, of_its_own};
use super::things::key_id;
use crate::support::cluster::Cluster;
use crate::support::patience::eventually;
use crate::support::redis::{RedisServer, free_port};
use crate::support::within;

mod contract {
    use super::{keeps_the_contract, nodes};

    keeps_the_contract!(nodes);
}

async fn nodes() -> Shared {
    Shared::at(nodes_of(Cluster::shared()))
}

/// The slot of the control state moves to another master, a few keys at a time, while a gate makes changes
/// one after the other: each lands once, and the other gate misses none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_the_slot_of_the_control_state_loses_and_doubles_nothing() {
    let cluster = Cluster::start();
    let choice = choice_at(nodes_of(&cluster));
    let a = Arc::new(Gate::of(&choice).await.unwrap());
    let b = Gate::of(&choice).await.unwrap();
    for number in 1..=20 {
        a.commits(making(number)).await;
    }
    let (slot, from) = cluster.place("{pc}:meta");
    let to = (from + 1) % 3;

    let changes = async {
        for number in 21..=60 {
            let landed = a.settles(making(number)).await.unwrap();
            assert_eq!(landed, Revision(u64::from(number)));
        }
    };
    let moving = tokio::task::spawn_blocking(move || {
        cluster.begin_to_move(slot, from, to);
        while cluster.move_keys(slot, from, to, 3) {}
        cluster.end_move(slot, from, to);
        cluster
    });
    let ((), moved) = tokio::join!(changes, moving);
    let cluster = moved.unwrap();

    b.reaches(60).await;
    assert_eq!(cluster.place("{pc}:meta").1, to);
    assert_eq!(cluster.nodes[to].ask::<u64>(&["XLEN", "{pc}:feed"]), 60);
    for gate in [&*a, &b] {
        assert_eq!(gate.changes_since(0).await.len(), 60);
        assert_eq!(gate.keys().await.0.len(), 60);
    }
    eventually("both are in touch", || {
        a.store.contact().is_up && b.store.contact().is_up
    })
    .await;
}

/// While half of the keys are here and half there, a change is refused in time, and lands once when it is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_stays_half_moved_refuses_changes_and_keeps_them_whole() {
    let cluster = Cluster::start();
    let gate = Gate::of(&choice_at(nodes_of(&cluster))).await.unwrap();
    for number in 1..=5 {
        gate.commits(making(number)).await;
    }
    let (slot, from) = cluster.place("{pc}:meta");
    let to = (from + 1) % 3;
    cluster.begin_to_move(slot, from, to);
    assert!(cluster.move_keys(slot, from, to, 3));

    let sent: Change = making(6);
    let refused = gate.store.commit(sent.clone()).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    assert!(chain(&refused).contains("moving"), "{}", chain(&refused));

    while cluster.move_keys(slot, from, to, 3) {}
    cluster.end_move(slot, from, to);
    assert_eq!(gate.settles(sent).await.unwrap(), Revision(6));
    assert_eq!(cluster.nodes[to].ask::<u64>(&["XLEN", "{pc}:feed"]), 6);
}

/// Counts are on all masters, and are read from all; what changes together is on one.
#[tokio::test]
async fn counts_are_spread_over_the_masters() {
    let cluster = Cluster::shared();
    let choice = of_its_own(nodes_of(cluster));
    let gate = Gate::of(&choice).await.unwrap();
    let rows = (1..=60).map(|number| UsageRow {
        key: key_id(number),
        version: 1,
        route: "r".into(),
        minute: 29_000_000,
        tally: Tally {
            requests: u64::from(number),
            ..Tally::default()
        },
    });
    let batch = Arc::new(UsageBatch {
        node: "a".into(),
        epoch: 1,
        seq: 1,
        rows: rows.collect(),
    });
    for _ in 0..2 {
        gate.store.add_usage(Arc::clone(&batch)).await.unwrap();
    }
    for number in 1..=60 {
        let at = portcullis::domain::time::Timestamp::from_millis(29_000_000 * 60_000);
        let to = at.after(std::time::Duration::from_secs(3_600));
        let read = gate.store.usage(key_id(number), Step::Day, at, to).await;
        let requests: u64 = read.unwrap().iter().map(|it| it.tally.requests).sum();
        assert_eq!(requests, u64::from(number));
    }
    for (at, node) in cluster.nodes.iter().enumerate() {
        let pattern = format!("{}:u:*", choice.prefix);
        let names: Vec<String> = node.ask(&["KEYS", &pattern]);
        assert!(names.len() > 20, "master {at} has {}", names.len());
        let control: Vec<String> = node.ask(&["KEYS", &format!("{{{}}}:*", choice.prefix)]);
        let is_home = cluster.place(&format!("{{{}}}:meta", choice.prefix)).1 == at;
        assert_eq!(!control.is_empty(), is_home);
    }
}

/// A slot that moved while nobody asked for it is found where it is, and a master that the gate did not know is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_found_where_their_slot_has_moved() {
    let cluster = Cluster::start();
    let gate = Gate::of(&choice_at(nodes_of(&cluster))).await.unwrap();
    let batch = |seq| {
        Arc::new(UsageBatch {
            node: "a".into(),
            epoch: 1,
            seq,
            rows: vec![UsageRow {
                key: key_id(1),
                version: 1,
                route: "r".into(),
                minute: 29_000_000,
                tally: Tally {
                    requests: 5,
                    ..Tally::default()
                },
            }],
        })
    };
    gate.store.add_usage(batch(1)).await.unwrap();
    let names: Vec<Vec<String>> = cluster
        .nodes
        .iter()
        .map(|node| node.ask(&["KEYS", "pc:u:*:w"]))
        .collect();
    let marker = names.concat().pop().unwrap();
    let (slot, from) = cluster.place(&marker);
    let to = (from + 2) % 3;
    cluster.begin_to_move(slot, from, to);
    // Half way: the keys are asked for at the other, with leave.
    while cluster.move_keys(slot, from, to, 100) {}
    gate.store.add_usage(batch(2)).await.unwrap();
    cluster.end_move(slot, from, to);
    gate.store.add_usage(batch(3)).await.unwrap();
    gate.store.add_usage(batch(3)).await.unwrap();

    let at = portcullis::domain::time::Timestamp::from_millis(29_000_000 * 60_000);
    let to_time = at.after(std::time::Duration::from_secs(3_600));
    let read = gate.store.usage(key_id(1), Step::Day, at, to_time).await;
    assert_eq!(read.unwrap()[0].tally.requests, 15);
    let held: String = cluster.nodes[to].ask(&["HGET", &marker, "a"]);
    assert_eq!(held, "1 3 0");
}

/// One node of those that are named is enough to find the others.
#[tokio::test]
async fn nodes_that_are_named_may_be_away() {
    let cluster = Cluster::shared();
    let away = format!("redis://127.0.0.1:{}", free_port());
    let mut choice = of_its_own(nodes_of(cluster));
    choice.site = site(&[&away, &cluster.urls()[2]]);
    Gate::of(&choice).await.unwrap().commits(making(1)).await;

    let refused = Gate::of(&choice_at(site(&[&away]))).await.err().unwrap();
    let text = chain(&refused);
    assert!(
        text.contains(&format!(
            "{} cannot be reached",
            away.trim_start_matches("redis://")
        )),
        "{text}"
    );
}

/// A cluster that is taken for one server, and a server that is taken for a cluster, are told from each other.
#[tokio::test]
async fn a_cluster_and_a_server_are_not_taken_for_each_other() {
    let cluster = Cluster::shared();
    let refused = Gate::of(&choice(&cluster.urls()[0])).await.err().unwrap();
    let text = chain(&refused);
    assert!(text.contains("is a node of a cluster"), "{text}");

    let server = RedisServer::start();
    let refused = Gate::of(&choice_at(site(&[&server.url()]))).await;
    let text = chain(&refused.err().unwrap());
    assert!(text.contains("is no node of a cluster"), "{text}");
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
}

/// One master that may evict is enough to write nothing, since it holds counts of ours.
#[tokio::test]
async fn a_master_that_evicts_is_enough_to_write_nothing() {
    let cluster = Cluster::start();
    let gate = Gate::of(&choice_at(nodes_of(&cluster))).await.unwrap();
    gate.commits(making(1)).await;
    let (_, home) = cluster.place("{pc}:meta");
    let other = &cluster.nodes[(home + 1) % 3];
    let () = other.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let again = Gate::of(&choice_at(nodes_of(&cluster))).await.unwrap();
    // The gate writes to one master while it still looks at the others.
    let mut number = 1;
    let text = within("it is not written to", async {
        loop {
            number += 1;
            if let Err(error) = again.store.commit(making(number)).await
                && chain(&error).contains("allkeys-lru")
            {
                break chain(&error);
            }
        }
    })
    .await;
    assert!(text.contains(&other.address()), "{text}");
}

/// The ACL of docs/operations.md is enough in a cluster too, and a wrong password is told with the addresses.
#[tokio::test]
async fn the_acl_of_the_manual_is_enough_in_a_cluster() {
    let cluster = Cluster::shared();
    let mut choice = of_its_own(nodes_of(cluster));
    let user = format!("user-{}", choice.prefix);
    for node in &cluster.nodes {
        let rules = acl(&choice.prefix);
        let mut ask = vec!["ACL", "SETUSER", &user, "on", ">acl-canary"];
        ask.extend(rules.iter().map(String::as_str));
        let () = node.ask(&ask);
    }
    choice.username = Some(user);
    choice.password = Some(Zeroizing::new("acl-canary".to_owned()));
    let (a, b) = (
        Gate::of(&choice).await.unwrap(),
        Gate::of(&choice).await.unwrap(),
    );
    a.commits(making(1)).await;
    b.reaches(1).await;

    choice.password = Some(Zeroizing::new("wrong-canary".to_owned()));
    let text = chain(&Gate::of(&choice).await.err().unwrap());
    assert!(text.contains("does not let us in"), "{text}");
    assert!(text.contains(&cluster.nodes[0].address()), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

fn site(urls: &[&str]) -> RedisSite {
    let urls = urls.iter().map(|url| Zeroizing::new((*url).to_owned()));
    RedisSite::Cluster {
        urls: urls.collect(),
    }
}

/// Each shard on the master that has it.
// S1-14
#[tokio::test]
async fn a_shard_of_one_master_that_lost_what_it_had_is_given_it_again() {
    let cluster = Cluster::shared();
    let choice = of_its_own(nodes_of(cluster));
    counts::loses_and_gets_again(&choice, |command| {
        let (_, at) = cluster.place(command[1]);
        cluster.nodes[at].ask::<u64>(command);
    })
    .await;
}

// S3-02
#[tokio::test]
async fn jobs_are_fenced_on_the_master_of_the_control_state() {
    jobs::is_fenced(&of_its_own(nodes_of(Cluster::shared()))).await;
}
