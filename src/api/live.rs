//! Requests as they finish, on the wire: the access log's lines, or counts of them, as server-sent events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Text, Time};
use crate::domain::id::{KeyId, OwnerId};

/// The name of an event whose data is [`Gates`].
pub const EVENT_GATES: &str = "gates";
/// The name of an event whose data is one [`Finished`] request.
pub const EVENT_REQUEST: &str = "request";
/// The name of an event whose data is a [`Summary`].
pub const EVENT_SUMMARY: &str = "summary";
/// The name of an event whose data is [`Dropped`].
pub const EVENT_DROPPED: &str = "dropped";

/// Whose requests are told of: said first, and whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gates {
    /// The gates that tell, by name.
    pub gates: Vec<String>,
    /// Those that are there, or may be, and do not answer: what they serve is not seen.
    pub missing: Vec<String>,
    /// Whether other gates can be asked: `up`, `away`, `full` if too many watch, `own` where there are none.
    pub store: String,
}

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
    /// Its method; `null` if it is none that is known.
    pub method: Option<String>,
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

/// What finished at one gate in about a second. Nothing is left out: what has no row of its own is counted in that
/// of all others, so the rows of each kind add up to the total.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The gate.
    pub node: String,
    /// How long it was, in milliseconds.
    pub span_ms: f64,
    /// All of it.
    pub total: Counts,
    /// By key, the busiest first.
    pub keys: Vec<Row>,
    /// By owner.
    pub owners: Vec<Row>,
    /// By route.
    pub routes: Vec<Row>,
}

/// What one key, owner or route came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `key_…`, `usr_…` or the name of a route; `null` where requests had none, and for all others.
    pub id: Option<String>,
    /// Of a key, its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Text<OwnerId>>,
    /// Whether this counts all those that have no row of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// What it came to.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What requests came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// How many finished.
    pub requests: u64,
    /// How many of them the gate refused with 4xx.
    pub refused: u64,
    /// How many were answered with 5xx, by the gate or the API.
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// How long they took, in microseconds: so many took at most so long, `[[at most, how many], …]`, each more than
    /// the one before. A bucket is an eighth of an octave wide.
    pub took_us: Vec<(u64, u32)>,
}

/// Requests that were not told, because there were too many or something was away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many, at most.
    pub count: u64,
    /// The gate that served them.
    #[serde(default)]
    pub node: Option<String>,
}
