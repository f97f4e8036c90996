//! Keys with a sink that are rotated by hand: what is in the sink afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis::control::ControlError;
use portcullis::control::keys::{KeyService, Rotated, Rotation};
use portcullis::domain::id::KeyId;
use portcullis::domain::lifecycle::{Earlier, Grace, RotationTerms};
use portcullis::domain::patch::SettingsPatch;

use super::rig::{DAY, Rig, making, walk};

fn keys(rig: &Rig) -> KeyService {
    KeyService::new(
        rig.store.clone(),
        rig.clock.clone(),
        rig.writer.clone(),
        making(),
    )
    .handing_over(rig.handover.clone())
}

async fn rotate(rig: &Rig, id: KeyId) -> Result<Rotated, ControlError> {
    let asked = Rotation {
        terms: RotationTerms {
            earlier: Earlier::Retire(Grace::NONE),
            ..RotationTerms::default()
        },
        ..Rotation::default()
    };
    keys(rig)
        .rotate(&rig.caller, id, &asked, Default::default())
        .await
}

/// S2-05, S0-16: whoever reads the sink has the secret that works, before the call is answered.
#[tokio::test]
async fn a_rotation_by_hand_is_in_the_sink_before_it_is_answered() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    let rotated = rotate(&rig, id).await.unwrap();
    let handed = rotated.handed.unwrap();
    assert_eq!((&*handed.sink, handed.is_there), ("vault", true));
    let held = rig.sink.secret().unwrap();
    assert_eq!(held.reveal(), rotated.secret.unwrap().reveal());
    assert!(rig.admits(id, &held).await && !rig.admits(id, &first).await);

    // That the sink was told makes nobody rotate again.
    rig.rotate_every(30, false).await;
    let jobs = rig.jobs();
    for _ in 0..3 {
        rig.clock.turn(Duration::from_secs(60));
        walk(&jobs).await;
    }
    assert_eq!(rig.key(id).await.versions.len(), 2);
    assert_eq!(rig.sink.puts.load(Ordering::Relaxed), 1);
    rig.clock.turn(DAY * 30);
    walk(&jobs).await;
    assert_eq!(rig.key(id).await.current().unwrap().number, 3);
}

#[tokio::test]
async fn a_sink_that_fails_undoes_no_rotation_and_is_tried_again() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.sink.fails.store(true, Ordering::Relaxed);
    let rotated = rotate(&rig, id).await.unwrap();
    assert!(!rotated.handed.unwrap().is_there);
    let new = rotated.secret.unwrap();
    assert!(rig.admits(id, &new).await && !rig.admits(id, &first).await);

    let jobs = rig.jobs();
    for _ in 0..24 * 60 {
        walk(&jobs).await;
        rig.clock.turn(Duration::from_secs(60));
    }
    let puts = rig.sink.puts.load(Ordering::Relaxed);
    assert!((20..40).contains(&puts), "{puts} tries in a day");
    rig.sink.fails.store(false, Ordering::Relaxed);
    rig.clock.turn(Duration::from_secs(3_600));
    walk(&jobs).await;
    assert_eq!(rig.sink.secret().unwrap().reveal(), new.reveal());
    let puts = rig.sink.puts.load(Ordering::Relaxed);
    rig.clock.turn(DAY);
    walk(&jobs).await;
    assert_eq!(
        rig.sink.puts.load(Ordering::Relaxed),
        puts,
        "once is enough"
    );
}

/// A secret that was replaced before its sink took it is not put over its successor.
#[tokio::test]
async fn of_two_rotations_the_sink_is_given_the_newer() {
    let rig = Rig::new();
    let (id, _) = rig.make_key(SettingsPatch::default()).await;
    rig.sink.fails.store(true, Ordering::Relaxed);
    rotate(&rig, id).await.unwrap();
    rig.sink.fails.store(false, Ordering::Relaxed);
    let newer = rotate(&rig, id).await.unwrap().secret.unwrap();
    let jobs = rig.jobs();
    rig.clock.turn(DAY);
    walk(&jobs).await;
    assert_eq!(rig.sink.secret().unwrap().reveal(), newer.reveal());
    assert_eq!(rig.sink.puts.load(Ordering::Relaxed), 2);
}

/// The caller hangs up while the sink hangs: the rotation stands, and the sink gets its secret.
#[tokio::test]
async fn a_caller_who_hangs_up_takes_no_secret_away_from_the_sink() {
    let rig = Rig::new();
    let (id, first) = rig.make_key(SettingsPatch::default()).await;
    rig.sink.hangs_before.store(true, Ordering::Relaxed);
    let asked = tokio::time::timeout(Duration::from_millis(200), rotate(&rig, id)).await;
    assert!(asked.is_err(), "it is waited for a while");
    rig.sink.hangs_before.store(false, Ordering::Relaxed);
    assert!(rig.sink.secret().is_none());
    rig.clock.turn(Duration::from_secs(10));
    walk(&rig.jobs()).await;
    let held = rig.sink.secret().unwrap();
    assert!(rig.admits(id, &held).await && !rig.admits(id, &first).await);
}

/// What was refused leaves nothing behind that could reach a sink.
#[tokio::test]
async fn a_refused_rotation_reaches_no_sink() {
    let rig = Rig::new();
    let (id, _) = rig.make_key(SettingsPatch::default()).await;
    let service = keys(&rig);
    let step = portcullis::control::keys::Step::Revoke;
    service
        .take(&rig.caller, id, step, Default::default())
        .await
        .unwrap();
    assert!(rotate(&rig, id).await.is_err());
    let jobs = rig.jobs();
    for _ in 0..5 {
        rig.clock.turn(Duration::from_secs(60));
        walk(&jobs).await;
    }
    assert!(Arc::clone(&rig.sink).secret().is_none());
    assert_eq!(rig.sink.puts.load(Ordering::Relaxed), 0);
}
