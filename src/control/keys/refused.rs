//! Attempts that were refused to someone who is known: they are in the audit log too.

use crate::control::ControlError;
use crate::control::caller::{About, Caller, reason};
use crate::control::keys::{KeyService, Terms};
use crate::domain::audit::{Action, Outcome};
use crate::domain::id::KeyId;

/// What someone tried to do.
#[derive(Debug)]
pub(super) struct Attempt {
    action: Action,
    key: Option<KeyId>,
    version: Option<u16>,
    reason: Option<String>,
}

impl Attempt {
    /// To make a key.
    pub(super) const fn making(action: Action) -> Self {
        Self {
            action,
            key: None,
            version: None,
            reason: None,
        }
    }

    /// To do something to a key.
    pub(super) fn on(action: Action, key: KeyId) -> Self {
        Self {
            key: Some(key),
            ..Self::making(action)
        }
    }

    /// To do it to one of its versions.
    pub(super) fn of_version(mut self, version: Option<u16>) -> Self {
        self.version = version;
        self
    }

    /// Why they did.
    pub(super) fn because(mut self, terms: &Terms) -> Self {
        // A reason that is itself what is wrong is not repeated.
        self.reason = reason(terms.reason.clone()).unwrap_or_default();
        self
    }
}

impl KeyService {
    /// The result, after its refusal was written down. A fault of ours is nobody's refused attempt.
    pub(super) async fn note_if_refused<T>(
        &self,
        caller: &Caller,
        attempt: Attempt,
        result: Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let code = match &result {
            Ok(_) => None,
            Err(error) => error.refusal(),
        };
        if let Some(code) = code
            && let Ok(mut entry) = caller.did(attempt.action, self.clock.now())
        {
            if let Some(id) = attempt.key {
                entry.key = Some(id);
                // What the caller does not see is still told of under its owner: it was an attempt on it.
                if let Ok(Some(key)) = self.store.key(id).await {
                    entry = entry.about_key(&key);
                }
            }
            entry.key_version = attempt.version;
            entry.reason = attempt.reason;
            entry.outcome = Outcome::Refused(code.to_owned());
            self.writer.note_refusal(entry);
        }
        result
    }
}
