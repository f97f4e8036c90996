//! Which promises a history breaks. Pure: it reads the history and nothing else, so that a bad history can
//! be written by hand, and each promise can be seen to fail (`tests`).

mod audit;
mod counts;
mod endings;
mod limits;
mod quiet;
mod refusals;
mod revocations;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

use crate::history::History;
use crate::support::watch::At;

/// How long after the last fault all that it did must be mended.
pub(crate) const MENDS_WITHIN: At = quiet::HEALS_WITHIN + quiet::REACHES_WITHIN;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) at: At,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A request with an ended secret was admitted after that was acknowledged where it was.
    LateAdmission,
    /// A gate admitted what it had refused as ended before.
    Revived,
    /// An acknowledged revocation is not there at the end, at a gate or in the store.
    RevocationLost,
    /// A revocation that was to wait for all gates does not say of one where it stands.
    Unnamed,
    /// A valid secret was refused by a gate that knew it.
    ValidRefused,
    /// An answer that is a failure of the gate's, or none at all though it ran.
    Failed,
    /// A request was admitted under another key or version than its own.
    Misattributed,
    /// More requests passed than a limit or a quota allows.
    OverLimit,
    /// More or fewer requests are counted than were admitted.
    Miscounted,
    /// A change that was acknowledged is not there at the end, and nobody was told.
    ChangeLost,
    /// The audit chain is broken, or does not tell of a change once.
    Unaudited,
    /// The gates did not come to rest.
    Unrest,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at / 1_000_000, self.at % 1_000_000);
        write!(f, "{seconds:>3}.{micros:06} {:?}: {}", self.kind, self.text)
    }
}

/// Everything that is wrong with a history, in order of time.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut say = |kind: Kind, at: At, text: String| found.push(Violation { kind, at, text });
    revocations::check(history, &mut say);
    refusals::check(history, &mut say);
    limits::check(history, &mut say);
    counts::check(history, &mut say);
    audit::check(history, &mut say);
    for what in &history.end.unrest {
        say(Kind::Unrest, At::MAX, what.clone());
    }
    found.sort_by_key(|it| it.at);
    found
}

/// What takes a violation down.
type Say<'a> = dyn FnMut(Kind, At, String) + 'a;

/// The last bursts above what one bucket admits, and above the quota, whatever was allowed for.
pub(crate) fn excess(history: &History) -> (u64, u64) {
    (limits::excess(history), limits::quota_excess(history))
}

/// The longest that a secret was admitted at a gate after its end was acknowledged elsewhere, where nothing
/// was wrong with either.
pub(crate) fn slowest_revocation(history: &History) -> At {
    revocations::slowest(history)
}
