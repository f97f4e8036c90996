//! Beginning with a snapshot, and following.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::domain::change::{Revision, Write};
use portcullis::domain::id::KeyId;
use portcullis::domain::key::Key;
use portcullis::store::{News, Store};
use tokio::time::Instant;

use super::Backend;
use crate::store::things::{change, commit, key, key_id, keys, revoked};

async fn snapshot(store: &dyn Store) -> (Revision, BTreeMap<KeyId, Key>) {
    let taken = Arc::new(Mutex::new(BTreeMap::new()));
    let into = Arc::clone(&taken);
    let take = move |key: Key| {
        into.lock().unwrap().insert(key.id, key);
    };
    let revision = store.snapshot(Box::new(take)).await.unwrap();
    let keys = std::mem::take(&mut *taken.lock().unwrap());
    (revision, keys)
}

pub(crate) async fn the_feed_gives_changes_in_order_and_without_gaps(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut sent = Vec::new();
    for number in 0..7 {
        let change = change(Revision(number), keys([number as u32, 100]));
        store.commit(change.clone()).await.unwrap();
        sent.push(change);
    }

    for (after, most, expected) in [(0, 100, 0..7), (0, 3, 0..3), (3, 2, 3..5), (6, 100, 6..7)] {
        let News::Changes(changes) = store.since(Revision(after), most).await.unwrap() else {
            panic!("nothing was trimmed after {after}");
        };
        let found: Vec<_> = changes
            .iter()
            .map(|(revision, change)| (revision.0, (**change).clone()))
            .collect();
        let expected: Vec<_> = expected
            .map(|at: usize| (at as u64 + 1, sent[at].clone()))
            .collect();
        assert_eq!(found, expected, "after {after}, at most {most}");
    }
    let news = store.since(Revision(7), 100).await.unwrap();
    assert!(matches!(news, News::Changes(changes) if changes.is_empty()));
}

pub(crate) async fn what_is_of_another_history_is_sent_to_the_snapshot(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys([1])).await;
    let news = store.since(Revision(9), 100).await.unwrap();
    assert!(matches!(news, News::Trimmed));
}

pub(crate) async fn a_follower_is_woken_by_a_change(backend: &dyn Backend) {
    let store = backend.open().await;
    let begun = Instant::now();
    let rounds = 8;
    for number in 0..rounds {
        let change = change(Revision(number), keys([1]));
        let (landed, ()) = tokio::join!(store.commit(change), store.moved(Revision(number)));
        landed.unwrap();
        // What has moved already is not waited for.
        store.moved(Revision(number)).await;
    }
    // Each would have taken a second, had it ended by itself.
    assert!(begun.elapsed() < Duration::from_secs(rounds / 2));

    let quiet = tokio::time::timeout(Duration::from_secs(30), store.moved(Revision(rounds)));
    assert!(quiet.await.is_ok(), "without news it waits for ever");
}

pub(crate) async fn a_snapshot_and_then_the_feed_leave_nothing_out(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys(0..200)).await;
    let writing = async {
        for number in 0..40 {
            let writes = vec![
                Write::Key(key(1_000 + number)),
                Write::Key(revoked(key(number * 3))),
            ];
            commit(&*store, writes).await;
        }
    };
    let reading = async {
        let mut begun = Vec::new();
        for _ in 0..10 {
            begun.push(snapshot(&*store).await);
        }
        begun
    };
    let ((), begun) = tokio::join!(writing, reading);

    let (end, all) = snapshot(&*store).await;
    assert_eq!((end, all.len()), (Revision(41), 240));
    for (mut revision, mut known) in begun {
        while revision < end {
            let News::Changes(changes) = store.since(revision, 7).await.unwrap() else {
                panic!("trimmed after {revision}");
            };
            for (landed, change) in changes {
                for write in &change.writes {
                    if let Write::Key(key) = write {
                        known.insert(key.id, key.clone());
                    }
                }
                revision = landed;
            }
        }
        assert_eq!(known, all);
    }
}

pub(crate) async fn a_snapshot_has_the_revoked_keys_too(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(
        &*store,
        vec![Write::Key(revoked(key(1))), Write::Key(key(2))],
    )
    .await;
    let (revision, known) = snapshot(&*store).await;
    assert_eq!(revision, Revision(1));
    let expected = BTreeMap::from([(key_id(1), revoked(key(1))), (key_id(2), key(2))]);
    assert_eq!(known, expected);
}

pub(crate) async fn contact_is_known_without_asking(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys([1])).await;
    let contact = store.contact();
    assert!(contact.is_up);
    assert_eq!(contact.revision, Revision(1));
    assert!(contact.last_at.is_some_and(|at| at <= backend.now()));
    assert_eq!(contact.quarantined, 0);
}
