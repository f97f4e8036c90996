//! The lines of the file: JSON, for whoever has to look.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Owed, OwedKind};
use crate::domain::audit::form::{hex, unhex};
use crate::domain::change::{ChangeId, Revision};
use crate::domain::secret::Fingerprint;
use crate::domain::tombstone::{Ended, Tombstone};
use crate::store::record;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    Ended(Tombstone),
    /// An owner was let back in.
    Lifted(Ended),
    Owed(Box<Owed>),
    /// What was owed has landed, or was told of.
    Settled(ChangeId),
}

impl Line {
    /// The line of this number.
    pub(super) fn write(&self, number: u64) -> Value {
        match self {
            Self::Ended(tombstone) => {
                let (kind, id, version, fingerprint) = words(&tombstone.what);
                json!({
                    "n": number, "ended": kind, "id": id, "version": version,
                    "fingerprint": fingerprint, "at": tombstone.at.to_string(),
                    "revision": tombstone.revision.map(|it| it.0),
                })
            }
            Self::Lifted(what) => {
                let (kind, id, version, fingerprint) = words(what);
                json!({
                    "n": number, "lifted": kind, "id": id, "version": version,
                    "fingerprint": fingerprint,
                })
            }
            Self::Owed(owed) => json!({
                "n": number,
                "owed": match owed.kind { OwedKind::Held => "held", OwedKind::Lost => "lost" },
                "change": STANDARD.encode(record::encode_change(&owed.change)),
                "since": owed.since.0, "store": hex(&owed.incarnation),
            }),
            Self::Settled(id) => json!({ "n": number, "settled": hex(&id.0) }),
        }
    }

    /// What a line says; `None` if it is of no kind that is known.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let text = |name| body.get(name).and_then(Value::as_str);
        if let Some(kind) = text("ended") {
            let tombstone = Tombstone {
                what: what(kind, body)?,
                at: text("at")?.parse().ok()?,
                revision: body.get("revision")?.as_u64().map(Revision),
            };
            return Some(Self::Ended(tombstone));
        }
        if let Some(kind) = text("lifted") {
            return Some(Self::Lifted(what(kind, body)?));
        }
        if let Some(kind) = text("owed") {
            let change = STANDARD.decode(text("change")?).ok()?;
            return Some(Self::Owed(Box::new(Owed {
                change: record::decode_change(&change).ok()?,
                incarnation: unhex(text("store")?)?,
                since: Revision(body.get("since")?.as_u64()?),
                kind: match kind {
                    "held" => OwedKind::Held,
                    "lost" => OwedKind::Lost,
                    _ => return None,
                },
            })));
        }
        Some(Self::Settled(ChangeId(unhex(text("settled")?)?)))
    }
}

/// What has ended, in words: its kind, its id, and of a version its number and fingerprint.
pub(super) fn words(what: &Ended) -> (&'static str, String, Option<u16>, Option<String>) {
    match what {
        Ended::Key(id) => ("key", id.to_string(), None, None),
        Ended::Version {
            key,
            number,
            fingerprint,
        } => (
            "version",
            key.to_string(),
            Some(*number),
            Some(fingerprint.to_string()),
        ),
        Ended::Owner(id) => ("owner", id.to_string(), None, None),
        Ended::Token(id) => ("token", id.to_string(), None, None),
    }
}

fn what(kind: &str, body: &Value) -> Option<Ended> {
    let id = body.get("id")?.as_str()?;
    Some(match kind {
        "key" => Ended::Key(id.parse().ok()?),
        "version" => Ended::Version {
            key: id.parse().ok()?,
            number: body.get("version")?.as_u64()?.try_into().ok()?,
            fingerprint: Fingerprint::from_bytes(unhex(body.get("fingerprint")?.as_str()?)?),
        },
        "owner" => Ended::Owner(id.parse().ok()?),
        "token" => Ended::Token(id.parse().ok()?),
        _ => return None,
    })
}
