//! What happened in a run, as those saw it who were outside of the gates. The checker reads nothing else.

use crate::support::watch::At;

/// A run.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// The gates by name; elsewhere a gate is its place here.
    pub(crate) gates: Vec<String>,
    pub(crate) terms: Terms,
    pub(crate) uses: Vec<Use>,
    pub(crate) admissions: Vec<Admission>,
    pub(crate) changes: Vec<Change>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) end: End,
}

/// What was agreed on before it began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// The key with the shared rate limit: so many a second, so many at once.
    pub(crate) limited: String,
    pub(crate) rate: u64,
    pub(crate) burst: u64,
    /// The key with the quota: so many in total.
    pub(crate) quota_key: String,
    pub(crate) quota: u64,
    /// Whether gates spend shares only after 3 s of silence (`fleet.fallback_after`).
    pub(crate) falls_back_late: bool,
}

/// One request, as its client saw it.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    /// Its number, which the upstream sees too.
    pub(crate) tag: u64,
    pub(crate) gate: usize,
    pub(crate) key: String,
    pub(crate) version: u32,
    pub(crate) sent: At,
    pub(crate) done: At,
    pub(crate) outcome: Outcome,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(u16, Option<String>),
    Broken(String),
}

impl Outcome {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(status, _) => Some(*status),
            Self::Broken(_) => None,
        }
    }
}

/// One request, as the upstream saw it.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) tag: u64,
    pub(crate) seen: At,
    pub(crate) key: String,
    pub(crate) version: u32,
}

/// One call of the admin API that changes something.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) what: What,
    pub(crate) gate: usize,
    /// The keys it is about; of a creation that was answered, the one it made.
    pub(crate) keys: Vec<String>,
    /// The owner, if it is about one.
    pub(crate) owner: Option<String>,
    pub(crate) sent: At,
    pub(crate) done: At,
    pub(crate) result: Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Create,
    /// The version that is replaced, and the grace it has.
    Rotate {
        from: u32,
        grace: At,
    },
    /// Whether every gate was waited for.
    Revoke {
        all: bool,
    },
    RevokeVersion {
        version: u32,
        all: bool,
    },
    /// All keys of an owner.
    Disable,
}

/// What a change came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Acknowledged(Receipt),
    /// It was refused for a reason of its own, and nothing was changed.
    Refused(u16, Option<String>),
    /// Nobody knows: no answer, or a 5xx.
    Unknown(String),
}

/// What the answer to a change said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) status: u16,
    /// When the version before ends, of a rotation.
    pub(crate) retires_at: Option<At>,
    /// The gates that refuse already.
    pub(crate) applied_on: Vec<String>,
    /// The others, and when each stops by itself at the latest.
    pub(crate) pending: Vec<(String, Option<At>)>,
}

/// Something that was done to a gate or to the store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// The gate it was done to; else the store, and so all of them.
    pub(crate) gate: Option<usize>,
    pub(crate) from: At,
    pub(crate) to: At,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FaultKind {
    /// The gate's process is gone from `from`, and takes traffic again from `to`.
    Killed,
    /// The gate's process does nothing.
    Paused,
    /// The gate cannot talk with the store; whether it is told so, by connections that are refused, or
    /// hears nothing.
    Cut { is_told: bool },
    /// The gate's wall clock is so many seconds ahead.
    Clock(i64),
    /// Nothing was done, but the gate says that answers for shared limits did not come within its
    /// `lease_wait`: the machine was busy.
    Late,
    /// The store is away, empty, slow, or another server becomes the master; it forgets what it was told in
    /// the last `forgets` before.
    Store { forgets: At },
}

/// What was there when all had come to rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    /// What kept the gates from coming to rest, if anything.
    pub(crate) unrest: Vec<String>,
    /// What the gates' alarms say.
    pub(crate) alarms: Vec<String>,
    pub(crate) probes: Vec<Probe>,
    /// What the store says of each key, through a gate that knew nothing before.
    pub(crate) stored: Vec<Stored>,
    /// What is wrong with the audit chain, if anything.
    pub(crate) audit_fault: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

/// A request of the last look around.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) gate: usize,
    pub(crate) key: String,
    pub(crate) version: u32,
    pub(crate) at: At,
    pub(crate) outcome: Outcome,
}

/// A key as the store has it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) key: String,
    /// `None` if there is no such key.
    pub(crate) status: Option<String>,
    /// Requests counted.
    pub(crate) requests: u64,
}

/// An audit entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    pub(crate) key: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) version: Option<u32>,
    /// Whether somebody asked for it; else a gate did it by itself.
    pub(crate) is_asked: bool,
}
