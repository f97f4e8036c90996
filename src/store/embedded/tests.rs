//! What only shows from inside: a full disk, a failing one, and how lists are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::fault::{Fault, Quarantine};
use super::ledger::Unfolded;
use super::writer::{Answer, Desk, Job, Shared, Work};
use super::{EmbeddedStore, feed, lists, tables};
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Key, KeySettings, KeyStatus, KeyVersion, Standing};
use crate::domain::query::{KeyQuery, KeySort, SortField};
use crate::domain::refusal::RefusalCode;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::{Clock, Reading, Timestamp};
use crate::domain::usage::{Step, Tally, UsageBatch, UsageRow};
use crate::store::{Feed as _, KeyStore as _, News, StoreError, UsageStore as _};

struct Still;

impl Clock for Still {
    fn read(&self) -> Reading {
        Reading {
            wall: Timestamp::from_millis(1_000),
            mono_ns: 0,
        }
    }
}

fn connection() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    tables::migrate(&mut connection).unwrap();
    tables::begin(&connection, [1; 16]).unwrap();
    connection
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared {
        revision: watch::Sender::new(Revision(0)),
        is_up: AtomicBool::new(true),
        answered_at: AtomicU64::new(0),
        quarantine: Quarantine::default(),
        unfolded: Unfolded::default(),
        clock: Arc::new(Still),
        seal: None,
    })
}

fn desk() -> Desk {
    Desk::new(connection(), shared())
}

fn key(number: u64) -> Key {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Key {
        id: KeyId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        owner: OwnerId::from_random([1; 10]),
        env: "live".into(),
        settings: KeySettings::named("k"),
        standing: Standing::Active,
        created_at: Timestamp::from_millis(number),
        created_by: String::new(),
        last_rotated_at: None,
        told: std::collections::BTreeMap::new(),
        versions: vec![KeyVersion {
            number: 1,
            hash: KeyHash { pepper: 0, digest },
            fingerprint: Fingerprint::from_bytes([0; 6]),
            created_at: Timestamp::from_millis(number),
            activated_at: None,
            retires_at: None,
            revoked_at: None,
        }],
    }
}

fn change(expect: u64, keys: std::ops::Range<u64>) -> Arc<Change> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&expect.to_be_bytes());
    id[8..].copy_from_slice(&keys.end.to_be_bytes());
    Arc::new(Change {
        id: ChangeId(id),
        expect: Revision(expect),
        writes: keys.map(|number| Write::Key(key(number))).collect(),
        audit: Vec::new(),
    })
}

type Told = oneshot::Receiver<Answer>;

fn job(change: &Arc<Change>) -> (Job, Told) {
    Job::new(Work::Commit(Arc::clone(change)))
}

fn settle(desk: &mut Desk, change: &Arc<Change>) -> Result<u64, StoreError> {
    let (job, mut answer) = job(change);
    desk.settle(vec![job]);
    answer.try_recv().unwrap()
}

#[test]
fn a_full_disk_is_told_and_writing_goes_on_once_there_is_room() {
    let mut desk = desk();
    let limit = |desk: &Desk, pages: i64| {
        desk.connection()
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    };
    settle(&mut desk, &change(0, 0..10)).unwrap();
    limit(&desk, 1);

    let refused = settle(&mut desk, &change(1, 10..500));

    assert!(matches!(refused, Err(StoreError::Full { .. })));
    assert!(desk.shared().is_up.load(Ordering::Relaxed));
    let revision = tables::revision(desk.connection()).unwrap();
    assert_eq!(
        revision,
        Revision(1),
        "reads go on, and nothing was written"
    );
    limit(&desk, 1_000_000);
    assert_eq!(settle(&mut desk, &change(1, 10..500)).unwrap(), 2);
}

#[test]
fn after_an_io_error_nothing_is_written_any_more() {
    let mut desk = desk();
    settle(&mut desk, &change(0, 0..1)).unwrap();
    let failed = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
    desk.judge(&Fault::Sql(rusqlite::Error::SqliteFailure(failed, None)));

    let refused = settle(&mut desk, &change(1, 1..2));

    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    assert!(!desk.shared().is_up.load(Ordering::Relaxed));
    assert_eq!(tables::revision(desk.connection()).unwrap(), Revision(1));
}

#[test]
fn of_a_batch_each_learns_of_its_own_fate() {
    let mut desk = desk();
    let mut stolen = (*change(2, 7..8)).clone();
    if let Some(Write::Key(key)) = stolen.writes.first_mut() {
        key.versions = super::tests::key(1).versions;
    }
    let changes = [
        change(0, 1..2),
        change(0, 2..3),
        change(1, 3..4),
        Arc::new(stolen),
        change(2, 5..6),
        change(0, 1..2),
    ];
    let (jobs, answers): (Vec<Job>, Vec<Told>) = changes.iter().map(job).unzip();
    desk.settle(jobs);
    let told: Vec<_> = answers
        .into_iter()
        .map(|mut answer| match answer.try_recv().unwrap() {
            Ok(revision) => revision.to_string(),
            Err(StoreError::Conflict { found, .. }) => format!("conflict at {found}"),
            Err(StoreError::DuplicateHash { .. }) => "duplicate".to_owned(),
            Err(other) => panic!("{other}"),
        })
        .collect();
    assert_eq!(told, ["1", "conflict at 1", "2", "duplicate", "3", "1"]);
    assert_eq!(*desk.shared().revision.borrow(), Revision(3));
}

#[test]
fn when_a_batch_fails_each_part_is_tried_alone() {
    let mut desk = desk();
    // One that fails for a reason of its own: a table is not as it should be.
    desk.connection()
        .execute_batch(
            "CREATE TRIGGER bad BEFORE INSERT ON keys WHEN NEW.id = '0000000002'
             BEGIN SELECT raise(ABORT, 'no'); END",
        )
        .unwrap();
    let changes = [change(0, 1..2), change(1, 2..3), change(1, 3..4)];
    let (jobs, answers): (Vec<Job>, Vec<Told>) = changes.iter().map(job).unzip();
    desk.settle(jobs);
    let told: Vec<_> = answers
        .into_iter()
        .map(|mut answer| answer.try_recv().unwrap().ok())
        .collect();
    assert_eq!(told, [Some(1), None, Some(2)]);
}

#[test]
fn the_feed_keeps_the_last_16384_changes() {
    let connection = connection();
    let empty = |expect| Change {
        writes: Vec::new(),
        ..(*change(expect, 0..0)).clone()
    };
    let transaction = connection.unchecked_transaction().unwrap();
    for number in 0..16_385 {
        let revision = Revision(number + 1);
        feed::append(&transaction, revision, &empty(number)).unwrap();
        tables::set_revision(&transaction, revision).unwrap();
    }
    transaction.commit().unwrap();
    let quarantine = Quarantine::default();
    let since = |after| feed::since(&connection, Revision(after), 1, &quarantine).unwrap();
    assert!(matches!(since(0), News::Trimmed));
    assert!(matches!(since(1), News::Changes(changes) if changes[0].0 == Revision(2)));
    assert_eq!(feed::landed(&connection, empty(0).id).unwrap(), None);
    let landed = feed::landed(&connection, empty(1).id).unwrap();
    assert_eq!(landed, Some(Revision(2)));
}

/// A list of a million keys is walked, never sorted.
#[test]
fn no_list_is_sorted_as_a_whole() {
    let mut desk = desk();
    // More than are gathered and sorted.
    settle(&mut desk, &change(0, 0..5_500)).unwrap();
    let connection = desk.connection();
    let common = OwnerId::from_random([1; 10]);
    for by in [SortField::CreatedAt, SortField::Name, SortField::LastUsedAt] {
        for descending in [false, true] {
            for query in [
                KeyQuery::default(),
                KeyQuery {
                    status: Some(KeyStatus::Active),
                    name: Some("k".into()),
                    owner: Some(common),
                    env: Some("live".into()),
                    stale: Some((Timestamp::from_millis(5), true)),
                    ..KeyQuery::default()
                },
            ] {
                let sort = KeySort { by, descending };
                let quarantine = Quarantine::default();
                let first = lists::keys(connection, &query, sort, 3, None, &quarantine).unwrap();
                for after in [None, first.next.as_ref()] {
                    let list = lists::List {
                        connection,
                        sort,
                        limit: 3,
                        after,
                    };
                    let plan = list.plan(&query);
                    assert!(!plan.contains("TEMP B-TREE"), "{sort:?} {query:?}: {plan}");
                    let whole = after.is_none() && plan.contains("SCAN k");
                    assert!(whole || plan.contains("SEARCH k"), "{sort:?}: {plan}");
                }
            }
        }
    }
}

fn usage(seq: u64, minute: u32, requests: u64) -> Arc<UsageBatch> {
    let tally = Tally {
        requests,
        status: [0, requests, 0, 0, 0],
        refused: smallvec::smallvec![(RefusalCode::RateLimited, 2)],
        cost: requests,
        last_used_at: Some(Timestamp::from_millis(u64::from(minute) * 60_000 + seq)),
        ..Tally::default()
    };
    let row = |number| UsageRow {
        key: KeyId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        version: 1,
        route: "orders".into(),
        minute,
        tally: tally.clone(),
    };
    Arc::new(UsageBatch {
        node: "gate-1".into(),
        epoch: 1,
        seq,
        rows: vec![row(1), row(2)],
    })
}

fn have(desk: &mut Desk, work: Work) -> Answer {
    let (job, mut answer) = Job::new(work);
    desk.settle(vec![job]);
    answer.try_recv().unwrap()
}

fn rows(desk: &Desk, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let count: i64 = desk
        .connection()
        .query_row(&sql, [], |row| row.get(0))
        .unwrap();
    count.unsigned_abs()
}

/// What a second costs is one row, however many keys were used in it.
#[test]
fn a_batch_is_one_row_until_counts_are_asked_for() {
    let mut desk = desk();
    for seq in 1..=5 {
        assert_eq!(have(&mut desk, Work::Usage(usage(seq, 7, 10))).unwrap(), 1);
    }
    // Sent again.
    assert_eq!(have(&mut desk, Work::Usage(usage(5, 7, 10))).unwrap(), 0);
    assert_eq!(
        (rows(&desk, "usage_batch"), rows(&desk, "usage_hour")),
        (5, 0)
    );
    let key = KeyId::from_chars(b"0000000001").unwrap();
    let mut uses = Vec::new();
    desk.shared().unfolded.update(key, &mut uses);
    let at = Timestamp::from_millis(7 * 60_000 + 5);
    assert_eq!(uses, [(1, at)]);

    have(&mut desk, Work::Fold).unwrap();
    assert_eq!(
        (rows(&desk, "usage_batch"), rows(&desk, "usage_hour")),
        (0, 2)
    );
    assert_eq!(desk.shared().unfolded.waiting(), 0);
    let hour = super::usage::counts(
        desk.connection(),
        key,
        Step::Hour,
        Timestamp::from_millis(0),
        Timestamp::from_millis(3_600_000),
    )
    .unwrap();
    assert_eq!(hour.len(), 1);
    assert_eq!(hour[0].tally.requests, 50);
    assert_eq!(
        hour[0].tally.refused.as_slice(),
        [(RefusalCode::RateLimited, 10)]
    );
    assert_eq!(
        super::usage::last_used(desk.connection(), key).unwrap(),
        [(1, at)]
    );
    // Whoever read the tables before that and asks memory after still hears of it.
    let mut uses = Vec::new();
    desk.shared().unfolded.update(key, &mut uses);
    assert_eq!(uses, [(1, at)]);
}

#[test]
fn counts_that_a_cut_off_run_left_are_there_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (_, connection) = super::file::open(directory.path()).unwrap();
    let mut cut_off = Desk::new(connection, shared());
    have(&mut cut_off, Work::Usage(usage(1, 7, 10))).unwrap();
    assert_eq!(rows(&cut_off, "usage_batch"), 1);
    // As `kill -9` does: nothing is brought to an end.
    drop(cut_off);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(directory.path(), Arc::new(Still)).unwrap();
        let key = KeyId::from_chars(b"0000000002").unwrap();
        let until = Timestamp::from_millis(86_400_000);
        let days = store
            .usage(key, Step::Day, Timestamp::default(), until)
            .await;
        assert_eq!(days.unwrap()[0].tally.requests, 10);
        // Sent again by a gate that did not hear the answer.
        store.add_usage(usage(1, 7, 10)).await.unwrap();
        let days = store
            .usage(key, Step::Day, Timestamp::default(), until)
            .await;
        assert_eq!(days.unwrap()[0].tally.requests, 10);
        store.close().await;
    });
}

/// A store keeps what it has when a newer binary takes it over.
#[tokio::test]
async fn a_store_of_every_older_format_is_opened_and_goes_on() {
    for format in 1..tables::MIGRATIONS.len() {
        let directory = tempfile::tempdir().unwrap();
        {
            let (path, connection) = super::file::open(directory.path()).unwrap();
            drop(connection);
            std::fs::remove_file(&path).unwrap();
            let older = Connection::open(&path).unwrap();
            for step in &tables::MIGRATIONS[..format] {
                older.execute_batch(step).unwrap();
            }
            let id = tables::APPLICATION_ID;
            older.pragma_update(None, "application_id", id).unwrap();
            older
                .pragma_update(None, "user_version", format as u32)
                .unwrap();
            tables::begin(&older, [1; 16]).unwrap();
        }
        let store = EmbeddedStore::open(directory.path(), Arc::new(Still)).unwrap();
        store
            .commit(change(0, 1..3).as_ref().clone())
            .await
            .unwrap();
        store.add_usage(usage(1, 7, 10)).await.unwrap();
        store.close().await;

        let store = EmbeddedStore::open(directory.path(), Arc::new(Still)).unwrap();
        assert_eq!(store.revision().await.unwrap(), Revision(1));
        assert_eq!(store.incarnation().await.unwrap(), [1; 16]);
        let key = KeyId::from_chars(b"0000000001").unwrap();
        let until = Timestamp::from_millis(86_400_000);
        let days = store
            .usage(key, Step::Day, Timestamp::default(), until)
            .await;
        assert_eq!(days.unwrap()[0].tally.requests, 10);
        store.close().await;
    }
}

/// What finds names was not kept by older binaries: the first that does makes it of the keys that are there.
#[tokio::test]
async fn names_from_before_they_were_looked_up_by_their_parts_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), Arc::new(Still)).unwrap();
    let mut key = key(1);
    key.settings = KeySettings::named("an older one");
    let mut made = change(0, 1..3).as_ref().clone();
    made.writes = vec![Write::Key(key.clone())];
    store.commit(made).await.unwrap();
    store.close().await;
    let (path, connection) = super::file::open(directory.path()).unwrap();
    drop(connection);
    let older = Connection::open(&path).unwrap();
    older
        .execute_batch(
            "DROP TRIGGER key_name_of_new; DROP TRIGGER key_name_of_old; DROP TRIGGER key_name_of_renamed;
             DROP TABLE key_name; PRAGMA user_version = 4;",
        )
        .unwrap();
    drop(older);

    let store = EmbeddedStore::open(directory.path(), Arc::new(Still)).unwrap();
    let query = KeyQuery {
        name: Some("older".into()),
        ..KeyQuery::default()
    };
    let page = store.keys(&query, KeySort::default(), 10, None).await;
    assert!(page.unwrap().items.iter().any(|it| it.key.id == key.id));
    store.close().await;
}
