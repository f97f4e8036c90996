//! Finds audit entries, of changes and of requests, as one list.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::writer::Writer;
use crate::domain::audit::chain::Sealed;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::query::AuditQuery;
use crate::domain::audit::request::RequestEntry;
use crate::domain::audit::verify::{Trust, Verdict};
use crate::domain::audit::{Action, Outcome};
use crate::domain::id::{AuditId, KeyId, OwnerId};
use crate::domain::query::{Page, Position, SortValue};
use crate::domain::time::{Clock, Timestamp};
use crate::store::requests::RequestLog;
use crate::store::signed_head::SignedHead;
use crate::store::{Store, StoreError};

/// Finds and verifies audit entries.
pub struct AuditService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    /// Requests at this gate; `None` where none are kept.
    requests: Option<Arc<RequestLog>>,
    trust: Trust,
    /// The walk that is under way, held by whoever waits for it. One whose caller went away stays here: it
    /// still reads.
    walk: tokio::sync::Mutex<Option<BoxFuture<'static, Result<Verdict, StoreError>>>>,
    /// How far the log was signed; `None` where that is not kept.
    signed: Option<Arc<SignedHead>>,
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
            requests: None,
            trust: Trust::Nobody,
            walk: tokio::sync::Mutex::default(),
            signed: None,
        }
    }

    /// The same, of the gate `node`, which knows its own `key`.
    #[must_use]
    pub fn of_node(mut self, node: Arc<str>, key: [u8; 32]) -> Self {
        self.trust = Trust::Itself { node, key };
        self
    }

    /// The same, held to what was `signed`.
    #[must_use]
    pub fn with_signed(mut self, signed: Arc<SignedHead>) -> Self {
        self.signed = Some(signed);
        self
    }

    /// The same, with the requests that are in `log`.
    #[must_use]
    pub fn with_requests(mut self, log: Arc<RequestLog>) -> Self {
        self.requests = Some(log);
        self
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
        let changes = self.store.audit(&query, limit, after.clone()).await?;
        let requests = self.requests(query, limit, after).await?;
        // Up to where both lists are known: a page that ends early has more behind it, and what the other
        // one has from there on belongs to the next.
        let known = [&changes.next, &requests.next];
        let known = known.into_iter().flatten().map(bound).max();
        let mut all = Vec::with_capacity(changes.items.len() + requests.items.len());
        for sealed in &changes.items {
            all.push(place(found(sealed, with_salts)?));
        }
        for request in &requests.items {
            let form = request.form();
            all.push(place(Found { form }));
        }
        all.sort_by(|(a, _), (b, _)| b.cmp(a));
        if let Some(known) = &known {
            all.retain(|(place, _)| place >= known);
        }
        let is_cut = all.len() > limit;
        all.truncate(limit);
        let last = all.last().map(|(place, _)| place.clone());
        // A page of nothing but what cannot be read is empty, and not the last.
        let next = if is_cut { last } else { known };
        let next = next.map(|(at, id)| Position {
            value: SortValue::Number(at.as_millis()),
            id,
        });
        let items = all.into_iter().map(|(_, found)| found).collect();
        Ok(Page { items, next })
    }

    async fn requests(
        &self,
        query: AuditQuery,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<RequestEntry>, StoreError> {
        let Some(log) = self.requests.clone() else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let find = move || log.find(&query, limit, after.as_ref());
        let found = tokio::task::spawn_blocking(find).await;
        found.map_err(StoreError::unavailable)?
    }

    /// The checkpoints of the entries on a page, as lines of an export.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn checkpoints(&self, page: &[Found]) -> Result<Vec<Value>, ControlError> {
        let seqs = page
            .iter()
            .filter_map(|found| found.form.get("seq")?.as_u64());
        let (first, last) = seqs.fold((u64::MAX, 0), |(first, last), seq| {
            (first.min(seq), last.max(seq))
        });
        let mut all = self.store.checkpoints(first, page.len()).await?;
        all.retain(|checkpoint| checkpoint.head.seq <= last);
        Ok(all.iter().map(Checkpoint::form).collect())
    }

    /// Walks the chain, and looks whether what was signed is in it; for one caller at a time: a walk keeps
    /// one of the store's few readers for as long as it takes, and changes wait for those too.
    ///
    /// # Errors
    /// [`ControlError::Verifying`] while it is being walked; what the store returns.
    pub async fn verify(&self) -> Result<Verdict, ControlError> {
        let mut walk = self.walk.try_lock().map_err(|_| ControlError::Verifying)?;
        if let Some(left) = walk.as_mut() {
            // What it finds is of another time.
            let _ = left.await;
        }
        let store = Arc::clone(&self.store);
        let verdict = walk
            .insert(async move { store.verify_audit().await }.boxed())
            .await;
        *walk = None;
        let mut verdict = verdict?.trusting(&self.trust);
        if let (None, Some(signed)) = (verdict.fault, &self.signed) {
            verdict.fault = signed.fault(&*self.store).await?;
        }
        Ok(verdict)
    }
}

/// What the list is sorted by: when, then the id, so that the order is total.
fn place(found: Found) -> ((Timestamp, String), Found) {
    let text = |name| {
        found
            .form
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let at = text("timestamp").parse().unwrap_or_default();
    let id = text("id");
    let id = id.strip_prefix(AuditId::PREFIX).unwrap_or(id).to_owned();
    ((at, id), found)
}

/// As [`place`], of the last entry of a page.
fn bound(position: &Position) -> (Timestamp, String) {
    let at = match position.value {
        SortValue::Number(at) => Timestamp::from_millis(at),
        SortValue::Text(_) => Timestamp::default(),
    };
    (at, position.id.clone())
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
