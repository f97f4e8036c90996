//! Where new secrets are handed over, so that a key can rotate without anyone typing.
//!
//! A sink takes a secret, and can be asked for what it holds: a version becomes current only when what was
//! read back is what was handed over. Each is written for one way of keeping secrets; [`mod@file`] is the
//! first.

mod file;
mod handover;
mod named;
mod place;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::key::Key;
use crate::domain::secret::{Fingerprint, Secret};
use crate::domain::time::Timestamp;
use crate::store::StoreError;

pub use file::FileError;
pub use handover::{Handed, Handover};
pub use named::{NamedSink, Sinks};

/// A place where the secrets of some keys are handed over.
#[async_trait]
pub trait SecretSink: Send + Sync + 'static {
    /// Puts a secret in the place of the one before, whole or not at all, and so that a crash afterwards
    /// leaves it there.
    ///
    /// # Errors
    /// If it could not; the one before is there still, or the new one is.
    async fn put(&self, key: &Key, secret: &Secret, note: Note) -> Result<(), SinkError>;

    /// The secret that whoever fetches the key's secret now is given; `None` if there is none.
    ///
    /// # Errors
    /// If that cannot be known.
    async fn held(&self, key: &Key) -> Result<Option<Secret>, SinkError>;

    /// Where this gate's secrets go, if that may be another place than other gates' do: the same text at two
    /// gates that put them into one. `None` where there is but one place.
    ///
    /// # Errors
    /// If that cannot be known.
    async fn place(&self) -> Result<Option<String>, SinkError> {
        Ok(None)
    }
}

/// What is said of a secret that is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The version it is of.
    pub version: u16,
    /// What may be shown of it.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub made_at: Timestamp,
}

/// Why a sink did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file could not be written or read.
    #[error("file sink")]
    File(#[from] FileError),
    /// What was read back is not what was put there.
    #[error("it does not hold what it was given")]
    Mistaken,
    /// Whoever reads the sink reads what another gate hands over, and would not find what this one does.
    #[error("it is with gate `{0}`, not here")]
    Elsewhere(String),
    /// Where it is, is not known.
    #[error("the store does not say which gate it is with")]
    Unknown(#[source] StoreError),
    /// It did not answer in time.
    #[error("it did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// How long after so many failures before this one a sink is tried again.
pub(in crate::control) fn again_after(failures: u32) -> Duration {
    (AGAIN_AFTER * 2_u32.saturating_pow(failures.min(10))).min(AGAIN_MOST)
}

/// How long after its first failure; each further one doubles it.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The longest between two tries.
const AGAIN_MOST: Duration = Duration::from_secs(3_600);
