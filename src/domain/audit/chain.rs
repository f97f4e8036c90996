//! The chain: each entry holds the hash of the one before.
//!
//! **What is hashed** is the *body*: the entry's exported form without `hash`, in canonical JSON (RFC 8785),
//! with `sha256:…` in the place of each personal value: SHA-256 over a salt of its own and the value. The
//! *veil* has those values and the entry's salt. Without it the body stays, and so does the chain, but
//! nobody can learn the values from it, not even by trying all there are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::AuditEntry;
use super::form::{self, NotAnEntry, hex, unhex};

/// SHA-256 of a body.
pub type Digest = [u8; 32];

/// Where a chain ends. The default is before its first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The number of the last entry, counted from 1; 0 if there is none.
    pub seq: u64,
    /// Its hash; zeros if there is none.
    pub hash: Digest,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The how manieth it is, from 1, without gaps.
    pub seq: u64,
    /// SHA-256 of the body.
    pub hash: Digest,
    /// What is hashed.
    pub body: Vec<u8>,
    /// What the body has only hashes of; `None` once it was erased.
    pub veil: Option<Veil>,
}

/// The personal values of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Veil {
    /// What their salts are made of.
    pub salt: [u8; 16],
    /// Where each stands in the form (a JSON pointer), and what stands there.
    pub values: BTreeMap<String, Value>,
}

impl Head {
    /// Puts `entry` behind this one; the chain then ends there. `salt` is drawn for it.
    #[must_use]
    pub fn seal(&mut self, entry: &AuditEntry, salt: [u8; 16]) -> Sealed {
        let seq = self.seq + 1;
        let mut form = form::write(entry);
        form.insert("seq".to_owned(), seq.into());
        form.insert("previous_hash".to_owned(), hex(&self.hash).into());
        let mut form = Value::Object(form);
        let mut veil = Veil {
            salt,
            values: BTreeMap::new(),
        };
        for place in form::personal_places(&form) {
            let Some(value) = form.pointer_mut(&place) else {
                continue;
            };
            if !form::is_nothing(value) {
                let hash = commit(&veil.salt_of(&place), value);
                veil.values
                    .insert(place, std::mem::replace(value, hash.into()));
            }
        }
        let body = canonical(&form);
        let hash = Sha256::digest(&body).into();
        *self = Self { seq, hash };
        Sealed {
            seq,
            hash,
            body,
            veil: Some(veil),
        }
    }
}

impl Veil {
    /// The salt of the value at `place`: of its own, so that one can be given away without the others.
    #[must_use]
    pub fn salt_of(&self, place: &str) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        hash.update(place);
        let digest: Digest = hash.finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }
}

impl Sealed {
    /// Where the chain ends with it.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hash,
        }
    }

    /// Whether it was sealed where the chain ended at `head`.
    #[must_use]
    pub fn follows(&self, head: Head) -> bool {
        #[derive(Deserialize)]
        struct Body {
            previous_hash: String,
        }
        let body: Result<Body, _> = serde_json::from_slice(&self.body);
        let previous = body.ok().and_then(|body| unhex(&body.previous_hash));
        self.seq == head.seq + 1 && previous == Some(head.hash)
    }

    /// The exported form, with `hash`.
    ///
    /// # Errors
    /// If the body is none.
    pub fn form(&self) -> Result<Value, NotAnEntry> {
        self.open().map(|opened| opened.form)
    }

    /// The exported form with what it takes to verify it elsewhere: `salts` of the values that are there,
    /// `erased` hashes of those that are not.
    ///
    /// # Errors
    /// If the body is none.
    pub fn form_to_verify(&self) -> Result<Value, NotAnEntry> {
        let Opened {
            mut form,
            salts,
            erased,
        } = self.open()?;
        let fields = form.as_object_mut().ok_or(NotAnEntry("seq"))?;
        fields.insert("salts".to_owned(), salts.into());
        if !erased.is_empty() {
            fields.insert("erased".to_owned(), erased.into());
        }
        Ok(form)
    }

    /// What was said before it was sealed; what was erased is missing.
    ///
    /// # Errors
    /// If it is none of the entries that this binary knows.
    pub fn entry(&self) -> Result<AuditEntry, NotAnEntry> {
        form::read(&self.form()?)
    }

    fn open(&self) -> Result<Opened, NotAnEntry> {
        let mut form: Value = serde_json::from_slice(&self.body).map_err(|_| NotAnEntry("body"))?;
        let (mut salts, mut erased) = (Map::new(), Map::new());
        for place in form::personal_places(&form) {
            let Some(value) = form.pointer_mut(&place) else {
                continue;
            };
            if form::is_nothing(value) {
                continue;
            }
            let known = self.veil.as_ref().and_then(|veil| {
                let value = veil.values.get(&place)?;
                Some((value.clone(), hex(&veil.salt_of(&place))))
            });
            match known {
                Some((shown, salt)) => {
                    *value = shown;
                    salts.insert(place, salt.into());
                }
                None => {
                    erased.insert(place, value.take());
                }
            }
        }
        let fields = form.as_object_mut().ok_or(NotAnEntry("body"))?;
        fields.insert("hash".to_owned(), hex(&self.hash).into());
        Ok(Opened {
            form,
            salts,
            erased,
        })
    }
}

/// An entry whose veil was lifted.
struct Opened {
    form: Value,
    /// By the places of the values that are there.
    salts: Map<String, Value>,
    /// By the places of those that are not: what the body has instead.
    erased: Map<String, Value>,
}

/// What stands in a body for a value.
pub(super) fn commit(salt: &[u8; 16], value: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    match value {
        // The commonest by far, and written as JSON writes it.
        Value::String(text) if is_plain(text) => {
            hash.update(b"\"");
            hash.update(text);
            hash.update(b"\"");
        }
        value => hash.update(canonical(value)),
    }
    let digest: Digest = hash.finalize().into();
    format!("sha256:{}", hex(&digest))
}

/// The body that an exported form was made of, and what it says of its place: the inverse of
/// [`Sealed::form_to_verify`].
///
/// # Errors
/// If it is not of that form.
pub fn body_of(mut form: Value) -> Result<(Vec<u8>, Head, Digest), NotAnEntry> {
    let fields = form.as_object_mut().ok_or(NotAnEntry("seq"))?;
    let mut take = |name| match fields.remove(name) {
        Some(Value::Object(fields)) => Ok(fields),
        None => Ok(Map::new()),
        Some(_) => Err(NotAnEntry(name)),
    };
    let (salts, erased) = (take("salts")?, take("erased")?);
    let digest = |value: Option<&Value>, name| {
        let text = value.and_then(Value::as_str);
        text.and_then(unhex).ok_or(NotAnEntry(name))
    };
    let hash = digest(fields.remove("hash").as_ref(), "hash")?;
    let previous = digest(fields.get("previous_hash"), "previous_hash")?;
    let seq = fields.get("seq").and_then(Value::as_u64);
    let seq = seq.ok_or(NotAnEntry("seq"))?;
    for (place, salt) in salts {
        let salt = salt.as_str().and_then(unhex).ok_or(NotAnEntry("salts"))?;
        let value = form.pointer_mut(&place).ok_or(NotAnEntry("salts"))?;
        *value = commit(&salt, value).into();
    }
    for (place, hash) in erased {
        let value = form.pointer_mut(&place).ok_or(NotAnEntry("erased"))?;
        // A value beside the hash that stands for it would be shown and never checked.
        if !value.is_null() {
            return Err(NotAnEntry("erased"));
        }
        *value = hash;
    }
    Ok((canonical(&form), Head { seq, hash }, previous))
}

/// Canonical JSON (RFC 8785).
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    let written = if is_ordinary(value) {
        serde_json::to_vec(value)
    } else {
        serde_json_canonicalizer::to_vec(value)
    };
    // A value that came from JSON is JSON again: numbers are finite, names are text.
    written.unwrap_or_default()
}

/// Whether `serde_json` writes it canonically as it is, in half the time: its maps are in the order of
/// bytes, which is that of UTF-16 where names are ASCII, and its integers are written as those that a
/// double holds exactly are.
fn is_ordinary(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number
            .as_i64()
            .is_some_and(|number| number.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS),
        Value::Array(values) => values.iter().all(is_ordinary),
        Value::Object(fields) => fields
            .iter()
            .all(|(name, value)| name.is_ascii() && is_ordinary(value)),
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-(1_i64 << 54)..1 << 54).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "[\\x00-\\x20\"\\\\/\\x7f\u{2028}\u{1f600}]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let name = "[a-c_\"\u{e000}-\u{ffff}\u{10000}-\u{10ffff}]{0,3}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn an_entry_follows_where_it_was_sealed_and_nowhere_else() {
        let seal = |head: &mut Head, body: &str| {
            let body = body.replace("PREVIOUS", &hex(&head.hash));
            let (seq, hash) = (head.seq + 1, Sha256::digest(&body).into());
            *head = Head { seq, hash };
            Sealed {
                seq,
                hash,
                body: body.into(),
                veil: None,
            }
        };
        let (before, mut head) = (Head::default(), Head::default());
        let first = seal(&mut head, r#"{"previous_hash":"PREVIOUS","seq":1}"#);
        let between = head;
        let second = seal(&mut head, r#"{"previous_hash":"PREVIOUS","seq":2}"#);
        assert_eq!((first.head(), second.head()), (between, head));
        assert!(first.follows(before) && second.follows(between));
        assert!(!first.follows(between) && !second.follows(before) && !second.follows(head));
        // As many before it, and others.
        let others = Head {
            hash: [7; 32],
            ..between
        };
        assert!(!second.follows(others));
        let fewer = Head { seq: 0, ..between };
        assert!(!second.follows(fewer));
        let torn = Sealed {
            body: b"{".to_vec(),
            ..second
        };
        assert!(!torn.follows(between));
    }

    proptest! {
        /// RFC 8785, whichever way it is written.
        #[test]
        fn every_value_is_written_canonically(value in json()) {
            let canonically = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(canonical(&value), canonically);
        }
    }
}
