//! Admin tokens on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;
use super::patch::patch;
use super::{Text, Time};
use crate::domain::id::{OwnerId, TokenId};
use crate::domain::token::AdminToken;

/// An admin token: never its secret, never its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Names the token.
    pub id: Text<TokenId>,
    /// What people call it.
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    #[schemars(with = "form::Role")]
    pub role: String,
    /// The one owner it is bound to; `null`: all.
    pub owner_id: Option<Text<OwnerId>>,
    /// What of the secret may be shown.
    #[schemars(with = "form::Fingerprint")]
    pub fingerprint: String,
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

impl From<&AdminToken> for Token {
    fn from(token: &AdminToken) -> Self {
        Self {
            id: token.id.into(),
            name: token.name.clone(),
            role: token.role.as_str().to_owned(),
            owner_id: token.owner.map(Into::into),
            fingerprint: token.fingerprint.to_string(),
            created_at: token.created_at.into(),
            expires_at: token.expires_at.map(Into::into),
            revoked_at: token.revoked_at.map(Into::into),
        }
    }
}

/// The answer to `POST /admin/tokens`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCreated {
    /// What was made.
    pub token: Token,
    /// Its secret, this once.
    pub secret: String,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenCreated({}, …)", self.token.id)
    }
}

/// `POST /admin/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What people will call it.
    #[schemars(with = "form::Name")]
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    #[schemars(with = "form::Role")]
    pub role: String,
    /// The one owner it is to be bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::OwnerRef>")]
    pub owner_id: Option<String>,
    /// When it is to end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Instant>")]
    pub expires_at: Option<String>,
}

patch! {
    /// `PATCH /admin/tokens/{token_id}`: what is left out stays.
    PatchToken {
        /// What people will call it.
        #[schemars(with = "form::Name")]
        name: String,
        /// `viewer`, `operator` or `admin`.
        #[schemars(with = "form::Role")]
        role: String,
        /// When it is to end by itself.
        #[schemars(with = "Option<form::Instant>")]
        expires_at: Option<String>,
    }
}
