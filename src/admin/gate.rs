//! What the admin API tells of the gate it belongs to.

use crate::api::status::Status;

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

    /// Its metrics, as `OpenMetrics` text.
    fn metrics(&self) -> String;
}
