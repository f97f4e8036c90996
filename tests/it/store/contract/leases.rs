//! Limits that gates share: together never more than there is. A store that one gate has for itself shares
//! none, and says so.

use std::sync::Arc;

use futures_util::future::join_all;
use portcullis::domain::lease::{LeaseCall, LeaseReply, LeaseTerms, Level, LimitHolder};
use portcullis::store::Store;

use super::Backend;
use crate::store::things::key_id;

/// A hundred, and one more each hour.
const HUNDRED: LeaseTerms = LeaseTerms {
    token_ns: 3_600_000_000_000,
    burst: 100,
    aside: 0,
};

/// The first call of a lease on the limit of a key.
pub(crate) fn call(key: u32, run: u64, want: u64) -> LeaseCall {
    LeaseCall {
        holder: LimitHolder::Key(key_id(key)),
        limit: "key-1".into(),
        terms: HUNDRED,
        run,
        seq: 1,
        held: 0,
        received: 0,
        handed: 0,
        least: 0,
        need: 0,
        want,
        demand: 0,
        estimate: Level::whole(100),
        elapsed_us: None,
        was_away: false,
    }
}

/// What comes of one call.
pub(crate) async fn settle(store: &dyn Store, node: &str, call: LeaseCall) -> Option<LeaseReply> {
    let leases = store.leases().expect("it shares limits");
    let mut answers = leases.settle(&node.into(), vec![call]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0).unwrap()
}

fn shares_none(store: &dyn Store) -> bool {
    let shares_none = store.leases().is_none();
    assert_eq!(shares_none, store.kind() == "embedded");
    shares_none
}

/// Many at once, on several limits, get together what there is, and each limit's last token too.
pub(crate) async fn gates_that_share_a_limit_get_no_more_than_there_is(backend: &dyn Backend) {
    let store = backend.open().await;
    if shares_none(&*store) {
        return store.close().await;
    }
    let gates = (0..40_u64).map(|gate| {
        let store = Arc::clone(&store);
        let calls = (1..=5).map(|key| call(key, gate + 1, 3)).collect();
        async move {
            let leases = store.leases().unwrap();
            let answers = leases.settle(&format!("gate-{gate}").into(), calls).await;
            let granted = answers.into_iter().map(|it| it.unwrap().unwrap().granted);
            granted.collect::<Vec<_>>()
        }
    });
    let granted = join_all(gates).await;
    for at in 0..5 {
        assert_eq!(granted.iter().map(|gate| gate[at]).sum::<u64>(), 100);
    }
    let more = settle(&*store, "late", call(1, 1, 1)).await.unwrap();
    assert_eq!((more.granted, more.level.tokens), (0, 0));
    let answers = store.leases().unwrap().settle(&"a".into(), vec![]).await;
    assert!(answers.len() == 1 && answers[0].is_ok());
    store.close().await;
}

/// A call that was settled before is passed over; the next one undoes what its gate never heard of.
pub(crate) async fn a_call_that_is_sent_again_gives_nothing_twice(backend: &dyn Backend) {
    let store = backend.open().await;
    if shares_none(&*store) {
        return store.close().await;
    }
    let first = settle(&*store, "a", call(1, 1, 60)).await.unwrap();
    assert_eq!((first.granted, first.level.tokens), (60, 40));
    assert_eq!(settle(&*store, "a", call(1, 1, 60)).await, None);
    let next = LeaseCall {
        seq: 2,
        ..call(1, 1, 10)
    };
    let next = settle(&*store, "a", next).await.unwrap();
    assert_eq!((next.granted, next.level.tokens), (10, 90));
    store.close().await;
}

/// A limit of another name or holder is another bucket.
pub(crate) async fn limits_of_different_holders_do_not_meet(backend: &dyn Backend) {
    let store = backend.open().await;
    if shares_none(&*store) {
        return store.close().await;
    }
    let route = |name: &str| LeaseCall {
        holder: LimitHolder::Route(name.into()),
        ..call(1, 1, 100)
    };
    let other = LeaseCall {
        limit: "key-2".into(),
        ..call(1, 1, 100)
    };
    for call in [
        call(1, 1, 100),
        call(2, 1, 100),
        other,
        route("a"),
        route("{b}"),
    ] {
        assert_eq!(settle(&*store, "a", call).await.unwrap().granted, 100);
    }
    store.close().await;
}
