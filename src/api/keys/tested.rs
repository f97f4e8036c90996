//! What the gate would answer a request with a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Time;

/// The answer to `POST /admin/keys/{key_id}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyTested {
    /// Whether it would be forwarded.
    pub admitted: bool,
    /// The status the gate would answer with; `null` if the upstream would answer.
    pub status: Option<u16>,
    /// The code of the refusal; `null` if there is none.
    pub code: Option<String>,
    /// What that means here, for people.
    pub detail: Option<String>,
    /// The route it would take.
    pub route: Option<String>,
    /// The upstream that leads to.
    pub upstream: Option<String>,
    /// The path as it would be matched and forwarded.
    pub path: Option<String>,
    /// The version whose secret was thought of.
    pub version: Option<u16>,
    /// The limits that it would spend of, narrow before wide, as they stand on this gate.
    pub limits: Vec<LimitLeft>,
    /// The quotas that it would spend of, the key's own first.
    #[serde(default)]
    pub quotas: Vec<QuotaLeft>,
}

/// One limit, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitLeft {
    /// What `RateLimit` fields call it.
    pub name: String,
    /// So many per unit.
    pub rate: String,
    /// The most at once.
    pub burst: u32,
    /// How many would pass now.
    pub remaining: u32,
    /// In how many milliseconds it is whole again.
    pub whole_in_ms: u64,
    /// Whether it refuses, or only counts.
    pub enforced: bool,
}

/// One quota, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaLeft {
    /// What `RateLimit` fields call it.
    pub name: String,
    /// How much it allows.
    pub limit: u64,
    /// `day`, `week`, `month` or `total`.
    pub per: String,
    /// How much of it is left; while the store is away, as far as this gate knows.
    pub remaining: u64,
    /// When it renews; `null` for credits.
    pub renews_at: Option<Time>,
    /// Whether it refuses, or only counts.
    pub hard: bool,
}
