//! Who asks for something, and how the audit log names them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::control::ControlError;
use crate::control::writer::draw;
use crate::domain::audit::{Action, Actor, AuditEntry, Outcome};
use crate::domain::id::{AuditId, OwnerId};
use crate::domain::key::Key;
use crate::domain::lifecycle::{address_text, is_text};
use crate::domain::owner::Owner;
use crate::domain::time::Timestamp;
use crate::domain::token::{AdminToken, Role};

/// Who asks for something, from where and in which call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As the audit log names them.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// The one owner they may see; `None`: all.
    pub bound_to: Option<OwnerId>,
    /// From where, if over the network.
    pub address: Option<IpAddr>,
    /// In which call of the admin API.
    pub request_id: Option<String>,
    /// Whether this call's refusal was written down where most is known of it; shared by all clones.
    pub(crate) noted: Arc<AtomicBool>,
}

impl Caller {
    /// The gate itself, doing `what`.
    #[must_use]
    pub fn system(what: &str) -> Self {
        Self {
            actor: Actor {
                kind: "system".to_owned(),
                id: "system".to_owned(),
                name: what.to_owned(),
            },
            role: Role::Admin,
            bound_to: None,
            address: None,
            request_id: None,
            noted: Arc::default(),
        }
    }

    /// Whoever holds `token`.
    #[must_use]
    pub fn token(token: &AdminToken) -> Self {
        Self {
            actor: Actor {
                kind: "token".to_owned(),
                id: token.id.to_string(),
                name: token.name.clone(),
            },
            role: token.role,
            bound_to: token.owner,
            address: None,
            request_id: None,
            noted: Arc::default(),
        }
    }

    /// Whoever holds a secret of `key`.
    #[must_use]
    pub fn holder(key: &Key) -> Self {
        Self {
            actor: Actor {
                kind: "key".to_owned(),
                id: key.id.to_string(),
                name: key.settings.name.clone(),
            },
            role: Role::Operator,
            bound_to: Some(key.owner),
            address: None,
            request_id: None,
            noted: Arc::default(),
        }
    }

    /// An owner who signed in: may do to their own keys what an operator may.
    #[must_use]
    pub fn owner(owner: &Owner) -> Self {
        Self {
            actor: Actor {
                kind: "owner".to_owned(),
                id: owner.id.to_string(),
                name: owner.name.clone(),
            },
            role: Role::Operator,
            bound_to: Some(owner.id),
            address: None,
            request_id: None,
            noted: Arc::default(),
        }
    }

    /// Whoever holds the token that stands in the configuration.
    #[must_use]
    pub fn configured() -> Self {
        Self {
            actor: Actor {
                kind: "token".to_owned(),
                id: "tok_config".to_owned(),
                name: "configuration".to_owned(),
            },
            role: Role::Admin,
            bound_to: None,
            address: None,
            request_id: None,
            noted: Arc::default(),
        }
    }

    /// Whether what belongs to `owner` exists for this caller.
    #[must_use]
    pub fn sees(&self, owner: OwnerId) -> bool {
        self.bound_to.is_none_or(|bound| bound == owner)
    }

    /// Whether a refusal of what this call asks for is still to be written down; from now on it is not.
    pub(crate) fn takes_note(&self) -> bool {
        !self.noted.swap(true, Ordering::Relaxed)
    }

    /// An audit entry of something this caller did, about nothing in particular yet.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(in crate::control) fn did(
        &self,
        action: Action,
        now: Timestamp,
    ) -> Result<AuditEntry, ControlError> {
        Ok(AuditEntry {
            id: AuditId::from_random(draw()?),
            timestamp: now,
            action,
            outcome: Outcome::Done,
            actor: self.actor.clone(),
            address: self.address.map(address_text),
            request_id: self.request_id.clone(),
            reason: None,
            key: None,
            key_version: None,
            owner: None,
            changes: Vec::new(),
            rotation: None,
        })
    }
}

/// Says what an entry is about.
pub(in crate::control) trait About {
    /// The entry, about this key and its owner.
    fn about_key(self, key: &Key) -> Self;
    /// The entry, about this owner.
    fn about_owner(self, owner: &Owner) -> Self;
}

impl About for AuditEntry {
    fn about_key(mut self, key: &Key) -> Self {
        self.key = Some(key.id);
        self.owner = Some(key.owner);
        self
    }

    fn about_owner(mut self, owner: &Owner) -> Self {
        self.owner = Some(owner.id);
        self
    }
}

/// A reason as the audit log takes it: none if it says nothing.
///
/// # Errors
/// If it is too long or has control characters.
pub(in crate::control) fn reason(text: Option<String>) -> Result<Option<String>, ControlError> {
    match text.filter(|text| !text.trim().is_empty()) {
        Some(text) if !is_text(&text, 1, 1_024) => Err(ControlError::field(
            "/reason",
            "length",
            "a reason has at most 1024 characters and no control characters",
        )),
        reason => Ok(reason),
    }
}
