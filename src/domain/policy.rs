//! Policies: what keys must have, and what becomes of those nobody uses.

use std::time::Duration;

use super::audit::Action;
use super::id::PolicyId;
use super::key::{Key, KeyStatus};
use super::lifecycle::FieldFault;
use super::notice::Notice;
use super::owner::OwnerKind;
use super::permission::Scope;
use super::product::Product;
use super::selector::Selector;
use super::time::Timestamp;

/// A policy: some of the keys, and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Names it for ever.
    pub id: PolicyId,
    /// What people call it.
    pub name: String,
    /// Why there is one.
    pub description: Option<String>,
    /// Whether it is in force.
    pub enabled: bool,
    /// Which keys it is about.
    pub selector: Selector,
    /// What it asks of them.
    pub terms: PolicyTerms,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a policy asks of keys. What it does not name it leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyTerms {
    /// The longest that a key may live, from its creation to its end.
    pub max_age: Option<Duration>,
    /// Whether a key must have an end.
    pub require_expiry: bool,
    /// Whether a key must say what it is for.
    pub require_description: bool,
    /// Whether rotating, revoking and suspending a key, and disabling its owner, need a reason.
    pub require_reason: bool,
    /// Which kinds of owner a key may have; none named: any.
    pub owner_kinds: Vec<OwnerKind>,
    /// The scopes that a key may have, its products' included; `None`: any.
    pub allowed_scopes: Option<Vec<Scope>>,
    /// After how long without use someone is told.
    pub unused_alert_after: Option<Duration>,
    /// After how long without use a key is called stale.
    pub stale_after: Option<Duration>,
    /// After how long without use a key is revoked.
    pub revoke_unused_after: Option<Duration>,
    /// How long before that its owner is warned.
    pub revoke_warning: Option<Duration>,
}

/// What all the policies that are about a key ask of it together: of each term the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demands {
    max_age: Option<Duration>,
    require_expiry: bool,
    require_description: bool,
    require_reason: bool,
    owner_kinds: Option<Vec<OwnerKind>>,
    allowed_scopes: Option<Vec<Scope>>,
    unused_alert_after: Option<Duration>,
    stale_after: Option<Duration>,
    revoke_unused_after: Option<Duration>,
    revoke_warning: Option<Duration>,
}

/// What will become of a key that nobody uses, if nobody does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Since when it has not been used; since it was made, if it never was.
    pub idle_since: Timestamp,
    /// When someone is told so.
    pub unused_at: Option<Timestamp>,
    /// When it is called stale.
    pub stale_at: Option<Timestamp>,
    /// When it is revoked for it.
    pub fate: Option<Fate>,
}

/// That a key will be revoked: never without a warning, and never sooner after it than was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// When it is warned of.
    pub warn_at: Timestamp,
    /// When it is done.
    pub revoke_at: Timestamp,
}

/// What the policies say of a key: the one answer that previews, warnings and revocations are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the key has that it must not have, or lacks.
    pub faults: Vec<FieldFault>,
    /// What will become of it.
    pub outlook: Outlook,
}

impl Judgement {
    /// Whether anything is to be done or told about the key at `now`.
    #[must_use]
    pub fn is_clean(&self, now: Timestamp) -> bool {
        let come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        self.faults.is_empty()
            && !come(self.outlook.unused_at)
            && !come(self.outlook.stale_at)
            && !come(self.outlook.fate.map(|fate| fate.warn_at))
    }
}

impl Demands {
    /// What is asked of `key`.
    #[must_use]
    pub fn on(policies: &[Policy], key: &Key) -> Self {
        let mut demands = Self::default();
        for policy in policies {
            if policy.enabled && policy.selector.covers(key) {
                demands.add(&policy.terms);
            }
        }
        demands
    }

    fn add(&mut self, more: &PolicyTerms) {
        self.max_age = least(self.max_age, more.max_age);
        self.require_expiry |= more.require_expiry;
        self.require_description |= more.require_description;
        self.require_reason |= more.require_reason;
        let kinds = (!more.owner_kinds.is_empty()).then(|| more.owner_kinds.clone());
        self.owner_kinds = both(self.owner_kinds.take(), kinds);
        self.allowed_scopes = both(self.allowed_scopes.take(), more.allowed_scopes.clone());
        self.unused_alert_after = least(self.unused_alert_after, more.unused_alert_after);
        self.stale_after = least(self.stale_after, more.stale_after);
        self.revoke_unused_after = least(self.revoke_unused_after, more.revoke_unused_after);
        self.revoke_warning = self.revoke_warning.max(more.revoke_warning);
    }

    /// Whether `action` is done to the key only for a reason that is given.
    #[must_use]
    pub fn ask_reason(&self, action: Action) -> bool {
        let is_grave = matches!(
            action,
            Action::KeyRotation
                | Action::KeyRevocation
                | Action::KeySuspension
                | Action::OwnerDisable
        );
        self.require_reason && is_grave
    }

    /// Whether the key has lived for as long as any may: then it is given no new secret by itself.
    #[must_use]
    pub fn has_outlived(&self, key: &Key, now: Timestamp) -> bool {
        self.max_age
            .is_some_and(|most| key.created_at.after(most) <= now)
    }

    /// What the policies say of a key of an owner of this kind, last used at `last_used`.
    #[must_use]
    pub fn judge(
        &self,
        key: &Key,
        owner: OwnerKind,
        products: &[Product],
        last_used: Option<Timestamp>,
        now: Timestamp,
    ) -> Judgement {
        Judgement {
            faults: self.faults(key, Some(owner), products),
            outlook: self.outlook(key, last_used, now),
        }
    }

    /// What `key` has that it must not have, or lacks. Without an `owner` that is not asked.
    #[must_use]
    pub fn faults(
        &self,
        key: &Key,
        owner: Option<OwnerKind>,
        products: &[Product],
    ) -> Vec<FieldFault> {
        let settings = &key.settings;
        let mut faults = Vec::new();
        let mut fault = |pointer: String, code, detail: &str| {
            faults.push(FieldFault::new(pointer, code, detail));
        };
        match (settings.expires_at, self.max_age) {
            (None, Some(_)) => fault(
                "/expires_at".into(),
                "policy_expiry",
                "a policy wants this key to have an end",
            ),
            (None, None) if self.require_expiry => fault(
                "/expires_at".into(),
                "policy_expiry",
                "a policy wants this key to have an end",
            ),
            (Some(end), Some(most)) if end > key.created_at.after(most) => fault(
                "/expires_at".into(),
                "policy_max_age",
                &format!(
                    "a policy ends this key by {} at the latest",
                    key.created_at.after(most)
                ),
            ),
            _ => {}
        }
        let is_silent = |text: &String| text.trim().is_empty();
        if self.require_description && settings.description.as_ref().is_none_or(is_silent) {
            fault(
                "/description".into(),
                "policy_description",
                "a policy wants this key to say what it is for",
            );
        }
        let fits = |kinds: &Vec<OwnerKind>| owner.is_none_or(|owner| kinds.contains(&owner));
        if !self.owner_kinds.as_ref().is_none_or(fits) {
            fault(
                "/owner_id".into(),
                "policy_owner",
                "a policy lets no owner of this type hold this key",
            );
        }
        if let Some(allowed) = &self.allowed_scopes {
            for (at, scope) in settings.scopes.iter().enumerate() {
                if !allowed.contains(scope) {
                    fault(
                        format!("/scopes/{at}"),
                        "policy_scope",
                        "a policy does not let this key have this scope",
                    );
                }
            }
            for (at, name) in settings.products.iter().enumerate() {
                let product = products.iter().find(|product| product.name == *name);
                let grants = product.map_or(&[][..], |product| &product.scopes);
                if grants.iter().any(|scope| !allowed.contains(scope)) {
                    fault(
                        format!("/products/{at}"),
                        "policy_scope",
                        "this product grants a scope that a policy does not let this key have",
                    );
                }
            }
        }
        faults
    }

    /// What will become of `key` if nobody uses it, having last been used at `last_used`.
    #[must_use]
    pub fn outlook(&self, key: &Key, last_used: Option<Timestamp>, now: Timestamp) -> Outlook {
        let idle_since = last_used.unwrap_or(key.created_at).max(key.created_at);
        let ended = matches!(key.status(now), KeyStatus::Revoked | KeyStatus::Expired);
        // What is protected is unprotected first, by someone.
        let may_end = !ended && !key.settings.protected;
        let fate = self.revoke_unused_after.filter(|_| may_end).map(|after| {
            let warning = self.revoke_warning.unwrap_or(REVOKE_WARNING);
            let planned = idle_since.after(after);
            let warn_at = planned.before(warning).max(idle_since);
            // A warning before that was of an earlier time without use.
            let warned = key.told.get(&Notice::Revoking).copied();
            let warned = warned.filter(|told| *told >= warn_at);
            let warned = warned.unwrap_or_else(|| warn_at.max(now));
            Fate {
                warn_at,
                revoke_at: planned.max(warned.after(warning)),
            }
        });
        let unless_ended = |after: Option<Duration>| {
            after
                .filter(|_| !ended)
                .map(|after| idle_since.after(after))
        };
        Outlook {
            idle_since,
            unused_at: unless_ended(self.unused_alert_after),
            stale_at: unless_ended(self.stale_after),
            fate,
        }
    }
}

/// The shorter of two spans that are given.
fn least(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What two lists have in common; one that is not given has everything.
fn both<T: PartialEq>(one: Option<Vec<T>>, other: Option<Vec<T>>) -> Option<Vec<T>> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.retain(|item| other.contains(item));
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// How long before it is revoked a key is warned of, where no policy says.
pub const REVOKE_WARNING: Duration = Duration::from_secs(14 * 24 * 3_600);

#[cfg(test)]
mod tests {
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
        assert_eq!(
            demands.owner_kinds,
            Some(Vec::new()),
            "no kind satisfies both"
        );
        assert_eq!(demands.allowed_scopes, Some(scopes(&["b"])));
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
}
