//! Changes: whole or not at all, in one order, once.

use futures_util::future::join_all;
use portcullis::domain::change::{Change, Revision, Write};
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::query::{KeyQuery, KeySort};
use portcullis::domain::secret::KeyHash;
use portcullis::store::{News, StoreError};

use super::Backend;
use crate::store::things::{
    change, commit, entry, hash, key, key_id, keys, owner, receipt, revoked, token, version,
};

pub(crate) async fn a_new_store_is_empty(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.revision().await.unwrap(), Revision(0));
    assert_eq!(store.key(key_id(1)).await.unwrap(), None);
    let page = store
        .keys(&KeyQuery::default(), KeySort::default(), 10, None)
        .await
        .unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let snapshot = store
        .snapshot(Box::new(|key| panic!("{} came from nowhere", key.id)))
        .await;
    assert_eq!(snapshot.unwrap(), Revision(0));
}

/// And whoever committed it reads it at once.
pub(crate) async fn a_change_lands_whole(backend: &dyn Backend) {
    let store = backend.open().await;
    let (owner, token) = (owner(1, OwnerKind::Team, "Billing"), token(1));
    let receipt = receipt(1, backend.now());
    let sent = change(
        Revision(0),
        vec![
            Write::Owner(owner.clone()),
            Write::Key(key(1)),
            Write::Key(key(2)),
            Write::Token(token.clone()),
            Write::Receipt(receipt.clone()),
        ],
    );
    assert_eq!(store.commit(sent).await.unwrap(), Revision(1));

    assert_eq!(store.revision().await.unwrap(), Revision(1));
    assert_eq!(store.key(key_id(1)).await.unwrap(), Some(key(1)));
    assert_eq!(store.key(key_id(2)).await.unwrap(), Some(key(2)));
    assert_eq!(store.owner(owner.id).await.unwrap(), Some(owner));
    assert_eq!(store.token(token.id).await.unwrap(), Some(token));
    assert_eq!(store.receipt(receipt.digest).await.unwrap(), Some(receipt));
}

/// An attempt that was refused changes nothing, and is in the audit log all the same.
pub(crate) async fn a_change_of_nothing_but_its_audit_lands_too(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys([1])).await;
    let sent = change(Revision(1), Vec::new());
    assert!(!sent.audit.is_empty());
    assert_eq!(store.commit(sent.clone()).await.unwrap(), Revision(2));
    assert_eq!(store.revision().await.unwrap(), Revision(2));
    let News::Changes(changes) = store.since(Revision(1), 10).await.unwrap() else {
        panic!("the feed was trimmed");
    };
    let [(revision, landed)] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!((*revision, &landed.audit), (Revision(2), &sent.audit));
    assert!(landed.writes.is_empty());
    assert_eq!(commit(&*store, keys([2])).await, Revision(3));
}

/// As large as one gets: an owner who leaves takes that many keys along, and each has an audit entry.
pub(crate) async fn a_change_of_thousands_of_records_lands_whole(backend: &dyn Backend) {
    let store = backend.open().await;
    let sent = Change {
        audit: (0..1_600).map(entry).collect(),
        ..change(Revision(0), keys(0..1_600))
    };
    assert_eq!(store.commit(sent.clone()).await.unwrap(), Revision(1));
    assert_eq!(store.key(key_id(1_599)).await.unwrap(), Some(key(1_599)));
    let News::Changes(changes) = store.since(Revision(0), 10).await.unwrap() else {
        panic!("the feed is gone");
    };
    assert_eq!(*changes[0].1, sent);
}

pub(crate) async fn a_refused_change_leaves_nothing_behind(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys([1])).await;
    let mut thief = key(3);
    thief.versions = vec![version(1, 1)];
    let writes = vec![
        Write::Owner(owner(1, OwnerKind::User, "Ann")),
        Write::Key(key(2)),
        Write::Key(thief),
    ];

    let refused = store.commit(change(Revision(1), writes)).await;

    assert!(matches!(refused, Err(StoreError::DuplicateHash { key }) if key == key_id(1)));
    assert_eq!(store.revision().await.unwrap(), Revision(1));
    assert_eq!(store.key(key_id(2)).await.unwrap(), None);
    assert_eq!(store.key(key_id(3)).await.unwrap(), None);
    let ann = store.owner_named(OwnerKind::User, "Ann").await.unwrap();
    assert_eq!(ann, None);
    let news = store.since(Revision(1), 10).await.unwrap();
    assert!(matches!(news, News::Changes(changes) if changes.is_empty()));
}

pub(crate) async fn a_change_replaces_what_had_its_id(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys([1])).await;
    let mut renamed = revoked(key(1));
    renamed.settings.name = "renamed".into();
    renamed.versions.push(version(1, 2));
    commit(&*store, vec![Write::Key(renamed.clone())]).await;
    assert_eq!(store.key(key_id(1)).await.unwrap(), Some(renamed));
}

pub(crate) async fn of_two_changes_against_one_revision_the_later_conflicts(backend: &dyn Backend) {
    let store = backend.open().await;
    let first = change(Revision(0), keys([1]));
    let second = change(Revision(0), keys([2]));
    assert_eq!(store.commit(first).await.unwrap(), Revision(1));
    assert!(matches!(
        store.commit(second).await,
        Err(StoreError::Conflict {
            expected: Revision(0),
            found: Revision(1),
        })
    ));
    assert_eq!(store.key(key_id(2)).await.unwrap(), None);
    // One from the future is as wrong as one from the past.
    assert!(matches!(
        store.commit(change(Revision(2), keys([2]))).await,
        Err(StoreError::Conflict { .. })
    ));
}

pub(crate) async fn of_many_changes_at_once_one_wins(backend: &dyn Backend) {
    let store = backend.open().await;
    let tries = (1..=24).map(|number| store.commit(change(Revision(0), keys([number]))));
    let (won, lost): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(
        lost.iter()
            .all(|lost| matches!(lost, Err(StoreError::Conflict { .. })))
    );
    assert_eq!(store.revision().await.unwrap(), Revision(1));
}

pub(crate) async fn whoever_tries_again_gets_through(backend: &dyn Backend) {
    let store = backend.open().await;
    let all = (1..=12).map(|number| commit(&*store, keys([number])));
    let mut landed = join_all(all).await;
    landed.sort_unstable();
    assert_eq!(landed, (1..=12).map(Revision).collect::<Vec<_>>());
}

pub(crate) async fn a_change_sent_twice_lands_once(backend: &dyn Backend) {
    let store = backend.open().await;
    let sent = change(Revision(0), keys([1]));
    assert_eq!(store.commit(sent.clone()).await.unwrap(), Revision(1));
    let ended = revoked(key(1));
    commit(&*store, vec![Write::Key(ended.clone())]).await;

    // Its answer was lost, and the world went on before it was sent again.
    assert_eq!(store.commit(sent.clone()).await.unwrap(), Revision(1));

    assert_eq!(store.key(key_id(1)).await.unwrap(), Some(ended));
    assert_eq!(store.revision().await.unwrap(), Revision(2));
    // Its name is what counts: under another one it is another change.
    let other = change(Revision(0), sent.writes);
    assert!(matches!(
        store.commit(other).await,
        Err(StoreError::Conflict { .. })
    ));
}

pub(crate) async fn a_hash_belongs_to_one_key(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut first = revoked(key(1));
    first.versions.push(version(1, 2));
    commit(&*store, vec![Write::Key(first.clone())]).await;
    let try_as = |hash: KeyHash| {
        let mut other = key(2);
        other.versions[0].hash = hash;
        change(Revision(1), vec![Write::Key(other)])
    };

    for number in [1, 2] {
        let refused = store.commit(try_as(hash(1, number))).await;
        assert!(matches!(refused, Err(StoreError::DuplicateHash { key }) if key == first.id));
    }
    let twins: Change = change(
        Revision(1),
        vec![Write::Key(key(3)), {
            let mut twin = key(4);
            twin.versions = key(3).versions;
            Write::Key(twin)
        }],
    );
    let refused = store.commit(twins).await;
    assert!(matches!(refused, Err(StoreError::DuplicateHash { key }) if key == key_id(3)));

    // The key itself may be written again, and the same digest under a pepper is another hash.
    commit(&*store, vec![Write::Key(first)]).await;
    let peppered = KeyHash {
        pepper: 1,
        ..hash(1, 1)
    };
    let mut other = key(2);
    other.versions[0].hash = peppered;
    commit(&*store, vec![Write::Key(other)]).await;
}

pub(crate) async fn a_hash_is_free_again_once_its_tombstone_is_gone(backend: &dyn Backend) {
    let store = backend.open().await;
    let mut first = key(1);
    first.versions.push(version(1, 2));
    commit(&*store, vec![Write::Key(first.clone())]).await;
    first.versions.remove(0);
    commit(&*store, vec![Write::Key(first)]).await;

    let mut second = key(2);
    second.versions[0].hash = hash(1, 1);
    commit(&*store, vec![Write::Key(second)]).await;

    let mut third = key(3);
    third.versions[0].hash = hash(1, 2);
    let refused = store
        .commit(change(Revision(3), vec![Write::Key(third)]))
        .await;
    assert!(matches!(refused, Err(StoreError::DuplicateHash { key }) if key == key_id(1)));
}

pub(crate) async fn what_was_committed_survives_reopening(backend: &dyn Backend) {
    let store = backend.open().await;
    let receipt = receipt(1, backend.now());
    let first = change(
        Revision(0),
        vec![
            Write::Key(key(1)),
            Write::Owner(owner(1, OwnerKind::User, "Ann")),
            Write::Token(token(1)),
            Write::Receipt(receipt.clone()),
        ],
    );
    store.commit(first.clone()).await.unwrap();
    commit(&*store, vec![Write::Key(revoked(key(1)))]).await;
    store.close().await;
    drop(store);

    let store = backend.open().await;

    assert_eq!(store.revision().await.unwrap(), Revision(2));
    assert_eq!(store.key(key_id(1)).await.unwrap(), Some(revoked(key(1))));
    assert!(
        store
            .owner_named(OwnerKind::User, "ann")
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store.token_by_digest(token(1).digest).await.unwrap(),
        Some(token(1))
    );
    assert_eq!(store.receipt(receipt.digest).await.unwrap(), Some(receipt));
    let News::Changes(changes) = store.since(Revision(0), 10).await.unwrap() else {
        panic!("the feed is gone");
    };
    assert_eq!(changes.len(), 2);
    assert_eq!(*changes[0].1, first);
    assert_eq!(store.commit(first).await.unwrap(), Revision(1));
    assert_eq!(commit(&*store, keys([2])).await, Revision(3));
}
