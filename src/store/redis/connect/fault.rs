//! What goes wrong with a server, in words that say at which address and why.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::domain::change::Revision;
use crate::store::StoreError;

use super::server::Address;

/// What went wrong with a server, and at which address.
#[derive(Debug, Clone)]
pub(in crate::store::redis) struct Fault {
    address: Arc<str>,
    cause: Cause,
}

/// Why a server is of no use, as it ends the sentence "redis at …".
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::store::redis) enum Cause {
    #[error("cannot be reached")]
    Connect { source: RedisError },
    #[error("has no connection of ours yet")]
    NotConnected,
    #[error("is not followed any more")]
    Abandoned,
    #[error("does not answer in time")]
    Silent,
    #[error("{}", sentence(source))]
    Failed { source: RedisError },
    #[error("is version {version}: Redis 7 or Valkey is needed, or later")]
    Old { version: String },
    #[error("is a {role}, not the master")]
    NotMaster { role: String },
    #[error("is a sentinel: it belongs below `store.redis.sentinel.urls`")]
    Sentinel,
    #[error("is no sentinel: it belongs below `store.redis.urls`")]
    NoSentinel,
    #[error("is a node of a cluster: it belongs below `store.redis.cluster.urls`")]
    InCluster,
    #[error("is no node of a cluster: it belongs below `store.redis.urls`")]
    NoCluster,
    #[error("knows no master named `{name}`")]
    NoMaster { name: Arc<str> },
    #[error("has no master for the hash slot {slot}")]
    Unowned { slot: u16 },
    #[error(
        "may evict keys (maxmemory-policy {policy}, must be noeviction), so nothing is written to it"
    )]
    Evicts { policy: Arc<str> },
    #[error("was written by a newer version (format {format})")]
    Newer { format: u64 },
    #[error(
        "is empty, and this gate has a store of incarnation {mine}: restore it, or start the gate with `--accept-store` to begin anew"
    )]
    Emptied { mine: String },
    #[error(
        "has a store of incarnation {found}, and this gate one of {mine}: restore that, or start the gate with `--accept-store` to take this one"
    )]
    Foreign { found: String, mine: String },
    #[error("is damaged: {what}")]
    Damaged { what: String },
    #[error("does not bring back {id}, which was revoked")]
    Revived { id: String },
    #[error("no longer has all changes that this gate lacks")]
    Trimmed,
    #[error(
        "is at revision {found}, behind this gate's {mine}, and is about to be given back what it lacks"
    )]
    Older { found: Revision, mine: Revision },
    #[error("has another history than this gate")]
    Forked,
    #[error("is changed by others each time this gate tries")]
    Contended,
    #[error("is not sent {records} records and {bytes} bytes in one change")]
    TooLarge { records: usize, bytes: usize },
    #[error("cannot be mirrored")]
    Mirror { source: Arc<StoreError> },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis at {} {}", self.address, self.cause)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl Fault {
    /// What went wrong at a place.
    pub(super) fn at(place: &(impl fmt::Display + ?Sized), cause: Cause) -> Self {
        Self {
            address: place.to_string().into(),
            cause,
        }
    }

    /// Why.
    pub(in crate::store::redis) fn cause(&self) -> &Cause {
        &self.cause
    }
    /// Whether what was asked for may have been done all the same.
    pub(in crate::store::redis) fn leaves_doubt(&self) -> bool {
        match &self.cause {
            Cause::Silent => true,
            Cause::Failed { source } => {
                source.is_io_error()
                    || source.is_connection_dropped()
                    || source.is_unrecoverable_error()
            }
            _ => false,
        }
    }

    /// Whether nothing was heard, so that nobody said no: a network that drops what is sent or has no way there, a
    /// name that nobody resolves, a host that hangs. Who refuses, resets or answers has said no.
    pub(in crate::store::redis) fn is_silence(&self) -> bool {
        let has_said_no = match &self.cause {
            Cause::Connect { source } | Cause::Failed { source } => {
                source.is_connection_refusal() || source.is_connection_dropped()
            }
            _ => false,
        };
        self.is_on_the_way() && !has_said_no
    }

    /// Whether it is the way to the store that failed, and not what was found there.
    pub(in crate::store::redis) fn is_on_the_way(&self) -> bool {
        match &self.cause {
            Cause::Silent | Cause::NotConnected => true,
            Cause::Connect { source } | Cause::Failed { source } => source.is_io_error(),
            _ => false,
        }
    }

    /// Whether another connection is needed: this one is broken, or leads to a server that is no master any more.
    pub(super) fn ends_connection(&self) -> bool {
        let Cause::Failed { source } = &self.cause else {
            return self.leaves_doubt();
        };
        let demoted = matches!(
            source.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
                | ErrorKind::AuthenticationFailed
        ) || source.code() == Some("UNBLOCKED");
        demoted || self.leaves_doubt()
    }

    /// Whether a script was called by a name that the server does not know.
    pub(in crate::store::redis) fn is_unknown_script(&self) -> bool {
        matches!(&self.cause, Cause::Failed { source }
            if source.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }

    /// Whether a server has answered an error that has no code of its own, in these words.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(&self.cause, Cause::Failed { source }
            if source.code() == Some("ERR") && source.detail().is_some_and(|it| it.contains(words)))
    }

    /// Where a node of a cluster says that a command belongs. It has done nothing with it.
    pub(super) fn redirect(&self) -> Option<Redirect> {
        let Cause::Failed { source } = &self.cause else {
            return None;
        };
        let node = || {
            let (address, slot) = source.redirect_node()?;
            let mut address = Address::read(address)?;
            if address.host.is_empty() {
                // The node that answers does not know its own name: it is the one that was asked.
                address.host = Address::read(&self.address)?.host;
            }
            Some((slot, address))
        };
        match source.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => {
                node().map(|(slot, address)| Redirect::Moved { slot, address })
            }
            ErrorKind::Server(ServerErrorKind::Ask) => {
                node().map(|(_, address)| Redirect::Ask { address })
            }
            ErrorKind::Server(ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown) => {
                Some(Redirect::Later)
            }
            _ => None,
        }
    }
}

/// What a node of a cluster answers instead of doing what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot belongs to another, from now on.
    Moved {
        /// The slot.
        slot: u16,
        /// Whose it is.
        address: Address,
    },
    /// The slot is on its way to another, and this key is there already.
    Ask {
        /// Whither.
        address: Address,
    },
    /// Some of the keys are there already and some are not, or nobody serves the slot: soon, perhaps.
    Later,
}

impl Cause {
    /// Why a command got no answer, or one that says no.
    pub(super) fn of(source: RedisError) -> Self {
        if source.is_timeout() {
            Self::Silent
        } else {
            Self::Failed { source }
        }
    }

    /// Why there is no connection.
    pub(super) fn of_connecting(source: RedisError) -> Self {
        if source.kind() == ErrorKind::AuthenticationFailed || source.code().is_some() {
            Self::Failed { source }
        } else {
            Self::Connect { source }
        }
    }
}

/// What an answer that says no means to an operator, and what may be done about it.
fn sentence(source: &RedisError) -> &'static str {
    if source.kind() == ErrorKind::AuthenticationFailed {
        return NOT_LET_IN;
    }
    match source.code() {
        Some("NOAUTH" | "WRONGPASS") => NOT_LET_IN,
        Some("NOPERM") => NOT_PERMITTED,
        // What Redis 7.0 says of a script that goes beyond what its caller may.
        Some("ERR")
            if source
                .detail()
                .is_some_and(|it| it.contains("user executing the script")) =>
        {
            NOT_PERMITTED
        }
        Some("OOM") => "is out of memory (maxmemory), so nothing is written to it",
        Some("READONLY") => "is a replica now, not the master",
        Some("MASTERDOWN") => "is a replica that has lost its master",
        Some("LOADING") => "is still loading its data",
        Some("BUSY") => "is held up by a script of somebody's",
        Some("MISCONF") => "cannot write to its disk, so it takes no writes",
        Some("NOREPLICAS") => "has too few replicas (min-replicas-to-write), so it takes no writes",
        Some("WRONGTYPE") => {
            "has data of somebody else's where ours would be: choose another `prefix`"
        }
        Some("CLUSTERDOWN") => "says that its cluster is down",
        Some("MOVED" | "ASK" | "TRYAGAIN") => "is moving the hash slot to another node",
        Some("CROSSSLOT") => "was asked for keys of two hash slots",
        _ => "answers with an error",
    }
}

const NOT_PERMITTED: &str =
    "does not permit its user what a gate needs: see the ACL in docs/operations.md";
const NOT_LET_IN: &str = "does not let us in: wrong user or password";

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault.cause {
            Cause::Newer { .. }
            | Cause::Emptied { .. }
            | Cause::Foreign { .. }
            | Cause::Damaged { .. } => Self::Unusable {
                place: format!("redis at {}", fault.address),
                reason: format!("it {}", fault.cause),
            },
            _ => Self::unavailable(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind as Io};

    use super::*;

    #[test]
    fn only_who_refuses_resets_or_answers_has_said_no() {
        let of = |kind: Io| {
            let source = RedisError::from(io::Error::from(kind));
            Fault::at("here", Cause::Connect { source }).is_silence()
        };
        for silent in [
            Io::TimedOut,
            Io::HostUnreachable,
            Io::NetworkUnreachable,
            Io::NetworkDown,
            Io::Other,
        ] {
            assert!(of(silent), "{silent:?}");
        }
        for no in [
            Io::ConnectionRefused,
            Io::ConnectionReset,
            Io::BrokenPipe,
            Io::UnexpectedEof,
        ] {
            assert!(!of(no), "{no:?}");
        }
        let source = RedisError::from((ErrorKind::AuthenticationFailed, "wrong password"));
        assert!(!Fault::at("here", Cause::Failed { source }).is_silence());
        assert!(Fault::at("here", Cause::Silent).is_silence());
    }
}
