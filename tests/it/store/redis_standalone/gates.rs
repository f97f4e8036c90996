//! Several gates over one server, and what a gate finds there.

use std::time::Duration;

use portcullis::domain::change::{Gone, Revision, Write};
use portcullis::domain::selector::Selector;
use portcullis::domain::time::Clock;
use portcullis::store::redis::RedisStore;
use portcullis::store::{AuditStore, Feed, KeyStore, News, RuleStore, Store, StoreError};
use tokio::time::Instant;

use super::{Gate, chain, choice, is_revoked, making, open, revoking};
use crate::store::things::{
    HandClock, change, key, key_id, keys, policy, product, receipt, revoked, rotation_rule,
};
use crate::support::patience::{PATIENCE, a_moment};
use crate::support::redis::RedisServer;

/// A change by one gate is at another in the order it was made, whoever made it.
#[tokio::test]
async fn gates_see_each_others_changes_in_one_order() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let mut made = Vec::new();
    for number in 1..=10 {
        let gate = if number % 2 == 0 { &a } else { &b };
        gate.reaches(u64::from(number) - 1).await;
        let change = making(number);
        made.push(change.id);
        assert_eq!(gate.commits(change).await, Revision(number.into()));
    }
    for gate in [&a, &b] {
        gate.reaches(10).await;
        assert_eq!(gate.changes_since(0).await, made);
        assert_eq!(gate.keys().await.0.len(), 10);
    }
}

/// Nobody waits for a poll: whoever follows is woken by the change itself.
#[tokio::test]
async fn a_change_wakes_the_other_gate_at_once() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let mut fastest = Duration::MAX;
    for number in 1..=10 {
        let before = Revision(u64::from(number) - 1);
        let begun = Instant::now();
        tokio::join!(a.commits(making(number)), b.store.moved(before));
        fastest = fastest.min(begun.elapsed());
        b.reaches(number.into()).await;
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

/// Of two gates that change the same revision one wins, and the other learns what it lost to.
#[tokio::test]
async fn of_two_gates_one_wins() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let (first, second) = tokio::join!(
        a.store.commit(change(Revision(0), keys([1]))),
        b.store.commit(change(Revision(0), keys([2])))
    );
    let (won, lost) = if first.is_ok() {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(won.unwrap(), Revision(1));
    assert!(matches!(
        lost,
        Err(StoreError::Conflict {
            expected: Revision(0),
            found: Revision(1)
        })
    ));
    assert_eq!(a.keys().await.0.len(), 1);
}

/// A secret belongs to one key, whichever gate it was made at.
#[tokio::test]
async fn a_hash_of_another_gates_key_is_refused() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    a.commits(making(1)).await;
    let mut twin = key(2);
    twin.versions = key(1).versions;
    let refused = change(Revision(1), vec![Write::Key(twin)]);
    assert!(matches!(
        b.store.commit(refused).await,
        Err(StoreError::DuplicateHash { key }) if key == key_id(1)
    ));
    assert_eq!(b.store.revision().await.unwrap(), Revision(1));
}

/// A call that is repeated at another gate finds what the first one made, and the key that it speaks of.
#[tokio::test]
async fn a_receipt_is_found_at_another_gate_with_its_key() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    for number in 1..=20 {
        let receipt = receipt(number, HandClock::new().now());
        let writes = vec![Write::Key(key(number)), Write::Receipt(receipt.clone())];
        a.commits(change(Revision(u64::from(number) - 1), writes))
            .await;
        let found = b.store.receipt(receipt.digest).await.unwrap();
        assert_eq!(found, Some(receipt));
        assert!(b.store.key(key_id(number)).await.unwrap().is_some());
    }
    let lives: i64 = server.ask(&["TTL", &server.ask::<Vec<String>>(&["KEYS", "*idem*"])[0]]);
    assert!((86_300..=86_400).contains(&lives), "{lives}");
}

/// Rules made at one gate are at the others, also at one that reads the store from the start; and
/// what was taken away is nowhere, nor left lying in the server.
#[tokio::test]
async fn rules_are_at_every_gate_and_gone_at_every_gate() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let writes = vec![
        Write::Product(product(1, "starter")),
        Write::Product(product(2, "pro")),
        Write::Policy(policy(1)),
        Write::RotationRule(rotation_rule(1, Selector::All)),
    ];
    a.commits(change(Revision(0), writes)).await;
    b.reaches(1).await;
    let all = a.store.rules().await.unwrap();
    assert_eq!((all.products.len(), all.policies.len()), (2, 1));
    assert_eq!(b.store.rules().await.unwrap(), all);
    assert_eq!(Gate::at(&server).await.store.rules().await.unwrap(), all);

    let gone = vec![
        Write::Gone(Gone::Product(product(1, "starter").id)),
        Write::Gone(Gone::Policy(policy(1).id)),
    ];
    b.commits(change(Revision(1), gone)).await;
    a.reaches(2).await;
    let left = b.store.rules().await.unwrap();
    assert_eq!(left.products, [product(2, "pro")]);
    assert!(left.policies.is_empty());
    assert_eq!(a.store.rules().await.unwrap(), left);
    assert_eq!(Gate::at(&server).await.store.rules().await.unwrap(), left);
    let kept: u64 = server.ask(&["HLEN", "{pc}:t:products"]);
    assert_eq!(kept, 1);
}

/// A revoked key stays revoked, whatever an older binary or a mistake writes over it.
#[tokio::test]
async fn a_revoked_key_is_not_brought_back() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    gate.commits(revoking(1, 1)).await;
    let refused = gate.refuses(change(Revision(2), keys([1]))).await;
    assert!(refused.contains("revoked"), "{refused}");
    assert_eq!(gate.store.revision().await.unwrap(), Revision(2));
    assert!(gate.has_revoked(1).await);
}

/// A gate that was away longer than the feed reaches back reads the store anew.
#[tokio::test]
async fn a_gate_behind_the_feed_reads_the_store_anew() {
    let server = RedisServer::start();
    let a = Gate::at(&server).await;
    a.commits(making(1)).await;
    let mut b = Gate::at(&server).await;
    b.store.close().await;
    for number in 2..=6 {
        a.commits(making(number)).await;
    }
    let _: u64 = server.ask(&["XTRIM", "{pc}:feed", "MAXLEN", "2"]);

    b.reopen(&server.url()).await;

    assert_eq!(b.keys().await, a.keys().await);
    let news = b.store.since(Revision(1), 10).await.unwrap();
    assert!(matches!(news, News::Trimmed));
    a.commits(making(7)).await;
    b.reaches(7).await;
    assert_eq!(b.changes_since(6).await.len(), 1);
}

/// What a gate reads while others write is the store as it was at one revision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_read_while_others_write_is_of_one_revision() {
    let server = RedisServer::start();
    let writer = Gate::at(&server).await;
    let write = async {
        for number in 1..=400 {
            // Each change makes a key and ends the one before it.
            let mut writes = keys([number]);
            if number > 1 {
                writes.push(Write::Key(revoked(key(number - 1))));
            }
            let expect = Revision(u64::from(number) - 1);
            writer.commits(change(expect, writes)).await;
        }
    };
    let read = async {
        for _ in 0..8 {
            let gate = Gate::at(&server).await;
            let (keys, revision) = gate.keys().await;
            assert_eq!(keys.len() as u64, revision.0);
            let active: Vec<_> = keys.iter().filter(|key| !is_revoked(key)).collect();
            assert!(active.len() as u64 == revision.0.min(1));
            assert!(active.iter().all(|key| key.id == keys[keys.len() - 1].id));
        }
    };
    tokio::join!(write, read);
}

/// A change that cannot be written whole is not written at all: memory is out, the audit log is ahead.
#[tokio::test]
async fn half_a_change_is_never_seen() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    let before = state(&server);

    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = gate.refuses(making(2)).await;
    assert!(refused.contains("OOM"), "{refused}");
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(state(&server), before);

    let _: String = server.ask(&["XADD", "{pc}:audit", "7-0", "e", "x"]);
    let refused = gate.refuses(making(2)).await;
    assert!(refused.contains("audit log is ahead"), "{refused}");
    assert_eq!(state(&server), before);
    assert_eq!(gate.store.revision().await.unwrap(), Revision(1));
    assert_eq!(gate.keys().await.0.len(), 1);
}

/// A server that forgot its scripts is given them again.
#[tokio::test]
async fn a_change_lands_after_the_scripts_were_flushed() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    let () = server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(gate.commits(making(2)).await, Revision(2));
}

/// A record that cannot be read is set aside and counted, and the rest is there.
#[tokio::test]
async fn an_unreadable_record_is_set_aside() {
    let server = RedisServer::start();
    Gate::at(&server)
        .await
        .commits(change(Revision(0), keys([1, 2])))
        .await;
    for (bucket, record) in [("{pc}:k:000", "\u{1}Agarbage-garbage"), ("{pc}:k:001", "")] {
        let _: u64 = server.ask(&["HSET", bucket, "garbage", record]);
    }
    let gate = Gate::at(&server).await;
    assert_eq!(gate.keys().await.0.len(), 2);
    assert_eq!(gate.store.contact().quarantined, 2);
}

/// A store of a newer version is left as it is.
#[tokio::test]
async fn a_newer_store_is_refused() {
    let server = RedisServer::start();
    Gate::at(&server).await.commits(making(1)).await;
    let _: u64 = server.ask(&["HSET", "{pc}:meta", "fmt", "3", "min_reader", "2"]);
    let refused = Gate::open(&server.url()).await.err().unwrap();
    assert!(
        matches!(refused, StoreError::Unusable { .. }),
        "{refused:?}"
    );
    assert!(chain(&refused).contains("newer"), "{}", chain(&refused));

    // Newer, but such that this version understands it.
    let _: u64 = server.ask(&["HSET", "{pc}:meta", "min_reader", "1"]);
    assert_eq!(Gate::at(&server).await.keys().await.0.len(), 1);
}

/// Two stores may share a server under two prefixes.
#[tokio::test]
async fn stores_of_two_prefixes_do_not_meet() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    let mut other = choice(&server.url());
    other.prefix = "other".to_owned();
    let dir = tempfile::tempdir().unwrap();
    let other = RedisStore::open(
        &other,
        dir.path(),
        &crate::store::things::mirror_key(),
        HandClock::new(),
    )
    .await
    .unwrap();
    assert_eq!(other.revision().await.unwrap(), Revision(0));
    other.commit(making(1)).await.unwrap();
    assert_eq!(gate.changes_since(0).await.len(), 1);
}

/// Whoever does not close a store leaves nothing running that would keep its file.
#[tokio::test]
async fn a_dropped_store_can_be_opened_again() {
    let server = RedisServer::start();
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let store = open(&choice(&server.url()), dir.path()).await.unwrap();
        store.commit(making(number)).await.unwrap();
        drop(store);
    }
}

/// Everything in the server that a change touches.
fn state(server: &RedisServer) -> (Vec<String>, u64, usize) {
    let buckets: Vec<String> = server.ask(&["KEYS", "{pc}:k:*"]);
    let meta = server.ask(&["HGETALL", "{pc}:meta"]);
    (meta, server.ask(&["XLEN", "{pc}:feed"]), buckets.len())
}

/// An audit entry that cannot be read is set aside and counted like any record: it must not keep a new
/// gate from following the store.
#[tokio::test]
async fn an_unreadable_audit_entry_keeps_no_gate_from_following() {
    let server = RedisServer::start();
    let a = Gate::at(&server).await;
    let _: String = server.ask(&["XADD", "{pc}:audit", "0-1", "e", "garbage"]);
    a.commits(making(1)).await;
    let b = Gate::at(&server).await;
    let set_aside = async {
        while b.store.contact().quarantined == 0 {
            a_moment().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, set_aside).await;
    waited.expect("the entry is never met");
    a.commits(making(2)).await;
    b.reaches(2).await;
    assert!(b.store.contact().is_up);
    assert_eq!(b.store.contact().quarantined, 1);
    assert_eq!(b.store.verify_audit().await.unwrap().fault, None);
}
