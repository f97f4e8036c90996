//! Policies on the wire.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;
use super::patch::patch;
use super::problem::Fault;
use super::rotation::Selector;
use super::{Text, Time};
use crate::domain;
use crate::domain::id::{KeyId, OwnerId, PolicyId};
use crate::domain::span::Span;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Names it for ever.
    pub id: Text<PolicyId>,
    /// What people call it.
    pub name: String,
    /// Why there is one.
    pub description: Option<String>,
    /// Whether it is in force.
    pub enabled: bool,
    /// Which keys it is about; `null`: every one.
    pub selector: Option<Selector>,
    /// The longest that a key may live.
    #[schemars(with = "Option<form::Length>")]
    pub max_age: Option<String>,
    /// Whether a key must have an end.
    pub require_expiry: bool,
    /// Whether a key must say what it is for.
    pub require_description: bool,
    /// Whether rotating, revoking and suspending a key, and disabling its owner, need a reason.
    pub require_reason: bool,
    /// Which types of owner a key may have; none named: any.
    #[schemars(with = "form::OwnerTypes")]
    pub owner_types: Vec<String>,
    /// The scopes that a key may have; `null`: any.
    #[schemars(with = "Option<form::ScopeNames>")]
    pub allowed_scopes: Option<Vec<String>>,
    /// After how long without use someone is told.
    #[schemars(with = "Option<form::Length>")]
    pub unused_alert_after: Option<String>,
    /// After how long without use a key is called stale.
    #[schemars(with = "Option<form::Length>")]
    pub stale_after: Option<String>,
    /// After how long without use a key is revoked.
    #[schemars(with = "Option<form::Length>")]
    pub revoke_unused_after: Option<String>,
    /// How long before that it is warned of; `null`: 14 days.
    #[schemars(with = "Option<form::Length>")]
    pub revoke_warning: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// `api`: it was made over the admin API.
    pub source: String,
}

impl From<&domain::policy::Policy> for Policy {
    fn from(policy: &domain::policy::Policy) -> Self {
        let terms = &policy.terms;
        let span = |span: Option<Duration>| span.map(|span| Span(span).to_string());
        let scopes = terms.allowed_scopes.as_ref();
        Self {
            id: policy.id.into(),
            name: policy.name.clone(),
            description: policy.description.clone(),
            enabled: policy.enabled,
            selector: Selector::of(&policy.selector),
            max_age: span(terms.max_age),
            require_expiry: terms.require_expiry,
            require_description: terms.require_description,
            require_reason: terms.require_reason,
            owner_types: terms
                .owner_kinds
                .iter()
                .map(|kind| kind.as_str().to_owned())
                .collect(),
            allowed_scopes: scopes.map(|it| it.iter().map(ToString::to_string).collect()),
            unused_alert_after: span(terms.unused_alert_after),
            stale_after: span(terms.stale_after),
            revoke_unused_after: span(terms.revoke_unused_after),
            revoke_warning: span(terms.revoke_warning),
            created_at: policy.created_at.into(),
            source: "api".to_owned(),
        }
    }
}

/// `POST /admin/policies`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePolicy {
    /// What people will call it.
    #[schemars(with = "form::Name")]
    pub name: String,
    /// The rest, as in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Description>")]
    pub description: Option<String>,
    /// Whether it is in force; default: it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Which keys; default: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// The longest that a key may live: `365d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub max_age: Option<String>,
    /// Whether a key must have an end.
    #[serde(default)]
    pub require_expiry: bool,
    /// Whether a key must say what it is for.
    #[serde(default)]
    pub require_description: bool,
    /// Whether rotating, revoking and suspending a key, and disabling its owner, need a reason.
    #[serde(default)]
    pub require_reason: bool,
    /// Which types of owner a key may have; none named: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::OwnerTypes")]
    pub owner_types: Vec<String>,
    /// The scopes that a key may have; left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::ScopeNames>")]
    pub allowed_scopes: Option<Vec<String>>,
    /// After how long without use someone is told: `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub unused_alert_after: Option<String>,
    /// After how long without use a key is called stale: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub stale_after: Option<String>,
    /// After how long without use a key is revoked: `180d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub revoke_unused_after: Option<String>,
    /// How long before that it is warned of, at least `1d`; default `14d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub revoke_warning: Option<String>,
}

patch! {
    /// `PATCH /admin/policies/{policy_id}`: what is left out stays; `null` takes a term away.
    PatchPolicy {
        /// What people will call it.
        #[schemars(with = "form::Name")]
        name: String,
        /// Why there is one.
        #[schemars(with = "Option<form::Description>")]
        description: Option<String>,
        /// Whether it is in force.
        #[schemars(with = "bool")]
        enabled: bool,
        /// Which keys; `null`: every one.
        selector: Option<Selector>,
        /// The longest that a key may live.
        #[schemars(with = "Option<form::Length>")]
        max_age: Option<String>,
        /// Whether a key must have an end.
        #[schemars(with = "bool")]
        require_expiry: bool,
        /// Whether a key must say what it is for.
        #[schemars(with = "bool")]
        require_description: bool,
        /// Whether rotating, revoking and suspending a key, and disabling its owner, need a reason.
        #[schemars(with = "bool")]
        require_reason: bool,
        /// Which types of owner a key may have.
        #[schemars(with = "form::OwnerTypes")]
        owner_types: Vec<String>,
        /// The scopes that a key may have.
        #[schemars(with = "Option<form::ScopeNames>")]
        allowed_scopes: Option<Vec<String>>,
        /// After how long without use someone is told.
        #[schemars(with = "Option<form::Length>")]
        unused_alert_after: Option<String>,
        /// After how long without use a key is called stale.
        #[schemars(with = "Option<form::Length>")]
        stale_after: Option<String>,
        /// After how long without use a key is revoked.
        #[schemars(with = "Option<form::Length>")]
        revoke_unused_after: Option<String>,
        /// How long before that it is warned of.
        #[schemars(with = "Option<form::Length>")]
        revoke_warning: Option<String>,
    }
}

/// `POST /admin/policies/preview`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewPolicy {
    /// A policy that is not made yet; left out: only those there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<CreatePolicy>,
    /// The id of one there is, in the place of which it would come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::PolicyRef>")]
    pub instead_of: Option<String>,
}

/// What policies would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// How many keys are in force.
    pub keys: u64,
    /// How many would be warned now, and revoked if nobody uses them.
    pub revoked: u64,
    /// How many lack what they must have, or have what they must not.
    pub violating: u64,
    /// The keys that anything is said of, at most 1000.
    pub items: Vec<PreviewItem>,
}

/// What policies would do to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewItem {
    /// The key.
    pub key_id: Text<KeyId>,
    /// What people call it.
    pub key_name: String,
    /// Who holds it.
    pub owner_id: Text<OwnerId>,
    /// When it was last used.
    pub last_used_at: Option<Time>,
    /// Whether someone would be told that it is unused.
    pub unused: bool,
    /// Whether it would be called stale.
    pub stale: bool,
    /// When it would be revoked, if nobody uses it and it would be warned by now.
    pub revoked_at: Option<Time>,
    /// What it lacks, or must not have.
    pub violations: Vec<Fault>,
}
