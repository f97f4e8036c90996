//! Who did what, when, to what, and why.

use super::id::{AuditId, KeyId, OwnerId};
use super::time::Timestamp;

/// One thing that was done, or refused to someone who was known.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Names the entry.
    pub id: AuditId,
    /// When.
    pub timestamp: Timestamp,
    /// What: `key_creation`, `key_revocation`, … (SPEC §9).
    pub action: Action,
    /// Whether it was done.
    pub outcome: Outcome,
    /// Who.
    pub actor: Actor,
    /// From where, if over the network.
    pub address: Option<String>,
    /// In which call of the admin API.
    pub request_id: Option<String>,
    /// Why, in the words of who did it.
    pub reason: Option<String>,
    /// To which key.
    pub key: Option<KeyId>,
    /// To which of its versions.
    pub key_version: Option<u16>,
    /// To which owner, or whose key.
    pub owner: Option<OwnerId>,
    /// What became different.
    pub changes: Vec<FieldChange>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A key was made.
    KeyCreation,
    /// Its settings were changed.
    KeyUpdate,
    /// It was paused.
    KeySuspension,
    /// It was put in force again.
    KeyResumption,
    /// It was ended.
    KeyRevocation,
    /// An owner was made.
    OwnerCreation,
    /// An owner was renamed.
    OwnerUpdate,
    /// An admin token was made.
    TokenCreation,
    /// An admin token was ended.
    TokenRevocation,
}

impl Action {
    const ALL: [(Self, &'static str); 9] = [
        (Self::KeyCreation, "key_creation"),
        (Self::KeyUpdate, "key_update"),
        (Self::KeySuspension, "key_suspension"),
        (Self::KeyResumption, "key_resumption"),
        (Self::KeyRevocation, "key_revocation"),
        (Self::OwnerCreation, "owner_creation"),
        (Self::OwnerUpdate, "owner_update"),
        (Self::TokenCreation, "token_creation"),
        (Self::TokenRevocation, "token_revocation"),
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(action, _)| *action == self)
            .map_or("", |(_, word)| word)
    }

    /// What a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(action, _)| *action)
    }
}

/// Whether it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Refused, with the code of the problem.
    Refused(String),
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `token`, `system`, …
    pub kind: String,
    /// The id of that.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// One field that became different.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Its name in the API.
    pub field: String,
    /// What it was.
    pub from: serde_json::Value,
    /// What it is.
    pub to: serde_json::Value,
}
