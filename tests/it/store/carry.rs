//! A whole store on its way: into a file and out of it, to Redis and back, and what stands in its way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::config::RedisChoice;
use portcullis::domain::audit::checkpoint::Checkpoint;
use portcullis::domain::change::{Change, Revision, Write};
use portcullis::domain::draw::QuotaDraw;
use portcullis::domain::event::EventKind;
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::period::Span;
use portcullis::domain::selector::Selector;
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::domain::usage::{Tally, UsageBatch, UsageRow};
use portcullis::store::carry::{MayReplace, Whole};
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::local::DataDir;
use portcullis::store::node_key::NodeKey;
use portcullis::store::redis::RedisStore;
use portcullis::store::{AuditStore, Feed, KeyStore, Store};
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use super::gate::{Gate, chain, choice, open};
use super::shared::{nodes_of, of_its_own, watched_by};
use super::things::{
    HandClock, change, entry, event, key, key_id, keys, mirror_key, owner, policy, product,
    receipt, revoked, rotation_rule, token,
};
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::redis::RedisServer;
use crate::support::sentinel::Watched;

fn nobody_looks(_: &'static str, _: u64, _: u64) {}

/// The key of a gate.
fn signer(byte: u8) -> NodeKey {
    NodeKey::given(&[byte; 32]).unwrap()
}

/// A change with audit entries of numbers that no other has.
fn told(expect: u64, writes: Vec<Write>) -> Change {
    let number = u32::try_from(expect).unwrap() + 1;
    Change {
        audit: vec![entry(2 * number), entry(2 * number + 1)],
        ..change(Revision(expect), writes)
    }
}

/// Fills a store with something of everything that a store keeps.
async fn fill(store: &dyn Store, clock: &HandClock) -> Revision {
    let now = clock.now();
    let mut revision = Revision(0);
    let changes = [
        vec![
            Write::Owner(owner(1, OwnerKind::Team, "Billing")),
            Write::Token(token(1)),
        ],
        keys(1..=40),
        vec![Write::Key(revoked(key(7))), Write::Receipt(receipt(7, now))],
        vec![
            Write::Product(product(1, "starter")),
            Write::Policy(policy(1)),
            Write::RotationRule(rotation_rule(1, Selector::Product("starter".into()))),
        ],
        vec![
            Write::Event(event(1, EventKind::KeyRotated)),
            Write::Event(event(2, EventKind::KeyRevoked)),
        ],
    ];
    for writes in changes {
        revision = store.commit(told(revision.0, writes)).await.unwrap();
    }
    let head = store.audit_end().await.unwrap().head;
    let signer = signer(9);
    let text = Checkpoint::text(head, now, "gate-1");
    let checkpoint = Checkpoint {
        head,
        at: now,
        node: "gate-1".into(),
        public_key: signer.public(),
        signature: signer.sign(text.as_bytes()),
    };
    let signed = vec![Write::Checkpoint(checkpoint), Write::Key(key(41))];
    revision = store.commit(told(revision.0, signed)).await.unwrap();
    for (seq, number) in [(1, 3), (2, 4), (3, 3)] {
        let tally = Tally {
            requests: number,
            status: [0, number, 0, 0, 0],
            last_used_at: Some(now),
            ..Tally::default()
        };
        let row = |key: u32, route: &str| UsageRow {
            key: key_id(key),
            version: 1,
            route: route.into(),
            minute: u32::try_from(now.as_millis() / 60_000).unwrap(),
            tally: tally.clone(),
        };
        let batch = UsageBatch {
            node: "gate-1".into(),
            epoch: 1_700_000_000,
            seq,
            rows: vec![row(1, "a:b"), row(2, "orders")],
        };
        store.add_usage(Arc::new(batch)).await.unwrap();
    }
    let first_day = portcullis::domain::period::day(now);
    let drawn = |quota: &str, end_day: u32| QuotaDraw {
        key: key_id(3),
        quota: quota.into(),
        span: Span { first_day, end_day },
        limit: 100,
        need: 1,
        want: 8,
        charge: 0,
        back: 0,
        run: u64::MAX,
        received: 0,
        reached: 50,
    };
    let draws = vec![
        drawn("key-day", first_day + 1),
        drawn("key-total", Span::FOR_EVER),
    ];
    store.draw("gate-1", draws).await.unwrap();
    revision
}

/// All rows of a store in a directory that say something, in an order that does not depend on where it was.
fn rows(directory: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let connection = Connection::open(directory.join("portcullis.db")).unwrap();
    let tables = [
        ("keys", "SELECT id, hex(record) FROM keys"),
        (
            "lists",
            "SELECT id, name, owner, env, standing, created_at, expires_at, used_at FROM key_list",
        ),
        (
            "hashes",
            "SELECT hex(digest), pepper, id FROM key_hash JOIN keys USING (seq)",
        ),
        (
            "products",
            "SELECT product, id FROM key_product JOIN keys USING (seq)",
        ),
        ("owners", "SELECT id, kind, name, hex(record) FROM owners"),
        (
            "tokens",
            "SELECT id, hex(digest), created_at, hex(record) FROM tokens",
        ),
        (
            "receipts",
            "SELECT hex(digest), at, hex(record) FROM receipts",
        ),
        ("rules", "SELECT kind, id, hex(record) FROM rules"),
        (
            "audit",
            "SELECT seq, id, timestamp, type, actor, code, request, key, version, owner, hex(hash),
                 hex(body), hex(veil) FROM audit",
        ),
        ("checkpoints", "SELECT seq, hex(record) FROM checkpoints"),
        (
            "events",
            "SELECT revision, at, id, timestamp, type, hex(record) FROM events",
        ),
        (
            "feed",
            "SELECT revision, hex(change), hex(record) FROM feed",
        ),
        ("hours", "SELECT * FROM usage_hour"),
        ("days", "SELECT * FROM usage_day"),
        ("batches", "SELECT hex(record) FROM usage_batch"),
        ("marks", "SELECT * FROM usage_mark"),
        ("uses", "SELECT * FROM last_used"),
        ("quotas", "SELECT * FROM quotas"),
        (
            "meta",
            "SELECT name, hex(value) FROM meta WHERE name <> 'last_change'",
        ),
    ];
    let read = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let values = (0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap()));
                Ok(values.collect::<Vec<_>>().join(" "))
            })
            .unwrap();
        let mut rows: Vec<String> = rows.map(Result::unwrap).collect();
        rows.sort();
        rows
    };
    tables.map(|(name, sql)| (name, read(sql))).into()
}

/// A filled embedded store that nobody has open.
async fn filled(clock: &Arc<HandClock>) -> TempDir {
    let dir = tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), clock.clone()).unwrap();
    fill(&store, clock).await;
    store.close().await;
    dir
}

async fn there_and_back(choice: &RedisChoice) {
    let clock = HandClock::new();
    let (dir, files) = (filled(&clock).await, tempdir().unwrap());
    let before = rows(dir.path());
    let file = files.path().join("snapshot");
    let key = signer(1);

    let whole = Whole::of_idle(dir.path(), clock.clone()).await.unwrap();
    whole
        .into_file(&file, &key, clock.now(), &mut nobody_looks)
        .unwrap();
    let work = files.path().join("work");
    let trusted = [key.public()];
    let read = Whole::of_file(&file, &trusted, &work, clock.clone(), &mut nobody_looks)
        .await
        .unwrap();
    assert_eq!(rows(&work), before);
    let may = MayReplace(None);
    read.into_redis(choice, &may, clock.now(), &mut nobody_looks)
        .await
        .unwrap();
    let back = files.path().join("back");
    let back_work = files.path().join("back-work");
    let drawn = Whole::of_redis(choice, &back_work, clock.clone(), &mut nobody_looks)
        .await
        .unwrap();
    drawn.into_embedded(&back, &may, &mut nobody_looks).unwrap();

    let after = rows(&back);
    for (table, rows) in &before {
        assert_eq!(after.get(table), Some(rows), "{table}");
    }
    let verdict = Whole::of_embedded(&back).unwrap().verify().unwrap();
    assert_eq!((verdict.fault, verdict.entries), (None, 12));
    // It is a store that goes on.
    let store = EmbeddedStore::open(&back, clock.clone()).unwrap();
    assert_eq!(
        store.commit(told(6, keys([50]))).await.unwrap(),
        Revision(7)
    );
    store.close().await;
    let gate = Gate::of(choice).await.unwrap();
    assert!(gate.has_revoked(7).await);
    assert_eq!(gate.commits(told(6, keys([50]))).await, Revision(7));
    gate.store.close().await;
}

#[tokio::test]
async fn a_store_is_the_same_in_a_file_in_redis_and_back() {
    let server = RedisServer::start();
    there_and_back(&choice(&server.url())).await;
}

#[tokio::test]
async fn a_store_is_the_same_in_a_cluster_and_back() {
    there_and_back(&of_its_own(nodes_of(&Cluster::start()))).await;
}

#[tokio::test]
async fn a_store_is_the_same_behind_sentinels_and_back() {
    there_and_back(&of_its_own(watched_by(&Watched::start_with(&[])))).await;
}

/// Each change makes two keys and two audit entries: whoever sees one of a pair alone saw half of a change.
async fn is_one_revision(whole: &Whole) {
    let about = whole.about().unwrap();
    let tables: BTreeMap<_, _> = about.tables.iter().cloned().collect();
    assert!(about.revision > Revision(0));
    assert_eq!(tables["keys"], 2 * about.revision.0);
    assert_eq!(tables["audit"], 2 * about.revision.0);
    let verdict = whole.verify().unwrap();
    assert_eq!(
        (verdict.fault, verdict.entries),
        (None, 2 * about.revision.0)
    );
}

/// Writes into `store` while `work` is done, and a little before.
async fn while_writing(store: &dyn Store, work: impl Future<Output = ()>) {
    let stop = AtomicBool::new(false);
    let write = async {
        while !stop.load(Ordering::Relaxed) {
            let at = store.revision().await.unwrap();
            let first = 2 * u32::try_from(at.0).unwrap() + 1;
            store
                .commit(told(at.0, keys(first..first + 2)))
                .await
                .unwrap();
        }
    };
    let work = async {
        while store.revision().await.unwrap() < Revision(20) {
            store.moved(Revision(19)).await;
        }
        work.await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(write, work);
}

#[tokio::test]
async fn a_snapshot_of_a_running_store_is_one_revision() {
    let clock = HandClock::new();
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let store = EmbeddedStore::open(dir.path(), clock.clone()).unwrap();
    let key = signer(1);
    while_writing(&store, async {
        for round in 0..5 {
            let file = files.path().join(format!("{round}"));
            let whole = Whole::of_embedded(dir.path()).unwrap();
            // The writer goes on while it is held.
            let held = whole.about().unwrap().revision;
            while store.revision().await.unwrap() < Revision(held.0 + 3) {
                store.moved(Revision(held.0 + 2)).await;
            }
            whole
                .into_file(&file, &key, clock.now(), &mut nobody_looks)
                .unwrap();
            let work = files.path().join("work");
            let trusted = [key.public()];
            let read = Whole::of_file(&file, &trusted, &work, clock.clone(), &mut nobody_looks)
                .await
                .unwrap();
            assert_eq!(read.about().unwrap().revision, held);
            is_one_revision(&read).await;
        }
    })
    .await;
    store.close().await;
}

#[tokio::test]
async fn a_snapshot_of_a_running_redis_is_one_revision() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    let (clock, files) = (HandClock::new(), tempdir().unwrap());
    while_writing(&gate.store, async {
        for round in 0..3 {
            let work = files.path().join(format!("{round}"));
            let choice = choice(&server.url());
            let whole = Whole::of_redis(&choice, &work, clock.clone(), &mut nobody_looks).await;
            is_one_revision(&whole.unwrap()).await;
        }
    })
    .await;
    gate.store.close().await;
}

#[tokio::test]
async fn what_is_there_is_not_replaced_unless_it_is_named() {
    let server = RedisServer::start();
    let choice = choice(&server.url());
    let clock = HandClock::new();
    let from = filled(&clock).await;
    let whole = Whole::of_embedded(from.path()).unwrap();
    let target = tempdir().unwrap();
    let store = EmbeddedStore::open(target.path(), clock.clone()).unwrap();
    store.commit(change(Revision(0), keys([90]))).await.unwrap();
    store.close().await;
    let gate = Gate::of(&choice).await.unwrap();
    gate.commits(change(Revision(0), keys([90]))).await;
    gate.store.close().await;
    let before = rows(target.path());
    let dump = || server.ask::<Vec<String>>(&["HGETALL", "{pc}:meta"]);
    let meta = dump();
    let standing = |text: &str| text.rsplit(' ').next().unwrap_or_default().to_owned();

    for may in [MayReplace(None), MayReplace(Some("00".repeat(16)))] {
        let refused = whole.into_embedded(target.path(), &may, &mut nobody_looks);
        let refused = chain(&refused.err().unwrap());
        assert!(refused.contains("nothing was changed"), "{refused}");
        let refused = whole
            .into_redis(&choice, &may, clock.now(), &mut nobody_looks)
            .await;
        let refused = chain(&refused.unwrap_err());
        assert!(refused.contains("nothing was changed"), "{refused}");
        assert_eq!(rows(target.path()), before);
        assert_eq!(dump(), meta);
    }

    let none = MayReplace(None);
    let told = chain(
        &whole
            .into_embedded(target.path(), &none, &mut nobody_looks)
            .err()
            .unwrap(),
    );
    let may = MayReplace(Some(standing(&told)));
    whole
        .into_embedded(target.path(), &may, &mut nobody_looks)
        .unwrap();
    assert_eq!(rows(target.path()), rows(from.path()));
    assert!(target.path().join("portcullis.db.replaced").exists());
    let told = whole
        .into_redis(&choice, &none, clock.now(), &mut nobody_looks)
        .await;
    let may = MayReplace(Some(standing(&chain(&told.unwrap_err()))));
    whole
        .into_redis(&choice, &may, clock.now(), &mut nobody_looks)
        .await
        .unwrap();
    let gate = Gate::of(&choice).await.unwrap();
    let (all, revision) = gate.keys().await;
    assert_eq!((all.len(), revision), (41, Revision(6)));
    gate.store.close().await;
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_signed_makes_no_store() {
    let clock = HandClock::new();
    let (from, files) = (filled(&clock).await, tempdir().unwrap());
    let file = files.path().join("snapshot");
    let key = signer(1);
    let whole = Whole::of_embedded(from.path()).unwrap();
    whole
        .into_file(&file, &key, clock.now(), &mut nobody_looks)
        .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = whole.into_file(&file, &key, clock.now(), &mut nobody_looks);
    assert!(chain(&again.unwrap_err()).contains("there is such a file"));
    let whole = fs::read(&file).unwrap();
    let work = files.path().join("work");
    let refused = async |bytes: &[u8], trusted: &[[u8; 32]]| {
        fs::write(&file, bytes).unwrap();
        let read = Whole::of_file(&file, trusted, &work, clock.clone(), &mut nobody_looks).await;
        let why = read.err().map(|error| chain(&error));
        assert!(why.is_none() || !work.join("portcullis.db").exists());
        why.unwrap_or_default()
    };
    let mine = [key.public()];
    for place in [
        30,
        whole.len() / 2,
        whole.len() - 110,
        whole.len() - 80,
        whole.len() - 1,
    ] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        let why = refused(&bytes, &mine).await;
        assert!(why.contains("not as it was signed"), "{place}: {why}");
    }
    let mut foreign = whole.clone();
    foreign[3] = b'x';
    assert!(refused(&foreign, &mine).await.contains("no snapshot"));
    for length in [0, 10, 120, whole.len() / 2, whole.len() - 1] {
        let why = refused(&whole[..length], &mine).await;
        assert!(
            why.contains("cut short") || why.contains("no snapshot"),
            "{length}: {why}"
        );
    }
    let why = refused(&whole, &[signer(2).public()]).await;
    assert!(why.contains("--signed-by"), "{why}");
    assert_eq!(
        refused(&whole, &[signer(2).public(), key.public()]).await,
        ""
    );
}

#[tokio::test]
async fn what_was_broken_off_is_begun_anew_and_strange_things_are_left_alone() {
    let server = RedisServer::start();
    let choice = choice(&server.url());
    let clock = HandClock::new();
    let from = filled(&clock).await;
    let whole = Whole::of_embedded(from.path()).unwrap();
    let may = MayReplace(None);
    let _: u64 = server.ask(&["HSET", "{pc}:t:owners", "x", "y"]);
    let refused = whole
        .into_redis(&choice, &may, clock.now(), &mut nobody_looks)
        .await;
    assert!(chain(&refused.unwrap_err()).contains("no store: nothing was changed"));
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 1);

    // As an attempt leaves it that was killed.
    let _: String = server.ask(&["SET", "{pc}:carrying", "token"]);
    let _: String = server.ask(&["XADD", "{pc}:feed", "0-1", "c", ""]);
    let _: u64 = server.ask(&["HSET", "{pc}:k:000", "x", "y"]);
    let _: u64 = server.ask(&["HSET", "pc:u:{000}:0000000001:l", "1", "5"]);
    let refused = open(&choice, tempdir().unwrap().path())
        .await
        .err()
        .unwrap();
    assert!(
        chain(&refused).contains("there are changes but no meta"),
        "{refused:?}"
    );
    whole
        .into_redis(&choice, &may, clock.now(), &mut nobody_looks)
        .await
        .unwrap();
    assert_eq!(
        server.ask::<u64>(&["EXISTS", "{pc}:carrying", "pc:u:{000}:0000000001:l"]),
        0
    );
    let gate = Gate::of(&choice).await.unwrap();
    assert_eq!(gate.keys().await.0.len(), 41);
    gate.store.close().await;
}

/// CLUSTER §2, Estranged: a Redis that came back empty is given back what a gate holds of it.
#[tokio::test]
async fn a_redis_that_lost_everything_is_given_it_back_from_a_mirror_while_gates_run() {
    let mut server = RedisServer::start();
    let choice = choice(&server.url());
    let (clock, dir) = (HandClock::new(), tempdir().unwrap());
    let store = open(&choice, dir.path()).await.unwrap();
    let other = Gate::of(&choice).await.unwrap();
    let revision = fill(&store, &clock).await;
    other.reaches(revision.0).await;
    server.restart_empty();
    eventually("the gate keeps away from the empty store", async || {
        let refused = store.commit(told(revision.0, keys([60]))).await.err();
        refused.filter(|error| chain(error).contains("is empty"))
    })
    .await;

    let whole = Whole::of_mirror(dir.path(), &mirror_key()).unwrap();
    let may = MayReplace(None);
    whole
        .into_redis(&choice, &may, clock.now(), &mut nobody_looks)
        .await
        .unwrap();

    // Both gates go on where they were, on the same history.
    let landed = other.settles(told(revision.0, keys([60]))).await.unwrap();
    assert_eq!(landed, revision.next());
    eventually("the first gate follows", async || {
        (store.revision().await.unwrap() == landed).then_some(())
    })
    .await;
    assert!(other.has_revoked(7).await);
    assert!(store.verify_audit().await.unwrap().fault.is_none());
    let fresh = Gate::of(&choice).await.unwrap();
    eventually("a new gate has all of the audit log", async || {
        fresh
            .store
            .verify_audit()
            .await
            .ok()
            .filter(|it| it.fault.is_none())
    })
    .await;
    assert_eq!(fresh.keys().await, other.keys().await);
    let why = Whole::of_mirror(dir.path(), signer(8).mirror_key())
        .err()
        .unwrap();
    assert!(chain(&why).contains("not as this gate left it"));
    for store in [&store, &other.store, &fresh.store] {
        store.close().await;
    }
}

/// A mirror that nobody has open, of a Redis that is not there: a key and a revoked one.
async fn left_alone(server: &RedisServer, clock: &Arc<HandClock>) -> TempDir {
    let dir = tempdir().unwrap();
    let store = mirrored(server, dir.path(), clock).await.unwrap();
    let writes = vec![Write::Key(key(1)), Write::Key(revoked(key(2)))];
    store.commit(told(0, writes)).await.unwrap();
    store
        .commit(told(1, vec![Write::Token(token(1))]))
        .await
        .unwrap();
    let off = portcullis::domain::owner::Owner {
        disabled_at: Some(Timestamp::from_millis(5)),
        ..owner(1, OwnerKind::User, "Anna")
    };
    store
        .commit(told(2, vec![Write::Owner(off)]))
        .await
        .unwrap();
    store
        .commit(told(3, vec![Write::Product(product(1, "starter"))]))
        .await
        .unwrap();
    store.close().await;
    dir
}

async fn mirrored(
    server: &RedisServer,
    dir: &Path,
    clock: &Arc<HandClock>,
) -> Result<RedisStore, portcullis::store::StoreError> {
    RedisStore::open(&choice(&server.url()), dir, &mirror_key(), clock.clone()).await
}

/// HARDENING §4: what somebody without the node key has edited is not served.
#[tokio::test]
async fn an_edited_mirror_is_not_served_and_read_anew() {
    let mut server = RedisServer::start();
    let clock = HandClock::new();
    let active = portcullis::store::record::encode_key(&key(2));
    let on = portcullis::store::record::encode_owner(&owner(1, OwnerKind::User, "Anna"));
    let strange = key(9);
    let edits: [&dyn Fn(&Connection); 8] = [
        &|db| {
            drop(db.execute(
                "UPDATE keys SET record = ?1 WHERE id = '0000000002'",
                [&active],
            ))
        },
        &|db| drop(db.execute("DELETE FROM keys WHERE id = '0000000002'", [])),
        &|db| {
            let record = portcullis::store::record::encode_key(&strange);
            let sql = "INSERT INTO keys (id, record) VALUES ('0000000009', ?1)";
            db.execute(sql, [record]).unwrap();
        },
        &|db| drop(db.execute("UPDATE owners SET record = ?1", [&on])),
        &|db| drop(db.execute("UPDATE tokens SET digest = ?1", [[7_u8; 32]])),
        &|db| drop(db.execute("DELETE FROM rules", [])),
        &|db| {
            let sql = "INSERT INTO feed (revision, change, record) SELECT 6, x'00', record FROM feed LIMIT 1";
            db.execute(sql, []).unwrap();
        },
        &|db| drop(db.execute("DELETE FROM meta WHERE name = 'seal'", [])),
    ];
    for (number, edit) in edits.iter().enumerate() {
        server.restart_empty();
        let dir = left_alone(&server, &clock).await;
        let path = dir.path().join("portcullis.db");
        edit(&Connection::open(&path).unwrap());
        server.kill();
        let refused = mirrored(&server, dir.path(), &clock).await.err();
        let refused = refused.unwrap_or_else(|| panic!("edit {number} is served"));
        assert!(matches!(
            refused,
            portcullis::store::StoreError::Unavailable { .. }
        ));
        let mut aside = dir.path().as_os_str().to_owned();
        aside.push(".set-aside");
        assert!(Path::new(&aside).join("portcullis.db").exists());
        fs::remove_dir_all(&aside).unwrap();
        server.restart();
    }
    let dir = left_alone_again(&mut server, &clock).await;
    let edited = Connection::open(dir.path().join("portcullis.db")).unwrap();
    (edits[0])(&edited);
    drop(edited);
    let store = mirrored(&server, dir.path(), &clock).await.unwrap();
    assert!(store.contact().is_mirror_refused);
    let read = store.key(key_id(2)).await.unwrap().unwrap();
    assert!(super::gate::is_revoked(&read));
    store.close().await;
}

async fn left_alone_again(server: &mut RedisServer, clock: &Arc<HandClock>) -> TempDir {
    server.restart_empty();
    left_alone(server, clock).await
}

/// HARDENING §5: Redis down at the start.
#[tokio::test]
async fn a_mirror_that_nobody_edited_is_served_without_redis() {
    let mut server = RedisServer::start();
    let clock = HandClock::new();
    let dir = left_alone(&server, &clock).await;
    server.kill();
    for _ in 0..2 {
        let store = mirrored(&server, dir.path(), &clock).await.unwrap();
        assert!(!store.contact().is_mirror_refused);
        assert_eq!(store.contact().last_ns, None);
        assert_eq!(store.revision().await.unwrap(), Revision(4));
        assert!(super::gate::is_revoked(
            &store.key(key_id(2)).await.unwrap().unwrap()
        ));
        store.close().await;
    }
    // By the file of another gate, or of a version that sealed nothing, nothing is served.
    let key = signer(5);
    let choice = choice(&server.url());
    let opened = RedisStore::open(&choice, dir.path(), key.mirror_key(), clock.clone()).await;
    assert!(opened.is_err());
    let data = DataDir::open(dir.path()).unwrap();
    assert!(NodeKey::open(&data).is_ok());
}
