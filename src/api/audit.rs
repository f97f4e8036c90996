//! The audit log on the wire.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::form;
use crate::domain::audit::Action;
use crate::domain::audit::form::hex;
use crate::domain::audit::verify;

/// An entry: of a change, of a rotation, or of a request. Which fields it has, its `type` says; what is
/// hashed is what is shown, so it is passed on as it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Entry(pub Value);

impl Entry {
    /// The text of a field, at a JSON pointer.
    #[must_use]
    pub fn text(&self, place: &str) -> Option<&str> {
        self.0.pointer(place).and_then(Value::as_str)
    }

    /// The number of a field.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }
}

impl Serialize for Entry {
    /// In the order that people read, not in that of the alphabet.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(fields) = self.0.as_object() else {
            return self.0.serialize(serializer);
        };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for name in ORDER {
            if let Some(value) = fields.get(*name) {
                map.serialize_entry(name, value)?;
            }
        }
        let others = |(name, _): &(&String, &Value)| !ORDER.contains(&name.as_str());
        for (name, value) in fields.iter().filter(others) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Entry {
    fn schema_name() -> Cow<'static, str> {
        "AuditEntry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types: Vec<&str> = Action::words().chain(["request"]).collect();
        json_schema!({
            "description": "An entry of the audit log; which of the fields it has, its type says: every one but a request's has its place in the chain, and a rotation's says of both versions.",
            "type": "object",
            "required": ["id", "timestamp", "type", "outcome", "code", "key_id", "key_version", "owner_id", "address", "request_id"],
            "properties": {
                "id": {"type": "string", "pattern": form::AUDIT_ID},
                "seq": {"type": "integer", "minimum": 0, "description": "Its number in the chain."},
                "timestamp": {"type": "string", "format": "date-time"},
                "type": {"type": "string", "enum": types},
                "outcome": {"type": "string", "enum": ["done", "refused"]},
                "code": {"type": ["string", "null"], "description": "Why it was refused."},
                "actor": {
                    "type": "object",
                    "description": "Who did it.",
                    "required": ["type", "id", "name"],
                    "properties": {"type": {"type": "string"}, "id": {"type": "string"}, "name": {"type": ["string", "null"]}}
                },
                "key_id": {"type": ["string", "null"]},
                "key_version": {"type": ["integer", "null"]},
                "old_version": {"type": "integer"},
                "old_fingerprint": {"type": "string"},
                "new_fingerprint": {"type": "string"},
                "rotated_by": {"type": "string"},
                "grace": {"type": ["string", "null"]},
                "owner_id": {"type": ["string", "null"]},
                "route": {"type": ["string", "null"], "description": "The route that a request took."},
                "method": {"type": ["string", "null"]},
                "path": {"type": ["string", "null"], "description": "Without a query."},
                "status": {"type": "integer", "description": "What the client got."},
                "address": {"type": ["string", "null"], "description": "Where from."},
                "request_id": {"type": ["string", "null"]},
                "node": {"type": "string", "description": "The gate that served a request."},
                "count": {"type": "integer", "description": "How many requests alike the entry stands for."},
                "until": {"type": ["string", "null"], "description": "When the last of them came."},
                "reason": {"type": ["string", "null"]},
                "changes": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "from", "to"],
                        "properties": {"field": {"type": "string"}, "from": true, "to": true}
                    }
                },
                "previous_hash": {"type": "string"},
                "hash": {"type": "string"},
                "salts": {"type": "object", "description": "In NDJSON: what verifying needs besides."},
                "erased": {"type": "object", "description": "In NDJSON: what stands for erased values."}
            }
        })
    }
}

/// The answer to `GET /admin/audit-logs/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether every entry is as it was written.
    pub valid: bool,
    /// How many there are.
    pub entries: u64,
    /// The number of the last.
    pub last: Option<u64>,
    /// The first that is not as it was written.
    pub fault: Option<Fault>,
    /// Who signed the chain.
    #[serde(default)]
    pub signers: Vec<Signer>,
}

/// Whose checkpoints a chain has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signer {
    /// Which gate it says it is.
    pub node: String,
    /// The public half of its Ed25519 key, in hex digits.
    pub public_key: String,
    /// The number of the last entry that it signed; with it, all before.
    pub last: u64,
    /// Whether whoever verified knows the key. One that nobody knows proves nothing.
    pub known: bool,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Its number.
    pub seq: u64,
    /// `changed`, `removed`, `inserted`, `swapped`, `rewritten` or `forged`.
    pub kind: String,
}

impl From<&verify::Verdict> for Verdict {
    fn from(verdict: &verify::Verdict) -> Self {
        Self {
            valid: verdict.fault.is_none(),
            entries: verdict.entries,
            last: verdict.last,
            fault: verdict.fault.map(|fault| Fault {
                seq: fault.seq,
                kind: fault.kind.as_str().to_owned(),
            }),
            signers: verdict.signers.iter().map(Signer::from).collect(),
        }
    }
}

impl From<&verify::Signer> for Signer {
    fn from(signer: &verify::Signer) -> Self {
        Self {
            node: signer.node.clone(),
            public_key: hex(&signer.public_key),
            last: signer.last,
            known: signer.is_known,
        }
    }
}

const ORDER: &[&str] = &[
    "id",
    "seq",
    "timestamp",
    "type",
    "outcome",
    "code",
    "actor",
    "key_id",
    "key_version",
    "old_version",
    "old_fingerprint",
    "new_fingerprint",
    "rotated_by",
    "grace",
    "owner_id",
    "route",
    "method",
    "path",
    "status",
    "address",
    "request_id",
    "node",
    "count",
    "until",
    "reason",
    "changes",
    "previous_hash",
    "hash",
    "salts",
    "erased",
];

/// The header of an export that says where it goes on.
pub const NEXT_CURSOR: &str = "x-next-cursor";
