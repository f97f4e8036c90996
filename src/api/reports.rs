//! Reports on the wire: who may reach what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;
use super::owners::KeyOwner;
use super::{Text, Time};
use crate::domain::id::KeyId;

/// What a key may reach and who holds it, for whoever has to confirm it now and then. Never a secret, never
/// a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// The key.
    pub key_id: Text<KeyId>,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `active`, `suspended`, `expired` or `revoked`.
    #[schemars(with = "form::Status")]
    pub status: String,
    /// What to know at a glance.
    pub badges: Vec<String>,
    /// Who holds it.
    pub owner: KeyOwner,
    /// Its environment.
    pub env: String,
    /// Products it is given, by name.
    pub products: Vec<String>,
    /// All it is permitted, by itself and by its products.
    pub scopes: Vec<String>,
    /// The routes that its products open; `null`: every one.
    pub routes: Option<Vec<String>>,
    /// Methods it may use; none named: all.
    pub allowed_methods: Vec<String>,
    /// Paths it may reach; none named: all.
    pub allowed_paths: Vec<String>,
    /// Networks it may be used from; none named: all.
    pub allowed_ips: Vec<String>,
    /// `high`, `standard` or `low`.
    #[schemars(with = "form::Risk")]
    pub risk: String,
    /// Whether it must be unprotected before it can be revoked.
    pub protected: bool,
    /// When it was made.
    pub created_at: Time,
    /// The id of who made it.
    pub created_by: String,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was last rotated.
    pub last_rotated_at: Option<Time>,
    /// When it was last admitted; `null`: never.
    pub last_used_at: Option<Time>,
    /// The number of its current version.
    pub version: Option<u16>,
    /// What of the current version's secret may be shown.
    #[schemars(with = "Option<form::Fingerprint>")]
    pub fingerprint: Option<String>,
}

/// The columns of the same as CSV. New ones are added at the end.
pub const ACCESS_COLUMNS: [&str; 24] = [
    "key_id",
    "name",
    "description",
    "status",
    "badges",
    "owner.id",
    "owner.name",
    "owner.type",
    "env",
    "products",
    "scopes",
    "routes",
    "allowed_methods",
    "allowed_paths",
    "allowed_ips",
    "risk",
    "protected",
    "created_at",
    "created_by",
    "expires_at",
    "last_rotated_at",
    "last_used_at",
    "version",
    "fingerprint",
];
