//! What the store in Redis promises beyond the contract: several gates, lost answers, lost servers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::config::RedisChoice;
use portcullis::domain::change::{Change, ChangeId, Revision, Write};
use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::domain::key::{Key, KeySettings, KeyVersion, Standing};
use portcullis::domain::secret::{Fingerprint, KeyHash};
use portcullis::domain::time::{Clock, Reading, Timestamp};
use portcullis::domain::usage::{Step, Tally, UsageBatch, UsageRow};
use portcullis::store::redis::RedisStore;
use portcullis::store::{Feed, KeyStore, News, Store, StoreError, UsageStore};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::support::patience::{PATIENCE, a_moment, eventually};
use crate::support::redis::RedisServer;
use crate::support::wire::Wire;

/// A change by one gate is at another in the order it was made, whoever made it.
#[tokio::test]
async fn gates_see_each_others_changes_in_one_order() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let mut made = Vec::new();
    for turn in 0..10 {
        let gate = if turn % 2 == 0 { &a } else { &b };
        gate.reaches(turn).await;
        let change = creation(turn as u8, turn);
        made.push(change.id);
        assert_eq!(gate.store.commit(change).await.unwrap(), Revision(turn + 1));
    }
    for gate in [&a, &b] {
        gate.reaches(10).await;
        assert_eq!(gate.changes_since(0).await, made);
        assert_eq!(gate.keys().await.len(), 10);
    }
}

/// Nobody waits for a poll: whoever follows is woken by the change itself.
#[tokio::test]
async fn a_change_wakes_the_other_gate_at_once() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let mut fastest = Duration::MAX;
    for turn in 0..10 {
        b.reaches(turn).await;
        let begun = Instant::now();
        let (landed, ()) = tokio::join!(
            a.store.commit(creation(turn as u8, turn)),
            b.store.moved(Revision(turn))
        );
        landed.unwrap();
        fastest = fastest.min(begun.elapsed());
        b.reaches(turn + 1).await;
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

/// Whoever is told that a change landed sees it: the mirror has it before the call returns.
#[tokio::test]
async fn a_gate_reads_what_it_wrote() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    for turn in 0..20 {
        gate.store.commit(creation(turn as u8, turn)).await.unwrap();
        assert_eq!(gate.store.revision().await.unwrap(), Revision(turn + 1));
        let key = gate.store.key(key(turn as u8).id).await.unwrap();
        assert!(key.is_some());
    }
}

/// Of two gates that change the same revision one wins, and the other learns what it lost to.
#[tokio::test]
async fn of_two_gates_one_wins() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let (first, second) = tokio::join!(
        a.store.commit(creation(1, 0)),
        b.store.commit(creation(2, 0))
    );
    let (winner, loser) = if first.is_ok() {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(winner.unwrap(), Revision(1));
    assert!(matches!(
        loser,
        Err(StoreError::Conflict {
            expected: Revision(0),
            found: Revision(1)
        })
    ));
    assert_eq!(a.keys().await.len(), 1);
}

/// A secret belongs to one key, whichever gate it was made at.
#[tokio::test]
async fn a_hash_of_another_gates_key_is_refused() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    a.store.commit(creation(1, 0)).await.unwrap();
    let mut twin = key(2);
    twin.versions = key(1).versions;
    let refused = b.store.commit(change(9, 1, vec![Write::Key(twin)])).await;
    assert!(
        matches!(refused, Err(StoreError::DuplicateHash { key: holder }) if holder == key(1).id),
        "{refused:?}"
    );
    assert_eq!(b.store.revision().await.unwrap(), Revision(1));
}

/// A revoked key stays revoked, whatever an older binary or a mistake writes over it.
#[tokio::test]
async fn a_revoked_key_is_not_brought_back() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();
    gate.store.commit(revocation(1, 1)).await.unwrap();
    let refused = gate
        .store
        .commit(change(9, 2, vec![Write::Key(key(1))]))
        .await
        .unwrap_err();
    assert!(chain(&refused).contains("revoked"), "{}", chain(&refused));
    assert_eq!(gate.store.revision().await.unwrap(), Revision(2));
    assert!(is_revoked(&gate, 1).await);
}

/// A server that forgot its scripts is given them again.
#[tokio::test]
async fn a_change_lands_after_the_scripts_were_flushed() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();
    let () = server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(
        gate.store.commit(creation(2, 1)).await.unwrap(),
        Revision(2)
    );
}

/// A change whose answer was lost is found in the feed, and not made a second time.
#[tokio::test]
async fn a_change_whose_answer_was_lost_has_landed_once() {
    let server = RedisServer::start();
    let wire = Wire::to(server.port());
    let gate = Gate::open(&wire.url()).await.unwrap();
    gate.store.commit(creation(1, 0)).await.unwrap();
    wire.lose_answers();
    assert_eq!(
        gate.store.commit(creation(2, 1)).await.unwrap(),
        Revision(2)
    );
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 2);
    assert_eq!(gate.keys().await.len(), 2);
}

/// Redis killed and started again: the follower goes on where it was, without a gap.
#[tokio::test]
async fn following_goes_on_after_redis_was_killed() {
    let mut server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    for turn in 0..3 {
        a.store.commit(creation(turn as u8, turn)).await.unwrap();
    }
    b.reaches(3).await;

    server.kill();
    let refused = a.store.commit(creation(3, 3)).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    eventually("gate b notices", || !b.store.contact().is_up).await;
    assert_eq!(b.keys().await.len(), 3);

    server.restart();
    eventually("both are back", || {
        a.store.contact().is_up && b.store.contact().is_up
    })
    .await;
    for turn in 3..6 {
        a.store.commit(creation(turn as u8, turn)).await.unwrap();
    }
    b.reaches(6).await;
    assert_eq!(b.changes_since(0).await.len(), 6);
}

/// A connection that goes without a word is made again, and nothing that happened meanwhile is missed.
#[tokio::test]
async fn following_goes_on_after_connections_were_cut() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    for turn in 0..5 {
        let () = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        a.commit_patiently(creation(turn as u8, turn)).await;
    }
    b.reaches(5).await;
    assert_eq!(b.changes_since(0).await.len(), 5);
}

/// A server that hangs is noticed by its deadline, and what was sent to it lands once or not at all.
#[tokio::test]
async fn a_hung_server_is_noticed_and_nothing_is_done_twice() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();

    server.pause();
    let begun = Instant::now();
    let refused = gate.store.commit(creation(2, 1)).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    assert!(gate.store.key(key(1).id).await.unwrap().is_some());

    server.resume();
    assert_eq!(gate.commit_patiently(creation(2, 1)).await, Revision(2));
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 2);
}

/// A gate that was away longer than the feed reaches back reads the store anew.
#[tokio::test]
async fn a_gate_behind_the_feed_reads_the_store_anew() {
    let server = RedisServer::start();
    let a = Gate::at(&server).await;
    a.store.commit(creation(0, 0)).await.unwrap();
    let mut b = Gate::at(&server).await;
    b.reaches(1).await;
    b.store.close().await;
    for turn in 1..6 {
        a.store.commit(creation(turn as u8, turn)).await.unwrap();
    }
    let _: u64 = server.ask(&["XTRIM", "{pc}:feed", "MAXLEN", "2"]);

    b.reopen(&server.url()).await;
    assert_eq!(b.store.revision().await.unwrap(), Revision(6));
    assert_eq!(b.keys().await.len(), 6);
    assert!(matches!(
        b.store.since(Revision(1), 10).await.unwrap(),
        News::Trimmed
    ));
    a.store.commit(creation(6, 6)).await.unwrap();
    b.reaches(7).await;
    assert_eq!(b.changes_since(6).await.len(), 1);
}

/// A change that cannot be written whole is not written at all: the log of it is ahead, memory is out.
#[tokio::test]
async fn half_a_change_is_never_seen() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();
    let before = state(&server);

    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = gate.store.commit(creation(2, 1)).await.unwrap_err();
    assert!(chain(&refused).contains("OOM"), "{}", chain(&refused));
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(state(&server), before);

    let _: String = server.ask(&["XADD", "{pc}:audit", "7-0", "e", "x"]);
    let refused = gate.store.commit(creation(2, 1)).await.unwrap_err();
    assert!(
        chain(&refused).contains("audit log is ahead"),
        "{}",
        chain(&refused)
    );
    assert_eq!(state(&server), before);
    assert_eq!(gate.store.revision().await.unwrap(), Revision(1));
    assert_eq!(gate.keys().await.len(), 1);
}

/// A server that may evict keys is read but not written to.
#[tokio::test]
async fn a_server_that_evicts_is_not_written_to() {
    let server = RedisServer::start();
    Gate::at(&server)
        .await
        .store
        .commit(creation(1, 0))
        .await
        .unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);

    let gate = Gate::at(&server).await;
    assert_eq!(gate.keys().await.len(), 1);
    let refused = gate.store.commit(creation(2, 1)).await.unwrap_err();
    assert!(
        chain(&refused).contains("allkeys-lru"),
        "{}",
        chain(&refused)
    );
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 1);

    let empty = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let refused = Gate::open(&empty.url()).await.err().unwrap();
    assert!(
        chain(&refused).contains("noeviction"),
        "{}",
        chain(&refused)
    );
    assert_eq!(empty.ask::<u64>(&["DBSIZE"]), 0);
}

/// A replica is no store: what is written there is lost.
#[tokio::test]
async fn a_replica_is_refused() {
    let server = RedisServer::start();
    let () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = Gate::open(&server.url()).await.err().unwrap();
    assert!(
        chain(&refused).contains("not the master"),
        "{}",
        chain(&refused)
    );
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
}

/// With a mirror, a gate starts without Redis, and joins it when it comes.
#[tokio::test]
async fn a_gate_starts_from_its_mirror() {
    let mut server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();
    gate.store.close().await;
    server.kill();

    gate.reopen(&server.url()).await;
    assert!(!gate.store.contact().is_up);
    assert_eq!(gate.keys().await.len(), 1);
    assert_eq!(gate.changes_since(0).await.len(), 1);

    server.restart();
    eventually("the gate joins", || gate.store.contact().is_up).await;
    assert_eq!(
        gate.store.commit(creation(2, 1)).await.unwrap(),
        Revision(2)
    );
}

/// A server that came back empty, or with another store, takes nothing from a gate, and gets nothing.
#[tokio::test]
async fn a_gate_keeps_what_it_has_when_the_store_is_gone() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();

    server.restart_empty();
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    let refused = gate.commit_until_connected(creation(2, 1)).await;
    assert!(chain(&refused).contains("is empty"), "{}", chain(&refused));
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);

    let other = Gate::at(&server).await;
    other.store.commit(creation(3, 0)).await.unwrap();
    let refused = gate.store.commit(creation(2, 1)).await.unwrap_err();
    assert!(
        chain(&refused).contains("incarnation"),
        "{}",
        chain(&refused)
    );
    let keys: Vec<_> = gate.keys().await.iter().map(|key| key.id).collect();
    assert_eq!(keys, [key(1).id]);
    assert_eq!(other.keys().await.len(), 1);
}

/// A store that came back older is followed again, but what was revoked here stays revoked here.
#[tokio::test]
async fn a_store_that_came_back_older_brings_no_key_back() {
    let mut server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.store.commit(creation(1, 0)).await.unwrap();
    gate.store.commit(creation(2, 1)).await.unwrap();
    let backup = server.backup();
    gate.store.commit(revocation(1, 2)).await.unwrap();
    gate.store.commit(creation(3, 3)).await.unwrap();

    server.restore(&backup);
    eventually("the gate follows again", || {
        let contact = gate.store.contact();
        contact.is_up && contact.revision == Revision(2)
    })
    .await;
    assert_eq!(gate.keys().await.len(), 2);
    assert!(is_revoked(&gate, 1).await);
    assert!(!is_revoked(&gate, 2).await);
    assert!(matches!(
        gate.store.since(Revision(4), 10).await.unwrap(),
        News::Trimmed
    ));
    gate.commit_patiently(creation(4, 2)).await;
    assert_eq!(gate.keys().await.len(), 3);
}

/// A password is used, and a wrong one is in no message.
#[tokio::test]
async fn a_password_lets_in_and_is_never_shown() {
    let server = RedisServer::start_with(&["--requirepass", "open-sesame-canary"]);
    let dir = tempfile::tempdir().unwrap();
    let choice = |password: Option<&str>| RedisChoice {
        password: password.map(|text| Zeroizing::new(text.to_owned())),
        ..choice(&server.url())
    };
    let right = choice(Some("open-sesame-canary"));
    let store = RedisStore::open(&right, dir.path(), clock()).await.unwrap();
    store.commit(creation(1, 0)).await.unwrap();
    store.close().await;

    for wrong in [None, Some("wrong-canary")] {
        let dir = tempfile::tempdir().unwrap();
        let opened = RedisStore::open(&choice(wrong), dir.path(), clock()).await;
        let text = chain(&opened.err().unwrap());
        assert!(text.contains("127.0.0.1"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

/// A batch counts once however often it is sent, also when its keys fill several calls of one shard.
#[tokio::test]
async fn a_batch_of_many_keys_in_one_shard_counts_once() {
    let server = RedisServer::start();
    let (a, b) = (Gate::at(&server).await, Gate::at(&server).await);
    let keys: Vec<_> = (0_u32..)
        .map(|number| KeyId::from_chars(format!("{number:010}").as_bytes()).unwrap())
        .filter(|id| sha256(id.as_bytes())[0] == 0x2a)
        .take(600)
        .collect();
    let batch = |node: &str, seq| {
        let rows = keys.iter().map(|key| row(*key, 7));
        Arc::new(UsageBatch {
            node: node.into(),
            epoch: 1,
            seq,
            rows: rows.collect(),
        })
    };
    for batch in [batch("a", 1), batch("a", 1), batch("a", 2), batch("a", 1)] {
        a.store.add_usage(batch).await.unwrap();
    }
    b.store.add_usage(batch("b", 1)).await.unwrap();
    for gate in [&a, &b] {
        for key in [keys[0], keys[299], keys[599]] {
            let hours = usage(gate, key, Step::Hour).await;
            let days = usage(gate, key, Step::Day).await;
            assert_eq!(hours.iter().map(|(_, count)| count).sum::<u64>(), 21);
            assert_eq!(days.iter().map(|(_, count)| count).sum::<u64>(), 21);
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
    let key = key(1).id;
    let rows = (0..5_000).map(|number| UsageRow {
        route: format!("route-{number}").into(),
        ..row(key, 1)
    });
    let batch = UsageBatch {
        node: "a".into(),
        epoch: 1,
        seq: 1,
        rows: rows.collect(),
    };
    gate.store.add_usage(Arc::new(batch)).await.unwrap();
    let hours = usage(&gate, key, Step::Hour).await;
    assert_eq!(hours.iter().map(|(_, count)| count).sum::<u64>(), 5_000);
    assert_eq!(hours.len(), 4_097);
    let other = hours.iter().find(|(route, _)| route == "other");
    assert_eq!(other.map(|(_, count)| *count), Some(5_000 - 4_096));
}

/// A gate of the test's own: a store and its mirror's folder.
struct Gate {
    store: RedisStore,
    dir: TempDir,
}

impl Gate {
    async fn at(server: &RedisServer) -> Self {
        Self::open(&server.url()).await.expect("the store opens")
    }

    async fn open(url: &str) -> Result<Self, StoreError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = open(url, dir.path()).await?;
        Ok(Self { store, dir })
    }

    async fn reopen(&mut self, url: &str) {
        self.store = open(url, self.dir.path()).await.expect("the store opens");
    }

    /// Waits until the gate is at `revision`.
    async fn reaches(&self, revision: u64) {
        let reached = async {
            while self.store.revision().await.unwrap() < Revision(revision) {
                self.store.moved(Revision(revision - 1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        waited.unwrap_or_else(|_| panic!("revision {revision} does not come"));
    }

    /// Sends a change until there is a store to take it.
    async fn commit_patiently(&self, change: Change) -> Revision {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.commit(change.clone()).await {
                Ok(revision) => return revision,
                Err(StoreError::Unavailable { .. }) if Instant::now() < deadline => {
                    a_moment().await;
                }
                Err(error) => panic!("{}", chain(&error)),
            }
        }
    }

    /// Sends a change until something else than a missing connection refuses it.
    async fn commit_until_connected(&self, change: Change) -> StoreError {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.commit(change.clone()).await {
                Err(StoreError::Unavailable { .. }) if Instant::now() < deadline => {
                    a_moment().await;
                }
                Err(error) => return error,
                Ok(revision) => panic!("it landed at {revision}"),
            }
        }
    }

    async fn changes_since(&self, after: u64) -> Vec<ChangeId> {
        match self.store.since(Revision(after), 100).await.unwrap() {
            News::Changes(changes) => {
                let revisions: Vec<_> = changes.iter().map(|(revision, _)| revision.0).collect();
                let expected: Vec<_> = (after + 1..).take(changes.len()).collect();
                assert_eq!(revisions, expected);
                changes.iter().map(|(_, change)| change.id).collect()
            }
            News::Trimmed => panic!("revision {after} is trimmed"),
        }
    }

    async fn keys(&self) -> Vec<Key> {
        let keys = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let taken = Arc::clone(&keys);
        let take = Box::new(move |key| taken.lock().push(key));
        self.store.snapshot(take).await.unwrap();
        let keys = keys.lock().clone();
        keys
    }
}

async fn open(url: &str, dir: &Path) -> Result<RedisStore, StoreError> {
    RedisStore::open(&choice(url), dir, clock()).await
}

fn choice(url: &str) -> RedisChoice {
    RedisChoice {
        url: Zeroizing::new(url.to_owned()),
        username: None,
        password: None,
        prefix: "pc".to_owned(),
    }
}

async fn is_revoked(gate: &Gate, number: u8) -> bool {
    let key = gate.store.key(key(number).id).await.unwrap().unwrap();
    matches!(key.standing, Standing::Revoked { .. })
}

async fn usage(gate: &Gate, key: KeyId, step: Step) -> Vec<(String, u64)> {
    let buckets = gate
        .store
        .usage(key, step, Timestamp::default(), Timestamp::NEVER)
        .await
        .unwrap();
    let counts = buckets.iter();
    counts
        .map(|bucket| (bucket.route.to_string(), bucket.tally.requests))
        .collect()
}

/// Everything in the server that a change touches.
fn state(server: &RedisServer) -> (Vec<String>, u64, u64) {
    let buckets: Vec<String> = server.ask(&["KEYS", "{pc}:k:*"]);
    (
        server.ask(&["HGETALL", "{pc}:meta"]),
        server.ask(&["XLEN", "{pc}:feed"]),
        buckets.len() as u64,
    )
}

fn creation(number: u8, expect: u64) -> Change {
    change(number, expect, vec![Write::Key(key(number))])
}

fn revocation(number: u8, expect: u64) -> Change {
    let mut key = key(number);
    key.standing = Standing::Revoked { at: now() };
    change(100 + number, expect, vec![Write::Key(key)])
}

fn change(id: u8, expect: u64, writes: Vec<Write>) -> Change {
    Change {
        id: ChangeId([id + 1; 16]),
        expect: Revision(expect),
        writes,
        audit: Vec::new(),
    }
}

fn key(number: u8) -> Key {
    Key {
        id: KeyId::from_random([number; 10]),
        owner: OwnerId::from_random([1; 10]),
        env: "live".into(),
        settings: KeySettings::named(format!("key-{number}")),
        standing: Standing::Active,
        created_at: now(),
        created_by: "tok_".into(),
        last_rotated_at: None,
        versions: vec![KeyVersion {
            number: 1,
            hash: KeyHash {
                pepper: 0,
                digest: [number; 32],
            },
            fingerprint: Fingerprint::from_bytes([number; 6]),
            created_at: now(),
            activated_at: Some(now()),
            retires_at: None,
            revoked_at: None,
        }],
    }
}

fn row(key: KeyId, requests: u64) -> UsageRow {
    UsageRow {
        key,
        version: 1,
        route: "r".into(),
        minute: u32::try_from(now().as_millis() / 60_000).unwrap(),
        tally: Tally {
            requests,
            cost: requests,
            last_used_at: Some(now()),
            ..Tally::default()
        },
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

fn clock() -> Arc<dyn Clock> {
    struct Stopped;
    impl Clock for Stopped {
        fn read(&self) -> Reading {
            Reading {
                wall: now(),
                mono_ns: 0,
            }
        }
    }
    Arc::new(Stopped)
}

/// What went wrong, and why, and why that.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
