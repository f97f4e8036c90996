//! How a gate is doing, on the wire: `GET /admin/status` and `GET /readyz`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form;

/// This gate and the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// This gate's name.
    pub node: String,
    /// Which version of Portcullis it runs.
    pub version: String,
    /// Whether it may take traffic.
    pub ready: bool,
    /// How many keys it knows.
    pub keys: u64,
    /// Its store.
    pub store: StoreStatus,
    /// Counts on their way to the store.
    pub usage: UsageStatus,
    /// Limits shared with other gates.
    pub limits: LimitsStatus,
    /// The other gates.
    pub nodes: Vec<NodeStatus>,
    /// Records that could not be read and were set aside.
    pub quarantined: u64,
    /// What it was configured with.
    pub config: ConfigStatus,
    /// What someone should look at.
    pub alarms: Vec<Alarm>,
}

/// A gate's store, as the gate last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// `embedded` or `redis`.
    pub kind: String,
    /// `up` or `away`.
    pub state: String,
    /// The revision the gate has applied.
    pub revision: u64,
    /// When the store last answered.
    pub last_contact_at: Option<Time>,
    /// How long ago that was; `null` if it never has.
    pub staleness_ms: Option<u64>,
}

/// Counts on their way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct UsageStatus {
    /// Batches in memory alone.
    pub queued: u64,
    /// Batches on this gate's disk.
    pub spooled: u64,
    /// Requests that were never counted.
    pub lost: u64,
}

/// Limits shared with other gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LimitsStatus {
    /// Leases held.
    pub leases: u64,
    /// Whether limits are decided by this gate's share, the store being away.
    pub away: bool,
}

/// A gate of the roster, as `GET /admin/nodes` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// `live`, `silent` or `gone`.
    #[schemars(with = "form::Presence")]
    pub state: String,
    /// The revision it has applied, as of its last word.
    pub revision: u64,
    /// When it was last heard of.
    pub last_contact_at: Option<Time>,
    /// Which version of Portcullis it runs.
    pub version: String,
    /// Its place among the gates; `null` where one has the store for itself.
    pub index: Option<u32>,
    /// Whether it is the gate that answers.
    pub this: bool,
}

/// Another gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// `live`, `silent` or `gone`.
    #[schemars(with = "form::Presence")]
    pub state: String,
    /// The revision it has applied.
    pub revision: u64,
    /// When it was last heard of.
    pub last_contact_at: Option<Time>,
}

/// What a gate was configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigStatus {
    /// When it was read.
    pub loaded_at: Time,
    /// SHA-256 of the file, hex.
    pub digest: String,
}

/// Something someone should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alarm {
    /// Its stable name.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
    /// Since when.
    pub since: Time,
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, `ready` or `not_ready`.
    pub status: String,
    /// Why not, for people; `null` when all is well.
    pub reason: Option<String>,
}
