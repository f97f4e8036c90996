//! Where new secrets are handed over, so that a key can rotate without anyone typing.
//!
//! A sink takes a secret, and can be asked for what it holds: a version becomes current only when what was
//! read back is what was handed over. Each is written for one way of keeping secrets; [`file`] is the
//! first.

mod file;

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{Sink, SinkKind};
use crate::domain::key::Key;
use crate::domain::secret::{Fingerprint, Secret};
use crate::domain::selector::Selector;
use crate::domain::time::Timestamp;

pub use file::FileError;

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
}

/// A sink and the keys it is for.
#[derive(Clone)]
pub struct NamedSink {
    /// What logs and audit entries call it.
    pub name: Arc<str>,
    /// The keys whose secrets go there.
    pub selector: Selector,
    /// The sink.
    pub sink: Arc<dyn SecretSink>,
}

impl std::fmt::Debug for NamedSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NamedSink({}, {:?})", self.name, self.selector)
    }
}

/// All the sinks there are.
#[derive(Debug, Clone, Default)]
pub struct Sinks(Vec<NamedSink>);

impl Sinks {
    /// The sinks of a configuration.
    #[must_use]
    pub fn configured(sinks: &[Sink]) -> Self {
        let named = sinks.iter().map(|sink| NamedSink {
            name: sink.name.as_str().into(),
            selector: sink.selector.clone(),
            sink: match &sink.kind {
                SinkKind::File(file) => Arc::new(file::FileSink::new(file.clone())),
            },
        });
        Self(named.collect())
    }

    /// These sinks.
    #[must_use]
    pub fn of(sinks: Vec<NamedSink>) -> Self {
        Self(sinks)
    }

    /// Where the secret of `key` goes: of the sinks that are for it the narrowest, of those the first.
    #[must_use]
    pub fn of_key(&self, key: &Key) -> Option<&NamedSink> {
        let covering = self.0.iter().filter(|sink| sink.selector.covers(key));
        // Of several greatest, `max_by_key` takes the last.
        covering.rev().max_by_key(|sink| sink.selector.narrowness())
    }
}
