//! Events, as stored.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::form::{Bytes, DecodeError, decode, encode, known};
use crate::domain::event::{Event, EventKind};
use crate::domain::id::EventId;
use crate::domain::secret::Fingerprint;
use crate::domain::time::Timestamp;

/// Writes an event.
#[must_use]
pub fn encode_event(event: &Event) -> Vec<u8> {
    encode(&StoredEvent {
        id: Bytes(*event.id.as_bytes()),
        kind: event.kind.as_str(),
        timestamp: event.timestamp.as_millis(),
        old_key: event.old_key.map(|key| Bytes(*key.as_bytes())),
        new_key: event.new_key.map(|key| Bytes(*key.as_bytes())),
        data: Cow::Borrowed(&event.data),
    })
}

/// Reads an event.
///
/// # Errors
/// If the bytes are no event, or one that this binary does not understand.
pub fn decode_event(bytes: &[u8]) -> Result<Event, DecodeError> {
    let stored: StoredEvent<'_> = decode(bytes)?;
    Ok(Event {
        id: known("id", EventId::from_chars(&stored.id.0).ok())?,
        kind: known("kind", EventKind::from_word(stored.kind))?,
        timestamp: Timestamp::from_millis(stored.timestamp),
        old_key: stored.old_key.map(|key| Fingerprint::from_bytes(key.0)),
        new_key: stored.new_key.map(|key| Fingerprint::from_bytes(key.0)),
        data: stored.data.into_owned(),
    })
}

#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    id: Bytes<10>,
    kind: &'a str,
    timestamp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old_key: Option<Bytes<6>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new_key: Option<Bytes<6>>,
    data: Cow<'a, Map<String, Value>>,
}
