//! What a gate may believe of its mirror, and what it can give back of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use portcullis::domain::change::{Revision, Write};
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::store::carry::{MayReplace, Whole};
use portcullis::store::local::DataDir;
use portcullis::store::node_key::NodeKey;
use portcullis::store::redis::RedisStore;
use portcullis::store::{AuditStore, Feed, KeyStore, Store};
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use super::gate::{Gate, chain, choice, local, open, open_at};
use super::things::{HandClock, key, key_id, keys, mirror_key, owner, product, revoked, token};
use crate::support::eventually;
use crate::support::redis::RedisServer;

use super::whole::{fill, nobody_looks, signer, told};

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

    let whole = Whole::of_mirror(&dir.path().join("mirror"), &mirror_key()).unwrap();
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
    let why = Whole::of_mirror(&dir.path().join("mirror"), signer(8).mirror_key())
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
    open_at(&choice(&server.url()), dir, clock.clone()).await
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
        let path = dir.path().join("mirror/portcullis.db");
        edit(&Connection::open(&path).unwrap());
        server.kill();
        let refused = mirrored(&server, dir.path(), &clock).await.err();
        let refused = refused.unwrap_or_else(|| panic!("edit {number} is served"));
        assert!(matches!(
            refused,
            portcullis::store::StoreError::Unavailable { .. }
        ));
        let mut aside = dir.path().join("mirror").into_os_string();
        aside.push(".set-aside");
        assert!(Path::new(&aside).join("portcullis.db").exists());
        fs::remove_dir_all(&aside).unwrap();
        server.restart();
    }
    let dir = left_alone_again(&mut server, &clock).await;
    let edited = Connection::open(dir.path().join("mirror/portcullis.db")).unwrap();
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
    let opened = RedisStore::open(&choice, local(dir.path(), &key, false), clock.clone()).await;
    assert!(opened.is_err());
    let data = DataDir::open(dir.path()).unwrap();
    assert!(NodeKey::open(&data).is_ok());
}
