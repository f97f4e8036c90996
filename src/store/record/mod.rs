//! Stored forms of what is kept ↔ domain types; the only place that knows both.
//!
//! A record is a byte for the format, four bytes of checksum (CRC-32, IEEE, little-endian, of all that
//! follows), and a MessagePack map with named fields. So a newer binary reads an older store (a field
//! that is not there has its default), an older binary passes over a field it does not know, and a field
//! that it must not pass over is a new format: that record, like a damaged one, is a [`DecodeError`] and
//! is set aside. Nothing that is read here can panic, and nothing damaged is read as something else.
//!
//! Both backends store these bytes, in tables, hashes and feeds alike.

mod audit;
mod chain;
mod change;
mod event;
mod form;
mod key;
mod owner;
mod rules;
#[cfg(test)]
mod tests;
mod usage;
mod watch;

pub use audit::{decode_audit, decode_checkpoint, encode_audit, encode_checkpoint};
pub use chain::{decode_sealed, decode_veil, encode_sealed, encode_veil};
pub use change::{decode_change, encode_change};
pub use event::{decode_event, encode_event};
pub use form::DecodeError;
pub use key::{decode_key, encode_key};
pub use owner::{
    decode_owner, decode_receipt, decode_token, encode_owner, encode_receipt, encode_token,
};
pub use rules::{
    decode_gone, decode_policy, decode_product, decode_rotation_rule, encode_gone, encode_policy,
    encode_product, encode_rotation_rule,
};
pub use usage::{decode_usage, encode_usage};
pub use watch::{decode_batch, decode_question, encode_batch, encode_question};
