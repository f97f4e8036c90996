//! Events: with their change or not at all, in order, across a restart.

use portcullis::domain::change::{Revision, Write};
use portcullis::domain::event::{Event, EventKind, EventPlace};
use portcullis::store::{News, StoreError};

use super::Backend;
use crate::store::things::{at, change, commit, event, key, keys};

pub(crate) async fn events_lie_in_the_outbox_with_their_change_and_in_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let told = |number| Write::Event(event(number, EventKind::KeyCreated));
    let first = change(Revision(0), vec![Write::Key(key(1)), told(1), told(2)]);
    store.commit(first.clone()).await.unwrap();
    // Sent again, and refused: neither tells anything twice.
    store.commit(first.clone()).await.unwrap();
    let refused = store.commit(change(Revision(0), vec![told(9)])).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    commit(&*store, keys([2])).await;
    let rotated = Event {
        old_key: Some(key(1).versions[0].fingerprint),
        new_key: Some(key(1).versions[0].fingerprint),
        timestamp: at(7_000),
        ..event(3, EventKind::KeyRotated)
    };
    // Events may come alone.
    commit(&*store, vec![Write::Event(rotated.clone())]).await;

    let place = |revision, index| EventPlace {
        revision: Revision(revision),
        index,
    };
    let all = vec![
        (place(1, 1), event(1, EventKind::KeyCreated)),
        (place(1, 2), event(2, EventKind::KeyCreated)),
        (place(3, 0), rotated),
    ];
    let begin = EventPlace::default();
    assert_eq!(store.events(begin, 10).await.unwrap(), all);
    assert_eq!(store.events(begin, 1).await.unwrap(), all[..1]);
    assert_eq!(store.events(place(1, 1), 10).await.unwrap(), all[1..]);
    assert_eq!(store.events(place(3, 0), 10).await.unwrap(), []);
    let ids = [1, 2, 3, 9].map(|number| event(number, EventKind::KeyCreated).id);
    let told = store.told(&ids).await.unwrap();
    assert_eq!(told, ids[..3].iter().copied().collect());
    let News::Changes(changes) = store.since(Revision(0), 1).await.unwrap() else {
        panic!("the feed is gone");
    };
    assert_eq!(*changes[0].1, first);

    store.close().await;
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.events(begin, 10).await.unwrap(), all);
}
