//! What policies ask of keys, and what becomes of those nobody uses.

use super::*;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::KeySettings;
use crate::domain::lifecycle::{Birth, create};
use crate::domain::secret::{Fingerprint, KeyHash};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn at(days: u32) -> Timestamp {
    Timestamp::from_millis(1_000).after(DAY * days)
}

fn key() -> Key {
    let birth = Birth {
        id: KeyId::from_random([1; 10]),
        owner: OwnerId::from_random([2; 10]),
        env: "live".into(),
        hash: KeyHash {
            pepper: 0,
            digest: [1; 32],
        },
        fingerprint: Fingerprint::from_bytes([1; 6]),
        created_by: "tok_x".into(),
    };
    create(birth, KeySettings::named("k"), at(0))
}

fn policy(terms: PolicyTerms) -> Policy {
    Policy {
        id: PolicyId::from_random([1; 10]),
        name: "p".into(),
        description: None,
        enabled: true,
        selector: Selector::All,
        terms,
        created_at: at(0),
    }
}

fn scopes(names: &[&str]) -> Vec<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn pointers(demands: &Demands, key: &Key) -> Vec<String> {
    let products = [Product {
        name: "starter".into(),
        scopes: scopes(&["c"]),
        ..Product::default()
    }];
    let faults = demands.faults(key, Some(OwnerKind::Team), &products);
    faults.into_iter().map(|fault| fault.pointer).collect()
}

// S4-15
#[test]
fn what_a_policy_asks_is_asked_and_what_it_does_not_name_is_not() {
    let mut key = key();
    key.settings.scopes = scopes(&["a", "b"]);
    key.settings.products = vec!["starter".into()];
    let none = Demands::on(&[], &key);
    assert_eq!(pointers(&none, &key), Vec::<String>::new());
    for (terms, expected) in [
        (
            PolicyTerms {
                require_expiry: true,
                ..PolicyTerms::default()
            },
            vec!["/expires_at"],
        ),
        (
            PolicyTerms {
                max_age: Some(DAY),
                ..PolicyTerms::default()
            },
            vec!["/expires_at"],
        ),
        (
            PolicyTerms {
                require_description: true,
                ..PolicyTerms::default()
            },
            vec!["/description"],
        ),
        (
            PolicyTerms {
                owner_kinds: vec![OwnerKind::User],
                ..PolicyTerms::default()
            },
            vec!["/owner_id"],
        ),
        (
            PolicyTerms {
                allowed_scopes: Some(scopes(&["a"])),
                ..PolicyTerms::default()
            },
            vec!["/scopes/1", "/products/0"],
        ),
    ] {
        let mut policy = policy(terms);
        let asked = Demands::on(std::slice::from_ref(&policy), &key);
        assert_eq!(pointers(&asked, &key), expected);
        policy.enabled = false;
        assert_eq!(Demands::on(&[policy], &key), none);
    }
}

#[test]
fn the_longest_life_ends_at_its_day_and_not_a_millisecond_later() {
    let mut key = key();
    let policy = policy(PolicyTerms {
        max_age: Some(DAY * 90),
        ..PolicyTerms::default()
    });
    let demands = Demands::on(&[policy], &key);
    key.settings.expires_at = Some(at(90));
    assert_eq!(pointers(&demands, &key), Vec::<String>::new());
    key.settings.expires_at = Some(at(90).after(Duration::from_millis(1)));
    assert_eq!(pointers(&demands, &key), ["/expires_at"]);
}

#[test]
fn a_refusal_names_the_policy_that_is_not_kept() {
    let mut key = key();
    key.settings.scopes = scopes(&["a"]);
    let named = |name: &str, terms| Policy {
        name: name.to_owned(),
        ..policy(terms)
    };
    let policies = [
        named(
            "wide",
            PolicyTerms {
                max_age: Some(DAY * 90),
                ..PolicyTerms::default()
            },
        ),
        named(
            "strict",
            PolicyTerms {
                max_age: Some(DAY),
                require_description: true,
                require_reason: true,
                owner_kinds: vec![OwnerKind::User],
                allowed_scopes: Some(scopes(&["b"])),
                ..PolicyTerms::default()
            },
        ),
    ];
    let demands = Demands::on(&policies, &key);
    let faults = demands.faults(&key, Some(OwnerKind::Team), &[]);
    assert_eq!(faults.len(), 4);
    for fault in faults {
        assert!(fault.detail.contains("`strict`"), "{}", fault.detail);
    }
    assert_eq!(demands.reason_asker(Action::KeyRevocation), Some("strict"));
    assert_eq!(demands.reason_asker(Action::KeyUpdate), None);
}

#[test]
fn of_several_policies_the_strictest_term_holds_and_none_widens_another() {
    let key = key();
    let with = |kinds: Vec<OwnerKind>, names: &[&str], days| {
        policy(PolicyTerms {
            owner_kinds: kinds,
            allowed_scopes: Some(scopes(names)),
            revoke_unused_after: Some(DAY * days),
            ..PolicyTerms::default()
        })
    };
    let policies = [
        with(vec![OwnerKind::User], &["a", "b"], 200),
        with(vec![OwnerKind::Team], &["b"], 180),
        with(Vec::new(), &["b", "c"], 190),
    ];
    let demands = Demands::on(&policies, &key);
    let refused = |kind, names: &[&str]| {
        let mut key = key.clone();
        key.settings.scopes = scopes(names);
        let faults = demands.faults(&key, Some(kind), &[]);
        faults
            .into_iter()
            .map(|fault| fault.pointer)
            .collect::<Vec<_>>()
    };
    for kind in [OwnerKind::User, OwnerKind::Team, OwnerKind::System] {
        assert_eq!(
            refused(kind, &["b"]),
            ["/owner_id"],
            "no kind satisfies both"
        );
    }
    let kind = OwnerKind::User;
    assert_eq!(
        refused(kind, &["a", "b", "c"]),
        ["/owner_id", "/scopes/0", "/scopes/2"]
    );
    assert_eq!(demands.revoke_unused_after, Some(DAY * 180));
}

// S4-06, S4-12, S4-17
#[test]
fn nothing_is_revoked_without_a_warning_and_its_time() {
    let mut key = key();
    let policy = policy(PolicyTerms {
        revoke_unused_after: Some(DAY * 180),
        revoke_warning: Some(DAY * 14),
        ..PolicyTerms::default()
    });
    let demands = Demands::on(&[policy], &key);
    let fate = |key: &Key, used, now| demands.outlook(key, used, now).fate.unwrap();
    let planned = Fate {
        warn_at: at(166),
        revoke_at: at(180),
    };
    assert_eq!(fate(&key, None, at(10)), planned);
    // Nobody looked for a year: the warning comes first all the same.
    assert_eq!(fate(&key, None, at(365)).revoke_at, at(379));
    key.told.insert(Notice::Revoking, at(365));
    assert_eq!(fate(&key, None, at(370)).revoke_at, at(379));
    // Used again: the warning was of another time.
    assert_eq!(fate(&key, Some(at(371)), at(372)).warn_at, at(537));
    assert_eq!(fate(&key, Some(at(371)), at(560)).revoke_at, at(574));
    key.settings.protected = true;
    assert_eq!(demands.outlook(&key, None, at(400)).fate, None);
}
