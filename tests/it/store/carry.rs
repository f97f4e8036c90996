//! A whole store on its way: into a file and out of it, to Redis and back, and what stands in its way.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::config::RedisChoice;
use portcullis::domain::change::Revision;
use portcullis::domain::time::Clock;
use portcullis::store::carry::{MayReplace, Whole};
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::{Feed, Store};
use tempfile::tempdir;

use super::gate::{Gate, chain, choice, open};
use super::shared::{nodes_of, of_its_own, watched_by};
use super::things::{HandClock, change, keys};
use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;
use crate::support::sentinel::Watched;

use super::whole::{filled, nobody_looks, rows, signer, told};

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

/// Where others may write, one of them can lay a file of its own, or a link to one, where a snapshot is about to be
/// written, and read it there.
#[tokio::test]
async fn a_snapshot_is_never_written_into_a_file_that_lay_there() {
    let clock = HandClock::new();
    let (from, files) = (filled(&clock).await, tempdir().unwrap());
    let theirs = files.path().join("theirs");
    fs::write(&theirs, "").unwrap();
    let (file, unfinished) = (
        files.path().join("snapshot"),
        files.path().join("snapshot.new"),
    );
    let whole = Whole::of_embedded(from.path()).unwrap();
    for laid in [true, false] {
        if laid {
            std::os::unix::fs::symlink(&theirs, &unfinished).unwrap();
        } else {
            fs::hard_link(&theirs, &unfinished).unwrap();
        }
        whole
            .into_file(&file, &signer(1), clock.now(), &mut nobody_looks)
            .unwrap();
        assert_eq!(fs::read(&theirs).unwrap(), b"");
        let about = fs::symlink_metadata(&file).unwrap();
        assert!(about.is_file() && about.len() > 0);
        fs::remove_file(&file).unwrap();
    }
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
