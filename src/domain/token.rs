//! Tokens of the admin API: who may run the gate.

use super::id::{OwnerId, TokenId};
use super::secret::Fingerprint;
use super::time::Timestamp;

/// The right to call the admin API. Its secret has the form of a key's, with the prefix `pct`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Names the token.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The one owner it is bound to, to whom everything else does not exist; `None` for all.
    pub owner: Option<OwnerId>,
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// What of the secret may be shown.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, if it does by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a browser that is signed in to the dashboard keeps its session in. `__Host-`: only this very host sets
/// it, for all of it, and only where the connection is secure or the browser takes it for such, as it does this
/// very machine (RFC 6265bis §4.1.3.2).
pub const SESSION_COOKIE: &str = "__Host-portcullis";

impl AdminToken {
    /// Whether it opens the door at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What a token may do; each role may do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also makes, changes, rotates and revokes keys and owners.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The role's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// What the secrets of tokens begin with.
pub const TOKEN_PREFIX: &str = "pct";
