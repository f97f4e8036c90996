//! Gates over one store: they know of each other by its clock. A store that one gate has for itself knows of
//! none, and says so.

use std::time::Duration;

use futures_util::future::join;
use portcullis::domain::change::Revision;
use portcullis::domain::fleet::{LIVE_WITHIN, Presence, Roster};
use portcullis::store::{Beat, Beaten, FleetStore, News, Store, Struck};

use super::Backend;
use crate::store::things::{change, keys};

fn beat(store: &dyn Store, node: &str, boot: u64, applied: u64) -> Beat {
    Beat {
        node: node.into(),
        boot,
        applied: Revision(applied),
        renewals: store.renewals(),
        max_staleness: Duration::from_secs(86_400),
    }
}

/// Brings a new store to revision 9: what is beyond the last one nobody has applied.
async fn has_changes(store: &dyn Store) {
    for number in 0..9_u32 {
        let expect = Revision(number.into());
        store
            .commit(change(expect, keys([500 + number])))
            .await
            .unwrap();
    }
}

/// Who is there after a beat that is taken.
async fn beats(fleet: &dyn FleetStore, beat: Beat) -> Roster {
    match fleet.beat(&beat).await.unwrap() {
        Beaten::Known(roster) => roster,
        other => panic!("{beat:?}: {other:?}"),
    }
}

/// Name, index, applied revision.
fn rows(roster: &Roster) -> Vec<(&str, u32, u64)> {
    let rows = roster.nodes.iter();
    rows.map(|node| (&*node.name, node.index, node.applied.0))
        .collect()
}

fn knows_none(store: &dyn Store) -> bool {
    let knows_none = store.fleet().is_none();
    assert_eq!(knows_none, store.kind() == "embedded");
    knows_none
}

/// Each has a place of its own, the lowest that is free, and keeps it; what it applied is as of its last beat.
pub(crate) async fn gates_know_each_other_by_their_beats(backend: &dyn Backend) {
    let store = backend.open().await;
    if knows_none(&*store) {
        return store.close().await;
    }
    let fleet = store.fleet().unwrap();
    has_changes(&*store).await;
    assert_eq!(
        rows(&beats(fleet, beat(&*store, "b", 1, 3)).await),
        [("b", 0, 3)]
    );
    let roster = beats(fleet, beat(&*store, "a", 2, 4)).await;
    assert_eq!(rows(&roster), [("a", 1, 4), ("b", 0, 3)]);
    // What the store has not is of another history.
    let roster = beats(fleet, beat(&*store, "a", 2, 10)).await;
    assert_eq!(rows(&roster), [("a", 1, 0), ("b", 0, 3)]);
    beats(fleet, beat(&*store, "a", 2, 4)).await;
    let roster = beats(fleet, beat(&*store, "b", 1, 5)).await;
    assert_eq!(rows(&roster), [("a", 1, 4), ("b", 0, 5)]);
    // Nor has who took the store anew since then.
    let stale = Beat {
        renewals: store.renewals() + 1,
        ..beat(&*store, "b", 1, 5)
    };
    assert_eq!(rows(&beats(fleet, stale).await), [("a", 1, 4), ("b", 0, 0)]);
    let roster = beats(fleet, beat(&*store, "b", 1, 5)).await;
    // Those who wait for a change that the store has lost, or never had, are told of nobody who applied it.
    let landed = async |revision| fleet.change_at(Revision(revision)).await.unwrap().unwrap();
    let of = async |revision, change| {
        let roster = fleet.roster_of((Revision(revision), change)).await;
        let applied = roster.unwrap().nodes.into_iter().map(|it| it.applied.0);
        applied.collect::<Vec<_>>()
    };
    assert_eq!(of(4, landed(4).await).await, [4, 5]);
    assert_eq!(of(9, landed(9).await).await, [4, 5]);
    assert_eq!(of(4, landed(5).await).await, [0, 0]);
    assert_eq!(of(10, landed(4).await).await, [0, 0]);
    assert_eq!(fleet.change_at(Revision(10)).await.unwrap(), None);
    let node = roster.find("b").unwrap();
    assert_eq!((node.boot, node.is_off), (1, false));
    assert_eq!(node.max_staleness, Duration::from_secs(86_400));
    assert_eq!(&*node.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(node.beat_at, roster.at);
    assert_eq!((roster.live(), roster.lost("a", LIVE_WITHIN)), (2, 0));
    assert_eq!(rows(&fleet.roster().await.unwrap()), rows(&roster));
    assert!(store.contact().is_up);
    store.close().await;
}

/// A name is one gate's while that beats, and the next one's as soon as it signs off.
pub(crate) async fn a_name_is_one_gates_at_a_time(backend: &dyn Backend) {
    let store = backend.open().await;
    if knows_none(&*store) {
        return store.close().await;
    }
    let fleet = store.fleet().unwrap();
    has_changes(&*store).await;
    beats(fleet, beat(&*store, "a", 1, 3)).await;
    beats(fleet, beat(&*store, "b", 1, 3)).await;
    let Beaten::Taken { since } = fleet.beat(&beat(&*store, "a", 2, 9)).await.unwrap() else {
        panic!("the name is free");
    };
    assert!(since < LIVE_WITHIN, "{since:?}");
    // Nor does the other sign it off.
    fleet.sign_off(&beat(&*store, "a", 2, 9)).await.unwrap();
    let roster = fleet.roster().await.unwrap();
    assert_eq!(rows(&roster), [("a", 0, 3), ("b", 1, 3)]);
    assert!(!roster.find("a").unwrap().is_off);

    fleet.sign_off(&beat(&*store, "a", 1, 4)).await.unwrap();
    let roster = fleet.roster().await.unwrap();
    let presence = roster.find("a").unwrap().presence(roster.at, LIVE_WITHIN);
    assert_eq!(presence, Presence::Gone);
    // Its place is free again for whoever comes first; it has another when it comes back.
    let roster = beats(fleet, beat(&*store, "c", 1, 3)).await;
    assert_eq!(roster.find("c").unwrap().index, 0);
    let roster = beats(fleet, beat(&*store, "a", 2, 9)).await;
    assert_eq!(rows(&roster), [("a", 2, 9), ("b", 1, 3), ("c", 0, 3)]);
    store.close().await;
}

/// Who is live stays; who is not goes, and comes back by a beat.
pub(crate) async fn a_gate_that_beats_is_not_struck_off(backend: &dyn Backend) {
    let store = backend.open().await;
    if knows_none(&*store) {
        return store.close().await;
    }
    let fleet = store.fleet().unwrap();
    has_changes(&*store).await;
    beats(fleet, beat(&*store, "a", 1, 0)).await;
    assert_eq!(fleet.strike_off("a").await.unwrap(), Struck::Live);
    assert_eq!(fleet.strike_off("b").await.unwrap(), Struck::Unknown);
    assert_eq!(fleet.roster().await.unwrap().nodes.len(), 1);
    fleet.sign_off(&beat(&*store, "a", 1, 0)).await.unwrap();
    assert_eq!(fleet.strike_off("a").await.unwrap(), Struck::Off);
    assert_eq!(fleet.strike_off("a").await.unwrap(), Struck::Unknown);
    assert_eq!(fleet.roster().await.unwrap().nodes, []);
    assert_eq!(
        rows(&beats(fleet, beat(&*store, "a", 2, 7)).await),
        [("a", 0, 7)]
    );
    store.close().await;
}

/// Said before it is waited for, or after: it is heard; and nothing is heard that was not said.
pub(crate) async fn whoever_waits_for_a_change_hears_who_has_applied_it(backend: &dyn Backend) {
    let store = backend.open().await;
    if knows_none(&*store) {
        return store.close().await;
    }
    let fleet = store.fleet().unwrap();
    has_changes(&*store).await;
    let News::Changes(changes) = store.since(Revision(0), 9).await.unwrap() else {
        panic!("the feed has them all");
    };
    let change = |revision: u64| {
        let found = changes.iter().find(|(at, _)| at.0 == revision);
        found.map(|(at, change)| (*at, change.id)).unwrap()
    };
    let soon = Duration::from_millis(20);
    assert_eq!(fleet.acknowledged(change(7), soon).await.unwrap(), None);
    fleet
        .acknowledge("a", &[change(7), change(8)])
        .await
        .unwrap();
    let long = Duration::from_secs(1);
    let heard = fleet.acknowledged(change(7), long).await.unwrap();
    assert_eq!(heard.as_deref(), Some("a"));
    assert_eq!(fleet.acknowledged(change(7), soon).await.unwrap(), None);
    let (heard, said) = join(
        fleet.acknowledged(change(9), long),
        fleet.acknowledge("b", &[change(9)]),
    )
    .await;
    said.unwrap();
    assert_eq!(heard.unwrap().as_deref(), Some("b"));
    assert_eq!(fleet.acknowledged(change(6), soon).await.unwrap(), None);
    // One that had the revision before the store lost it is another.
    let lost = (Revision(6), change(5).1);
    fleet.acknowledge("c", &[lost, change(6)]).await.unwrap();
    assert_eq!(fleet.acknowledged(change(6), long).await.unwrap(), None);
    let heard = fleet.acknowledged(change(6), long).await.unwrap();
    assert_eq!(heard.as_deref(), Some("c"));
    store.close().await;
}
