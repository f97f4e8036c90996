//! Which sink is for which keys.

use std::sync::Arc;

use super::{SecretSink, file};
use crate::config::{Sink, SinkKind};
use crate::domain::key::Key;
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
