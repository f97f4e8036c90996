//! Sessions of the dashboard, and the links that owners sign in by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form;
use super::owners::Owner;

/// Who asks, if anybody is known to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signed {
    /// `null` where nobody is signed in.
    pub session: Option<Session>,
}

/// Who is signed in, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// As the audit log names them.
    pub actor: Actor,
    /// What they may do.
    #[schemars(with = "form::Role")]
    pub role: String,
    /// The one owner whose keys they see; `null`: all.
    pub owner: Option<Owner>,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// `token`, `owner`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What names it for ever.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// Signing in, by one of the two.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// An admin token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What stands behind the `#` of an owner's link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn(…)")
    }
}

/// A link that an owner signs in by, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Where it leads, below the address that people reach the dashboard at.
    pub path: String,
    /// When it stops working, used or not.
    pub expires_at: Time,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link(…, until {})", self.expires_at)
    }
}
