//! Finds audit entries, of changes and of requests, as one list.

use std::sync::Arc;

use serde_json::Value;

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::domain::audit::chain::Sealed;
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::verify::Verdict;
use crate::domain::query::{Page, Position};
use crate::store::{Store, StoreError};

/// Finds and verifies audit entries.
pub struct AuditService {
    store: Arc<dyn Store>,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As it is exported.
    pub form: Value,
}

impl AuditService {
    /// A service over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
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
