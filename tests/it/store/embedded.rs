//! The embedded store: the whole contract, and what is its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis::domain::audit::chain::Head;
use portcullis::domain::change::{Receipt, Revision, Write};
use portcullis::domain::key::Key;
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::query::{KeyQuery, KeySort, SortField};
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::domain::usage::{Step, Tally, UsageBatch, UsageRow};
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::{
    Feed, KeyStore, News, OwnerStore, Store, StoreError, TokenStore, UsageStore,
};
use tempfile::TempDir;

use super::contract::{Backend, keeps_the_contract};
use super::things::{
    HandClock, at, change, commit, hash, key, key_id, keys, owner, receipt, token, version,
};

/// A directory of its own, and a clock.
pub(crate) struct Embedded {
    root: TempDir,
    clock: Arc<HandClock>,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            clock: HandClock::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn try_open(&self) -> Result<EmbeddedStore, StoreError> {
        EmbeddedStore::open(self.path(), self.clock.clone())
    }

    pub(crate) fn open(&self) -> EmbeddedStore {
        self.try_open().unwrap()
    }

    /// The file, beside the store.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("portcullis.db")).unwrap()
    }
}

#[async_trait]
impl Backend for Embedded {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.try_open().unwrap())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

async fn embedded() -> Embedded {
    Embedded::new()
}

mod contract {
    use super::{embedded, keeps_the_contract};

    keeps_the_contract!(embedded);
}

#[tokio::test]
async fn whoever_follows_from_before_the_feed_begins_is_sent_to_the_snapshot() {
    let place = Embedded::new();
    let store = place.open();
    for number in 0..5 {
        commit(&store, keys([number])).await;
    }
    place
        .sql()
        .execute("DELETE FROM feed WHERE revision <= 3", [])
        .unwrap();
    for after in [0, 1, 2] {
        let news = store.since(Revision(after), 10).await.unwrap();
        assert!(matches!(news, News::Trimmed), "{after}");
    }
    let News::Changes(changes) = store.since(Revision(3), 10).await.unwrap() else {
        panic!("what is there was trimmed");
    };
    assert_eq!(changes.len(), 2);
}

#[tokio::test]
async fn a_receipt_is_forgotten_after_a_day_and_not_before() {
    let place = Embedded::new();
    let store = place.open();
    let receipt = receipt(1, place.now());
    commit(&store, vec![Write::Receipt(receipt.clone())]).await;
    place.clock.turn(Receipt::KEPT - Duration::from_millis(1));
    let found = store.receipt(receipt.digest).await.unwrap();
    assert_eq!(found, Some(receipt.clone()));

    place.clock.turn(Duration::from_millis(1));

    assert_eq!(store.receipt(receipt.digest).await.unwrap(), None);
    let later = super::things::receipt(2, place.now());
    commit(&store, vec![Write::Receipt(later)]).await;
    let left: i64 = place
        .sql()
        .query_row("SELECT count(*) FROM receipts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1);
}

fn batch(seq: u64, at: Timestamp) -> Arc<UsageBatch> {
    let row = UsageRow {
        key: key_id(1),
        version: 1,
        route: "r".into(),
        minute: u32::try_from(at.as_millis() / 60_000).unwrap(),
        tally: Tally {
            requests: 1,
            ..Tally::default()
        },
    };
    Arc::new(UsageBatch {
        node: "g".into(),
        epoch: 1,
        seq,
        rows: vec![row],
    })
}

#[tokio::test]
async fn hours_are_kept_35_days_and_days_400() {
    let place = Embedded::new();
    let store = place.open();
    let begun = place.now().floor(Step::Day.millis());
    store.add_usage(batch(1, begun)).await.unwrap();
    let mut seq = 1;
    let mut left = async |days: u64, hours: u64| {
        let then = begun.after(Duration::from_secs(days * 86_400 + hours * 3_600));
        place.clock.turn(then.since(place.now()));
        seq += 1;
        store.add_usage(batch(seq, then)).await.unwrap();
        let of = async |step| {
            let all = store.usage(key_id(1), step, begun, begun.after(Duration::from_secs(1)));
            all.await.unwrap().len()
        };
        (of(Step::Hour).await, of(Step::Day).await)
    };
    assert_eq!(left(34, 23).await, (1, 1));
    assert_eq!(left(35, 1).await, (0, 1));
    assert_eq!(left(399, 23).await, (0, 1));
    assert_eq!(left(400, 1).await, (0, 0));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_set_aside_and_the_rest_is_given() {
    let place = Embedded::new();
    let store = place.open();
    commit(&store, keys([1, 2, 3])).await;
    let sql = place.sql();
    let damaged = "UPDATE keys SET record = zeroblob(40) WHERE id = ?1";
    sql.execute(damaged, [key_id(2).chars()]).unwrap();
    sql.execute("UPDATE feed SET record = x'ff00'", []).unwrap();

    for _ in 0..2 {
        let (give, given) = std::sync::mpsc::sync_channel(8);
        let take = move |key: Key| give.send(key.id).unwrap();
        assert_eq!(store.snapshot(Box::new(take)).await.unwrap(), Revision(1));
        assert_eq!(given.iter().collect::<Vec<_>>(), [1, 3].map(key_id));
    }
    assert_eq!(store.contact().quarantined, 1);
    assert!(matches!(
        store.key(key_id(2)).await,
        Err(StoreError::Corrupt { table: "keys", key, .. }) if key == key_id(2).to_string()
    ));
    let page = store
        .keys(&KeyQuery::default(), KeySort::default(), 2, None)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
    assert!(page.next.is_some());
    let news = store.since(Revision(0), 10).await.unwrap();
    assert!(matches!(news, News::Trimmed));
    assert_eq!(store.contact().quarantined, 2);

    // Written anew it is whole again, and what was known of it does not stand in the way.
    let mut anew = key(2);
    anew.versions.push(version(2, 2));
    commit(&store, vec![Write::Key(anew.clone())]).await;
    assert_eq!(store.key(key_id(2)).await.unwrap(), Some(anew));
}

#[tokio::test]
async fn what_is_asked_of_a_closed_store_is_refused() {
    let place = Embedded::new();
    let store = place.open();
    commit(&store, keys([1])).await;
    store.close().await;
    store.close().await;
    let refused = store.commit(change(Revision(1), keys([2]))).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    let refused = store.key(key_id(1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn two_owners_of_one_name_are_a_conflict() {
    let place = Embedded::new();
    let store = place.open();
    let ann = owner(1, OwnerKind::User, "Ann");
    commit(&store, vec![Write::Owner(ann.clone())]).await;
    let writes = vec![Write::Owner(owner(2, OwnerKind::User, "ANN"))];
    let refused = store.commit(change(Revision(1), writes)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    let mut same = ann;
    same.disabled_at = Some(at(9));
    commit(&store, vec![Write::Owner(same)]).await;
}

/// As a mirror.
mod mirror {
    use super::*;

    #[tokio::test]
    async fn changes_are_applied_in_order_once() {
        let place = Embedded::new();
        let mirror = place.open();
        let first = change(Revision(0), keys([1]));
        mirror
            .apply(Revision(1), first.clone(), Vec::new())
            .await
            .unwrap();
        mirror
            .apply(Revision(1), first.clone(), Vec::new())
            .await
            .unwrap();
        let gap = mirror
            .apply(Revision(3), change(Revision(2), keys([3])), Vec::new())
            .await;
        assert!(matches!(
            gap,
            Err(StoreError::Conflict {
                expected: Revision(2),
                found: Revision(1)
            })
        ));
        let second = Arc::new(change(Revision(1), keys([2])));
        mirror
            .apply(Revision(2), Arc::clone(&second), Vec::new())
            .await
            .unwrap();

        assert_eq!(mirror.revision().await.unwrap(), Revision(2));
        let News::Changes(changes) = mirror.since(Revision(0), 10).await.unwrap() else {
            panic!("trimmed");
        };
        assert_eq!(*changes[0].1, first);
        assert_eq!(changes[1].1, second);
    }

    /// What another store let pass must not stop the mirror for ever.
    #[tokio::test]
    async fn what_was_decided_elsewhere_is_taken_as_it_is() {
        let place = Embedded::new();
        let mirror = place.open();
        let mut twin = key(2);
        twin.versions = key(1).versions;
        let writes = vec![
            Write::Key(key(1)),
            Write::Key(twin),
            Write::Owner(owner(1, OwnerKind::User, "Ann")),
            Write::Owner(owner(2, OwnerKind::User, "ann")),
        ];
        mirror
            .apply(Revision(1), change(Revision(0), writes), Vec::new())
            .await
            .unwrap();
        assert_eq!(
            mirror.hash_owner(&hash(1, 1)).await.unwrap(),
            Some(key_id(2))
        );
    }

    #[tokio::test]
    async fn replacing_drops_what_was_and_keeps_what_was_counted() {
        let place = Embedded::new();
        let mirror = place.open();
        let writes = vec![
            Write::Key(key(1)),
            Write::Key(key(2)),
            Write::Owner(owner(1, OwnerKind::User, "Ann")),
            Write::Token(token(1)),
        ];
        mirror
            .apply(Revision(1), change(Revision(0), writes), Vec::new())
            .await
            .unwrap();
        mirror
            .note_used(vec![(key_id(2), 1, at(70)), (key_id(3), 1, at(50))])
            .await
            .unwrap();
        mirror.add_usage(batch(1, place.now())).await.unwrap();

        let writes = [Write::Key(key(2)), Write::Key(key(3))].map(Ok);
        let revision = mirror
            .replace([9; 16], writes.into_iter(), || {
                (Revision(40), Head::default())
            })
            .await;

        assert_eq!(revision.unwrap(), Revision(40));
        assert_eq!(mirror.incarnation().await.unwrap(), [9; 16]);
        assert_eq!(mirror.contact().revision, Revision(40));
        assert_eq!(mirror.key(key_id(1)).await.unwrap(), None);
        assert_eq!(mirror.hash_owner(&hash(1, 1)).await.unwrap(), None);
        let owners = mirror.owners(None, 10, None).await.unwrap();
        assert!(owners.items.is_empty());
        assert_eq!(mirror.token(token(1).id).await.unwrap(), None);
        let sort = KeySort {
            by: SortField::LastUsedAt,
            descending: true,
        };
        let listed = mirror
            .keys(&KeyQuery::default(), sort, 10, None)
            .await
            .unwrap();
        let listed: Vec<_> = listed
            .items
            .into_iter()
            .map(|row| (row.key.id, row.last_used))
            .collect();
        let expected = [
            (key_id(2), vec![(1, at(70))]),
            (key_id(3), vec![(1, at(50))]),
        ];
        assert_eq!(listed, expected);
        let counted = mirror
            .usage(key_id(1), Step::Hour, at(0), Timestamp::NEVER)
            .await
            .unwrap();
        assert_eq!(counted.len(), 1);

        // The history before it is not there to be followed; what comes after is.
        let news = mirror.since(Revision(39), 10).await.unwrap();
        assert!(matches!(news, News::Trimmed));
        mirror
            .apply(Revision(41), change(Revision(40), keys([4])), Vec::new())
            .await
            .unwrap();
        let news = mirror.since(Revision(40), 10).await.unwrap();
        assert!(matches!(news, News::Changes(changes) if changes.len() == 1));
    }

    #[tokio::test]
    async fn a_replacement_that_breaks_off_leaves_what_was() {
        let place = Embedded::new();
        let mirror = place.open();
        mirror
            .apply(Revision(1), change(Revision(0), keys([1])), Vec::new())
            .await
            .unwrap();
        let writes = [
            Ok(Write::Key(key(2))),
            Err(StoreError::unavailable("cut off")),
        ];
        let refused = mirror
            .replace([9; 16], writes.into_iter(), || {
                (Revision(40), Head::default())
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
        assert_eq!(mirror.revision().await.unwrap(), Revision(1));
        assert_eq!(mirror.key(key_id(1)).await.unwrap(), Some(key(1)));
        assert_eq!(mirror.key(key_id(2)).await.unwrap(), None);
    }
}
