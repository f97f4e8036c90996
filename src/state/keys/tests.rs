//! What the cache keeps true.

use super::*;
use crate::domain::key::KeySettings;
use crate::domain::lifecycle::{self, Birth};
use crate::domain::secret::Fingerprint;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn key(byte: u8) -> Key {
    let birth = Birth {
        id: KeyId::from_random([byte; 10]),
        owner: OwnerId::from_random([2; 10]),
        env: "live".into(),
        hash: KeyHash {
            pepper: 0,
            digest: [byte; 32],
        },
        fingerprint: Fingerprint::from_bytes([1; 6]),
        created_by: "tok_x".into(),
    };
    lifecycle::create(birth, KeySettings::named("k"), at(1_000))
}

#[test]
fn a_key_is_found_by_all_of_its_hash_not_by_half() {
    let cache = KeyCache::default();
    cache.put(&key(7), Arc::default());
    let mut other = KeyHash {
        pepper: 0,
        digest: [7; 32],
    };
    assert!(cache.find(&other).is_some());
    other.digest[31] = 8;
    assert!(cache.find(&other).is_none());
    other.digest = [7; 32];
    other.digest[0] = 8;
    assert!(cache.find(&other).is_none());
}

#[test]
fn a_replaced_entry_keeps_the_slot_even_of_requests_in_flight() {
    let cache = KeyCache::default();
    let key = key(7);
    cache.put(&key, Arc::default());
    let Some((before, _)) = cache.find(&key.versions[0].hash) else {
        panic!("no entry")
    };
    let revoked = lifecycle::revoke(key.clone(), at(2_000)).unwrap();
    cache.put(&revoked, Arc::default());
    let Some((after, version)) = cache.find(&key.versions[0].hash) else {
        panic!("no entry")
    };
    assert!(Arc::ptr_eq(before.slot(), after.slot()));
    assert_eq!(
        after.admits(&version, at(2_000)),
        Err(RefusalCode::KeyRevoked)
    );
    assert_eq!(before.admits(&version, at(2_000)), Ok(()));
}

#[test]
fn a_forgotten_secret_is_unknown_and_the_others_keep_their_slot() {
    let cache = KeyCache::default();
    let first = key(7);
    let new = lifecycle::NewVersion {
        hash: KeyHash {
            pepper: 0,
            digest: [8; 32],
        },
        fingerprint: Fingerprint::from_bytes([8; 6]),
    };
    let terms = lifecycle::RotationTerms {
        earlier: lifecycle::Earlier::Retire(lifecycle::Grace::NONE),
        expires_at: None,
    };
    let rotated = lifecycle::rotate(first.clone(), new, terms, at(2_000)).unwrap();
    cache.put(&rotated, Arc::default());
    let slot = |hash| cache.find(hash).map(|(entry, _)| Arc::clone(entry.slot()));
    let before = slot(&new.hash).unwrap();

    cache.put(
        &lifecycle::forget_tombstones(rotated, at(2_001)),
        Arc::default(),
    );
    assert!(cache.find(&first.versions[0].hash).is_none());
    assert_eq!(cache.len(), 2);
    cache.sweep();
    assert!(cache.find(&first.versions[0].hash).is_none());
    assert!(Arc::ptr_eq(&before, &slot(&new.hash).unwrap()));
    assert_eq!(cache.len(), 1);
}

fn second() -> lifecycle::NewVersion {
    lifecycle::NewVersion {
        hash: KeyHash {
            pepper: 0,
            digest: [8; 32],
        },
        fingerprint: Fingerprint::from_bytes([8; 6]),
    }
}

/// Another history has the key, and never gave it this secret: by a change, or by all there is.
#[test]
fn a_secret_of_a_history_that_was_left_is_unknown() {
    let first = key(7);
    let lost = lifecycle::rotate(
        first.clone(),
        second(),
        lifecycle::RotationTerms::default(),
        at(2_000),
    )
    .unwrap();
    let revoked = lifecycle::revoke(first, at(2_000)).unwrap();
    for is_all_there_is in [false, true] {
        let cache = KeyCache::default();
        cache.put(&lost, Arc::default());
        assert!(cache.find(&second().hash).is_some());
        cache.put(&revoked, Arc::default());
        if is_all_there_is {
            let mut seen = SeenSecrets::default();
            seen.note(&revoked);
            cache.retain(&seen);
            assert_eq!(cache.len(), 1);
        }
        assert!(cache.find(&second().hash).is_none());
        assert!(cache.find(&revoked.versions[0].hash).is_some());
    }
}

/// A rotation with a grace of `0s`, at a gate whose clock is an hour behind that of who asked for it.
#[test]
fn what_was_replaced_without_grace_is_over_whatever_the_clock_says() {
    let terms = lifecycle::RotationTerms {
        earlier: lifecycle::Earlier::Retire(lifecycle::Grace::NONE),
        expires_at: None,
    };
    let rotated = lifecycle::rotate(key(7), second(), terms, at(3_601_000)).unwrap();
    let again = lifecycle::NewVersion {
        hash: key(9).versions[0].hash,
        ..second()
    };
    let onward = lifecycle::RotationTerms::default();
    let after = lifecycle::rotate(rotated.clone(), again, onward, at(3_700_000));
    // It stays so when the key is rotated on.
    for key in [rotated, after.unwrap()] {
        let cache = KeyCache::default();
        cache.put(&key, Arc::default());
        let judge = |hash| {
            let (entry, version) = cache.find(hash).unwrap();
            assert_eq!(
                key.admits(hash, at(1_000)).map(drop),
                entry.admits(&version, at(1_000))
            );
            entry.admits(&version, at(1_000))
        };
        assert_eq!(judge(&key.versions[0].hash), Err(RefusalCode::KeyRetired));
        assert_eq!(judge(&key.versions[1].hash), Ok(()));
    }
}

#[test]
fn other_grants_change_nothing_else_of_a_key() {
    use crate::domain::product::Product;
    use crate::state::grants::GrantBook;

    let product = |scope: &str| Product {
        name: "starter".into(),
        scopes: vec![scope.parse().unwrap()],
        ..Product::default()
    };
    let mut book = GrantBook::new(vec![product("a")], Arc::default());
    let cache = KeyCache::default();
    let [idle, busy, other] = [1, 2, 3].map(|byte| {
        let mut key = key(byte);
        if byte < 3 {
            key.settings.products = vec!["starter".into()];
        }
        cache.put(&key, book.grants(&key));
        key.versions[0].hash
    });
    let (before, _) = cache.find(&busy).unwrap();

    cache.regrant(&book.set_products(vec![product("b")]));

    let scopes = |hash| cache.find(hash).unwrap().0.grants.scopes_line.clone();
    assert_eq!(
        [scopes(&idle), scopes(&busy), scopes(&other)],
        ["b", "b", ""]
    );
    assert_eq!(before.grants.scopes_line, "a");
    let (after, _) = cache.find(&busy).unwrap();
    assert!(Arc::ptr_eq(before.slot(), after.slot()));
    assert!(!Arc::ptr_eq(&before, &after));
    assert!(cache.find(&idle).unwrap().0.slot.get().is_none());
}

#[test]
fn the_versions_of_a_key_share_one_entry_whatever_it_is_granted() {
    use crate::domain::product::Product;
    use crate::state::grants::GrantBook;

    let mut book = GrantBook::new(Vec::new(), Arc::default());
    let cache = KeyCache::default();
    let mut key = key(1);
    key.settings.products = vec!["starter".into()];
    let mut second = key.versions[0].clone();
    second.number = 2;
    second.hash.digest = [2; 32];
    key.versions.push(second);
    cache.put(&key, book.grants(&key));

    let starter = Product {
        name: "starter".into(),
        scopes: vec!["a".parse().unwrap()],
        ..Product::default()
    };
    cache.regrant(&book.set_products(vec![starter]));

    let [first, second] = [0, 1].map(|at| cache.find(&key.versions[at].hash).unwrap().0);
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(first.grants.scopes_line, "a");
}

// S3-10
#[test]
fn an_owner_who_is_off_takes_all_its_keys_with_it_those_put_in_later_too() {
    let cache = KeyCache::default();
    let verdict = |byte: u8| {
        let (entry, version) = cache.find(&key(byte).versions[0].hash).unwrap();
        entry.admits(&version, at(2_000))
    };
    cache.put(&key(1), Arc::default());
    let other = Key {
        owner: OwnerId::from_random([3; 10]),
        ..key(9)
    };
    cache.put(&other, Arc::default());
    let (held, version) = cache.find(&key(1).versions[0].hash).unwrap();

    cache.set_owner(key(1).owner, true);
    cache.put(&key(2), Arc::default());
    assert_eq!(verdict(1), Err(RefusalCode::KeyRevoked));
    assert_eq!(verdict(2), Err(RefusalCode::KeyRevoked));
    assert_eq!(
        held.admits(&version, at(2_000)),
        Err(RefusalCode::KeyRevoked)
    );
    assert_eq!(verdict(9), Ok(()));

    cache.set_owner(key(1).owner, false);
    assert_eq!(verdict(1), Ok(()));
}

#[test]
fn an_entry_of_one_version_takes_no_more_than_its_share_of_200_bytes() {
    // The map's slot is 24 bytes and a control byte, at worst half empty; the Arc has two counters.
    let entry = std::mem::size_of::<KeyEntry>() + 16;
    assert!(entry + 2 * 25 <= 200, "{entry}");
}
