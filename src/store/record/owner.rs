//! Owners, admin tokens and receipts, as stored.

use serde::{Deserialize, Serialize};

use super::form::{Bytes, DecodeError, decode, encode, known};
use crate::domain::change::Receipt;
use crate::domain::id::{KeyId, OwnerId, TokenId};
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::secret::Fingerprint;
use crate::domain::time::Timestamp;
use crate::domain::token::{AdminToken, Role};

/// Writes an owner.
#[must_use]
pub fn encode_owner(owner: &Owner) -> Vec<u8> {
    encode(&StoredOwner {
        id: Bytes(*owner.id.as_bytes()),
        name: &owner.name,
        kind: owner.kind.as_str(),
        created_at: owner.created_at.as_millis(),
        disabled_at: owner.disabled_at.map(Timestamp::as_millis),
    })
}

/// Reads an owner.
///
/// # Errors
/// If the bytes are no owner, or one that this binary does not understand.
pub fn decode_owner(bytes: &[u8]) -> Result<Owner, DecodeError> {
    let stored: StoredOwner<'_> = decode(bytes)?;
    Ok(Owner {
        id: known("id", OwnerId::from_chars(&stored.id.0).ok())?,
        name: stored.name.to_owned(),
        kind: known("kind", OwnerKind::from_word(stored.kind))?,
        created_at: Timestamp::from_millis(stored.created_at),
        disabled_at: stored.disabled_at.map(Timestamp::from_millis),
    })
}

#[derive(Serialize, Deserialize)]
struct StoredOwner<'a> {
    id: Bytes<10>,
    name: &'a str,
    kind: &'a str,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled_at: Option<u64>,
}

/// Writes an admin token.
#[must_use]
pub fn encode_token(token: &AdminToken) -> Vec<u8> {
    encode(&StoredToken {
        id: Bytes(*token.id.as_bytes()),
        name: &token.name,
        role: token.role.as_str(),
        owner: token.owner.map(|owner| Bytes(*owner.as_bytes())),
        digest: Bytes(token.digest),
        fingerprint: Bytes(*token.fingerprint.as_bytes()),
        created_at: token.created_at.as_millis(),
        expires_at: token.expires_at.map(Timestamp::as_millis),
        revoked_at: token.revoked_at.map(Timestamp::as_millis),
    })
}

/// Reads an admin token.
///
/// # Errors
/// If the bytes are no token, or one that this binary does not understand.
pub fn decode_token(bytes: &[u8]) -> Result<AdminToken, DecodeError> {
    let stored: StoredToken<'_> = decode(bytes)?;
    let owner = stored
        .owner
        .map(|owner| known("owner", OwnerId::from_chars(&owner.0).ok()))
        .transpose()?;
    Ok(AdminToken {
        id: known("id", TokenId::from_chars(&stored.id.0).ok())?,
        name: stored.name.to_owned(),
        role: known("role", Role::from_word(stored.role))?,
        owner,
        digest: stored.digest.0,
        fingerprint: Fingerprint::from_bytes(stored.fingerprint.0),
        created_at: Timestamp::from_millis(stored.created_at),
        expires_at: stored.expires_at.map(Timestamp::from_millis),
        revoked_at: stored.revoked_at.map(Timestamp::from_millis),
    })
}

/// The owner is never left out, so that one bound to an owner cannot be read as one bound to none.
#[derive(Serialize, Deserialize)]
struct StoredToken<'a> {
    id: Bytes<10>,
    name: &'a str,
    role: &'a str,
    owner: Option<Bytes<10>>,
    digest: Bytes<32>,
    fingerprint: Bytes<6>,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<u64>,
}

/// Writes a receipt.
#[must_use]
pub fn encode_receipt(receipt: &Receipt) -> Vec<u8> {
    encode(&StoredReceipt {
        digest: Bytes(receipt.digest),
        request: Bytes(receipt.request),
        key: Bytes(*receipt.key.as_bytes()),
        version: receipt.version,
        at: receipt.at.as_millis(),
    })
}

/// Reads a receipt.
///
/// # Errors
/// If the bytes are no receipt, or one that this binary does not understand.
pub fn decode_receipt(bytes: &[u8]) -> Result<Receipt, DecodeError> {
    let stored: StoredReceipt = decode(bytes)?;
    Ok(Receipt {
        digest: stored.digest.0,
        request: stored.request.0,
        key: known("key", KeyId::from_chars(&stored.key.0).ok())?,
        version: stored.version,
        at: Timestamp::from_millis(stored.at),
    })
}

#[derive(Serialize, Deserialize)]
struct StoredReceipt {
    digest: Bytes<32>,
    request: Bytes<32>,
    key: Bytes<10>,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    version: u16,
    at: u64,
}

const fn first() -> u16 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_first(version: &u16) -> bool {
    *version == 1
}
