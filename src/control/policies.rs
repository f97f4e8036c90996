//! Policies: made, changed, taken away, tried out.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, AuditEntry, FieldChange};
use crate::domain::change::{Gone, Write};
use crate::domain::id::{OwnerId, PolicyId};
use crate::domain::key::{Key, KeyStatus};
use crate::domain::lifecycle::{FieldFault, is_text};
use crate::domain::owner::OwnerKind;
use crate::domain::policy::{Demands, Judgement, Policy, PolicyTerms};
use crate::domain::product::Product;
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::secret::Fingerprint;
use crate::domain::selector::Selector;
use crate::domain::span::Span;
use crate::domain::time::{Clock, Timestamp};
use crate::store::Store;

/// Makes, changes and tries out policies.
pub struct PolicyService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    /// The products of the configuration.
    products: Vec<Product>,
}

/// What a policy is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDraft {
    /// What people call it.
    pub name: String,
    /// Why there is one.
    pub description: Option<String>,
    /// Whether it is in force.
    pub enabled: bool,
    /// Which keys it is about.
    pub selector: Selector,
    /// What it asks of them.
    pub terms: PolicyTerms,
}

/// What policies would do to a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The key.
    pub key: Key,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// What is said of it.
    pub judgement: Judgement,
}

/// What policies would do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// How many keys there are that are in force.
    pub keys: u64,
    /// How many would be warned, and revoked if nobody uses them.
    pub revoked: u64,
    /// How many lack what they must have, or have what they must not.
    pub violating: u64,
    /// The keys, but no more than [`PREVIEW_MAX`].
    pub items: Vec<Judged>,
}

impl PolicyService {
    /// A service over `store`; every change goes through `writer`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        products: Vec<Product>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            products,
        }
    }

    /// The policies there are, in the order of their ids.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn list(&self) -> Result<Vec<Policy>, ControlError> {
        Ok(self.store.rules().await?.policies)
    }

    /// One policy.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn load(&self, id: PolicyId) -> Result<Policy, ControlError> {
        let rules = self.store.rules().await?;
        let found = rules.policies.into_iter().find(|policy| policy.id == id);
        found.ok_or(ControlError::NotFound)
    }

    /// Makes a policy. It is in force when this returns.
    ///
    /// # Errors
    /// [`ControlError::Bound`], [`ControlError::Invalid`], [`ControlError::NameTaken`], or what the store
    /// returns.
    pub async fn create(
        &self,
        caller: &Caller,
        wanted: &PolicyDraft,
    ) -> Result<Policy, ControlError> {
        check(caller, wanted)?;
        let create = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                if rules.policies.iter().any(|it| it.name == wanted.name) {
                    return Err(ControlError::NameTaken);
                }
                let mut id = PolicyId::from_random(draw()?);
                while rules.policies.iter().any(|policy| policy.id == id) {
                    id = PolicyId::from_random(draw()?);
                }
                let policy = wanted.clone().into_policy(id, now);
                let mut entry = caller.did(Action::PolicyCreation, now)?;
                tell(&mut entry, None, Some(&policy));
                Ok(Draft {
                    writes: vec![Write::Policy(policy.clone())],
                    audit: vec![entry],
                    value: policy,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(create).await?.value)
    }

    /// Makes another policy of one.
    ///
    /// # Errors
    /// As [`PolicyService::create`]; [`ControlError::NotFound`]; [`ControlError::Changed`] if it has none
    /// of the tags in `if_match`.
    pub async fn change(
        &self,
        caller: &Caller,
        id: PolicyId,
        if_match: Option<&[String]>,
        edit: impl Fn(PolicyDraft) -> PolicyDraft + Send + Sync,
    ) -> Result<Policy, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let edit = &edit;
        let change = || {
            async move {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let before = rules.policies.iter().find(|policy| policy.id == id);
                let before = before.ok_or(ControlError::NotFound)?;
                ensure_seen(before, if_match)?;
                let wanted = edit(PolicyDraft::of(before));
                check(caller, &wanted)?;
                let is_taken = |it: &Policy| it.name == wanted.name && it.id != id;
                if rules.policies.iter().any(is_taken) {
                    return Err(ControlError::NameTaken);
                }
                let after = wanted.into_policy(id, before.created_at);
                if after == *before {
                    return Ok(Draft::nothing(after));
                }
                let mut entry = caller.did(Action::PolicyUpdate, now)?;
                tell(&mut entry, Some(before), Some(&after));
                Ok(Draft {
                    writes: vec![Write::Policy(after.clone())],
                    audit: vec![entry],
                    value: after,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(change).await?.value)
    }

    /// Takes a policy away.
    ///
    /// # Errors
    /// [`ControlError::Bound`], [`ControlError::NotFound`], [`ControlError::Changed`], or what the store
    /// returns.
    pub async fn delete(
        &self,
        caller: &Caller,
        id: PolicyId,
        if_match: Option<&[String]>,
    ) -> Result<Policy, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let delete = || {
            async move {
                let policy = self.load(id).await?;
                ensure_seen(&policy, if_match)?;
                let mut entry = caller.did(Action::PolicyDeletion, self.clock.now())?;
                tell(&mut entry, Some(&policy), None);
                Ok(Draft {
                    writes: vec![Write::Gone(Gone::Policy(id))],
                    audit: vec![entry],
                    value: policy,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(delete).await?.value)
    }

    /// What would be done about which keys if `wanted` were a policy beside those there are, or in the
    /// place of `instead_of`; without one, what those there are do. Decided by what decides in earnest.
    ///
    /// # Errors
    /// [`ControlError::Bound`], [`ControlError::Invalid`], or what the store returns.
    pub async fn preview(
        &self,
        caller: &Caller,
        wanted: Option<&PolicyDraft>,
        instead_of: Option<PolicyId>,
    ) -> Result<Preview, ControlError> {
        let now = self.clock.now();
        let rules = self.store.rules().await?;
        let products = rules.products_beside(&self.products);
        let mut policies = rules.policies;
        policies.retain(|policy| Some(policy.id) != instead_of);
        if let Some(wanted) = wanted {
            check(caller, wanted)?;
            let id = PolicyId::from_random(draw()?);
            policies.push(wanted.clone().into_policy(id, now));
        }
        let mut kinds: HashMap<OwnerId, OwnerKind> = HashMap::new();
        let mut preview = Preview::default();
        let query = KeyQuery {
            now,
            ..KeyQuery::default()
        };
        let mut after = None;
        loop {
            let page = self
                .store
                .keys(&query, KeySort::default(), PAGE, after)
                .await?;
            for row in page.items {
                if matches!(row.key.status(now), KeyStatus::Revoked | KeyStatus::Expired) {
                    continue;
                }
                let kind = match kinds.get(&row.key.owner) {
                    Some(kind) => *kind,
                    None => {
                        let owner = self.store.owner(row.key.owner).await?;
                        let kind = owner.map_or(OwnerKind::System, |owner| owner.kind);
                        *kinds.entry(row.key.owner).or_insert(kind)
                    }
                };
                let last_used = row.last_used.iter().map(|(_, at)| *at).max();
                let demands = Demands::on(&policies, &row.key);
                let judgement = demands.judge(&row.key, kind, &products, last_used, now);
                preview.add(row.key, last_used, judgement, now);
            }
            after = page.next;
            if after.is_none() {
                return Ok(preview);
            }
        }
    }
}

impl Preview {
    fn add(
        &mut self,
        key: Key,
        last_used: Option<Timestamp>,
        judgement: Judgement,
        now: Timestamp,
    ) {
        self.keys += 1;
        let fate = judgement.outlook.fate;
        self.revoked += u64::from(fate.is_some_and(|fate| fate.warn_at <= now));
        self.violating += u64::from(!judgement.faults.is_empty());
        if !judgement.is_clean(now) && self.items.len() < PREVIEW_MAX {
            self.items.push(Judged {
                key,
                last_used,
                judgement,
            });
        }
    }
}

impl PolicyDraft {
    fn of(policy: &Policy) -> Self {
        Self {
            name: policy.name.clone(),
            description: policy.description.clone(),
            enabled: policy.enabled,
            selector: policy.selector.clone(),
            terms: policy.terms.clone(),
        }
    }

    fn into_policy(self, id: PolicyId, created_at: Timestamp) -> Policy {
        Policy {
            id,
            name: self.name,
            description: self.description,
            enabled: self.enabled,
            selector: self.selector,
            terms: self.terms,
            created_at,
        }
    }
}

/// Changes whenever the policy does: what an `ETag` holds.
#[must_use]
pub fn tag(policy: &Policy) -> String {
    // `Debug` names every field there is, so none can be forgotten here.
    let digest = Sha256::digest(format!("{policy:?}"));
    Fingerprint::of_sha256(&digest.into()).to_string()
}

fn ensure_seen(policy: &Policy, if_match: Option<&[String]>) -> Result<(), ControlError> {
    match if_match {
        Some(tags) if !tags.contains(&tag(policy)) => Err(ControlError::Changed),
        _ => Ok(()),
    }
}

fn check(caller: &Caller, wanted: &PolicyDraft) -> Result<(), ControlError> {
    if caller.bound_to.is_some() {
        return Err(ControlError::Bound);
    }
    let mut faults = Vec::new();
    if !is_text(&wanted.name, 1, 128) {
        let detail = "a name has 1 to 128 characters and no control characters";
        faults.push(FieldFault::new("/name", "length", detail));
    }
    let is_long = |text: &String| !is_text(text, 0, 1_024);
    if wanted.description.as_ref().is_some_and(is_long) {
        let detail = "a description has at most 1024 characters and no control characters";
        faults.push(FieldFault::new("/description", "length", detail));
    }
    if wanted.terms == PolicyTerms::default() {
        let detail = "a policy asks for something";
        faults.push(FieldFault::new("", "missing", detail));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ControlError::Invalid(faults))
    }
}

fn tell(entry: &mut AuditEntry, before: Option<&Policy>, after: Option<&Policy>) {
    let told = |policy: Option<&Policy>| policy.map_or(Value::Null, told);
    entry.changes.push(FieldChange {
        field: "policy".to_owned(),
        from: told(before),
        to: told(after),
    });
}

fn told(policy: &Policy) -> Value {
    let terms = &policy.terms;
    let span = |span: Option<std::time::Duration>| span.map(|span| Span(span).to_string());
    let scopes = terms.allowed_scopes.as_ref();
    json!({
        "id": policy.id.to_string(),
        "name": policy.name,
        "enabled": policy.enabled,
        "selector": policy.selector.to_string(),
        "max_age": span(terms.max_age),
        "require_expiry": terms.require_expiry,
        "require_description": terms.require_description,
        "require_reason": terms.require_reason,
        "owner_types": terms.owner_kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "allowed_scopes": scopes.map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "unused_alert_after": span(terms.unused_alert_after),
        "stale_after": span(terms.stale_after),
        "revoke_unused_after": span(terms.revoke_unused_after),
        "revoke_warning": span(terms.revoke_warning),
    })
}

/// How many keys a preview lists; it counts them all.
pub const PREVIEW_MAX: usize = 1_000;
const PAGE: usize = 1_000;
