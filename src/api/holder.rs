//! What the holder of a key may know of it, at `/.portcullis/me` and `/.portcullis/rotate`: less than the admin API shows.
//!
//! Left out is what operators keep for themselves: who made the key, its risk, labels and metadata, its
//! other versions, and limits that are only being tried out.

use serde::{Deserialize, Serialize};

use crate::api::keys::{Previous, Quota};
use crate::api::owners::KeyOwner;
use crate::api::{Text, Time};
use crate::domain::id::KeyId;

/// `GET /.portcullis/me`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Me {
    /// The key.
    pub key: HeldKey,
    /// Its limits and its products', in the order they are asked.
    pub limits: Vec<HeldLimit>,
    /// Its quotas and its products'.
    pub quotas: Vec<Quota>,
}

/// The optional body of `POST /.portcullis/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateMine {
    /// How long the secrets before still work: `0s` to `72h`, default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
    /// Why, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to `POST /.portcullis/rotate`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct RotatedMine {
    /// The key, with the new version.
    pub key: HeldKey,
    /// Its new secret, this once.
    pub secret: Option<String>,
    /// The version it replaced.
    pub previous: Option<Previous>,
}

impl std::fmt::Debug for RotatedMine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RotatedMine({}, …)", self.key.id)
    }
}

/// A key, as its holder sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldKey {
    /// Names the key for ever.
    pub id: Text<KeyId>,
    /// What people call it.
    pub name: String,
    /// Why it exists.
    pub description: Option<String>,
    /// Who holds it.
    pub owner: KeyOwner,
    /// Its environment.
    pub env: String,
    /// Products it is given, by name.
    pub products: Vec<String>,
    /// All it is permitted, by itself and by its products.
    pub scopes: Vec<String>,
    /// Methods it may use; none named: all.
    pub allowed_methods: Vec<String>,
    /// Paths it may reach; none named: all.
    pub allowed_paths: Vec<String>,
    /// Networks it may be used from; none named: all.
    pub allowed_ips: Vec<String>,
    /// The most of its requests in flight at once, per gate.
    pub concurrency: Option<u32>,
    /// Whether its holder may rotate it.
    pub self_rotation: bool,
    /// The version that was shown; after a rotation, the new one.
    pub version: u16,
    /// What of that version's secret may be shown.
    pub fingerprint: String,
    /// When that version stops working because a newer one exists.
    pub retires_at: Option<Time>,
    /// When the key ends by itself.
    pub expires_at: Option<Time>,
}

/// A rate limit, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLimit {
    /// What `RateLimit` fields call it.
    pub name: String,
    /// So many per unit: `10/second`.
    pub rate: String,
    /// The most at once.
    pub burst: u32,
    /// What would pass now.
    pub remaining: u32,
    /// When it is whole again, if nothing is asked until then.
    pub whole_at: Time,
}
