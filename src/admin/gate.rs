//! What the admin API tells of the gate it belongs to.

use std::net::IpAddr;

// `app` describes the gate in these; it has no other business with the wire.
pub use crate::api::keys::{KeyTested, LimitLeft, QuotaLeft};
pub use crate::api::status::{
    Alarm, ConfigStatus, LimitsStatus, NodeStatus, Status, StoreStatus, UsageStatus,
};
use crate::control::keys::QuotaStanding;
use crate::domain::key::Key;

/// A request that is only thought of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRequest {
    /// Its method, as it would be sent.
    pub method: String,
    /// Its host; `None`: one that no route names.
    pub host: Option<String>,
    /// Its target.
    pub path: String,
    /// Where it would come from; `None`: an address the key may be used from.
    pub address: Option<IpAddr>,
}

/// The gate, as it describes itself. Every answer comes from memory.
pub trait Gate: Send + Sync + 'static {
    /// This gate's name.
    fn node(&self) -> &str;

    /// How it is doing.
    fn status(&self) -> Status;

    /// Whether it may take traffic.
    ///
    /// # Errors
    /// Why not, for people.
    fn ready(&self) -> Result<(), String>;

    /// Its metrics, as Prometheus text.
    fn metrics(&self) -> String;

    /// What it would answer a request with a key's current secret now, where the key's quotas stand so.
    /// Nothing is spent, counted or sent.
    fn test(&self, key: &Key, request: &TestRequest, quotas: &[QuotaStanding]) -> KeyTested;
}
