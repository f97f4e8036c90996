//! How a store stands, as far as that is known without asking it.

use crate::domain::change::Revision;
use crate::domain::time::Timestamp;

/// Something about a store that someone should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Its stable name.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

/// What is known of a store without asking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// Whether the last thing asked of it was answered.
    pub is_up: bool,
    /// Whether it was silent when it was last asked, or a connection to it broke, and it did not turn others down: it
    /// may be there all the same, for others.
    pub is_silent: bool,
    /// How what is held here stands to it.
    pub state: ContactState,
    /// The revision last seen.
    pub revision: Revision,
    /// When it last answered; `None` if it never has.
    pub last_at: Option<Timestamp>,
    /// The same by the monotonic clock, in nanoseconds.
    pub last_ns: Option<u64>,
    /// Whether it is on this machine and of this gate alone, so that nobody else can have changed it.
    pub is_own: bool,
    /// Whether the mirror at the start was not as this gate had left it, and was set aside.
    pub is_mirror_refused: bool,
    /// Records that could not be read, and were set aside.
    pub quarantined: u64,
}

/// How what a gate holds stands to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactState {
    /// In step.
    Following,
    /// Answering, and being read.
    CatchingUp,
    /// Not answering.
    Away,
    /// Older than what is held here, and being given back what it lacks.
    Repair,
    /// Empty, or another than the one that is held here.
    Estranged,
}

impl ContactState {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Following,
        Self::CatchingUp,
        Self::Away,
        Self::Repair,
        Self::Estranged,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::CatchingUp => "catching_up",
            Self::Away => "away",
            Self::Repair => "repair",
            Self::Estranged => "estranged",
        }
    }
}
