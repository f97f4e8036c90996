//! Who did what, when, to what, and why.
//!
//! An [`AuditEntry`] is what whoever does something says of it. The store that commits it [seals](chain)
//! it: numbers it, and has it hold the hash of the one before. What is hashed is the entry's exported
//! [form] in canonical JSON, with a salted hash in the place of each personal value, so that a person can
//! be erased and the chain stays whole. [`verify`] walks the chain, wherever it lies; [signed](checkpoint)
//! checkpoints say how far it went. [Requests](request) stand outside of it.

pub mod chain;
pub mod checkpoint;
pub mod export;
pub mod form;
mod line;
pub mod query;
pub mod request;
mod unveiled;
pub mod verify;

use std::time::Duration;

use super::id::{AuditId, KeyId, OwnerId};
use super::secret::Fingerprint;
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
    /// What a rotation adds.
    pub rotation: Option<RotationNote>,
}

/// What the entry of a rotation adds: `key_version` is the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationNote {
    /// The version that was current before.
    pub old_version: u16,
    /// Its fingerprint.
    pub old_fingerprint: Fingerprint,
    /// The new version's fingerprint.
    pub new_fingerprint: Fingerprint,
    /// How long the old one still works; `None` where no end is set yet.
    pub grace: Option<Duration>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A key was made.
    KeyCreation,
    /// Its settings were changed.
    KeyUpdate,
    /// It was given a new version.
    KeyRotation,
    /// A pending version became its current one.
    KeyActivation,
    /// The grace of one of its versions ended.
    KeyRetirement,
    /// It was paused.
    KeySuspension,
    /// It was put in force again.
    KeyResumption,
    /// It, or one of its versions, was ended.
    KeyRevocation,
    /// It ended by itself.
    KeyExpiry,
    /// It was made of a secret there was already.
    KeyImport,
    /// An owner was made.
    OwnerCreation,
    /// An owner was renamed.
    OwnerUpdate,
    /// An owner and all its keys were switched off.
    OwnerDisable,
    /// An owner's personal data were erased.
    OwnerErasure,
    /// An admin token was made.
    TokenCreation,
    /// An admin token was changed.
    TokenUpdate,
    /// An admin token was ended.
    TokenRevocation,
    /// A product was made.
    ProductCreation,
    /// A product was changed.
    ProductUpdate,
    /// A product was taken away.
    ProductDeletion,
    /// A policy was made.
    PolicyCreation,
    /// A policy was changed.
    PolicyUpdate,
    /// A policy was taken away.
    PolicyDeletion,
    /// A webhook was made.
    WebhookCreation,
    /// A webhook was changed.
    WebhookUpdate,
    /// A webhook was taken away.
    WebhookDeletion,
    /// Someone signed in or out.
    Session,
    /// How the gate works was changed: automatic rotation, a reload.
    Config,
    /// The store was restored, migrated, accepted or archived.
    Store,
}

impl Action {
    const ALL: [(Self, &'static str); 29] = [
        (Self::KeyCreation, "key_creation"),
        (Self::KeyUpdate, "key_update"),
        (Self::KeyRotation, "key_rotation"),
        (Self::KeyActivation, "key_activation"),
        (Self::KeyRetirement, "key_retirement"),
        (Self::KeySuspension, "key_suspension"),
        (Self::KeyResumption, "key_resumption"),
        (Self::KeyRevocation, "key_revocation"),
        (Self::KeyExpiry, "key_expiry"),
        (Self::KeyImport, "key_import"),
        (Self::OwnerCreation, "owner_creation"),
        (Self::OwnerUpdate, "owner_update"),
        (Self::OwnerDisable, "owner_disable"),
        (Self::OwnerErasure, "owner_erasure"),
        (Self::TokenCreation, "token_creation"),
        (Self::TokenUpdate, "token_update"),
        (Self::TokenRevocation, "token_revocation"),
        (Self::ProductCreation, "product_creation"),
        (Self::ProductUpdate, "product_update"),
        (Self::ProductDeletion, "product_deletion"),
        (Self::PolicyCreation, "policy_creation"),
        (Self::PolicyUpdate, "policy_update"),
        (Self::PolicyDeletion, "policy_deletion"),
        (Self::WebhookCreation, "webhook_creation"),
        (Self::WebhookUpdate, "webhook_update"),
        (Self::WebhookDeletion, "webhook_deletion"),
        (Self::Session, "session"),
        (Self::Config, "config"),
        (Self::Store, "store"),
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(action, _)| *action == self)
            .map_or("", |(_, word)| word)
    }

    /// The words of all of them.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, word)| *word)
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

#[cfg(test)]
mod tests;
