//! Questions about the audit log.

use super::Action;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::time::Timestamp;

/// Which entries are asked for. Every condition must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// Of what kind.
    pub kind: Kind,
    /// About this key.
    pub key: Option<KeyId>,
    /// About a version of this number.
    pub key_version: Option<u16>,
    /// By whoever has this id.
    pub actor: Option<String>,
    /// About this owner, or its keys.
    pub owner: Option<OwnerId>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Done, or refused.
    pub is_refused: Option<bool>,
    /// Refused with this code.
    pub code: Option<String>,
    /// In this call, or of this request.
    pub request_id: Option<String>,
}

/// What kind of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// All.
    #[default]
    All,
    /// Those of this action.
    Action(Action),
    /// Requests at the gate.
    Request,
}

impl Kind {
    /// What a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "request" => Some(Self::Request),
            word => Action::from_word(word).map(Self::Action),
        }
    }
}
