//! Finds audit entries, of changes and of requests, as one list.

use std::sync::Arc;

use serde_json::Value;

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::writer::Writer;
use crate::domain::audit::chain::Sealed;
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::verify::Verdict;
use crate::domain::audit::{Action, Outcome};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::query::{Page, Position};
use crate::domain::time::Clock;
use crate::store::{Store, StoreError};

/// Finds and verifies audit entries.
pub struct AuditService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As it is exported.
    pub form: Value,
}

impl AuditService {
    /// A service over `store`; what was refused goes through `writer`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, writer: Arc<Writer>) -> Self {
        Self {
            store,
            clock,
            writer,
        }
    }

    /// Notes that something was refused to `caller`: what it would have been, to what, and the code of the
    /// problem. It is in the log within a second or so.
    pub fn note_refusal(
        &self,
        caller: &Caller,
        action: Action,
        key: Option<KeyId>,
        owner: Option<OwnerId>,
        code: &str,
    ) {
        // Without random bytes there is no id; whoever was refused was refused all the same.
        let Ok(mut entry) = caller.did(action, self.clock.now()) else {
            return;
        };
        entry.outcome = Outcome::Refused(code.to_owned());
        entry.key = key;
        entry.owner = caller.bound_to.or(owner);
        self.writer.note_refusal(entry);
    }

    /// A page of entries, the newest first; for a bound caller, those about its owner. `with_salts` adds
    /// what it takes to verify them elsewhere.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn list(
        &self,
        caller: &Caller,
        mut query: AuditQuery,
        limit: usize,
        after: Option<Position>,
        with_salts: bool,
    ) -> Result<Page<Found>, ControlError> {
        if let Some(bound) = caller.bound_to {
            if query.owner.is_some_and(|owner| owner != bound) {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                });
            }
            query.owner = Some(bound);
        }
        // What was refused a moment ago is to be found, too.
        if let Err(error) = self.writer.flush_refusals().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "what was refused cannot be written into the audit log yet"
            );
        }
        let page = self.store.audit(&query, limit, after).await?;
        let items: Result<_, _> = page
            .items
            .iter()
            .map(|sealed| found(sealed, with_salts))
            .collect();
        Ok(Page {
            items: items?,
            next: page.next,
        })
    }

    /// Walks the chain.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn verify(&self) -> Result<Verdict, ControlError> {
        Ok(self.store.verify_audit().await?)
    }
}

fn found(sealed: &Sealed, with_salts: bool) -> Result<Found, ControlError> {
    let form = if with_salts {
        sealed.form_to_verify()
    } else {
        sealed.form()
    };
    let form = form.map_err(|source| StoreError::Corrupt {
        table: "audit",
        key: sealed.seq.to_string(),
        source: source.into(),
    })?;
    Ok(Found { form })
}
