//! Counts: once, by hour and day, whatever is sent again.

use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::query::{KeyQuery, KeySort};
use portcullis::domain::refusal::RefusalCode;
use portcullis::domain::time::Timestamp;
use portcullis::domain::usage::{Step, Tally, UsageBatch, UsageBucket, UsageRow};
use portcullis::store::Store;

use super::Backend;
use crate::store::things::{commit, key_id, keys};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Midnight of yesterday: all that is counted after it lies in the past.
fn yesterday(backend: &dyn Backend) -> Timestamp {
    backend.now().before(DAY).floor(Step::Day.millis())
}

fn row(key: u32, version: u16, route: &str, at: Timestamp, tally: Tally) -> UsageRow {
    UsageRow {
        key: key_id(key),
        version,
        route: route.into(),
        minute: u32::try_from(at.as_millis() / 60_000).unwrap(),
        tally,
    }
}

/// Requests, each answered 200, with a body of 3 bytes for one of 5, at a cost of 2.
fn requests(number: u64, at: Timestamp) -> Tally {
    Tally {
        requests: number,
        status: [0, number, 0, 0, 0],
        cost: number * 2,
        bytes_in: number * 3,
        bytes_out: number * 5,
        last_used_at: Some(at),
        ..Tally::default()
    }
}

async fn add(store: &dyn Store, node: &str, epoch: u64, seq: u64, rows: Vec<UsageRow>) {
    let batch = UsageBatch {
        node: node.into(),
        epoch,
        seq,
        rows,
    };
    store.add_usage(Arc::new(batch)).await.unwrap();
}

async fn total(store: &dyn Store, key: u32, step: Step) -> u64 {
    let all = store
        .usage(key_id(key), step, Timestamp::default(), Timestamp::NEVER)
        .await
        .unwrap();
    all.iter().map(|bucket| bucket.tally.requests).sum()
}

pub(crate) async fn a_batch_counts_once_however_often_it_is_sent(backend: &dyn Backend) {
    let store = backend.open().await;
    let then = yesterday(backend);
    let rows = |number| vec![row(1, 1, "r", then, requests(number, then))];
    add(&*store, "gate-1", 7, 1, rows(1)).await;
    add(&*store, "gate-1", 7, 1, rows(1)).await;
    assert_eq!(total(&*store, 1, Step::Hour).await, 1);
    add(&*store, "gate-1", 7, 3, rows(10)).await;
    // One that was overtaken was given up by its gate, and folded into a later one.
    add(&*store, "gate-1", 7, 2, rows(100)).await;
    add(&*store, "gate-1", 7, 3, rows(10)).await;
    for step in [Step::Hour, Step::Day] {
        assert_eq!(total(&*store, 1, step).await, 11);
    }
}

pub(crate) async fn each_run_and_each_node_counts_for_itself(backend: &dyn Backend) {
    let store = backend.open().await;
    let then = yesterday(backend);
    let rows = |number| vec![row(1, 1, "r", then, requests(number, then))];
    add(&*store, "gate-1", 7, 5, rows(1)).await;
    add(&*store, "gate-1", 8, 1, rows(10)).await;
    add(&*store, "gate-2", 7, 1, rows(100)).await;
    assert_eq!(total(&*store, 1, Step::Hour).await, 111);
}

pub(crate) async fn counts_are_kept_by_hour_and_by_day(backend: &dyn Backend) {
    let store = backend.open().await;
    let midnight = yesterday(backend);
    let minutes = |number: u64| midnight.after(Duration::from_secs(number * 60));
    let late = midnight.before(Duration::from_secs(60));
    let mut failed = requests(2, minutes(60));
    failed.status = [1, 0, 3, 4, 5];
    let rows = vec![
        row(1, 1, "r", late, requests(1, late)),
        row(1, 1, "r", minutes(0), requests(10, minutes(0))),
        row(1, 1, "r", minutes(59), requests(20, minutes(59))),
        row(1, 1, "r", minutes(60), failed.clone()),
        row(1, 2, "r", minutes(60), requests(3, minutes(60))),
        row(1, 1, "s", minutes(60), requests(4, minutes(60))),
        row(2, 1, "r", minutes(60), requests(1_000, minutes(60))),
    ];
    add(&*store, "gate-1", 7, 1, rows).await;

    let bucket = |start, version, route: &str, mut tally: Tally| {
        tally.last_used_at = None;
        UsageBucket {
            start,
            version,
            route: route.into(),
            tally,
        }
    };
    let ask = async |step, from, to| {
        let mut found = store.usage(key_id(1), step, from, to).await.unwrap();
        assert!(found.is_sorted_by_key(|bucket| bucket.start));
        found.sort_by_key(|bucket| (bucket.start, bucket.version, bucket.route.clone()));
        found
    };
    let (before, first, second) = (midnight.before(HOUR), midnight, midnight.after(HOUR));
    let at_first = bucket(first, 1, "r", requests(30, first));
    let at_second = [
        bucket(second, 1, "r", failed.clone()),
        bucket(second, 1, "s", requests(4, second)),
        bucket(second, 2, "r", requests(3, second)),
    ];
    let mut hours = vec![
        bucket(before, 1, "r", requests(1, before)),
        at_first.clone(),
    ];
    hours.extend(at_second.clone());
    let found = ask(Step::Hour, Timestamp::default(), Timestamp::NEVER).await;
    assert_eq!(found, hours);
    // `from` lies in the first hour, `to` at the beginning of the second.
    assert_eq!(ask(Step::Hour, minutes(30), second).await, [at_first]);
    assert_eq!(ask(Step::Hour, second, minutes(61)).await, at_second);
    assert_eq!(
        ask(Step::Hour, midnight.after(HOUR * 2), Timestamp::NEVER).await,
        []
    );

    let mut whole = requests(30, first);
    whole.add(&failed);
    let days = [
        bucket(midnight, 1, "r", whole),
        bucket(midnight, 1, "s", requests(4, second)),
        bucket(midnight, 2, "r", requests(3, second)),
    ];
    assert_eq!(ask(Step::Day, minutes(700), Timestamp::NEVER).await, days);
    // Minutes are kept in the gates.
    assert_eq!(
        ask(Step::Minute, Timestamp::default(), Timestamp::NEVER).await,
        []
    );
}

pub(crate) async fn refusals_add_up_by_code(backend: &dyn Backend) {
    let store = backend.open().await;
    let then = yesterday(backend);
    let refused = |code, number| {
        let mut tally = Tally::default();
        tally.add_refused(code, number);
        vec![row(1, 1, "r", then, tally)]
    };
    add(&*store, "g", 1, 1, refused(RefusalCode::RateLimited, 2)).await;
    add(&*store, "g", 1, 2, refused(RefusalCode::KeySuspended, 1)).await;
    add(&*store, "g", 1, 3, refused(RefusalCode::RateLimited, 3)).await;
    let admitted = vec![row(1, 1, "r", then, requests(1, then))];
    add(&*store, "g", 1, 4, admitted).await;

    for step in [Step::Hour, Step::Day] {
        let found = store
            .usage(key_id(1), step, then, Timestamp::NEVER)
            .await
            .unwrap();
        let mut refused = found[0].tally.refused.to_vec();
        refused.sort_unstable();
        let expected = [
            (RefusalCode::KeySuspended, 1),
            (RefusalCode::RateLimited, 5),
        ];
        assert_eq!(refused.len(), 2);
        assert!(expected.iter().all(|count| refused.contains(count)));
        assert_eq!(found[0].tally.requests, 1);
    }
    // To be refused is not to be used.
    assert_eq!(store.last_used(key_id(1)).await.unwrap(), [(1, then)]);
}

pub(crate) async fn last_use_never_goes_back(backend: &dyn Backend) {
    let store = backend.open().await;
    commit(&*store, keys([1, 2])).await;
    let then = yesterday(backend);
    let later = then.after(HOUR);
    add(
        &*store,
        "a",
        1,
        1,
        vec![row(1, 1, "r", later, requests(1, later))],
    )
    .await;
    let behind = vec![
        row(1, 1, "r", then, requests(1, then)),
        row(1, 2, "r", then, requests(1, then)),
    ];
    add(&*store, "b", 1, 1, behind).await;

    let expected = vec![(1, later), (2, then)];
    assert_eq!(store.last_used(key_id(1)).await.unwrap(), expected);
    assert_eq!(store.last_used(key_id(2)).await.unwrap(), []);
    let listed = store
        .keys(&KeyQuery::default(), KeySort::default(), 10, None)
        .await
        .unwrap();
    let listed: Vec<_> = listed.items.into_iter().map(|row| row.last_used).collect();
    assert_eq!(listed, [expected, vec![]]);
}

pub(crate) async fn counts_survive_reopening(backend: &dyn Backend) {
    let store = backend.open().await;
    let then = yesterday(backend);
    let rows = vec![row(1, 1, "r", then, requests(5, then))];
    add(&*store, "g", 1, 1, rows.clone()).await;
    store.close().await;
    drop(store);

    let store = backend.open().await;
    add(&*store, "g", 1, 1, rows).await;

    assert_eq!(total(&*store, 1, Step::Hour).await, 5);
    assert_eq!(store.last_used(key_id(1)).await.unwrap(), [(1, then)]);
}

pub(crate) async fn epochs_only_grow(backend: &dyn Backend) {
    let store = backend.open().await;
    let now = backend.now();
    let first = store.begin_epoch("gate-1", now).await.unwrap();
    assert!(first >= now.as_millis() / 1_000);
    // Twice in a second, and after the clock was set back.
    let second = store.begin_epoch("gate-1", now).await.unwrap();
    assert!(second > first);
    store.close().await;
    drop(store);

    let store = backend.open().await;
    let third = store.begin_epoch("gate-1", now.before(DAY)).await.unwrap();
    assert!(third > second);
    let later = now.after(DAY);
    let fourth = store.begin_epoch("gate-1", later).await.unwrap();
    assert_eq!(fourth, later.as_millis() / 1_000);
}
