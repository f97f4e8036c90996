//! Keys: found, changed, paused, ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::sinks::Handover;
use crate::control::writer::{Audience, Done, Writer};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Key, VersionState};
use crate::domain::lifecycle;
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::permission::Scope;
use crate::domain::policy::Demands;
use crate::domain::product::Product;
use crate::domain::query::{KeyQuery, KeySort, Page, Position};
use crate::domain::rotation::Schedule;
use crate::domain::rules::RuleSet;
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
    /// Where secrets go besides to whoever asked for them.
    pub(super) handover: Option<Arc<Handover>>,
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
    /// How long ended secrets are attributed where nobody says.
    pub const TOMBSTONES_KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);

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
    /// Of each of its quotas, in their order, how much is spent; none of them where it was not asked for, or the store cannot say.
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
    /// Who is to know of it.
    pub audience: Audience,
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
            handover: None,
        }
    }

    /// The same, which knows what of quotas was granted to this gate and not spent.
    #[must_use]
    pub fn reading(mut self, cache: Arc<KeyCache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The same, which has the sinks of keys that are rotated told of their new secrets.
    #[must_use]
    pub fn handing_over(mut self, handover: Arc<Handover>) -> Self {
        self.handover = Some(handover);
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

    /// One key alone, as far as this gate knows it: also while the store is away.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn find(&self, caller: &Caller, id: KeyId) -> Result<Key, ControlError> {
        visible(&*self.store, caller, id).await
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
        query: KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<KeyView>, ControlError> {
        let rules = self.store.rules().await?;
        let mut page = self
            .unspent(caller, query, sort, limit, after, &rules)
            .await?;
        self.add_spent(&mut page.items).await;
        Ok(page)
    }

    /// The same by rules that are read already, and without what is spent of quotas, which costs a question more.
    pub(super) async fn unspent(
        &self,
        caller: &Caller,
        mut query: KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
        rules: &RuleSet,
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

    /// Whether `action` may be taken for this `reason`, or for none.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] if none is given where one is asked for: by the configuration, or by a
    /// policy that is about the key.
    pub(super) fn ensure_reasoned(
        &self,
        action: Action,
        reason: Option<&String>,
        demands: &Demands,
    ) -> Result<(), ControlError> {
        let detail = if reason.is_some() {
            return Ok(());
        } else if self.rules.reason_required(action) {
            "this gate asks for a reason".to_owned()
        } else if let Some(policy) = demands.reason_asker(action) {
            format!("the policy `{policy}` asks for a reason")
        } else {
            return Ok(());
        };
        Err(ControlError::field("/reason", "missing", &detail))
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

pub(super) fn unknown_owner(key: &Key) -> Owner {
    Owner {
        id: key.owner,
        name: key.owner.to_string(),
        kind: OwnerKind::System,
        created_at: key.created_at,
        disabled_at: None,
    }
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
