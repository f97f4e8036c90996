//! Sealed audit entries, as stored: the body as it was hashed, and its veil apart from it, so that the one
//! can go and the other stay.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::{Blob, Bytes, DecodeError, decode, encode};
use crate::domain::audit::chain::{Sealed, Veil};

/// Writes a sealed entry, with its veil if it has one.
#[must_use]
pub fn encode_sealed(sealed: &Sealed) -> Vec<u8> {
    encode(&StoredSealed {
        seq: sealed.seq,
        hash: Bytes(sealed.hash),
        body: Blob(Cow::Borrowed(&sealed.body)),
        veil: sealed
            .veil
            .as_ref()
            .map(|veil| Blob(Cow::Owned(encode_veil(veil)))),
    })
}

/// Reads a sealed entry.
///
/// # Errors
/// If the bytes are none.
pub fn decode_sealed(bytes: &[u8]) -> Result<Sealed, DecodeError> {
    let stored: StoredSealed<'_> = decode(bytes)?;
    Ok(Sealed {
        seq: stored.seq,
        hash: stored.hash.0,
        body: stored.body.0.into_owned(),
        veil: stored.veil.map(|veil| decode_veil(&veil.0)).transpose()?,
    })
}

/// Writes the personal values of an entry.
#[must_use]
pub fn encode_veil(veil: &Veil) -> Vec<u8> {
    encode(&StoredVeil {
        salt: Bytes(veil.salt),
        values: veil
            .values
            .iter()
            .map(|(place, value)| (Cow::Borrowed(place.as_str()), Cow::Borrowed(value)))
            .collect(),
    })
}

/// Reads the personal values of an entry.
///
/// # Errors
/// If the bytes are none.
pub fn decode_veil(bytes: &[u8]) -> Result<Veil, DecodeError> {
    let stored: StoredVeil<'_> = decode(bytes)?;
    Ok(Veil {
        salt: stored.salt.0,
        values: stored
            .values
            .into_iter()
            .map(|(place, value)| (place.into_owned(), value.into_owned()))
            .collect(),
    })
}

#[derive(Serialize, Deserialize)]
struct StoredSealed<'a> {
    seq: u64,
    hash: Bytes<32>,
    #[serde(borrow)]
    body: Blob<'a>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    veil: Option<Blob<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredVeil<'a> {
    salt: Bytes<16>,
    values: BTreeMap<Cow<'a, str>, Cow<'a, Value>>,
}
