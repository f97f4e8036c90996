//! Changes, as the feed holds them: each record in them is the record as it is stored by itself.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::audit::{decode_audit, decode_checkpoint, encode_audit, encode_checkpoint};
use super::event::{decode_event, encode_event};
use super::form::{Blob, Bytes, DecodeError, decode, encode, known};
use super::key::{decode_key, encode_key};
use super::owner::{
    decode_owner, decode_receipt, decode_token, encode_owner, encode_receipt, encode_token,
};
use super::rules::{
    decode_gone, decode_policy, decode_product, decode_rotation_rule, encode_gone, encode_policy,
    encode_product, encode_rotation_rule,
};
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::id::OwnerId;

/// Writes a change.
#[must_use]
pub fn encode_change(change: &Change) -> Vec<u8> {
    encode(&StoredChange {
        id: Bytes(change.id.0),
        expect: change.expect.0,
        writes: change.writes.iter().map(StoredWrite::from).collect(),
        audit: change
            .audit
            .iter()
            .map(|entry| Blob(Cow::Owned(encode_audit(entry))))
            .collect(),
    })
}

/// Reads a change.
///
/// # Errors
/// If the bytes are no change, or one with something in it that this binary does not understand.
pub fn decode_change(bytes: &[u8]) -> Result<Change, DecodeError> {
    let stored: StoredChange<'_> = decode(bytes)?;
    Ok(Change {
        id: ChangeId(stored.id.0),
        expect: Revision(stored.expect),
        writes: stored
            .writes
            .iter()
            .map(StoredWrite::read)
            .collect::<Result<_, _>>()?,
        audit: stored
            .audit
            .iter()
            .map(|entry| decode_audit(&entry.0))
            .collect::<Result<_, _>>()?,
    })
}

#[derive(Serialize, Deserialize)]
struct StoredChange<'a> {
    id: Bytes<16>,
    expect: u64,
    #[serde(borrow)]
    writes: Vec<StoredWrite<'a>>,
    #[serde(borrow)]
    audit: Vec<Blob<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredWrite<'a> {
    what: &'a str,
    #[serde(borrow)]
    record: Blob<'a>,
}

impl From<&Write> for StoredWrite<'_> {
    fn from(write: &Write) -> Self {
        let (what, record) = match write {
            Write::Key(key) => (KEY, encode_key(key)),
            Write::Owner(owner) => (OWNER, encode_owner(owner)),
            Write::Token(token) => (TOKEN, encode_token(token)),
            Write::Receipt(receipt) => (RECEIPT, encode_receipt(receipt)),
            Write::Checkpoint(checkpoint) => (CHECKPOINT, encode_checkpoint(checkpoint)),
            Write::Erasure(owner) => (ERASURE, owner.as_bytes().to_vec()),
            Write::Event(event) => (EVENT, encode_event(event)),
            Write::Product(product) => (PRODUCT, encode_product(product)),
            Write::Policy(policy) => (POLICY, encode_policy(policy)),
            Write::RotationRule(rule) => (ROTATION_RULE, encode_rotation_rule(rule)),
            Write::Gone(gone) => (GONE, encode_gone(gone)),
        };
        Self {
            what,
            record: Blob(Cow::Owned(record)),
        }
    }
}

impl StoredWrite<'_> {
    fn read(&self) -> Result<Write, DecodeError> {
        let record = &self.record.0;
        match self.what {
            KEY => decode_key(record).map(Write::Key),
            OWNER => decode_owner(record).map(Write::Owner),
            TOKEN => decode_token(record).map(Write::Token),
            RECEIPT => decode_receipt(record).map(Write::Receipt),
            CHECKPOINT => decode_checkpoint(record).map(Write::Checkpoint),
            ERASURE => known("owner", OwnerId::from_chars(record).ok()).map(Write::Erasure),
            EVENT => decode_event(record).map(Write::Event),
            PRODUCT => decode_product(record).map(Write::Product),
            POLICY => decode_policy(record).map(Write::Policy),
            ROTATION_RULE => decode_rotation_rule(record).map(Write::RotationRule),
            GONE => decode_gone(record).map(Write::Gone),
            _ => Err(DecodeError::Value("what")),
        }
    }
}

const KEY: &str = "key";
const OWNER: &str = "owner";
const TOKEN: &str = "token";
const RECEIPT: &str = "receipt";
const CHECKPOINT: &str = "checkpoint";
const ERASURE: &str = "erasure";
const EVENT: &str = "event";
const PRODUCT: &str = "product";
const POLICY: &str = "policy";
const ROTATION_RULE: &str = "rotation_rule";
const GONE: &str = "gone";
