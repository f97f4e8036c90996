//! Servers that are away, hang, forget, or are not to be trusted; answers that are lost.

use std::time::Duration;

use portcullis::config::RedisChoice;
use portcullis::domain::change::Revision;
use portcullis::store::{Beat, Beaten, ContactState, Feed, KeyStore, Store, StoreError};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Gate, chain, choice, making, open_at, revoking};
use crate::store::things::{HandClock, change, key_id, keys};
use crate::support::patience::{a_moment, eventually};
use crate::support::redis::{RedisServer, free_port};
use crate::support::wire::Wire;

/// A change whose answer was lost is found in the feed, and not made a second time.
#[tokio::test]
async fn a_change_whose_answer_was_lost_has_landed_once() {
    let server = RedisServer::start();
    let wire = Wire::to(server.port());
    let gate = Gate::open(&wire.url()).await.unwrap();
    gate.commits(making(1)).await;
    wire.lose_answers();
    assert_eq!(gate.commits(making(2)).await, Revision(2));
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 2);
    assert_eq!(gate.keys().await.0.len(), 2);
}

/// Redis killed and started again: the follower goes on where it was, without a gap.
#[tokio::test]
async fn following_goes_on_after_redis_was_killed() {
    let mut server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    for number in 1..=3 {
        a.commits(making(number)).await;
    }
    b.reaches(3).await;

    server.kill();
    let refused = a.store.commit(making(4)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    eventually("gate b notices", || !b.store.contact().is_up).await;
    assert_eq!(b.keys().await.0.len(), 3);

    server.restart();
    eventually("both are back", || {
        a.store.contact().is_up && b.store.contact().is_up
    })
    .await;
    for number in 4..=6 {
        a.commits(making(number)).await;
    }
    b.reaches(6).await;
    assert_eq!(b.changes_since(0).await.len(), 6);
}

/// A connection that goes without a word is made again, and nothing that happened meanwhile is missed.
#[tokio::test]
async fn following_goes_on_after_connections_were_cut() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    for number in 1..=5 {
        let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        a.settles(making(number)).await.unwrap();
    }
    b.reaches(5).await;
    assert_eq!(b.changes_since(0).await.len(), 5);
}

/// A follower that hears nothing looks for itself: answers lost on one connection hide nothing for long.
#[tokio::test]
async fn a_silent_connection_is_noticed() {
    let server = RedisServer::start();
    let wire = Wire::to(server.port());
    let near = Gate::at(&server).await;
    let far = Gate::open(&wire.url()).await.unwrap();
    wire.lose_answers();
    let begun = Instant::now();
    near.commits(making(1)).await;
    far.reaches(1).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

/// What a follower does not hear, the beats over another connection see: it has a new one long before its own
/// deadline is over.
#[tokio::test]
async fn beats_bring_a_follower_that_hears_nothing_up_to_date() {
    let server = RedisServer::start();
    let wire = Wire::to(server.port());
    let near = Gate::at(&server).await;
    let far = Gate::open(&wire.url()).await.unwrap();
    near.commits(making(1)).await;
    far.reaches(1).await;
    let fleet = far.store.fleet().unwrap();
    let beat = Beat {
        node: "far".into(),
        boot: 1,
        applied: Revision(1),
        renewals: 0,
        max_staleness: Duration::from_secs(60),
    };
    assert!(matches!(fleet.beat(&beat).await.unwrap(), Beaten::Known(_)));
    wire.lose_answers();
    let begun = Instant::now();
    near.commits(making(2)).await;
    while far.store.revision().await.unwrap() < Revision(2) {
        // Those that are not answered are not what is waited for.
        let _ = fleet.beat(&beat).await;
        a_moment().await;
    }
    assert!(
        begun.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        begun.elapsed()
    );
    eventually("the follower follows", || far.store.contact().is_up).await;
    assert_eq!(far.changes_since(0).await.len(), 2);
}

/// A failover may bring a clock that is behind. What was written by the one before is a sign of life for no longer
/// than any other: a gate that died is not live until the clock has caught up, nor is its name taken for so long.
#[tokio::test]
async fn a_beat_of_a_clock_that_was_set_back_ages_as_any_other() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let fleet = gate.store.fleet().unwrap();
    let beat = |node: &str, boot| Beat {
        node: node.into(),
        boot,
        applied: Revision(0),
        renewals: 0,
        max_staleness: Duration::from_secs(60),
    };
    fleet.beat(&beat("dead", 1)).await.unwrap();
    let now = fleet.roster().await.unwrap().at;
    let ahead = now.after(Duration::from_secs(3_600)).as_millis();
    let row = format!("1 0 7 {ahead} up 60 0.1.0 more");
    let _: u64 = server.ask(&["HSET", "{pc}:nodes", "dead", &row]);

    let Beaten::Known(roster) = fleet.beat(&beat("live", 1)).await.unwrap() else {
        panic!("no other has this name");
    };
    let dead = roster.find("dead").unwrap();
    assert_eq!((dead.beat_at, dead.applied), (roster.at, Revision(7)));
    // It may be there: whoever comes by its name waits, as after any other beat.
    let taken = fleet.beat(&beat("dead", 2)).await.unwrap();
    assert!(matches!(taken, Beaten::Taken { .. }), "{taken:?}");
    let kept: String = server.ask(&["HGET", "{pc}:nodes", "dead"]);
    assert!(kept.ends_with(" up 60 0.1.0 more"), "{kept}");
}

/// A store that is empty, or another one, tells a gate nothing of what was revoked: its answers do not put off when the
/// gate, or a strict key, is refused for being out of touch.
#[tokio::test]
async fn a_store_that_is_not_the_gates_own_is_no_contact() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    server.restart_empty();
    eventually("the gate is estranged", || {
        gate.store.contact().state == ContactState::Estranged
    })
    .await;
    let met = gate.store.contact().last_ns;
    assert!(met.is_some());

    gate.clock.turn(Duration::from_secs(60));
    let looks = || -> u64 {
        let told: String = server.ask(&["INFO", "commandstats"]);
        let (_, told) = told.split_once("cmdstat_hmget:calls=").unwrap();
        told.split(',').next().unwrap().parse().unwrap()
    };
    let before = looks();
    eventually("the gate has looked again", || looks() > before + 1).await;
    assert!(gate.store.commit(making(2)).await.is_err());
    assert_eq!(gate.store.contact().last_ns, met);
}

/// A server that hangs is noticed by its deadline, and what was sent to it lands once or not at all.
#[tokio::test]
async fn a_hung_server_is_noticed_and_nothing_is_done_twice() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;

    server.pause();
    let sent = making(2);
    let begun = Instant::now();
    let refused = gate.store.commit(sent.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    assert!(gate.store.key(key_id(1)).await.unwrap().is_some());

    server.resume();
    assert_eq!(gate.settles(sent).await.unwrap(), Revision(2));
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 2);
}

/// A server that may evict keys is read but not written to.
#[tokio::test]
async fn a_server_that_evicts_is_not_written_to() {
    let server = RedisServer::start();
    Gate::at(&server).await.commits(making(1)).await;
    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);

    let gate = Gate::at(&server).await;
    assert_eq!(gate.keys().await.0.len(), 1);
    let refused = gate.refuses(making(2)).await;
    assert!(refused.contains("allkeys-lru"), "{refused}");
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 1);

    let empty = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let refused = chain(&Gate::open(&empty.url()).await.err().unwrap());
    assert!(refused.contains("noeviction"), "{refused}");
    assert_eq!(empty.ask::<u64>(&["DBSIZE"]), 0);
}

/// A replica is no store: what is written there is lost.
#[tokio::test]
async fn a_replica_is_refused() {
    let server = RedisServer::start();
    let () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = chain(&Gate::open(&server.url()).await.err().unwrap());
    assert!(refused.contains("not the master"), "{refused}");
}

/// A master that is made a replica while a gate is on it gets no more changes from it.
#[tokio::test]
async fn a_demoted_master_is_noticed() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    let () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    gate.refuses(making(2)).await;
    let () = server.ask(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(gate.settles(making(2)).await.unwrap(), Revision(2));
}

/// With nothing to serve from, a server that is not there is an error that names it, to be tried again.
#[tokio::test]
async fn a_first_start_without_redis_says_where_and_why() {
    let mut server = RedisServer::start();
    server.kill();
    let refused = Gate::open(&server.url()).await.err().unwrap();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    let text = chain(&refused);
    assert!(
        text.contains(&format!("127.0.0.1:{}", server.port())),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");

    let http = server.url().replace("redis", "http");
    for wrong in [&http, "redis://", "not an address"] {
        let refused = Gate::open(wrong).await.err().unwrap();
        assert!(
            matches!(refused, StoreError::Unusable { .. }),
            "{wrong}: {refused:?}"
        );
    }
}

/// With a mirror, a gate starts without Redis, and joins it when it comes.
#[tokio::test]
async fn a_gate_starts_from_its_mirror() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    gate.store.close().await;
    server.kill();

    gate.reopen(&server.url()).await;
    assert!(!gate.store.contact().is_up);
    assert_eq!(gate.keys().await.0.len(), 1);
    assert_eq!(gate.changes_since(0).await.len(), 1);

    server.restart();
    eventually("the gate joins", || gate.store.contact().is_up).await;
    assert_eq!(gate.commits(making(2)).await, Revision(2));
}

/// A gate with a mirror does not wait for a server that hangs.
#[tokio::test]
async fn a_gate_starts_from_its_mirror_beside_a_hung_server() {
    let server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    gate.store.close().await;

    server.pause();
    let begun = Instant::now();
    gate.reopen(&server.url()).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(gate.keys().await.0.len(), 1);

    server.resume();
    eventually("the gate joins", || gate.store.contact().is_up).await;
}

/// A server that came back empty, or with another store, takes nothing from a gate, and gets nothing.
#[tokio::test]
async fn a_gate_keeps_what_it_has_when_the_store_is_gone() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;

    server.restart_empty();
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    let refused = chain(&gate.settles(making(2)).await.unwrap_err());
    assert!(refused.contains("is empty"), "{refused}");
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);

    let other = Gate::at(&server).await;
    other.commits(change(Revision(0), keys([3]))).await;
    let refused = gate.refuses(making(2)).await;
    assert!(refused.contains("incarnation"), "{refused}");
    let (held, _) = gate.keys().await;
    assert_eq!(
        held.iter().map(|key| key.id).collect::<Vec<_>>(),
        [key_id(1)]
    );
    assert_eq!(other.keys().await.0.len(), 1);
}

/// A store that came back older is given back what it lacks, and no key comes back.
#[tokio::test]
async fn a_store_that_came_back_older_brings_no_key_back() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    gate.commits(making(2)).await;
    let backup = server.backup();
    gate.commits(revoking(1, 2)).await;
    gate.commits(change(Revision(3), keys([3]))).await;

    server.restore(&backup);
    eventually("the gate follows again", || {
        let contact = gate.store.contact();
        contact.is_up && contact.revision == Revision(4)
    })
    .await;
    assert_eq!(gate.keys().await.0.len(), 3);
    for gate in [&gate, &Gate::at(&server).await] {
        assert!(gate.has_revoked(1).await);
        assert!(!gate.has_revoked(2).await);
    }
    assert_eq!(gate.changes_since(2).await.len(), 2);
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 4);
    gate.settles(making(5)).await.unwrap();
}

/// A password is used, and is in no message, right or wrong.
#[tokio::test]
async fn a_password_lets_in_and_is_never_shown() {
    let server = RedisServer::start_with(&["--requirepass", "open-sesame-canary"]);
    let open = async |password: Option<&str>| {
        let choice = RedisChoice {
            password: password.map(|text| Zeroizing::new(text.to_owned())),
            ..choice(&server.url())
        };
        let dir = tempfile::tempdir().unwrap();
        let store = open_at(&choice, dir.path(), HandClock::new()).await?;
        store.commit(making(1)).await
    };
    assert_eq!(open(Some("open-sesame-canary")).await.unwrap(), Revision(1));

    for wrong in [None, Some("wrong-canary")] {
        let refused = open(wrong).await.err().unwrap();
        let text = format!("{} {refused:?}", chain(&refused));
        assert!(text.contains("127.0.0.1"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

/// A server whose certificate nobody vouches for is not spoken to.
#[tokio::test]
async fn a_server_nobody_vouches_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(file("cert"), made.cert.pem()).unwrap();
    std::fs::write(file("key"), made.signing_key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let _server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &file("cert"),
        "--tls-key-file",
        &file("key"),
        "--tls-ca-cert-file",
        &file("cert"),
    ]);
    let refused = Gate::open(&format!("rediss://localhost:{port}")).await;
    let text = chain(&refused.err().unwrap());
    assert!(text.contains("certificate"), "{text}");
}
