//! What every stored form must keep.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::form::{FORMAT, encode};
use super::*;
use crate::domain::audit::{Action, Actor, AuditEntry, FieldChange, Outcome, RotationNote};
use crate::domain::change::{Change, ChangeId, Receipt, Revision, Write};
use crate::domain::event::{Event, EventKind};
use crate::domain::id::{AuditId, EventId, KeyId, OwnerId, TokenId};
use crate::domain::key::{Key, KeySettings, KeyVersion, Risk, Standing};
use crate::domain::limit::{Enforce, LimitMode, Period, Quota, Rate, RateLimit, Unit};
use crate::domain::notice::Notice;
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::permission::Method;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::Timestamp;
use crate::domain::token::{AdminToken, Role};

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<u32>().prop_map(u64::from), any::<u64>()].prop_map(Timestamp::from_millis)
}

fn key_id() -> impl Strategy<Value = KeyId> {
    any::<[u8; 10]>().prop_map(KeyId::from_random)
}

fn owner_id() -> impl Strategy<Value = OwnerId> {
    any::<[u8; 10]>().prop_map(OwnerId::from_random)
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        Just(Standing::Active),
        time().prop_map(|at| Standing::Suspended { at }),
        time().prop_map(|at| Standing::Revoked { at }),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has finite numbers", |number| number.is_finite())
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(".{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Map<String, Value>> {
    btree_map(".{0,8}", json_value(), 0..4).prop_map(|map| map.into_iter().collect())
}

fn limit() -> impl Strategy<Value = RateLimit> {
    (
        1..=u32::MAX,
        0..4_usize,
        1..=u32::MAX,
        0..3_usize,
        any::<bool>(),
    )
        .prop_map(|(count, unit, burst, mode, shadow)| RateLimit {
            rate: Rate {
                count: NonZeroU32::new(count).unwrap(),
                unit: [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day][unit],
            },
            burst: NonZeroU32::new(burst).unwrap(),
            mode: [LimitMode::Local, LimitMode::Shared, LimitMode::Strict][mode],
            enforce: if shadow { Enforce::Shadow } else { Enforce::On },
        })
}

fn quota() -> impl Strategy<Value = Quota> {
    (
        any::<u64>(),
        0..4_usize,
        option::of(any::<u8>()),
        any::<bool>(),
    )
        .prop_map(|(limit, per, on_day, hard)| Quota {
            limit,
            per: [Period::Day, Period::Week, Period::Month, Period::Total][per],
            on_day,
            hard,
        })
}

fn version() -> impl Strategy<Value = KeyVersion> {
    (
        any::<u16>(),
        any::<u8>(),
        any::<[u8; 32]>(),
        any::<[u8; 6]>(),
        time(),
        option::of(time()),
        option::of(time()),
        option::of(time()),
    )
        .prop_map(
            |(number, pepper, digest, first, created_at, activated_at, retires_at, revoked_at)| {
                KeyVersion {
                    number,
                    hash: KeyHash { pepper, digest },
                    fingerprint: Fingerprint::from_bytes(first),
                    created_at,
                    activated_at,
                    retires_at,
                    revoked_at,
                }
            },
        )
}

prop_compose! {
    fn reach()(
        scopes in vec("[a-z:._/-]{1,64}", 0..4),
        methods in vec(0..7_usize, 0..4),
        paths in vec("/[a-z/]{0,20}", 0..3),
        nets in vec(any::<([u8; 4], u8)>(), 0..3),
        six in option::of(any::<([u8; 16], u8)>()),
    ) -> KeySettings {
        let mut settings = KeySettings::named("");
        settings.scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        settings.allowed_methods = methods.into_iter().map(|at| Method::ALL[at]).collect();
        settings.allowed_paths = paths;
        settings.allowed_ips = nets
            .into_iter()
            .map(|(address, bits)| ipnet::Ipv4Net::new(address.into(), bits % 33).unwrap().into())
            .chain(six.map(|(address, bits)| {
                ipnet::Ipv6Net::new(address.into(), bits % 129).unwrap().into()
            }))
            .collect();
        settings
    }
}

prop_compose! {
    fn settings()(
        reach in reach(),
        name in ".{0,128}",
        description in option::of(".{0,64}"),
        products in vec("[a-z]{1,8}", 0..3),
        rate_limits in vec(limit(), 0..4),
        concurrency in option::of(any::<u32>()),
        staleness_s in option::of(0..1_000_000_u64),
        quotas in vec(quota(), 0..3),
        risk in 0..3_usize,
        expires_at in option::of(time()),
        metadata in metadata(),
        labels in btree_map(".{0,8}", ".{0,8}", 0..4),
        flags in any::<(bool, bool)>(),
    ) -> KeySettings {
        let labels: BTreeMap<String, String> = labels;
        KeySettings {
            name, description, products, rate_limits, concurrency, quotas,
            max_staleness: staleness_s.map(std::time::Duration::from_secs),
            risk: [Risk::High, Risk::Standard, Risk::Low][risk],
            expires_at, metadata, labels,
            protected: flags.0,
            self_rotation: flags.1,
            ..reach
        }
    }
}

prop_compose! {
    fn key()(
        id in key_id(),
        owner in owner_id(),
        env in "[a-z0-9]{1,12}",
        settings in settings(),
        standing in standing(),
        created_at in time(),
        created_by in ".{0,14}",
        last_rotated_at in option::of(time()),
        told in btree_map(prop::sample::select(Notice::ALL), time(), 0..4),
        versions in vec(version(), 0..4),
    ) -> Key {
        Key { id, owner, env, settings, standing, created_at, created_by, last_rotated_at, told, versions }
    }
}

prop_compose! {
    fn entry()(
        id in any::<[u8; 10]>(),
        timestamp in time(),
        done in option::of("[a-z_]{1,20}"),
        texts in any::<(String, String, String)>(),
        asides in any::<(Option<String>, Option<String>, Option<String>)>(),
        key in option::of(key_id()),
        key_version in any::<Option<u16>>(),
        owner in option::of(owner_id()),
        changes in vec((".{0,8}", json_value(), json_value()), 0..3),
        rotation in option::of((any::<u16>(), any::<[[u8; 6]; 2]>(), option::of(0_u64..1 << 40))),
    ) -> AuditEntry {
        AuditEntry {
            id: AuditId::from_random(id),
            timestamp,
            action: Action::KeyRevocation,
            outcome: done.map_or(Outcome::Done, Outcome::Refused),
            actor: Actor { kind: texts.0, id: texts.1, name: texts.2 },
            address: asides.0,
            request_id: asides.1,
            reason: asides.2,
            key, key_version, owner,
            changes: changes
                .into_iter()
                .map(|(field, from, to)| FieldChange { field, from, to })
                .collect(),
            rotation: rotation.map(|(old_version, [old, new], grace)| RotationNote {
                old_version,
                old_fingerprint: Fingerprint::from_bytes(old),
                new_fingerprint: Fingerprint::from_bytes(new),
                grace: grace.map(Duration::from_millis),
            }),
        }
    }
}

fn owner(id: OwnerId, disabled_at: Option<Timestamp>) -> Owner {
    Owner {
        id,
        name: "Ünïcode & Co".into(),
        kind: OwnerKind::Team,
        created_at: Timestamp::from_millis(7),
        disabled_at,
    }
}

fn token(owner: Option<OwnerId>, expires_at: Option<Timestamp>) -> AdminToken {
    AdminToken {
        id: TokenId::from_random([9; 10]),
        name: "ci".into(),
        role: Role::Operator,
        owner,
        digest: [200; 32],
        fingerprint: Fingerprint::from_bytes([255; 6]),
        created_at: Timestamp::from_millis(1),
        expires_at,
        revoked_at: expires_at,
    }
}

fn receipt(key: KeyId) -> Receipt {
    Receipt {
        digest: [250; 32],
        request: [0; 32],
        key,
        version: 65_535,
        at: Timestamp::NEVER,
    }
}

/// A rotation, told of with whatever there is to tell.
fn event(key: &Key, entry: &AuditEntry) -> Event {
    let id = EventId::from_random([3; 10]);
    let mut event = Event::about_key(id, EventKind::KeyRotated, key, entry.timestamp);
    event.new_key = key.versions.first().map(|version| version.fingerprint);
    event.say("metadata", key.settings.metadata.clone());
    event
}

fn change(key: Key, entry: AuditEntry) -> Change {
    let (owner, token) = (owner(key.owner, None), token(Some(key.owner), None));
    Change {
        id: ChangeId([128; 16]),
        expect: Revision(u64::MAX),
        writes: vec![
            Write::Receipt(receipt(key.id)),
            Write::Event(event(&key, &entry)),
            Write::Key(key),
            Write::Owner(owner),
            Write::Token(token),
        ],
        audit: vec![entry.clone(), entry],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_key_is_read_as_it_was_written(key in key()) {
        prop_assert_eq!(decode_key(&encode_key(&key)).unwrap(), key);
    }

    #[test]
    fn a_change_is_read_as_it_was_written(key in key(), entry in entry()) {
        let change = change(key, entry);
        prop_assert_eq!(decode_change(&encode_change(&change)).unwrap(), change);
    }

    #[test]
    fn owners_tokens_and_receipts_are_read_as_they_were_written(
        id in owner_id(),
        bound in option::of(owner_id()),
        end in option::of(time()),
        key in key_id(),
    ) {
        let (owner, token, receipt) = (owner(id, end), token(bound, end), receipt(key));
        prop_assert_eq!(decode_owner(&encode_owner(&owner)).unwrap(), owner);
        prop_assert_eq!(decode_token(&encode_token(&token)).unwrap(), token);
        prop_assert_eq!(decode_receipt(&encode_receipt(&receipt)).unwrap(), receipt);
    }

    #[test]
    fn a_changed_byte_or_a_cut_is_noticed(key in key(), at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let bytes = encode_key(&key);
        let at = at.index(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= by;
        prop_assert!(decode_key(&changed).is_err());
        prop_assert!(decode_key(&bytes[..at]).is_err());
    }

    /// Past the checksum too: what was written wrongly, not only what was damaged later.
    #[test]
    fn no_bytes_make_it_panic(
        key in key(),
        entry in entry(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        noise in vec(any::<u8>(), 0..64),
    ) {
        for mut bytes in [encode_change(&change(key.clone(), entry)), encode_key(&key), noise] {
            for (at, byte) in &flips {
                if bytes.len() > 5 {
                    let at = 5 + at.index(bytes.len() - 5);
                    bytes[at] = *byte;
                }
            }
            let _ = decode_key(&bytes);
            if bytes.len() > 5 {
                let checksum = crc32fast::hash(&bytes[5..]).to_le_bytes();
                bytes[..1].copy_from_slice(&[FORMAT]);
                bytes[1..5].copy_from_slice(&checksum);
            }
            let _ = (decode_key(&bytes), decode_change(&bytes), decode_audit(&bytes));
            let _ = (decode_owner(&bytes), decode_token(&bytes), decode_receipt(&bytes));
        }
    }
}

fn plain_key() -> Key {
    Key {
        id: KeyId::from_random([1; 10]),
        owner: OwnerId::from_random([2; 10]),
        env: "live".into(),
        settings: KeySettings::named("billing-worker"),
        standing: Standing::Active,
        created_at: Timestamp::from_millis(1_767_225_600_000),
        created_by: "tok_1234567890".into(),
        last_rotated_at: None,
        told: BTreeMap::new(),
        versions: vec![KeyVersion {
            number: 1,
            hash: KeyHash {
                pepper: 0,
                digest: [200; 32],
            },
            fingerprint: Fingerprint::from_bytes([200; 6]),
            created_at: Timestamp::from_millis(1_767_225_600_000),
            activated_at: Some(Timestamp::from_millis(1_767_225_600_000)),
            retires_at: None,
            revoked_at: None,
        }],
    }
}

/// A store that grows with what is not there would not hold ten million keys.
#[test]
fn a_plain_key_fits_into_300_bytes() {
    let length = encode_key(&plain_key()).len();
    assert!(length <= 300, "{length}");
}

#[test]
fn a_newer_format_is_named() {
    let mut bytes = encode_key(&plain_key());
    bytes[0] = FORMAT + 1;
    assert!(matches!(decode_key(&bytes), Err(DecodeError::Newer(2))));
}

#[test]
fn fields_of_a_newer_binary_are_passed_over_and_missing_ones_have_their_defaults() {
    #[derive(serde::Serialize)]
    struct Newer<'a> {
        id: super::form::Bytes<10>,
        name: &'a str,
        kind: &'a str,
        created_at: u64,
        colour: &'a Value,
    }
    let bytes = encode(&Newer {
        id: super::form::Bytes(*b"0123456789"),
        name: "n",
        kind: "user",
        created_at: 5,
        colour: &json!({"of": ["hair"]}),
    });
    let owner = decode_owner(&bytes).unwrap();
    assert_eq!((owner.name.as_str(), owner.disabled_at), ("n", None));
}

#[test]
fn a_restriction_that_is_not_known_is_not_dropped() {
    #[derive(serde::Serialize)]
    struct Newer<'a> {
        id: super::form::Bytes<10>,
        name: &'a str,
        kind: &'a str,
        created_at: u64,
    }
    let bytes = encode(&Newer {
        id: super::form::Bytes(*b"0123456789"),
        name: "n",
        kind: "robot",
        created_at: 5,
    });
    assert!(matches!(
        decode_owner(&bytes),
        Err(DecodeError::Value("kind"))
    ));
}
