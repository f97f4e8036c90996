//! Keys, owners, changes and a clock to test with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::domain::audit::{Action, Actor, AuditEntry, Outcome};
use portcullis::domain::change::{Change, ChangeId, Receipt, Revision, Write};
use portcullis::domain::event::{Event, EventKind};
use portcullis::domain::id::{
    AuditId, EventId, KeyId, OwnerId, PolicyId, ProductId, RotationRuleId, TokenId,
};
use portcullis::domain::key::{Key, KeySettings, KeyVersion, Standing};
use portcullis::domain::limit::{Period, Quota, RateLimit};
use portcullis::domain::owner::{Owner, OwnerKind};
use portcullis::domain::policy::{Policy, PolicyTerms};
use portcullis::domain::product::{KeptProduct, Product};
use portcullis::domain::rotation::{RotationPlan, RotationRule};
use portcullis::domain::secret::{Fingerprint, KeyHash};
use portcullis::domain::selector::Selector;
use portcullis::domain::time::{Clock, Reading, Timestamp};
use portcullis::domain::token::{AdminToken, Role};
use portcullis::store::{Store, StoreError};

/// A clock that is turned by hand. It begins at the real time, since a server behind a store has its own.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        let now = jiff::Timestamp::now().as_millisecond();
        Arc::new(Self(AtomicU64::new(now.unsigned_abs())))
    }

    pub(crate) fn turn(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn read(&self) -> Reading {
        let ms = self.0.load(Ordering::Relaxed);
        Reading {
            wall: Timestamp::from_millis(ms),
            mono_ns: ms * 1_000_000,
        }
    }
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn key_id(number: u32) -> KeyId {
    KeyId::from_chars(format!("{number:010}").as_bytes()).unwrap()
}

pub(crate) fn owner_id(number: u32) -> OwnerId {
    OwnerId::from_chars(format!("{number:010}").as_bytes()).unwrap()
}

/// The hash of the `version`th secret of the key of this number.
pub(crate) fn hash(number: u32, version: u16) -> KeyHash {
    let mut digest = [0xA5; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest[4..6].copy_from_slice(&version.to_be_bytes());
    KeyHash { pepper: 0, digest }
}

pub(crate) fn version(key: u32, number: u16) -> KeyVersion {
    KeyVersion {
        number,
        hash: hash(key, number),
        fingerprint: Fingerprint::from_bytes([7; 6]),
        created_at: at(1_000),
        activated_at: Some(at(1_000)),
        retires_at: None,
        revoked_at: None,
    }
}

/// A key in force, with one version, made `number` milliseconds after 1970.
pub(crate) fn key(number: u32) -> Key {
    Key {
        id: key_id(number),
        owner: owner_id(1),
        env: "live".into(),
        settings: KeySettings::named(format!("key {number}")),
        standing: Standing::Active,
        created_at: at(number.into()),
        created_by: "tok_0000000001".into(),
        last_rotated_at: None,
        told: std::collections::BTreeMap::new(),
        versions: vec![version(number, 1)],
    }
}

pub(crate) fn revoked(mut key: Key) -> Key {
    key.standing = Standing::Revoked { at: at(5_000) };
    key
}

pub(crate) fn owner(number: u32, kind: OwnerKind, name: &str) -> Owner {
    Owner {
        id: owner_id(number),
        name: name.into(),
        kind,
        created_at: at(number.into()),
        disabled_at: None,
    }
}

pub(crate) fn token(number: u32) -> AdminToken {
    AdminToken {
        id: TokenId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        name: format!("token {number}"),
        role: Role::Operator,
        owner: None,
        digest: hash(number, 0).digest,
        fingerprint: Fingerprint::from_bytes([3; 6]),
        created_at: at(number.into()),
        expires_at: None,
        revoked_at: None,
    }
}

pub(crate) fn receipt(number: u32, at: Timestamp) -> Receipt {
    Receipt {
        digest: hash(number, 9).digest,
        request: [2; 32],
        key: key_id(number),
        version: 1,
        at,
    }
}

/// A product that opens one route, for a scope of its name.
pub(crate) fn product(number: u32, name: &str) -> KeptProduct {
    KeptProduct {
        id: ProductId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        product: Product {
            name: name.into(),
            description: Some("for those who begin".into()),
            scopes: vec![format!("{name}:read").parse().unwrap()],
            routes: vec!["orders".into()],
            rate_limits: vec![RateLimit::new("10/second".parse().unwrap())],
            quotas: vec![Quota {
                limit: 1_000,
                per: Period::Month,
                on_day: Some(31),
                hard: true,
            }],
            max_staleness: Some(std::time::Duration::from_secs(30)),
        },
        created_at: at(number.into()),
    }
}

/// A policy that names everything a policy can.
pub(crate) fn policy(number: u32) -> Policy {
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    Policy {
        id: PolicyId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        name: format!("policy {number}"),
        description: None,
        enabled: true,
        selector: Selector::Label {
            name: "team".into(),
            value: Some("billing".into()),
        },
        terms: PolicyTerms {
            max_age: days(365),
            require_expiry: true,
            require_description: true,
            require_reason: true,
            owner_kinds: vec![OwnerKind::Team, OwnerKind::System],
            allowed_scopes: Some(vec!["orders:read".parse().unwrap()]),
            unused_alert_after: days(7),
            stale_after: days(30),
            revoke_unused_after: days(180),
            revoke_warning: days(14),
        },
        created_at: at(number.into()),
    }
}

pub(crate) fn rotation_rule(number: u32, selector: Selector) -> RotationRule {
    RotationRule {
        id: RotationRuleId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        selector,
        plan: RotationPlan {
            interval_days: 90,
            keep_previous: true,
            grace: Duration::from_secs(60),
        },
        created_at: at(number.into()),
    }
}

pub(crate) fn entry(number: u32) -> AuditEntry {
    AuditEntry {
        id: AuditId::from_chars(format!("{number:010}").as_bytes()).unwrap(),
        timestamp: at(9_000),
        action: Action::KeyCreation,
        outcome: Outcome::Done,
        actor: Actor {
            kind: "token".into(),
            id: "tok_0000000001".into(),
            name: "ci".into(),
        },
        address: Some("203.0.113.7".into()),
        request_id: None,
        reason: None,
        key: Some(key_id(number)),
        key_version: None,
        owner: Some(owner_id(1)),
        changes: Vec::new(),
        rotation: None,
    }
}

pub(crate) fn event(number: u32, kind: EventKind) -> Event {
    let id = EventId::from_chars(format!("{number:010}").as_bytes()).unwrap();
    Event::about_key(id, kind, &key(number), at(9_000))
}

/// A change of these writes, made against this revision.
pub(crate) fn change(expect: Revision, writes: Vec<Write>) -> Change {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    Change {
        id: ChangeId(id),
        expect,
        writes,
        audit: vec![entry(1)],
    }
}

/// Commits these writes against whatever revision the store is at, as often as someone else comes first.
pub(crate) async fn commit(store: &dyn Store, writes: Vec<Write>) -> Revision {
    loop {
        let expect = store.revision().await.unwrap();
        match store.commit(change(expect, writes.clone())).await {
            Err(StoreError::Conflict { .. }) => {}
            landed => return landed.unwrap(),
        }
    }
}

pub(crate) fn keys(numbers: impl IntoIterator<Item = u32>) -> Vec<Write> {
    numbers
        .into_iter()
        .map(|number| Write::Key(key(number)))
        .collect()
}

/// What the mirrors of all gates here are authenticated with.
pub(crate) fn mirror_key() -> portcullis::store::node_key::MirrorKey {
    super::gate::node_key().mirror_key().clone()
}
