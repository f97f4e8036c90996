//! Keys: found, changed, paused, ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::FutureExt;
use sha2::{Digest, Sha256};

use crate::control::ControlError;
use crate::control::caller::{About, Caller, reason};
use crate::control::keys::ground::Ground;
use crate::control::keys::refused::Attempt;
use crate::control::writer::{Done, Draft, Writer};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::Write;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Key, VersionState};
use crate::domain::lifecycle::{self, FieldFault};
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::patch::{SettingsPatch, changes};
use crate::domain::permission::Scope;
use crate::domain::product::Product;
use crate::domain::query::{KeyQuery, KeySort, Page, Position};
use crate::domain::rotation::Schedule;
use crate::domain::secret::{Fingerprint, Hasher};
use crate::domain::time::{Clock, Timestamp};
use crate::state::keys::KeyCache;
use crate::store::Store;

/// Makes, finds and changes keys.
pub struct KeyService {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) writer: Arc<Writer>,
    pub(super) rules: Rules,
    /// What this gate holds of quotas, which the store counts as given out.
    pub(super) cache: Option<Arc<KeyCache>>,
}

/// How this gate makes keys.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What secrets begin with.
    pub prefix: String,
    /// Environments there are; the first is the default.
    pub envs: Vec<String>,
    /// How secrets are hashed.
    pub hasher: Hasher,
    /// The products of the configuration; the store keeps more.
    pub products: Vec<Product>,
    /// The scopes that routes ask for.
    pub scopes: Vec<Scope>,
    /// What is refused without a reason.
    pub require_reason: Vec<Action>,
}

impl Rules {
    /// Whether `action` is refused without a reason.
    #[must_use]
    pub fn reason_required(&self, action: Action) -> bool {
        self.require_reason.contains(&action)
    }
}

/// A key and what belongs to telling of it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyView {
    /// The key.
    pub key: Key,
    /// Who holds it.
    pub owner: Owner,
    /// When each version was last used, for those that were.
    pub last_used: Vec<(u16, Timestamp)>,
    /// Of each of its quotas, in their order, how much is spent; none of them where it was not asked for.
    pub spent: Vec<u64>,
    /// How and when it is to be rotated, if a rule covers it.
    pub schedule: Option<Schedule>,
}

impl KeyView {
    /// Changes whenever the key does: what an `ETag` holds.
    #[must_use]
    pub fn tag(&self) -> String {
        tag(&self.key)
    }
}

/// What is asked of a change besides the change itself.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The tags one of which the key must still have; `None`: any.
    pub if_match: Option<Vec<String>>,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

impl Terms {
    /// Whether the key is still as the caller last saw it, if they said how.
    pub(super) fn ensure_unchanged(&self, key: &Key) -> Result<(), ControlError> {
        match &self.if_match {
            Some(tags) if !tags.contains(&tag(key)) => Err(ControlError::Changed),
            _ => Ok(()),
        }
    }
}

/// What the audit log is to say was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed {
    pub(super) action: Action,
    /// To which version, where it is to one alone.
    pub(super) version: Option<u16>,
}

impl From<Action> for Deed {
    fn from(action: Action) -> Self {
        Self {
            action,
            version: None,
        }
    }
}

/// A step in the life of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pause it.
    Suspend,
    /// End its pause.
    Resume,
    /// End it for ever.
    Revoke,
}

impl KeyService {
    /// A service over `store`; every change goes through `writer`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        rules: Rules,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            rules,
            cache: None,
        }
    }

    /// The same, which knows what of quotas was granted to this gate and not spent.
    #[must_use]
    pub fn reading(mut self, cache: Arc<KeyCache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The kind of store that keys are kept in: `embedded` or `redis`.
    #[must_use]
    pub fn store_kind(&self) -> &'static str {
        self.store.kind()
    }

    /// One key with all its versions.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn load(&self, caller: &Caller, id: KeyId) -> Result<KeyView, ControlError> {
        let key = visible(&*self.store, caller, id).await?;
        self.view(key).await
    }

    /// One key and its owner, without when it was used: this much is known also while the store is away.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn held(&self, id: KeyId) -> Result<KeyView, ControlError> {
        let key = self.store.key(id).await?.ok_or(ControlError::NotFound)?;
        let rules = self.store.rules().await?;
        Ok(KeyView {
            owner: self.owner_of(&key).await?,
            schedule: Schedule::of(&rules.rotation, &key, self.clock.now()),
            last_used: Vec::new(),
            spent: Vec::new(),
            key,
        })
    }

    /// A page of the keys that `query` asks for and the caller sees.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn list(
        &self,
        caller: &Caller,
        mut query: KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<KeyView>, ControlError> {
        if let Some(bound) = caller.bound_to {
            if query.owner.is_some_and(|asked| asked != bound) {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                });
            }
            query.owner = Some(bound);
        }
        query.now = self.clock.now();
        let page = self.store.keys(&query, sort, limit, after).await?;
        let rules = self.store.rules().await?;
        let mut owners: HashMap<OwnerId, Owner> = HashMap::new();
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            let owner = match owners.get(&row.key.owner) {
                Some(known) => known.clone(),
                None => {
                    let owner = self.owner_of(&row.key).await?;
                    owners.insert(owner.id, owner.clone());
                    owner
                }
            };
            items.push(KeyView {
                schedule: Schedule::of(&rules.rotation, &row.key, query.now),
                key: row.key,
                owner,
                last_used: row.last_used,
                spent: Vec::new(),
            });
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }

    /// Gives a key other settings.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Changed`], [`ControlError::Invalid`],
    /// [`ControlError::Lifecycle`], or what the store returns.
    pub async fn change(
        &self,
        caller: &Caller,
        id: KeyId,
        patch: &SettingsPatch,
        found: &[FieldFault],
        terms: Terms,
    ) -> Result<KeyView, ControlError> {
        let step = |key: Key, now, ground: &Ground| {
            let settings = patch.clone().apply(key.settings.clone());
            let mut faults = found.to_vec();
            faults.extend(ground.faults(&settings, Some(&key.settings), now));
            let after = lifecycle::change(key, settings, now)?;
            // Its owner was judged when it was made, and is not what is changed here.
            faults.extend(ground.demanded(&after, None));
            if !faults.is_empty() {
                return Err(ControlError::Invalid(faults));
            }
            Ok(after)
        };
        let (deed, step) = (Action::KeyUpdate.into(), Work::OnGround(&step));
        Ok(self.amend_by(caller, id, deed, terms, step).await?.value)
    }

    /// Takes a key a step further in its life. A step that was taken before changes nothing.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Changed`], [`ControlError::Lifecycle`], or what the
    /// store returns.
    pub async fn take(
        &self,
        caller: &Caller,
        id: KeyId,
        step: Step,
        terms: Terms,
    ) -> Result<Done<KeyView>, ControlError> {
        let action = match step {
            Step::Suspend => Action::KeySuspension,
            Step::Resume => Action::KeyResumption,
            Step::Revoke => Action::KeyRevocation,
        };
        let step = |key, now| {
            Ok(match step {
                Step::Suspend => lifecycle::suspend(key, now)?,
                Step::Resume => lifecycle::resume(key)?,
                Step::Revoke => lifecycle::revoke(key, now)?,
            })
        };
        self.amend(caller, id, action.into(), terms, step).await
    }

    /// Takes a key a step further, and writes down who did; or that they were refused.
    pub(super) async fn amend(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: Terms,
        step: impl Fn(Key, Timestamp) -> Result<Key, ControlError> + Sync,
    ) -> Result<Done<KeyView>, ControlError> {
        let step = Work::OnKey(&step);
        self.amend_by(caller, id, deed, terms, step).await
    }

    async fn amend_by(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: Terms,
        step: Work<'_>,
    ) -> Result<Done<KeyView>, ControlError> {
        let attempt = Attempt::on(deed.action, id).of_version(deed.version);
        let attempt = attempt.because(&terms);
        let done = self.amend_once(caller, id, deed, &terms, step).await;
        self.note_if_refused(caller, attempt, done).await
    }

    async fn amend_once(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: &Terms,
        step: Work<'_>,
    ) -> Result<Done<KeyView>, ControlError> {
        let reason = self.reason_of(deed.action, terms)?;
        let amend = || {
            async {
                let now = self.clock.now();
                let before = visible(&*self.store, caller, id).await?;
                terms.ensure_unchanged(&before)?;
                let after = match step {
                    Work::OnKey(step) => step(before.clone(), now)?,
                    Work::OnGround(step) => step(before.clone(), now, &self.ground().await?)?,
                };
                if after == before {
                    return Ok(Draft::nothing(after));
                }
                let mut entry = caller.did(deed.action, now)?.about_key(&after);
                entry.reason.clone_from(&reason);
                entry.key_version = deed.version;
                entry.changes = changes(Some(&before.settings), &after.settings);
                entry
                    .changes
                    .extend(lifecycle_changes(&before, &after, now));
                Ok(Draft {
                    writes: vec![Write::Key(after.clone())],
                    audit: vec![entry],
                    value: after,
                })
            }
            .boxed()
        };
        let Done { revision, value } = self.writer.commit(amend).await?;
        let value = self.view_of_done(value).await;
        Ok(Done { revision, value })
    }

    /// The view of a key that was changed a moment ago. What else is told of a key is read only now, and
    /// where it cannot be, told of as unknown: nothing but the key itself may keep one from being revoked,
    /// nor its maker from learning that it is.
    async fn view_of_done(&self, key: Key) -> KeyView {
        match self.view(key.clone()).await {
            Ok(view) => view,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(key.id = %key.id, error, "a key was changed, but not all of it can be told");
                KeyView {
                    owner: unknown_owner(&key),
                    schedule: None,
                    last_used: Vec::new(),
                    spent: Vec::new(),
                    key,
                }
            }
        }
    }

    /// The reason given for `action`.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] if it cannot be one, or is missing where one is asked for.
    pub(super) fn reason_of(
        &self,
        action: Action,
        terms: &Terms,
    ) -> Result<Option<String>, ControlError> {
        let reason = reason(terms.reason.clone())?;
        if reason.is_none() && self.rules.reason_required(action) {
            let detail = "this gate asks for a reason";
            return Err(ControlError::field("/reason", "missing", detail));
        }
        Ok(reason)
    }

    pub(super) async fn view(&self, key: Key) -> Result<KeyView, ControlError> {
        let rules = self.store.rules().await?;
        Ok(KeyView {
            owner: self.owner_of(&key).await?,
            schedule: Schedule::of(&rules.rotation, &key, self.clock.now()),
            last_used: self.store.last_used(key.id).await?,
            spent: self.spent(&key).await,
            key,
        })
    }

    /// The owner of a key. One whose record is gone is told of by its id: that must not hide the key.
    async fn owner_of(&self, key: &Key) -> Result<Owner, ControlError> {
        let owner = self.store.owner(key.owner).await?;
        Ok(owner.unwrap_or_else(|| unknown_owner(key)))
    }
}

fn unknown_owner(key: &Key) -> Owner {
    Owner {
        id: key.owner,
        name: key.owner.to_string(),
        kind: OwnerKind::System,
        created_at: key.created_at,
        disabled_at: None,
    }
}

/// What becomes of a key.
#[derive(Clone, Copy)]
enum Work<'a> {
    /// By what it is alone.
    OnKey(&'a (dyn Fn(Key, Timestamp) -> Result<Key, ControlError> + Sync)),
    /// By what keys may name, too.
    OnGround(&'a (dyn Fn(Key, Timestamp, &Ground) -> Result<Key, ControlError> + Sync)),
}

/// The key of this id, if there is one for this caller.
pub(in crate::control) async fn visible(
    store: &dyn Store,
    caller: &Caller,
    id: KeyId,
) -> Result<Key, ControlError> {
    let key = store.key(id).await?;
    key.filter(|key| caller.sees(key.owner))
        .ok_or(ControlError::NotFound)
}

/// Changes whenever the key does.
fn tag(key: &Key) -> String {
    // `Debug` names every field there is, so none can be forgotten here; a hash does not show in it, but
    // its fingerprint does.
    // What was told of a key is nothing of its own.
    let key = Key {
        told: BTreeMap::new(),
        ..key.clone()
    };
    let digest = Sha256::digest(format!("{key:?}"));
    Fingerprint::of_sha256(&digest.into()).to_string()
}

/// What became of the key's standing, and of its versions that were ended by hand.
pub(in crate::control) fn lifecycle_changes(
    before: &Key,
    after: &Key,
    now: Timestamp,
) -> Vec<FieldChange> {
    let change = |field: String, from: &str, to: &str| FieldChange {
        field,
        from: from.into(),
        to: to.into(),
    };
    let mut changes = Vec::new();
    let (from, to) = (before.status(now), after.status(now));
    if from != to {
        changes.push(change("status".to_owned(), from.as_str(), to.as_str()));
    }
    for (old, new) in before.versions.iter().zip(&after.versions) {
        let (from, to) = (
            before.version_state(old, now),
            after.version_state(new, now),
        );
        if from != to && to == VersionState::Revoked {
            let field = format!("versions.{}.state", new.number);
            changes.push(change(field, from.as_str(), to.as_str()));
        }
    }
    changes
}
