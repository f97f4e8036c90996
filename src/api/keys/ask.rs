//! What a client asks for when it makes or changes a key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::form;
use crate::api::owners::CreateOwner;
use crate::api::patch::patch;

/// `POST /admin/keys`. One of `owner_id` and `owner` is mandatory; all but the name has a default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What people will call it.
    #[schemars(with = "form::Name")]
    pub name: String,
    /// The owner, by id …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::OwnerRef>")]
    pub owner_id: Option<String>,
    /// … or by type and name, found or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<CreateOwner>,
    /// Why it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Description>")]
    pub description: Option<String>,
    /// Its environment; default: the first that is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Products it is given, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::ProductNames")]
    pub products: Vec<String>,
    /// What it is permitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::ScopeNames")]
    pub scopes: Vec<String>,
    /// Methods it may use; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::MethodNames")]
    pub allowed_methods: Vec<String>,
    /// Paths it may reach, each with all below it; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::Paths")]
    pub allowed_paths: Vec<String>,
    /// Addresses or networks it may be used from; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::Networks")]
    pub allowed_ips: Vec<String>,
    /// Its own rate limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<NewRateLimit>,
    /// The most of its requests in flight at once, per gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Concurrency>")]
    pub concurrency: Option<u32>,
    /// For how long a gate out of touch with the store goes on admitting it: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub max_staleness: Option<String>,
    /// Its own quotas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<NewQuota>,
    /// `high`, `standard` or `low`; default `standard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Risk>")]
    pub risk: Option<String>,
    /// When it is to end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Instant>")]
    pub expires_at: Option<String>,
    /// Whatever is to be kept with it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(with = "form::Metadata")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What it is sorted by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "form::Labels")]
    pub labels: BTreeMap<String, String>,
    /// Whether it must be unprotected before it can be revoked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub protected: bool,
    /// Whether its holder may rotate it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub self_rotation: bool,
    /// Automatic rotation, by a rule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<NewRotation>,
}

patch! {
    /// `PATCH /admin/keys/{key_id}`: what is left out stays, what is given replaces the field whole, and
    /// `null` empties what may be empty.
    PatchKey {
        /// What people will call it.
        #[schemars(with = "form::Name")]
        name: String,
        /// Why it exists.
        #[schemars(with = "Option<form::Description>")]
        description: Option<String>,
        /// Products it is given, by name.
        #[schemars(with = "form::ProductNames")]
        products: Vec<String>,
        /// What it is permitted.
        #[schemars(with = "form::ScopeNames")]
        scopes: Vec<String>,
        /// Methods it may use.
        #[schemars(with = "form::MethodNames")]
        allowed_methods: Vec<String>,
        /// Paths it may reach.
        #[schemars(with = "form::Paths")]
        allowed_paths: Vec<String>,
        /// Addresses or networks it may be used from.
        #[schemars(with = "form::Networks")]
        allowed_ips: Vec<String>,
        /// Its own rate limits.
        #[schemars(with = "Vec<NewRateLimit>")]
        rate_limits: Vec<NewRateLimit>,
        /// The most of its requests in flight at once, per gate.
        #[schemars(with = "Option<form::Concurrency>")]
        concurrency: Option<u32>,
        /// For how long a gate out of touch with the store goes on admitting it; `null`: as its products and the
        /// gate say.
        #[schemars(with = "Option<form::Length>")]
        max_staleness: Option<String>,
        /// Its own quotas.
        #[schemars(with = "Vec<NewQuota>")]
        quotas: Vec<NewQuota>,
        /// `high`, `standard` or `low`.
        #[schemars(with = "form::Risk")]
        risk: String,
        /// When it is to end by itself.
        #[schemars(with = "Option<form::Instant>")]
        expires_at: Option<String>,
        /// Whatever is to be kept with it.
        #[schemars(with = "form::Metadata")]
        metadata: serde_json::Map<String, serde_json::Value>,
        /// What it is sorted by.
        #[schemars(with = "form::Labels")]
        labels: BTreeMap<String, String>,
        /// Whether it must be unprotected before it can be revoked.
        #[schemars(with = "bool")]
        protected: bool,
        /// Whether its holder may rotate it.
        #[schemars(with = "bool")]
        self_rotation: bool,
        /// Automatic rotation, by a rule of its own; `null` takes that away, and leaves the key to wider ones.
        rotation: Option<NewRotation>,
    }
}

/// A rate limit to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRateLimit {
    /// So many per unit: `100/minute`.
    #[schemars(with = "form::Rate")]
    pub rate: String,
    /// The most at once; default: the rate's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Burst>")]
    pub burst: Option<u32>,
    /// `local`, `shared` or `strict`; default `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Mode>")]
    pub mode: Option<String>,
    /// `on` or `shadow`; default `on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Enforce>")]
    pub enforce: Option<String>,
}

/// A quota to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuota {
    /// How much.
    #[schemars(with = "form::Allowance")]
    pub limit: u64,
    /// `day`, `week`, `month` or `total`.
    #[schemars(with = "form::Per")]
    pub per: String,
    /// On which day the period begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::OnDay>")]
    pub on_day: Option<u8>,
    /// Whether it refuses when spent; default: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<bool>,
}

/// Automatic rotation to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRotation {
    /// Days between rotations.
    #[schemars(with = "form::IntervalDays")]
    pub interval_days: u32,
    /// Whether the version before stays until the next rotation.
    pub keep_previous: bool,
    /// How long the version before stays otherwise; default `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub grace: Option<String>,
}

/// The optional body of `…/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the secrets before still work: `0s` to `72h`, default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub grace: Option<String>,
    /// Why, for the audit log: `regular`, `suspected_compromise`, `expiry_near`, `incident`, or any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Reason>")]
    pub reason: Option<String>,
    /// Whether all earlier secrets end now, whatever they were promised: they have leaked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub revoke_earlier: bool,
    /// Another end for the key, `null` for none; an expired key needs one.
    #[serde(
        default,
        deserialize_with = "crate::api::patch::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<form::Instant>")]
    pub expires_at: Option<Option<String>>,
}

/// `POST /admin/keys/{key_id}/test`: a request that is not made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestKey {
    /// Its method.
    #[schemars(with = "form::AnyMethod")]
    pub method: String,
    /// The host it would be for; left out: one that no route names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its path, perhaps with a query.
    #[schemars(with = "form::Target")]
    pub path: String,
    /// Where it would come from; left out: an address the key may be used from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The optional body of `…/suspend` and `…/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Reason>")]
    pub reason: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields to skip_serializing_if by reference"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_null_from_left_out() {
        let patch: PatchKey =
            serde_json::from_str(r#"{"description": null, "concurrency": 3}"#).unwrap();
        assert_eq!(patch.description, Some(None));
        assert_eq!(patch.concurrency, Some(Some(3)));
        assert_eq!(patch.expires_at, None);
        assert_eq!(
            serde_json::to_string(&patch).unwrap(),
            r#"{"description":null,"concurrency":3}"#
        );
    }

    #[test]
    fn null_is_refused_where_it_means_nothing() {
        for field in ["name", "scopes", "labels", "protected", "risk"] {
            let read = serde_json::from_str::<PatchKey>(&format!(r#"{{"{field}": null}}"#));
            assert!(read.is_err(), "{field}");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let read = serde_json::from_str::<CreateKey>(r#"{"name": "k", "expire_at": "…"}"#);
        assert!(read.is_err_and(|fault| fault.to_string().contains("expire_at")));
    }
}
