//! The frame around every record, and how the smallest parts are written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, Serializer};

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There are too few of them.
    #[error("a record of {0} bytes is cut short")]
    Short(usize),
    /// A newer binary wrote them.
    #[error("record has format {0}, this binary reads up to {FORMAT}")]
    Newer(u8),
    /// They are not the bytes that were written.
    #[error("the checksum is wrong")]
    Checksum,
    /// They are not the form of this record.
    #[error("not the form of this record")]
    Form(#[source] rmp_serde::decode::Error),
    /// A field has a value that this binary does not know.
    #[error("`{0}` has a value that is not known")]
    Value(&'static str),
}

/// Writes a record.
pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(384);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&[0; CHECKSUM_LEN]);
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    serializer.unstable_set_max_depth(usize::MAX);
    #[expect(
        clippy::expect_used,
        reason = "writing to memory does not fail, lengths are known and depth is not bounded"
    )]
    record
        .serialize(&mut serializer)
        .expect("a record is written to memory");
    if let Some((head, body)) = bytes.split_at_mut_checked(HEAD_LEN)
        && let Some(checksum) = head.last_chunk_mut::<CHECKSUM_LEN>()
    {
        *checksum = crc32fast::hash(body).to_le_bytes();
    }
    bytes
}

/// Reads a record.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let short = || DecodeError::Short(bytes.len());
    match bytes.first().ok_or_else(short)? {
        &FORMAT => {}
        // No format is 0: this byte was never written.
        0 => return Err(DecodeError::Checksum),
        newer => return Err(DecodeError::Newer(*newer)),
    }
    let (head, body) = bytes.split_at_checked(HEAD_LEN).ok_or_else(short)?;
    if head.get(1..) != Some(crc32fast::hash(body).to_le_bytes().as_slice()) {
        return Err(DecodeError::Checksum);
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut deserializer).map_err(DecodeError::Form)
}

/// What a word or a number stands for, or the field that it is unknown in.
pub(super) fn known<T>(field: &'static str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Value(field))
}

/// So many bytes, written as such and not as a list of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_bytes(Slice)?;
        <[u8; N]>::try_from(bytes)
            .map(Self)
            .map_err(|_| D::Error::invalid_length(bytes.len(), &Slice))
    }
}

/// Bytes of any number: a record within a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob<'a>(pub(super) Cow<'a, [u8]>);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_bytes(Slice)
            .map(|bytes| Self(Cow::Borrowed(bytes)))
    }
}

/// Takes bytes from where they lie.
struct Slice;

impl<'de> Visitor<'de> for Slice {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes of the right number")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(bytes)
    }
}

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u8 = 1;
const CHECKSUM_LEN: usize = 4;
const HEAD_LEN: usize = 1 + CHECKSUM_LEN;
/// How deep what is read may be nested: twice what JSON from a client may be.
const DEPTH_MAX: usize = 256;
