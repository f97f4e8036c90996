//! What can go wrong with a store.

use crate::domain::change::Revision;
use crate::domain::id::KeyId;

/// Why a store did not do what was asked. *Not found* is no error: that is `None`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else's change came first. Reload and try again.
    #[error("store is at revision {found}, change expected {expected}")]
    Conflict {
        /// What the change was made against.
        expected: Revision,
        /// Where the store is.
        found: Revision,
    },
    /// Another gate has taken over the job that the change was made by.
    #[error("another gate does the job `{job}` now")]
    Fenced {
        /// The job.
        job: String,
    },
    /// A hash in the change belongs to a version of another key.
    #[error("a secret in the change already belongs to {key}")]
    DuplicateHash {
        /// The key that has it.
        key: KeyId,
    },
    /// The store cannot be reached or does not answer; nothing is known to be wrong with what it holds.
    #[error("store is unavailable")]
    Unavailable {
        /// What was tried, and what came of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk is full; reads go on.
    #[error("store has no room left")]
    Full {
        /// What was tried, and what came of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored cannot be understood.
    #[error("record {key} in {table} cannot be read")]
    Corrupt {
        /// Where it lies.
        table: &'static str,
        /// Which one it is.
        key: String,
        /// Why it cannot be read.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is there is no store of ours, or one of a newer version.
    #[error("{place} cannot be opened: {reason}")]
    Unusable {
        /// The file or address.
        place: String,
        /// Why, for people.
        reason: String,
    },
}

impl StoreError {
    /// The store could not be reached.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable {
            source: source.into(),
        }
    }
}
