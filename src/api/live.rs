//! Requests as they finish, on the wire: the access log's lines as server-sent events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Text, Time};
use crate::domain::id::{KeyId, OwnerId};

/// The name of an event whose data is one [`Finished`] request.
pub const EVENT_REQUEST: &str = "request";
/// The name of an event whose data is [`Dropped`].
pub const EVENT_DROPPED: &str = "dropped";

/// One finished request: a line of the access log. Never a query, a header, a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finished {
    /// When it was answered.
    pub time: Time,
    /// Names the request.
    pub request_id: String,
    /// The gate that answered it.
    pub node: String,
    /// The client's address.
    pub client: String,
    /// `h1` or `h2`.
    pub protocol: String,
    /// Its method.
    pub method: String,
    /// Its host.
    pub host: Option<String>,
    /// Its path.
    pub path: String,
    /// The route it took; `null` if there was none.
    pub route: Option<String>,
    /// What the client got.
    pub status: u16,
    /// Why it was refused; `null` if it was not.
    pub code: Option<String>,
    /// Whose it was, where that is known.
    pub key_id: Option<Text<KeyId>>,
    /// By which version.
    pub key_version: Option<u16>,
    /// What of its secret may be shown.
    pub fingerprint: Option<String>,
    /// The key's owner.
    pub owner_id: Option<Text<OwnerId>>,
    /// The upstream it went to.
    pub upstream: Option<String>,
    /// The endpoint that answered.
    pub endpoint: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// From its first byte to the last of the answer, in milliseconds.
    pub duration_ms: f64,
    /// How much of that was the upstream's.
    pub upstream_ms: Option<f64>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// Requests that were not told, because the listener reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// How many.
    pub count: u64,
}
