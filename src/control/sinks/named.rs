//! Which sink is for which keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// How often it did not take a secret, or could not be read back.
    pub failures: Arc<AtomicU64>,
}

impl std::fmt::Debug for NamedSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NamedSink({}, {:?})", self.name, self.selector)
    }
}

impl NamedSink {
    /// Hands a secret over, and reads it back.
    ///
    /// # Errors
    /// If the sink did not take it, or does not hold it afterwards.
    pub(in crate::control) async fn hand_over(
        &self,
        key: &Key,
        secret: &Secret,
        note: Note,
    ) -> Result<(), SinkError> {
        self.sink.put(key, secret, note).await?;
        let held = self.sink.held(key).await?;
        if held.is_none_or(|held| held.reveal() != secret.reveal()) {
            return Err(SinkError::Mistaken);
        }
        tracing::info!(
            key.id = %key.id, key.version = note.version, sink = %self.name,
            "sink `{}` took a new secret", self.name
        );
        Ok(())
    }

    /// Counts that it failed, and says so: at first, and then at each power of two.
    pub(in crate::control) fn tell_failure(&self, key: &Key, error: &SinkError, failures: u32) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if failures == 0 || failures.is_power_of_two() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(
                key.id = %key.id, sink = %self.name, failures, error,
                "sink `{}` does not take a secret, the key is left working", self.name
            );
        }
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
            failures: Arc::default(),
            sink: match &sink.kind {
                SinkKind::File(file) => Arc::new(file::FileSink::new(file.clone())),
            },
        });
        Self(named.collect())
    }

    /// How often each failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        let each = self.0.iter();
        each.map(|sink| (&sink.name, sink.failures.load(Ordering::Relaxed)))
    }

    /// All of them.
    pub(in crate::control) fn iter(&self) -> impl Iterator<Item = &NamedSink> {
        self.0.iter()
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
