//! What the steps of versions promise, on both sides of each line.

use std::time::Duration;

use super::*;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Key, KeySettings, KeyStatus, KeyVersion, VersionState};
use crate::domain::refusal::RefusalCode;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::Timestamp;

const HOUR: u64 = 3_600_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn secret(number: u8) -> NewVersion {
    NewVersion {
        hash: KeyHash {
            pepper: 0,
            digest: [number; 32],
        },
        fingerprint: Fingerprint::from_bytes([number; 6]),
    }
}

fn key() -> Key {
    let birth = Birth {
        id: KeyId::from_random([1; 10]),
        owner: OwnerId::from_random([2; 10]),
        env: "live".into(),
        hash: secret(1).hash,
        fingerprint: secret(1).fingerprint,
        created_by: "tok_x".into(),
    };
    create(birth, KeySettings::named("k"), at(0))
}

fn within(ms: u64) -> RotationTerms {
    let grace = Grace::new(Duration::from_millis(ms)).unwrap();
    RotationTerms {
        earlier: Earlier::Retire(grace),
        expires_at: None,
    }
}

/// What each version answers, oldest first.
fn verdicts(key: &Key, ms: u64) -> Vec<Result<(), RefusalCode>> {
    let verdict = |version: &KeyVersion| key.admits(&version.hash, at(ms)).map(|_| ());
    key.versions.iter().map(verdict).collect()
}

const RETIRED: Result<(), RefusalCode> = Err(RefusalCode::KeyRetired);
const REVOKED: Result<(), RefusalCode> = Err(RefusalCode::KeyRevoked);

// S2-12
#[test]
fn a_grace_is_at_most_72_hours_and_a_day_if_nothing_is_said() {
    let longest = Duration::from_millis(72 * HOUR);
    assert_eq!(Grace::new(longest), Some(Grace::MAX));
    assert_eq!(Grace::new(longest + Duration::from_millis(1)), None);
    assert_eq!(Grace::default().length(), Duration::from_millis(24 * HOUR));
}

// S2-03 S2-04
#[test]
fn the_old_secret_works_until_its_grace_ends_and_not_at_it() {
    let rotated = rotate(key(), secret(2), within(50), at(1_000)).unwrap();
    assert_eq!(verdicts(&rotated, 1_049), [Ok(()), Ok(())]);
    assert_eq!(verdicts(&rotated, 1_050), [RETIRED, Ok(())]);
    let at_once = rotate(key(), secret(2), within(0), at(1_000)).unwrap();
    assert_eq!(verdicts(&at_once, 1_000), [RETIRED, Ok(())]);
}

// S2-09 S3-06
#[test]
fn a_rotation_changes_the_secret_and_nothing_else() {
    let before = key();
    let after = rotate(before.clone(), secret(2), within(HOUR), at(1_000)).unwrap();
    assert_eq!(after.current().map(|version| version.number), Some(2));
    assert_eq!(after.last_rotated_at, Some(at(1_000)));
    let as_before = Key {
        versions: before.versions.clone(),
        last_rotated_at: None,
        told: std::collections::BTreeMap::new(),
        ..after
    };
    assert_eq!(as_before, before);
}

// S2-03
#[test]
fn a_second_rotation_neither_prolongs_nor_cuts_an_earlier_grace() {
    let once = rotate(key(), secret(2), within(10), at(1_000)).unwrap();
    let longer = rotate(once.clone(), secret(3), within(HOUR), at(1_001)).unwrap();
    assert_eq!(verdicts(&longer, 1_009), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(verdicts(&longer, 1_010), [RETIRED, Ok(()), Ok(())]);
    let at_once = rotate(once, secret(3), within(0), at(1_001)).unwrap();
    assert_eq!(verdicts(&at_once, 1_009), [Ok(()), RETIRED, Ok(())]);
}

#[test]
fn a_leak_ends_every_earlier_version_whatever_it_was_promised() {
    let once = rotate(key(), secret(2), within(HOUR), at(1_000)).unwrap();
    let terms = RotationTerms {
        earlier: Earlier::Revoke,
        expires_at: None,
    };
    let leaked = rotate(once.clone(), secret(3), terms, at(1_001)).unwrap();
    assert_eq!(verdicts(&leaked, 1_001), [REVOKED, REVOKED, Ok(())]);
    assert_eq!(
        leaked.versions[0].retires_at, once.versions[0].retires_at,
        "what was said is still told"
    );
}

#[test]
fn five_versions_are_live_at_once_and_not_six() {
    let mut key = key();
    for number in 2..=5 {
        key = rotate(key, secret(number), within(HOUR), at(1_000)).unwrap();
    }
    assert_eq!(verdicts(&key, 1_000), [Ok(()); 5]);
    let sixth = rotate(key.clone(), secret(6), within(HOUR), at(1_001));
    assert_eq!(sixth, Err(LifecycleError::TooManyVersions));
    let pending = begin_rotation(key.clone(), secret(6), at(1_001));
    assert_eq!(pending, Err(LifecycleError::TooManyVersions));
    // The one that is current now ends with the rotation: there are five again.
    let at_once = rotate(key.clone(), secret(6), within(0), at(1_001)).unwrap();
    assert_eq!(
        at_once.version_state(&at_once.versions[4], at(1_001)),
        VersionState::Retired
    );
    let fewer = revoke_version(key, 2, at(1_001)).unwrap();
    assert!(rotate(fewer, secret(6), within(HOUR), at(1_001)).is_ok());
}

#[test]
fn an_expired_key_lives_again_by_a_rotation_with_a_new_end_and_its_old_secrets_do_not() {
    let mut key = rotate(key(), secret(2), within(HOUR), at(1_000)).unwrap();
    key.settings.expires_at = Some(at(2_000));
    let terms = |end| RotationTerms {
        expires_at: end,
        ..within(HOUR)
    };
    for end in [None, Some(Some(at(2_000)))] {
        let dead = rotate(key.clone(), secret(3), terms(end), at(2_000));
        assert_eq!(dead, Err(LifecycleError::Expired), "{end:?}");
    }
    let end = Some(Some(at(9_000)));
    let alive = rotate(key.clone(), secret(3), terms(end), at(2_000)).unwrap();
    assert_eq!(verdicts(&alive, 2_000), [REVOKED, RETIRED, Ok(())]);
    assert_eq!(alive.status(at(2_000)), KeyStatus::Active);
    assert_eq!(alive.versions[1].retires_at, Some(at(2_000)));
    let for_ever = rotate(key, secret(3), terms(Some(None)), at(2_000)).unwrap();
    assert_eq!(for_ever.settings.expires_at, None);
    assert_eq!(verdicts(&for_ever, 2_000), [REVOKED, RETIRED, Ok(())]);
}

#[test]
fn a_suspended_key_may_be_rotated_and_a_revoked_one_may_not() {
    let suspended = suspend(key(), at(500)).unwrap();
    let rotated = rotate(suspended, secret(2), within(0), at(1_000)).unwrap();
    assert_eq!(rotated.status(at(1_000)), KeyStatus::Suspended);
    let revoked = revoke(key(), at(500)).unwrap();
    let dead = Err(LifecycleError::Revoked);
    assert_eq!(
        rotate(revoked.clone(), secret(2), within(0), at(1_000)),
        dead
    );
    assert_eq!(begin_rotation(revoked.clone(), secret(2), at(1_000)), dead);
    assert_eq!(discard_pending(revoked.clone(), at(1_000)), dead);
    assert_eq!(revoke_version(revoked, 1, at(1_000)), dead);
}

#[test]
fn a_pending_version_is_admitted_and_starts_no_clock() {
    let begun = begin_rotation(key(), secret(2), at(1_000)).unwrap();
    assert_eq!(verdicts(&begun, u64::MAX - 1), [Ok(()), Ok(())]);
    assert_eq!(begun.current().map(|version| version.number), Some(1));
    assert_eq!(begun.last_rotated_at, None);
    assert_eq!(
        begin_rotation(begun, secret(3), at(1_001)),
        Err(LifecycleError::PendingVersion)
    );
}

// S3-04
#[test]
fn with_keep_previous_the_two_most_recent_are_valid() {
    let keep = Activation::KeepPrevious;
    let mut key = key();
    for number in 2..=4 {
        let now = at(u64::from(number) * 1_000);
        key = begin_rotation(key, secret(number), now).unwrap();
        key = activate(key, number.into(), keep, now).unwrap();
    }
    assert_eq!(verdicts(&key, 4_000), [RETIRED, RETIRED, Ok(()), Ok(())]);
    assert_eq!(verdicts(&key, u64::MAX - 1)[2..], [Ok(()), Ok(())]);
}

// S3-04
#[test]
fn without_it_the_old_one_retires_a_grace_after_the_new_one_was_activated() {
    let begun = begin_rotation(key(), secret(2), at(1_000)).unwrap();
    let others = Activation::Retire(Duration::from_millis(60));
    let active = activate(begun, 2, others, at(5_000)).unwrap();
    assert_eq!(verdicts(&active, 5_059), [Ok(()), Ok(())]);
    assert_eq!(verdicts(&active, 5_060), [RETIRED, Ok(())]);
    let again = activate(active.clone(), 2, others, at(5_030)).unwrap();
    assert_eq!(again, active, "a version is activated once");
}

#[test]
fn a_policy_keeps_a_grace_that_was_promised_by_hand() {
    let once = rotate(key(), secret(2), within(HOUR), at(0)).unwrap();
    let begun = begin_rotation(once, secret(3), at(1_000)).unwrap();
    let active = activate(begun, 3, Activation::KeepPrevious, at(1_000)).unwrap();
    assert_eq!(verdicts(&active, HOUR - 1), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(verdicts(&active, HOUR), [RETIRED, Ok(()), Ok(())]);
}

#[test]
fn a_rotation_by_hand_discards_what_is_pending() {
    let begun = begin_rotation(key(), secret(2), at(1_000)).unwrap();
    let rotated = rotate(begun.clone(), secret(3), within(HOUR), at(1_001)).unwrap();
    assert_eq!(verdicts(&rotated, 1_001), [Ok(()), REVOKED, Ok(())]);
    assert_eq!(rotated.current().map(|version| version.number), Some(3));
    let late = activate(rotated, 2, Activation::KeepPrevious, at(1_002));
    assert_eq!(late, Err(LifecycleError::VersionRevoked));
    let discarded = discard_pending(begun, at(1_001)).unwrap();
    assert_eq!(verdicts(&discarded, 1_001), [Ok(()), REVOKED]);
    assert!(begin_rotation(discarded, secret(3), at(1_002)).is_ok());
}

// S1-11
#[test]
fn one_version_is_ended_alone_and_never_the_current_one() {
    let rotated = rotate(key(), secret(2), within(HOUR), at(1_000)).unwrap();
    assert_eq!(
        revoke_version(rotated.clone(), 2, at(1_001)),
        Err(LifecycleError::CurrentVersion)
    );
    assert_eq!(
        revoke_version(rotated.clone(), 3, at(1_001)),
        Err(LifecycleError::NoSuchVersion)
    );
    let ended = revoke_version(rotated, 1, at(1_001)).unwrap();
    assert_eq!(verdicts(&ended, 1_001), [REVOKED, Ok(())]);
    let again = revoke_version(ended.clone(), 1, at(1_002)).unwrap();
    assert_eq!(again, ended, "the time it ended at stays");
}

// S1-10
#[test]
fn tombstones_are_forgotten_when_they_are_old_and_numbers_are_not_given_again() {
    let mut key = key();
    for number in 2..=4 {
        let now = at(u64::from(number) * 1_000);
        key = rotate(key, secret(number), within(10), now).unwrap();
    }
    key = begin_rotation(key, secret(5), at(5_000)).unwrap();
    key = discard_pending(key, at(5_000)).unwrap();
    let numbers = |key: &Key| -> Vec<u16> { key.versions.iter().map(|v| v.number).collect() };
    let kept = forget_tombstones(key.clone(), at(3_010));
    assert_eq!(
        numbers(&kept),
        [2, 3, 4, 5],
        "one that ends at the line is kept"
    );
    let kept = forget_tombstones(key, at(90_000));
    assert_eq!(numbers(&kept), [4, 5]);
    let next = rotate(kept, secret(6), within(0), at(90_000)).unwrap();
    assert_eq!(numbers(&next), [4, 5, 6]);
}
