//! Policies: what keys must have, and what becomes of those nobody uses.

use std::time::Duration;

use super::id::PolicyId;
use super::owner::OwnerKind;
use super::permission::Scope;
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
    /// Whether rotating, revoking and disabling need a reason.
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
