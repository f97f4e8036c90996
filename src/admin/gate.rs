//! What the admin API tells of the gate it belongs to.

// `app` describes the gate in these; it has no other business with the wire.
pub use crate::api::status::{
    Alarm, ConfigStatus, LimitsStatus, NodeStatus, Status, StoreStatus, UsageStatus,
};

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
}
