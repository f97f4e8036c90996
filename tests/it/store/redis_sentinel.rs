//! The store in a Redis that sentinels watch: the whole contract, and what a failover must not do.

use std::sync::Arc;

use portcullis::config::{RedisSentinel, RedisSite};
use portcullis::domain::change::Revision;
use portcullis::store::{AuditStore as _, Feed as _, Store as _};
use zeroize::Zeroizing;

use super::contract::keeps_the_contract;
use super::gate::{Gate, chain, choice_at, making, revoking};
use super::shared::{Shared, of_its_own, watched_by};
use crate::support::clock;
use crate::support::patience::eventually;
use crate::support::redis::{RedisServer, free_port};
use crate::support::sentinel::Watched;

mod contract {
    use super::{keeps_the_contract, watched};

    keeps_the_contract!(watched);
}

async fn watched() -> Shared {
    Shared::at(watched_by(Watched::shared()))
}

/// A failover while changes are made: what was acknowledged and had reached the replica is there, once and
/// in order; both gates go on without a gap; the new master, which knows no script, is given each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_no_change_that_the_replica_had() {
    let mut watched = Watched::start_with(&[]);
    let choice = choice_at(watched_by(&watched));
    let a = Arc::new(Gate::of(&choice).await.unwrap());
    let b = Gate::of(&choice).await.unwrap();
    for number in 1..=20 {
        a.commits(making(number)).await;
    }
    b.reaches(20).await;
    eventually("the replica has all of it", || {
        watched.replica.ask::<u64>(&["XLEN", "{pc}:feed"]) == 20
    })
    .await;

    watched.master.kill();
    for number in 21..=60 {
        assert_eq!(
            a.settles(making(number)).await.unwrap(),
            Revision(u64::from(number))
        );
    }
    b.reaches(60).await;

    let role: Vec<redis::Value> = watched.replica.ask(&["ROLE"]);
    assert_eq!(role[0], redis::Value::BulkString(b"master".into()));
    assert_eq!(watched.replica.ask::<u64>(&["XLEN", "{pc}:feed"]), 60);
    for gate in [&*a, &b] {
        assert_eq!(gate.changes_since(0).await.len(), 60);
        assert_eq!(gate.keys().await.0.len(), 60);
    }
    assert_eq!(a.changes_since(0).await, b.changes_since(0).await);
    let said: String = watched.replica.ask(&["INFO", "commandstats"]);
    let evals = said.lines().find(|line| line.starts_with("cmdstat_eval:"));
    let loaded = evals.and_then(|line| line.split_once("calls=")?.1.split(',').next());
    assert_eq!(loaded, Some("1"), "{said}");
}

/// S1-13: the replica is cut off, revocations are acknowledged, the master dies, and the replica becomes the
/// master without them. The gates give back what it lacks, as it was; or, where another gate went on first, all that
/// has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_loses_changes_undoes_no_revocation() {
    for is_fork in [false, true] {
        let mut watched = Watched::start_with(&[]);
        let choice = choice_at(watched_by(&watched));
        let mut a = Gate::of(&choice).await.unwrap();
        let mut b = Gate::of(&choice).await.unwrap();
        for number in 1..=6 {
            a.commits(making(number)).await;
        }
        eventually("the replica has all of it", || {
            watched.replica.ask::<u64>(&["XLEN", "{pc}:feed"]) == 6
        })
        .await;
        let () = watched.replica.ask(&["REPLICAOF", "127.0.0.1", "1"]);
        for number in 1..=5 {
            a.commits(revoking(number, u64::from(number) + 5)).await;
        }
        b.reaches(9).await;
        let before = a.changes_since(0).await;
        if is_fork {
            a.store.close().await;
            b.store.close().await;
        }
        watched.master.kill();
        let stray = Gate::of_patiently(&choice).await;
        if is_fork {
            assert!(!stray.has_revoked(1).await);
            stray.settles(making(7)).await.unwrap();
            tokio::join!(a.reopen_of(&choice), b.reopen_of(&choice));
        }
        eventually("all gates are in step", || {
            let rev: String = watched.replica.ask(&["HGET", "{pc}:meta", "rev"]);
            let revision = Revision(rev.parse().unwrap());
            revision.0 >= 11
                && [&a, &b, &stray].into_iter().all(|gate| {
                    let contact = gate.store.contact();
                    contact.is_up && contact.revision == revision
                })
        })
        .await;
        for gate in [&a, &b, &stray] {
            for number in 1..=5 {
                assert!(
                    gate.has_revoked(number).await,
                    "fork: {is_fork}, key {number}"
                );
            }
            assert!(!gate.has_revoked(6).await);
            clock::eventually("the audit log is whole", async || {
                let verdict = gate.store.verify_audit().await.ok()?;
                assert_eq!(verdict.fault, None);
                Some(())
            })
            .await;
            let head = gate.store.audit_end().await.unwrap().head;
            assert_eq!(head, a.store.audit_end().await.unwrap().head);
        }
        if !is_fork {
            assert_eq!(a.changes_since(0).await, before);
        }
    }
}

/// A master that is demoted while it lives refuses, and the gates are at the new one at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_follow_a_failover_that_was_asked_for() {
    let watched = Watched::start_with(&[]);
    let choice = choice_at(watched_by(&watched));
    let (a, b) = (
        Gate::of(&choice).await.unwrap(),
        Gate::of(&choice).await.unwrap(),
    );
    a.commits(making(1)).await;
    b.reaches(1).await;
    eventually("the replica has it", || {
        watched.replica.ask::<u64>(&["XLEN", "{pc}:feed"]) == 1
    })
    .await;

    watched.fail_over();
    eventually("the replica is the master", || {
        watched.replica.is_master() == Some(true)
    })
    .await;
    // A change may still reach the old master before it is told; nothing here is made by two.
    eventually("the old master is a replica", || {
        watched.master.is_master() == Some(false)
    })
    .await;
    assert_eq!(a.settles(making(2)).await.unwrap(), Revision(2));
    assert_eq!(watched.replica.ask::<u64>(&["XLEN", "{pc}:feed"]), 2);
    b.reaches(2).await;
    eventually("both are in touch", || {
        a.store.contact().is_up && b.store.contact().is_up
    })
    .await;
}

/// One sentinel that is away, or the first, changes nothing.
#[tokio::test]
async fn a_sentinel_may_be_away() {
    let watched = Watched::shared();
    let mut urls = watched.urls();
    urls[0] = format!("redis://127.0.0.1:{}", free_port());
    let mut choice = of_its_own(watched_by(watched));
    choice.site = site(Watched::MASTER, &urls);
    let gate = Gate::of(&choice).await.unwrap();
    gate.commits(making(1)).await;
}

/// Sentinels that are not there, that do not know the name, or that are none: each is told with its address.
#[tokio::test]
async fn sentinels_that_do_not_help_are_told_with_their_addresses() {
    let watched = Watched::shared();
    let urls = watched.urls();
    let refused = async |site: RedisSite| {
        let error = Gate::of(&choice_at(site)).await.err().unwrap();
        chain(&error)
    };
    let text = refused(site("other", &urls[..1])).await;
    let address = urls[0].trim_start_matches("redis://");
    assert!(
        text.contains(&format!("redis at {address} knows no master named `other`")),
        "{text}"
    );

    let nobody = format!("127.0.0.1:{}", free_port());
    let text = refused(site(Watched::MASTER, &[format!("redis://{nobody}")])).await;
    assert!(
        text.contains(&format!("redis at {nobody} cannot be reached")),
        "{text}"
    );

    let server = RedisServer::start();
    let text = refused(site(Watched::MASTER, &[server.url()])).await;
    assert!(text.contains("is no sentinel"), "{text}");

    let text = refused(RedisSite::Standalone {
        url: Zeroizing::new(urls[0].clone()),
    })
    .await;
    assert!(text.contains("is a sentinel"), "{text}");
}

/// Sentinels and their master have users of their own.
#[tokio::test]
async fn sentinels_and_the_master_are_let_in_to_apart() {
    let watched = Watched::start_with(&[]);
    let user = [
        "ACL",
        "SETUSER",
        "gate",
        "on",
        ">of-the-master",
        "~*",
        "+@all",
    ];
    let () = watched.master.ask(&user);
    // The rules of docs/operations.md.
    let rules = [
        "on",
        ">of-the-sentinels",
        "+@connection",
        "+sentinel|master",
    ];
    watched.tell(&[&["ACL", "SETUSER", "watcher"], &rules[..]].concat());
    watched.tell(&["ACL", "SETUSER", "default", "off"]);
    let () = watched
        .master
        .ask(&["ACL", "SETUSER", "default", "resetpass", ">other"]);

    let open = async |of_sentinels: &str, of_master: &str| {
        let mut choice = choice_at(watched_by(&watched));
        choice.username = Some("gate".to_owned());
        choice.password = Some(Zeroizing::new(of_master.to_owned()));
        if let RedisSite::Sentinel(sentinel) = &mut choice.site {
            sentinel.username = Some("watcher".to_owned());
            sentinel.password = Some(Zeroizing::new(of_sentinels.to_owned()));
        }
        Gate::of(&choice).await
    };
    let gate = open("of-the-sentinels", "of-the-master").await.unwrap();
    gate.commits(making(1)).await;

    let text = chain(&open("wrong", "of-the-master").await.err().unwrap());
    assert!(text.contains("does not let us in"), "{text}");
    for url in watched.urls() {
        assert!(text.contains(url.trim_start_matches("redis://")), "{text}");
    }
    let text = chain(&open("of-the-sentinels", "wrong").await.err().unwrap());
    assert!(
        text.contains(&format!("{} does not let us in", watched.master.address())),
        "{text}"
    );
}

fn site(master: &str, urls: &[String]) -> RedisSite {
    RedisSite::Sentinel(RedisSentinel {
        master: master.to_owned(),
        urls: urls.iter().cloned().map(Zeroizing::new).collect(),
        username: None,
        password: None,
    })
}
