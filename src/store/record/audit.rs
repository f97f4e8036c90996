//! Audit entries, as stored.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::{Bytes, DecodeError, decode, encode, known};
use crate::domain::audit::chain::Head;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::{Action, Actor, AuditEntry, FieldChange, Outcome, RotationNote};
use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::secret::Fingerprint;
use crate::domain::time::Timestamp;

/// Writes an audit entry.
#[must_use]
pub fn encode_audit(entry: &AuditEntry) -> Vec<u8> {
    encode(&StoredEntry {
        id: Bytes(*entry.id.as_bytes()),
        timestamp: entry.timestamp.as_millis(),
        action: entry.action.as_str(),
        refused: match &entry.outcome {
            Outcome::Done => None,
            Outcome::Refused(code) => Some(code),
        },
        actor_kind: &entry.actor.kind,
        actor_id: &entry.actor.id,
        actor_name: &entry.actor.name,
        address: entry.address.as_deref(),
        request_id: entry.request_id.as_deref(),
        reason: entry.reason.as_deref(),
        key: entry.key.map(|key| Bytes(*key.as_bytes())),
        key_version: entry.key_version,
        owner: entry.owner.map(|owner| Bytes(*owner.as_bytes())),
        changes: entry
            .changes
            .iter()
            .map(|change| StoredFieldChange {
                field: Cow::Borrowed(&change.field),
                from: Cow::Borrowed(&change.from),
                to: Cow::Borrowed(&change.to),
            })
            .collect(),
        rotation: entry.rotation.as_ref().map(|note| StoredRotation {
            old_version: note.old_version,
            old_fingerprint: Bytes(*note.old_fingerprint.as_bytes()),
            new_fingerprint: Bytes(*note.new_fingerprint.as_bytes()),
            grace_ms: note
                .grace
                .map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
        }),
    })
}

/// Reads an audit entry.
///
/// # Errors
/// If the bytes are no audit entry, or one that this binary does not understand.
pub fn decode_audit(bytes: &[u8]) -> Result<AuditEntry, DecodeError> {
    let stored: StoredEntry<'_> = decode(bytes)?;
    let key = stored
        .key
        .map(|key| known("key", KeyId::from_chars(&key.0).ok()))
        .transpose()?;
    let owner = stored
        .owner
        .map(|owner| known("owner", OwnerId::from_chars(&owner.0).ok()))
        .transpose()?;
    Ok(AuditEntry {
        id: known("id", AuditId::from_chars(&stored.id.0).ok())?,
        timestamp: Timestamp::from_millis(stored.timestamp),
        action: known("action", Action::from_word(stored.action))?,
        outcome: stored
            .refused
            .map_or(Outcome::Done, |code| Outcome::Refused(code.to_owned())),
        actor: Actor {
            kind: stored.actor_kind.to_owned(),
            id: stored.actor_id.to_owned(),
            name: stored.actor_name.to_owned(),
        },
        address: stored.address.map(str::to_owned),
        request_id: stored.request_id.map(str::to_owned),
        reason: stored.reason.map(str::to_owned),
        key,
        key_version: stored.key_version,
        owner,
        changes: stored
            .changes
            .into_iter()
            .map(|change| FieldChange {
                field: change.field.into_owned(),
                from: change.from.into_owned(),
                to: change.to.into_owned(),
            })
            .collect(),
        rotation: stored.rotation.map(|note| RotationNote {
            old_version: note.old_version,
            old_fingerprint: Fingerprint::from_bytes(note.old_fingerprint.0),
            new_fingerprint: Fingerprint::from_bytes(note.new_fingerprint.0),
            grace: note.grace_ms.map(Duration::from_millis),
        }),
    })
}

/// Writes a checkpoint of the chain.
#[must_use]
pub fn encode_checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    encode(&StoredCheckpoint {
        seq: checkpoint.head.seq,
        hash: Bytes(checkpoint.head.hash),
        at: checkpoint.at.as_millis(),
        node: &checkpoint.node,
        public_key: Bytes(checkpoint.public_key),
        signature: Bytes(checkpoint.signature),
    })
}

/// Reads a checkpoint of the chain.
///
/// # Errors
/// If the bytes are none.
pub fn decode_checkpoint(bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
    let stored: StoredCheckpoint<'_> = decode(bytes)?;
    Ok(Checkpoint {
        head: Head {
            seq: stored.seq,
            hash: stored.hash.0,
        },
        at: Timestamp::from_millis(stored.at),
        node: stored.node.to_owned(),
        public_key: stored.public_key.0,
        signature: stored.signature.0,
    })
}

#[derive(Serialize, Deserialize)]
struct StoredCheckpoint<'a> {
    seq: u64,
    hash: Bytes<32>,
    at: u64,
    node: &'a str,
    public_key: Bytes<32>,
    signature: Bytes<64>,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry<'a> {
    id: Bytes<10>,
    timestamp: u64,
    action: &'a str,
    /// The code, if it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
    actor_kind: &'a str,
    actor_id: &'a str,
    actor_name: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Bytes<10>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_version: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Bytes<10>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<StoredFieldChange<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<StoredRotation>,
}

#[derive(Serialize, Deserialize)]
struct StoredRotation {
    old_version: u16,
    old_fingerprint: Bytes<6>,
    new_fingerprint: Bytes<6>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredFieldChange<'a> {
    field: Cow<'a, str>,
    from: Cow<'a, Value>,
    to: Cow<'a, Value>,
}
