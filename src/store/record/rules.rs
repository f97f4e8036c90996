//! Products, policies and rules of automatic rotation, as stored; and that one of them is gone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::form::{Bytes, DecodeError, decode, encode, known};
use super::key::{StoredLimit, StoredQuota, each, owned};
use crate::domain::change::Gone;
use crate::domain::id::{KeyId, OwnerId, PolicyId, ProductId, RotationRuleId};
use crate::domain::key::Risk;
use crate::domain::owner::OwnerKind;
use crate::domain::policy::{Policy, PolicyTerms};
use crate::domain::product::{KeptProduct, Product};
use crate::domain::rotation::{RotationPlan, RotationRule};
use crate::domain::selector::Selector;
use crate::domain::time::Timestamp;

/// Writes a product.
#[must_use]
pub fn encode_product(kept: &KeptProduct) -> Vec<u8> {
    let product = &kept.product;
    encode(&StoredProduct {
        id: Bytes(*kept.id.as_bytes()),
        name: &product.name,
        description: product.description.as_deref(),
        scopes: product.scopes.iter().map(|scope| scope.as_str()).collect(),
        routes: product.routes.iter().map(String::as_str).collect(),
        rate_limits: product.rate_limits.iter().map(StoredLimit::from).collect(),
        quotas: product.quotas.iter().map(StoredQuota::from).collect(),
        max_staleness: product.max_staleness.map(millis),
        created_at: kept.created_at.as_millis(),
    })
}

/// Reads a product.
///
/// # Errors
/// If the bytes are no product, or one that this binary does not understand.
pub fn decode_product(bytes: &[u8]) -> Result<KeptProduct, DecodeError> {
    let stored: StoredProduct<'_> = decode(bytes)?;
    Ok(KeptProduct {
        id: known("id", ProductId::from_chars(&stored.id.0).ok())?,
        product: Product {
            name: stored.name.to_owned(),
            description: stored.description.map(str::to_owned),
            scopes: each("scopes", stored.scopes, |scope| scope.parse().ok())?,
            routes: owned(stored.routes),
            rate_limits: each("rate_limits", stored.rate_limits, StoredLimit::read)?,
            quotas: each("quotas", stored.quotas, StoredQuota::read)?,
            max_staleness: stored.max_staleness.map(Duration::from_millis),
        },
        created_at: Timestamp::from_millis(stored.created_at),
    })
}

/// The routes are never left out, so that a product of some cannot be read as one of all.
#[derive(Serialize, Deserialize)]
struct StoredProduct<'a> {
    id: Bytes<10>,
    name: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<&'a str>,
    #[serde(borrow)]
    routes: Vec<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    rate_limits: Vec<StoredLimit<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    quotas: Vec<StoredQuota<'a>>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_staleness: Option<u64>,
    created_at: u64,
}

/// Writes a policy.
#[must_use]
pub fn encode_policy(policy: &Policy) -> Vec<u8> {
    let terms = &policy.terms;
    encode(&StoredPolicy {
        id: Bytes(*policy.id.as_bytes()),
        name: &policy.name,
        description: policy.description.as_deref(),
        enabled: policy.enabled,
        selector: StoredSelector::from(&policy.selector),
        max_age: terms.max_age.map(millis),
        require_expiry: terms.require_expiry,
        require_description: terms.require_description,
        require_reason: terms.require_reason,
        owner_kinds: terms.owner_kinds.iter().map(|kind| kind.as_str()).collect(),
        allowed_scopes: terms
            .allowed_scopes
            .as_ref()
            .map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect()),
        unused_alert_after: terms.unused_alert_after.map(millis),
        stale_after: terms.stale_after.map(millis),
        revoke_unused_after: terms.revoke_unused_after.map(millis),
        revoke_warning: terms.revoke_warning.map(millis),
        created_at: policy.created_at.as_millis(),
    })
}

/// Reads a policy.
///
/// # Errors
/// If the bytes are no policy, or one that this binary does not understand.
pub fn decode_policy(bytes: &[u8]) -> Result<Policy, DecodeError> {
    let stored: StoredPolicy<'_> = decode(bytes)?;
    let allowed_scopes = stored
        .allowed_scopes
        .map(|scopes| each("allowed_scopes", scopes, |scope| scope.parse().ok()))
        .transpose()?;
    Ok(Policy {
        id: known("id", PolicyId::from_chars(&stored.id.0).ok())?,
        name: stored.name.to_owned(),
        description: stored.description.map(str::to_owned),
        enabled: stored.enabled,
        selector: known("selector", stored.selector.read())?,
        terms: PolicyTerms {
            max_age: stored.max_age.map(Duration::from_millis),
            require_expiry: stored.require_expiry,
            require_description: stored.require_description,
            require_reason: stored.require_reason,
            owner_kinds: each("owner_kinds", stored.owner_kinds, OwnerKind::from_word)?,
            allowed_scopes,
            unused_alert_after: stored.unused_alert_after.map(Duration::from_millis),
            stale_after: stored.stale_after.map(Duration::from_millis),
            revoke_unused_after: stored.revoke_unused_after.map(Duration::from_millis),
            revoke_warning: stored.revoke_warning.map(Duration::from_millis),
        },
        created_at: Timestamp::from_millis(stored.created_at),
    })
}

#[derive(Serialize, Deserialize)]
struct StoredPolicy<'a> {
    id: Bytes<10>,
    name: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    enabled: bool,
    #[serde(borrow)]
    selector: StoredSelector<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    require_expiry: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    require_description: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    require_reason: bool,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    owner_kinds: Vec<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    allowed_scopes: Option<Vec<&'a str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unused_alert_after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoke_unused_after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoke_warning: Option<u64>,
    created_at: u64,
}

/// Writes a rule of automatic rotation.
#[must_use]
pub fn encode_rotation_rule(rule: &RotationRule) -> Vec<u8> {
    encode(&StoredRotationRule {
        id: Bytes(*rule.id.as_bytes()),
        selector: StoredSelector::from(&rule.selector),
        interval_days: rule.plan.interval_days,
        keep_previous: rule.plan.keep_previous,
        grace: millis(rule.plan.grace),
        created_at: rule.created_at.as_millis(),
    })
}

/// Reads a rule of automatic rotation.
///
/// # Errors
/// If the bytes are no such rule, or one that this binary does not understand.
pub fn decode_rotation_rule(bytes: &[u8]) -> Result<RotationRule, DecodeError> {
    let stored: StoredRotationRule<'_> = decode(bytes)?;
    Ok(RotationRule {
        id: known("id", RotationRuleId::from_chars(&stored.id.0).ok())?,
        selector: known("selector", stored.selector.read())?,
        plan: RotationPlan {
            interval_days: stored.interval_days,
            keep_previous: stored.keep_previous,
            grace: Duration::from_millis(stored.grace),
        },
        created_at: Timestamp::from_millis(stored.created_at),
    })
}

#[derive(Serialize, Deserialize)]
struct StoredRotationRule<'a> {
    id: Bytes<10>,
    #[serde(borrow)]
    selector: StoredSelector<'a>,
    interval_days: u32,
    keep_previous: bool,
    grace: u64,
    created_at: u64,
}

/// Writes that a rule is gone.
#[must_use]
pub fn encode_gone(gone: &Gone) -> Vec<u8> {
    let (what, id) = match gone {
        Gone::Product(id) => (PRODUCT, id.as_bytes()),
        Gone::Policy(id) => (POLICY, id.as_bytes()),
        Gone::RotationRule(id) => (ROTATION_RULE, id.as_bytes()),
    };
    encode(&StoredGone {
        what,
        id: Bytes(*id),
    })
}

/// Reads that a rule is gone.
///
/// # Errors
/// If the bytes do not say so, or of something that this binary does not know.
pub fn decode_gone(bytes: &[u8]) -> Result<Gone, DecodeError> {
    let stored: StoredGone<'_> = decode(bytes)?;
    let id = &stored.id.0;
    let gone = match stored.what {
        PRODUCT => ProductId::from_chars(id).map(Gone::Product),
        POLICY => PolicyId::from_chars(id).map(Gone::Policy),
        ROTATION_RULE => RotationRuleId::from_chars(id).map(Gone::RotationRule),
        _ => return Err(DecodeError::Value("what")),
    };
    known("id", gone.ok())
}

#[derive(Serialize, Deserialize)]
struct StoredGone<'a> {
    what: &'a str,
    id: Bytes<10>,
}

/// By which field keys are told apart, and by which value.
#[derive(Serialize, Deserialize)]
struct StoredSelector<'a> {
    by: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> From<&'a Selector> for StoredSelector<'a> {
    fn from(selector: &'a Selector) -> Self {
        let (by, name, value) = match selector {
            Selector::All => ("all", None, None),
            Selector::Risk(risk) => ("risk", Some(risk.as_str()), None),
            Selector::Label { name, value } => ("label", Some(name.as_str()), value.as_deref()),
            Selector::Product(name) => ("product", Some(name.as_str()), None),
            Selector::Owner(id) => ("owner", Some(id.chars()), None),
            Selector::Key(id) => ("key", Some(id.chars()), None),
        };
        Self { by, name, value }
    }
}

impl StoredSelector<'_> {
    fn read(&self) -> Option<Selector> {
        Some(match (self.by, self.name) {
            ("all", None) => Selector::All,
            ("risk", Some(risk)) => Selector::Risk(Risk::from_word(risk)?),
            ("label", Some(name)) => Selector::Label {
                name: name.to_owned(),
                value: self.value.map(str::to_owned),
            },
            ("product", Some(name)) => Selector::Product(name.to_owned()),
            ("owner", Some(id)) => Selector::Owner(OwnerId::from_chars(id.as_bytes()).ok()?),
            ("key", Some(id)) => Selector::Key(KeyId::from_chars(id.as_bytes()).ok()?),
            _ => return None,
        })
    }
}

/// Milliseconds; what is longer than they can count is as long as they can.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const PRODUCT: &str = "product";
const POLICY: &str = "policy";
const ROTATION_RULE: &str = "rotation_rule";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::{Change, ChangeId, Revision, Write};
    use crate::domain::limit::{Period, Quota, RateLimit};
    use crate::store::record::{decode_change, encode_change};

    fn selectors() -> Vec<Selector> {
        let label = |value: Option<&str>| Selector::Label {
            name: "team".into(),
            value: value.map(Into::into),
        };
        vec![
            Selector::All,
            Selector::Risk(Risk::High),
            label(None),
            label(Some("billing")),
            Selector::Product("starter".into()),
            Selector::Owner(OwnerId::from_random([5; 10])),
            Selector::Key(KeyId::from_random([6; 10])),
        ]
    }

    fn product() -> KeptProduct {
        KeptProduct {
            id: ProductId::from_random([1; 10]),
            product: Product {
                name: "starter".into(),
                description: Some("für den Anfang".into()),
                scopes: vec!["a:b".parse().unwrap()],
                routes: vec!["orders".into(), "/v1/*".into()],
                rate_limits: vec![RateLimit::new("10/second".parse().unwrap())],
                quotas: vec![Quota {
                    limit: u64::MAX,
                    per: Period::Week,
                    on_day: Some(1),
                    hard: false,
                }],
                max_staleness: Some(Duration::from_secs(30)),
            },
            created_at: Timestamp::from_millis(7),
        }
    }

    fn policy(selector: Selector, terms: PolicyTerms) -> Policy {
        Policy {
            id: PolicyId::from_random([2; 10]),
            name: "p".into(),
            description: None,
            enabled: terms.require_expiry,
            selector,
            terms,
            created_at: Timestamp::from_millis(7),
        }
    }

    fn rotation_rule(selector: Selector) -> RotationRule {
        RotationRule {
            id: RotationRuleId::from_random([3; 10]),
            selector,
            plan: RotationPlan {
                interval_days: 90,
                keep_previous: false,
                grace: Duration::from_millis(1),
            },
            created_at: Timestamp::from_millis(7),
        }
    }

    #[test]
    fn rules_are_read_as_they_were_written() {
        let all_terms = PolicyTerms {
            max_age: Some(Duration::from_secs(1)),
            require_expiry: true,
            require_description: true,
            require_reason: true,
            owner_kinds: vec![OwnerKind::System],
            allowed_scopes: Some(Vec::new()),
            unused_alert_after: Some(Duration::from_secs(2)),
            stale_after: Some(Duration::from_secs(3)),
            revoke_unused_after: Some(Duration::from_secs(4)),
            revoke_warning: Some(Duration::from_secs(5)),
        };
        let mut writes = vec![
            Write::Gone(Gone::Product(ProductId::from_random([1; 10]))),
            Write::Gone(Gone::Policy(PolicyId::from_random([2; 10]))),
            Write::Gone(Gone::RotationRule(RotationRuleId::from_random([3; 10]))),
            Write::Product(product()),
        ];
        for selector in selectors() {
            writes.push(Write::RotationRule(rotation_rule(selector.clone())));
            writes.push(Write::Policy(policy(selector.clone(), all_terms.clone())));
            writes.push(Write::Policy(policy(selector, PolicyTerms::default())));
        }
        let change = Change {
            id: ChangeId([1; 16]),
            expect: Revision(1),
            writes,
            audit: Vec::new(),
        };
        assert_eq!(decode_change(&encode_change(&change)).unwrap(), change);
    }
}
