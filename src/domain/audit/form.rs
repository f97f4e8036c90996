//! An entry as it is exported: the one form that is shown, hashed and verified.

use serde_json::{Map, Value, json};

use super::{Action, Actor, AuditEntry, FieldChange, Outcome, RotationNote};
use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::secret::Fingerprint;
use crate::domain::span::Span;

/// A text is no audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no audit entry: `{0}` is missing or not of its form")]
pub struct NotAnEntry(pub &'static str);

/// What an entry says, with nothing of its place in the chain.
pub(super) fn write(entry: &AuditEntry) -> Map<String, Value> {
    let (outcome, code) = match &entry.outcome {
        Outcome::Done => ("done", None),
        Outcome::Refused(code) => ("refused", Some(code)),
    };
    let changes: Vec<Value> = entry
        .changes
        .iter()
        .map(|change| json!({"field": change.field, "from": change.from, "to": change.to}))
        .collect();
    let mut form = Map::new();
    let mut put = |name: &str, value: Value| form.insert(name.to_owned(), value);
    put("id", entry.id.to_string().into());
    put("timestamp", entry.timestamp.to_string().into());
    put("type", entry.action.as_str().into());
    put("outcome", outcome.into());
    put("code", json!(code));
    put(
        "actor",
        json!({"type": entry.actor.kind, "id": entry.actor.id, "name": entry.actor.name}),
    );
    put("address", json!(entry.address));
    put("request_id", json!(entry.request_id));
    put("reason", json!(entry.reason));
    put("key_id", json!(entry.key.map(|key| key.to_string())));
    put("key_version", json!(entry.key_version));
    put(
        "owner_id",
        json!(entry.owner.map(|owner| owner.to_string())),
    );
    put("changes", changes.into());
    if let Some(note) = &entry.rotation {
        put("old_version", note.old_version.into());
        put("old_fingerprint", note.old_fingerprint.to_string().into());
        put("new_fingerprint", note.new_fingerprint.to_string().into());
        put("rotated_by", entry.actor.id.clone().into());
        put(
            "grace",
            json!(note.grace.map(|grace| Span(grace).to_string())),
        );
    }
    form
}

/// What an entry said before it was sealed. What was erased is as if it had not been said.
///
/// # Errors
/// If it is none of the entries that this binary knows.
pub fn read(form: &Value) -> Result<AuditEntry, NotAnEntry> {
    let text = |name: &'static str| form.get(name).and_then(Value::as_str);
    let owned = |name: &'static str| text(name).map(str::to_owned);
    let id = |name| text(name).ok_or(NotAnEntry(name));
    let maybe = |name: &'static str| match form.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(NotAnEntry(name)),
    };
    let number = |name| {
        let value = form.get(name).and_then(Value::as_u64);
        value.and_then(|number| u16::try_from(number).ok())
    };
    let outcome = match (text("outcome"), text("code")) {
        (Some("done"), None) => Outcome::Done,
        (Some("refused"), Some(code)) => Outcome::Refused(code.to_owned()),
        _ => return Err(NotAnEntry("outcome")),
    };
    let of_actor = |name| {
        let text = form.get("actor").and_then(|actor| actor.get(name));
        text.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let changes = form.get("changes").and_then(Value::as_array);
    let rotation = match number("old_version") {
        None => None,
        Some(old_version) => Some(RotationNote {
            old_version,
            old_fingerprint: fingerprint(text("old_fingerprint"))
                .ok_or(NotAnEntry("old_fingerprint"))?,
            new_fingerprint: fingerprint(text("new_fingerprint"))
                .ok_or(NotAnEntry("new_fingerprint"))?,
            grace: match maybe("grace")? {
                None => None,
                Some(text) => Some(text.parse::<Span>().map_err(|_| NotAnEntry("grace"))?.0),
            },
        }),
    };
    Ok(AuditEntry {
        id: id("id")?.parse::<AuditId>().map_err(|_| NotAnEntry("id"))?,
        timestamp: id("timestamp")?
            .parse()
            .map_err(|_| NotAnEntry("timestamp"))?,
        action: Action::from_word(id("type")?).ok_or(NotAnEntry("type"))?,
        outcome,
        actor: Actor {
            kind: of_actor("type"),
            id: of_actor("id"),
            name: of_actor("name"),
        },
        address: owned("address"),
        request_id: owned("request_id"),
        reason: owned("reason"),
        key: match maybe("key_id")? {
            None => None,
            Some(text) => Some(text.parse::<KeyId>().map_err(|_| NotAnEntry("key_id"))?),
        },
        key_version: number("key_version"),
        owner: match maybe("owner_id")? {
            None => None,
            Some(text) => Some(
                text.parse::<OwnerId>()
                    .map_err(|_| NotAnEntry("owner_id"))?,
            ),
        },
        changes: changes
            .ok_or(NotAnEntry("changes"))?
            .iter()
            .map(change)
            .collect::<Option<_>>()
            .ok_or(NotAnEntry("changes"))?,
        rotation,
    })
}

fn change(form: &Value) -> Option<FieldChange> {
    Some(FieldChange {
        field: form.get("field")?.as_str()?.to_owned(),
        from: form.get("from")?.clone(),
        to: form.get("to")?.clone(),
    })
}

/// Where a form may have personal values, as JSON pointers (RFC 6901): who acted, from where and why,
/// and the values of fields that people write what they like into.
///
/// A changed field is taken for personal unless it is known not to be: a new one that nobody thought of
/// here is better erased in vain than not at all.
pub(super) fn personal_places(form: &Value) -> Vec<String> {
    let mut places: Vec<String> = ["/actor/name", "/address", "/reason"]
        .map(str::to_owned)
        .into();
    let changes = form.get("changes").and_then(Value::as_array);
    for (at, change) in changes.into_iter().flatten().enumerate() {
        let field = change.get("field").and_then(Value::as_str);
        if !field.is_some_and(|field| IMPERSONAL.contains(&field)) {
            places.push(format!("/changes/{at}/from"));
            places.push(format!("/changes/{at}/to"));
        }
    }
    places
}

/// Whether a value at a personal place says nothing of anyone.
pub(super) const fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
}

fn fingerprint(text: Option<&str>) -> Option<Fingerprint> {
    unhex(text?).map(Fingerprint::from_bytes)
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| match nibble {
        0..10 => char::from(b'0' + nibble),
        _ => char::from(b'a' - 10 + nibble),
    };
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// The bytes that so many lower-case hexadecimal digits stand for.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| DIGITS.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT);
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut all = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (digit(*high), digit(*low));
        all |= high | low;
        *byte = high << 4 | low;
    }
    (all < 16).then_some(bytes)
}

/// What each byte is as a hexadecimal digit.
#[expect(
    clippy::indexing_slicing,
    reason = "what is outside of an array in a constant does not compile"
)]
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let byte = b"0123456789abcdef"[value as usize];
        digits[byte as usize] = value;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xff;

/// Fields of which a change says nothing of a person.
const IMPERSONAL: &[&str] = &[
    "allowed_methods",
    "allowed_paths",
    "concurrency",
    "disabled_at",
    "env",
    "expires_at",
    "grace",
    "interval_days",
    "keep_previous",
    "max_staleness",
    "owner_id",
    "products",
    "protected",
    "quotas",
    "rate_limits",
    "retires_at",
    "risk",
    "role",
    "rotation",
    "scopes",
    "self_rotation",
    "status",
    "versions",
];
