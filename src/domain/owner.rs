//! Who holds keys.

use super::id::OwnerId;
use super::time::Timestamp;

/// A user, a team or a system: every key has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Names the owner for ever.
    pub id: OwnerId,
    /// What people call it; unique within its kind, whatever the case.
    pub name: String,
    /// What it is.
    pub kind: OwnerKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when all its keys are off and no new ones are made; `None` while it is in good standing.
    pub disabled_at: Option<Timestamp>,
}

/// What an owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// One person.
    User,
    /// Several.
    Team,
    /// A machine.
    System,
}

impl OwnerKind {
    /// The kind's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::System => "system",
        }
    }

    /// The kind a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::User, Self::Team, Self::System]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}
