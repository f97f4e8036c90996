//! Owners on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;
use super::patch::patch;
use super::{Text, Time};
use crate::domain;
use crate::domain::id::OwnerId;

/// An owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Names the owner for ever.
    pub id: Text<OwnerId>,
    /// What people call it.
    pub name: String,
    /// `user`, `team` or `system`.
    #[serde(rename = "type")]
    #[schemars(with = "form::OwnerType")]
    pub kind: String,
    /// When it was made.
    pub created_at: Time,
    /// Since when it may have no keys; `null` in good standing.
    pub disabled_at: Option<Time>,
}

impl From<&domain::owner::Owner> for Owner {
    fn from(owner: &domain::owner::Owner) -> Self {
        Self {
            id: owner.id.into(),
            name: owner.name.clone(),
            kind: owner.kind.as_str().to_owned(),
            created_at: owner.created_at.into(),
            disabled_at: owner.disabled_at.map(Into::into),
        }
    }
}

/// An owner, as far as a key names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyOwner {
    /// Names the owner for ever.
    pub id: Text<OwnerId>,
    /// What people call it.
    pub name: String,
    /// `user`, `team` or `system`.
    #[serde(rename = "type")]
    #[schemars(with = "form::OwnerType")]
    pub kind: String,
}

impl From<&domain::owner::Owner> for KeyOwner {
    fn from(owner: &domain::owner::Owner) -> Self {
        Self {
            id: owner.id.into(),
            name: owner.name.clone(),
            kind: owner.kind.as_str().to_owned(),
        }
    }
}

/// `POST /admin/users`; also the owner inside a key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOwner {
    /// What people will call it.
    #[schemars(with = "form::OwnerName")]
    pub name: String,
    /// `user`, `team` or `system`.
    #[serde(rename = "type")]
    #[schemars(with = "form::OwnerType")]
    pub kind: String,
}

patch! {
    /// `PATCH /admin/users/{user_id}`: what is left out stays.
    PatchOwner {
        /// What people will call it.
        #[schemars(with = "form::OwnerName")]
        name: String,
        /// `false` lets a disabled owner have keys again; its revoked ones stay revoked.
        #[schemars(with = "bool")]
        disabled: bool,
    }
}

/// `POST /admin/users/{user_id}/keys/disable`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableKeys {
    /// Why, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Reason>")]
    pub reason: Option<String>,
}

/// What disabling an owner's keys came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerDisabled {
    /// The owner.
    pub owner: Owner,
    /// How many keys were revoked so far. All of the owner's are refused already.
    pub revoked: u64,
    /// How many admin tokens that were bound to the owner were ended so far. All of them are refused already.
    pub tokens_ended: u64,
    /// Whether there are more, which the gate goes on ending.
    #[serde(default)]
    pub under_way: bool,
    /// How far the change has come.
    pub revocation: super::keys::Revocation,
}
