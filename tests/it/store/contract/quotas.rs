//! Quotas: together never more than the limit, kept over everything.

use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::draw::{QuotaDraw, QuotaGrant, QuotaPlace};
use portcullis::domain::period::Span;
use portcullis::store::Store;

use super::Backend;
use crate::store::things::key_id;

fn span(backend: &dyn Backend) -> Span {
    let first_day = portcullis::domain::period::day(backend.now());
    Span {
        first_day,
        end_day: first_day + 1,
    }
}

fn wanting(backend: &dyn Backend, key: u32, run: u64, need: u64, want: u64) -> QuotaDraw {
    QuotaDraw {
        key: key_id(key),
        quota: "key-day".into(),
        span: span(backend),
        limit: 100,
        need,
        want,
        charge: 0,
        back: 0,
        run,
        received: 0,
        reached: 0,
    }
}

async fn draw(store: &dyn Store, node: &str, draw: QuotaDraw) -> QuotaGrant {
    let grants = store.draw(node, vec![draw]).await.unwrap();
    assert_eq!(grants.len(), 1);
    grants[0]
}

async fn granted(store: &dyn Store, backend: &dyn Backend, key: u32) -> u64 {
    store.granted(&[place(backend, key)]).await.unwrap()[0]
}

fn place(backend: &dyn Backend, key: u32) -> QuotaPlace {
    QuotaPlace {
        key: key_id(key),
        quota: "key-day".into(),
        span: span(backend),
    }
}

/// Two gates draw on one quota until nothing is left: each gets what the rule says, and all of it is given
/// out exactly once.
pub(crate) async fn all_gates_together_get_exactly_the_limit(backend: &dyn Backend) {
    let store = backend.open().await;
    let (mut sums, mut received) = ([0, 0], [0, 0]);
    for round in 0..40 {
        for (at, node) in ["a", "b"].iter().enumerate() {
            let want = 3 + 7 * u64::from(round % 3 == 0);
            let asked = QuotaDraw {
                received: received[at],
                ..wanting(backend, 1, at as u64 + 1, 1, want)
            };
            let expected = asked.grant(sums[0] + sums[1]);
            let grant = draw(&*store, node, asked).await;
            assert_eq!((grant.units, grant.granted), expected);
            sums[at] += grant.units;
            received[at] += grant.units;
        }
    }
    assert_eq!(sums[0] + sums[1], 100);
    assert_eq!(granted(&*store, backend, 1).await, 100);
    assert_eq!(granted(&*store, backend, 2).await, 0);
    store.close().await;
}

/// What is given back can be given out again, what is charged counts whatever the limit, and all of it is
/// there after reopening.
pub(crate) async fn what_was_given_out_survives_reopening(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(
        draw(&*store, "a", wanting(backend, 1, 1, 60, 0))
            .await
            .units,
        60
    );
    let back = QuotaDraw {
        back: 50,
        received: 60,
        ..wanting(backend, 1, 1, 0, 0)
    };
    assert_eq!(draw(&*store, "a", back).await.granted, 10);
    let charged = QuotaDraw {
        charge: 95,
        ..wanting(backend, 1, 2, 0, 0)
    };
    assert_eq!(draw(&*store, "b", charged).await.granted, 105);
    store.close().await;

    let store = backend.open().await;
    assert_eq!(granted(&*store, backend, 1).await, 105);
    let more = draw(&*store, "a", wanting(backend, 1, 3, 1, 10)).await;
    assert_eq!((more.units, more.granted), (0, 105));
    store.close().await;
}

/// Another period has an allowance of its own.
pub(crate) async fn each_period_has_its_own_allowance(backend: &dyn Backend) {
    let store = backend.open().await;
    draw(&*store, "a", wanting(backend, 1, 1, 100, 0)).await;
    let today = wanting(backend, 1, 2, 1, 0);
    let tomorrow = QuotaDraw {
        span: Span {
            first_day: today.span.end_day,
            end_day: today.span.end_day + 1,
        },
        ..today.clone()
    };
    let forever = QuotaDraw {
        span: Span {
            first_day: 0,
            end_day: Span::FOR_EVER,
        },
        quota: "key-total".into(),
        ..today.clone()
    };
    let grants = store
        .draw("a", vec![today, tomorrow, forever])
        .await
        .unwrap();
    let units: Vec<_> = grants.iter().map(|grant| grant.units).collect();
    assert_eq!(units, [0, 1, 1]);
    store.close().await;
}

/// Of each threshold it is remembered that it was told of.
pub(crate) async fn a_threshold_is_remembered(backend: &dyn Backend) {
    let store = backend.open().await;
    let reaching = |run, reached| QuotaDraw {
        reached,
        ..wanting(backend, 1, run, 0, 0)
    };
    assert_eq!(draw(&*store, "a", reaching(1, 50)).await.reached_before, 0);
    assert_eq!(draw(&*store, "a", reaching(1, 90)).await.reached_before, 50);
    assert_eq!(draw(&*store, "b", reaching(2, 80)).await.reached_before, 90);
    let raised = QuotaDraw {
        limit: 200,
        ..reaching(3, 80)
    };
    assert_eq!(draw(&*store, "b", raised).await.reached_before, 45);
    let lowered = QuotaDraw {
        limit: 90,
        ..reaching(4, 50)
    };
    assert_eq!(draw(&*store, "b", lowered).await.reached_before, 0);
    let again = QuotaDraw {
        limit: 90,
        ..reaching(5, 50)
    };
    assert_eq!(draw(&*store, "b", again).await.reached_before, 50);
    store.close().await;
}

/// One question tells of many keys, in its own order, whatever their number.
pub(crate) async fn what_was_given_out_of_many_is_told_at_once(backend: &dyn Backend) {
    let store = backend.open().await;
    for key in [3, 1] {
        draw(
            &*store,
            "a",
            wanting(backend, key, 1, u64::from(key) * 10, 0),
        )
        .await;
    }
    let week = QuotaPlace {
        quota: "key-week".into(),
        ..place(backend, 3)
    };
    let mut places: Vec<_> = [1, 2, 3].map(|key| place(backend, key)).into();
    places.push(week);
    assert_eq!(store.granted(&places).await.unwrap(), [10, 0, 30, 0]);
    assert!(store.granted(&[]).await.unwrap().is_empty());
    let many: Vec<_> = (0..2_500).map(|key| place(backend, key % 4)).collect();
    let granted = store.granted(&many).await.unwrap();
    assert_eq!(granted.len(), 2_500);
    assert_eq!(granted[2_496..], [0, 10, 0, 30]);
    store.close().await;
}

/// Many at once, on many keys and on one, take nothing twice.
pub(crate) async fn draws_at_once_take_nothing_twice(backend: &dyn Backend) {
    let store = backend.open().await;
    let calls = (0..40_u64).map(|run| {
        let store = Arc::clone(&store);
        let draws = (1..=5)
            .map(|key| wanting(backend, key, run + 1, 3, 9))
            .collect();
        async move {
            let grants = store.draw(&format!("node-{run}"), draws).await.unwrap();
            grants.iter().map(|grant| grant.units).collect::<Vec<_>>()
        }
    });
    let all = futures_util::future::join_all(calls);
    let all = tokio::time::timeout(Duration::from_secs(30), all)
        .await
        .unwrap();
    for at in 0..5 {
        assert_eq!(all.iter().map(|units| units[at]).sum::<u64>(), 100);
    }
    store.close().await;
}
