//! Which sink is for which keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Note, SecretSink, SinkError, file};
use crate::config::{Sink, SinkKind};
use crate::domain::key::Key;
use crate::domain::secret::Secret;
use crate::domain::selector::Selector;

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

impl NamedSink {
    /// As [`SecretSink::put`], within a time.
    ///
    /// # Errors
    /// As there, and [`SinkError::Slow`]: then nobody knows whether the sink has it.
    pub async fn put(&self, key: &Key, secret: &Secret, note: Note) -> Result<(), SinkError> {
        let put = self.sink.put(key, secret, note);
        timeout(ANSWER_WITHIN, put)
            .await
            .map_err(|_| SinkError::Slow)?
    }

    /// As [`SecretSink::held`], within a time.
    ///
    /// # Errors
    /// As there, and [`SinkError::Slow`].
    pub async fn held(&self, key: &Key) -> Result<Option<Secret>, SinkError> {
        let held = self.sink.held(key);
        timeout(ANSWER_WITHIN, held)
            .await
            .map_err(|_| SinkError::Slow)?
    }
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

/// How long a sink may take. A walk over all keys waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
