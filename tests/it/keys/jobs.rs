//! What is done as time goes by, where things break off or fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use portcullis::control::jobs::Jobs;
use portcullis::control::keys::Step;
use portcullis::control::sinks::Sinks;
use portcullis::domain::event::EventKind;
use portcullis::domain::key::VersionState;
use portcullis::domain::notice::Notice;
use portcullis::domain::patch::SettingsPatch;
use portcullis::domain::rotation::RotationPlan;
use portcullis::domain::selector::Selector;
use tokio::sync::Notify;

use super::rig::{DAY, Rig, walk};
use crate::support::within;

/// Takes a turn that never ends, and is killed in it.
async fn killed_in(jobs: Jobs, switch: &AtomicBool, hung: &Notify) {
    switch.store(true, Ordering::Relaxed);
    let killed = async {
        tokio::select! {
            _ = walk(&jobs) => panic!("the turn ended"),
            () = hung.notified() => {}
        }
    };
    within("the sink hangs", killed).await;
    switch.store(false, Ordering::Relaxed);
}

/// S3-02: at every instant the secret that a client finds is admitted, wherever a gate was killed.
#[tokio::test]
async fn wherever_a_rotation_breaks_off_nobody_is_locked_out() {
    for keep_previous in [true, false] {
        for after_it_was_put in [false, true] {
            let rig = Rig::new();
            let (id, first) = rig.make_key(SettingsPatch::default()).await;
            rig.rotate_every(30, keep_previous).await;
            rig.clock.turn(DAY * 30);
            let switch = if after_it_was_put {
                &rig.sink.hangs_after
            } else {
                &rig.sink.hangs_before
            };
            killed_in(rig.jobs(), switch, &rig.sink.hung).await;

            let found = rig.sink.secret().unwrap_or_else(|| first.clone());
            assert_eq!(rig.sink.secret().is_some(), after_it_was_put);
            assert!(rig.admits(id, &found).await && rig.admits(id, &first).await);
            let key = rig.key(id).await;
            assert_eq!(
                key.current().unwrap().number,
                1,
                "not before it is read back"
            );

            // The gate comes back. What the sink holds is used; what is nowhere is made anew.
            let jobs = rig.jobs();
            walk(&jobs).await;
            if !after_it_was_put {
                assert_eq!(
                    rig.key(id).await.current().unwrap().number,
                    1,
                    "it waits a while"
                );
                rig.clock.turn(Duration::from_secs(120));
                walk(&jobs).await;
            }
            let key = rig.key(id).await;
            let number = if after_it_was_put { 2 } else { 3 };
            assert_eq!(key.current().unwrap().number, number);
            assert!(rig.admits(id, &rig.sink.secret().unwrap()).await);
            assert_eq!(rig.admits(id, &first).await, keep_previous);
            assert!(key.pending(rig.now()).is_none());
        }
    }
}

/// S3-02: a gate stood still with a new secret in its hands, another made its own meanwhile, and the first hands
/// over what is dead by now: the sink is given a live one within a minute.
#[tokio::test]
async fn a_dead_secret_that_comes_late_is_replaced() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(30, true).await;
    rig.clock.turn(DAY * 30);
    killed_in(rig.jobs(), &rig.sink.hangs_after, &rig.sink.hung).await;
    let late = rig.sink.secret().unwrap();
    // It is not there yet.
    rig.sink.holds(first);
    let jobs = rig.jobs();
    rig.clock.turn(Duration::from_secs(120));
    walk(&jobs).await;
    assert_eq!(rig.key(id).await.current().unwrap().number, 3);
    assert!(!rig.admits(id, &late).await);

    rig.sink.holds(late);
    rig.clock.turn(Duration::from_secs(60));
    walk(&jobs).await;
    assert!(rig.admits(id, &rig.sink.secret().unwrap()).await);
    let key = rig.key(id).await;
    assert_eq!(key.current().unwrap().number, 4);
    // Once.
    rig.clock.turn(Duration::from_secs(60));
    walk(&jobs).await;
    assert_eq!(rig.key(id).await.versions, key.versions);
}

#[tokio::test]
async fn a_sink_that_fails_is_tried_again_with_the_same_secret_and_ever_less_often() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(30, false).await;
    rig.clock.turn(DAY * 30);
    rig.sink.fails.store(true, Ordering::Relaxed);
    let jobs = rig.jobs();
    for _ in 0..24 * 60 {
        walk(&jobs).await;
        rig.clock.turn(Duration::from_secs(60));
    }
    assert!(rig.admits(id, &first).await);
    assert_eq!(
        rig.key(id).await.versions.len(),
        2,
        "one pending version, not one a try"
    );
    let puts = rig.sink.puts.load(Ordering::Relaxed);
    assert!((20..40).contains(&puts), "{puts} tries in a day");

    rig.sink.fails.store(false, Ordering::Relaxed);
    rig.clock.turn(Duration::from_secs(3_600));
    walk(&jobs).await;
    let key = rig.key(id).await;
    assert_eq!(key.current().unwrap().number, 2);
    assert!(rig.admits(id, &rig.sink.secret().unwrap()).await);
    assert!(!rig.admits(id, &first).await);
}

#[tokio::test]
async fn a_sink_that_cannot_be_read_changes_nothing() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(30, false).await;
    rig.clock.turn(DAY * 30);
    killed_in(rig.jobs(), &rig.sink.hangs_after, &rig.sink.hung).await;
    rig.sink.is_mute.store(true, Ordering::Relaxed);
    let jobs = rig.jobs();
    for _ in 0..3 {
        rig.clock.turn(Duration::from_secs(3_600));
        walk(&jobs).await;
    }
    let held = rig.sink.secret().unwrap();
    assert!(rig.admits(id, &first).await && rig.admits(id, &held).await);
    let key = rig.key(id).await;
    let state = key.version_state(&key.versions[1], rig.now());
    assert_eq!(
        state,
        VersionState::Pending,
        "what the sink may hold is not discarded"
    );
}

/// S3-03, S4-05: once for each time it is due, however often it is looked at.
#[tokio::test]
async fn a_key_is_rotated_once_for_each_time_it_is_due() {
    let rig = Rig::new();
    let (id, _) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(90, true).await;
    let jobs = rig.jobs();
    for _ in 0..365 {
        rig.clock.turn(DAY);
        walk(&jobs).await;
    }
    let key = rig.key(id).await;
    assert_eq!(key.current().unwrap().number, 5);
    let rotated: Vec<_> = rig.events().await;
    let rotated = rotated.iter().filter(|it| it.kind == EventKind::KeyRotated);
    assert_eq!(rotated.count(), 4);
    let live = key
        .versions
        .iter()
        .filter(|version| !version.has_ended(rig.now()));
    assert_eq!(live.count(), 2);
    // Nothing of a secret is in what others are told.
    let secret = rig.sink.secret().unwrap();
    let told = format!("{:?}", rig.events().await);
    assert!(!told.contains(secret.reveal()) && !told.contains("pk_live"));
}

#[tokio::test]
async fn a_suspended_or_expired_key_is_left_as_it_is() {
    let rig = Rig::new();
    let end = rig.now().after(DAY * 10);
    let patch = SettingsPatch {
        expires_at: Some(Some(end)),
        ..SettingsPatch::default()
    };
    let (id, _) = rig.make_key(patch).await;
    rig.rotate_every(5, true).await;
    rig.clock.turn(DAY * 20);
    let jobs = rig.jobs();
    walk(&jobs).await;
    assert_eq!(rig.key(id).await.versions.len(), 1);
    assert_eq!(rig.sink.puts.load(Ordering::Relaxed), 0);
    let kinds: Vec<_> = rig.events().await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::KeyCreated, EventKind::KeyExpired]);
    // Once.
    rig.clock.turn(DAY);
    walk(&jobs).await;
    assert_eq!(rig.events().await.len(), 2);
}

#[tokio::test]
async fn tombstones_are_forgotten_after_four_hundred_days_and_not_before() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(3_650, false).await;
    rig.clock.turn(DAY * 3_650);
    let jobs = rig.jobs();
    walk(&jobs).await;
    rig.rotation.disable(&rig.caller, None).await.unwrap();
    assert_eq!(rig.key(id).await.versions.len(), 2);
    rig.clock.turn(DAY * 400);
    walk(&jobs).await;
    assert_eq!(rig.key(id).await.versions.len(), 2);
    rig.clock.turn(Duration::from_secs(60));
    walk(&jobs).await;
    let key = rig.key(id).await;
    assert_eq!(key.versions.len(), 1);
    assert!(!rig.admits(id, &first).await);
    assert!(
        key.told.contains_key(&Notice::Retired),
        "its end was told before"
    );
}

/// As long as the configuration says, to the next walk.
#[tokio::test]
async fn a_tombstone_is_kept_for_as_long_as_it_is_said() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.rotate_every(10, false).await;
    rig.clock.turn(DAY * 10);
    let jobs = rig.jobs().forgetting_after(DAY * 2);
    walk(&jobs).await;
    rig.rotation.disable(&rig.caller, None).await.unwrap();
    for (wait, kept) in [(DAY * 2, 2), (Duration::from_secs(60), 1)] {
        rig.clock.turn(wait);
        walk(&jobs).await;
        assert_eq!(rig.key(id).await.versions.len(), kept);
        assert!(!rig.admits(id, &first).await);
    }
}

/// A rule of one key goes when that key has ended for ever, and no other rule does.
#[tokio::test]
async fn the_rule_of_a_revoked_key_is_taken_away() {
    let rig = Rig::new();
    let (dead, _) = rig.make_key(SettingsPatch::default()).await;
    let (alive, _) = rig.make_key(SettingsPatch::default()).await;
    let plan = RotationPlan {
        interval_days: 30,
        keep_previous: true,
        grace: Duration::ZERO,
    };
    let selectors = [Selector::All, Selector::Key(dead), Selector::Key(alive)];
    let rules: Vec<_> = selectors.iter().map(|it| (it.clone(), plan)).collect();
    rig.rotation.enable(&rig.caller, &rules).await.unwrap();
    let jobs = rig.jobs();
    walk(&jobs).await;
    let selectors = async || {
        let rules = rig.rotation.rules(&rig.caller).await.unwrap().into_iter();
        rules.map(|view| view.rule.selector).collect::<Vec<_>>()
    };
    assert_eq!(selectors().await.len(), 3);
    rig.keys
        .take(&rig.caller, dead, Step::Revoke, Default::default())
        .await
        .unwrap();
    rig.clock.turn(Duration::from_secs(60));
    walk(&jobs).await;
    assert_eq!(selectors().await, [Selector::All, Selector::Key(alive)]);
}

#[tokio::test]
async fn a_walk_goes_over_every_page_and_then_rests() {
    let rig = Rig::new();
    let end = rig.now().after(DAY);
    for _ in 0..300 {
        let patch = SettingsPatch {
            expires_at: Some(Some(end)),
            ..SettingsPatch::default()
        };
        rig.make_key(patch).await;
    }
    let jobs = rig.jobs_with(Sinks::default());
    rig.clock.turn(DAY * 2);
    walk(&jobs).await;
    let expired = rig.events().await;
    let expired = expired.iter().filter(|it| it.kind == EventKind::KeyExpired);
    assert_eq!(expired.count(), 300);
    let idle = jobs.turn().now_or_never();
    assert!(matches!(
        idle,
        Some(Ok(portcullis::control::jobs::Turn::Idle))
    ));
}
