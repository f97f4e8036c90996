//! What a gate asks of a shared limit, and what it is told.

use std::fmt;
use std::sync::Arc;

use super::terms::{LeaseTerms, Level};
use crate::domain::id::KeyId;

/// Whose limit it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitHolder {
    /// A key's, its products' and routes' limits on it included.
    Key(KeyId),
    /// All callers' of a route that asks for no key.
    Route(Arc<str>),
}

impl fmt::Display for LimitHolder {
    /// The id without its prefix, or `route:` and the name; no two holders print alike.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => f.write_str(id.chars()),
            Self::Route(name) => write!(f, "route:{name}"),
        }
    }
}

/// What one gate tells and asks of one shared limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseCall {
    /// Whose limit.
    pub holder: LimitHolder,
    /// Which of its limits, by name. Never by its numbers: changing a rate continues the bucket.
    pub limit: Arc<str>,
    /// What it allows.
    pub terms: LeaseTerms,
    /// Tells this lease from any that the gate had before.
    pub run: u64,
    /// The number of this call in its run, from 1: one that comes late changes nothing.
    pub seq: u64,
    /// What the gate still has.
    pub held: u64,
    /// What it was given to keep in this run, less what it gave back.
    pub received: u64,
    /// What it was given in this run for those who waited.
    pub handed: u64,
    /// How much whoever waits longest cannot do without: if there is less, nothing is granted.
    pub least: u64,
    /// How much all who wait need. They spend it as it is granted, as far as it goes.
    pub need: u64,
    /// How much is asked for, not less than `need`.
    pub want: u64,
    /// What is asked of this gate in one horizon, in sixteenths of a token, refused requests included.
    pub demand: u64,
    /// What the bucket would hold if nobody else had taken of it since it was last seen: believed where the
    /// bucket cannot be.
    pub estimate: Level,
    /// How long ago by the gate's own clock the last answered call was sent; `None` if none was. In µs.
    pub elapsed_us: Option<u64>,
    /// Whether the gate has spent of its share since, so that the bucket does not know all.
    pub was_away: bool,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseReply {
    /// How many tokens the gate has more.
    pub granted: u64,
    /// What is left in the bucket.
    pub level: Level,
    /// When that was, by the store's clock, in µs.
    pub at_us: u64,
}
