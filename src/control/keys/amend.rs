//! Steps of a key's life: taken, written down, and told of.
//!
//! Nothing but the key itself may keep one from being revoked. So a step reads what it needs and no more, and
//! what else is told of a key is read once the step has landed.

use futures_util::FutureExt;

use super::KeyService;
use super::ground::Ground;
use super::refused::Attempt;
use super::service::{Deed, KeyView, Terms, lifecycle_changes, unknown_owner, visible};
use crate::control::ControlError;
use crate::control::caller::{About, Caller, reason};
use crate::control::rotation::RuleStep;
use crate::control::writer::{Done, Draft, ORDINARY};
use crate::domain::audit::Action;
use crate::domain::change::Write;
use crate::domain::id::KeyId;
use crate::domain::key::Key;
use crate::domain::patch::changes;
use crate::domain::policy::Demands;
use crate::domain::time::Timestamp;
use crate::domain::tombstone::{Ended, name_of};

/// What a step makes of a key.
pub(super) struct Amended {
    pub(super) key: Key,
    /// What becomes of the rule of rotation that is the key's own, if that changes.
    pub(super) rule: Option<RuleStep>,
}

impl From<Key> for Amended {
    fn from(key: Key) -> Self {
        Self { key, rule: None }
    }
}

/// What becomes of a key.
#[derive(Clone, Copy)]
enum Work<'a> {
    /// By what it is alone.
    OnKey(&'a (dyn Fn(Key, Timestamp) -> Result<Key, ControlError> + Sync)),
    /// By what keys may name, too.
    OnGround(&'a (dyn Fn(Key, Timestamp, &Ground) -> Result<Amended, ControlError> + Sync)),
}

impl KeyService {
    /// Takes a key a step further, and writes down who did; or that they were refused.
    pub(super) async fn amend(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: Terms,
        step: impl Fn(Key, Timestamp) -> Result<Key, ControlError> + Sync,
    ) -> Result<Done<KeyView>, ControlError> {
        let work = Work::OnKey(&step);
        self.amend_by(caller, id, deed, terms, work).await
    }

    /// Like [`Self::amend`], by a step that asks what keys may name.
    pub(super) async fn amend_on(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: Terms,
        step: impl Fn(Key, Timestamp, &Ground) -> Result<Amended, ControlError> + Sync,
    ) -> Result<Done<KeyView>, ControlError> {
        let work = Work::OnGround(&step);
        self.amend_by(caller, id, deed, terms, work).await
    }

    async fn amend_by(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: Terms,
        work: Work<'_>,
    ) -> Result<Done<KeyView>, ControlError> {
        let attempt = Attempt::on(deed.action, id).of_version(deed.version);
        let attempt = attempt.because(&terms);
        let done = self.amend_once(caller, id, deed, &terms, work).await;
        self.note_if_refused(caller, attempt, done).await
    }

    async fn amend_once(
        &self,
        caller: &Caller,
        id: KeyId,
        deed: Deed,
        terms: &Terms,
        work: Work<'_>,
    ) -> Result<Done<KeyView>, ControlError> {
        let reason = reason(terms.reason.clone())?;
        let amend = || {
            async {
                let now = self.clock.now();
                let before = visible(&*self.store, caller, id).await?;
                terms.ensure_unchanged(&before)?;
                let why = reason.as_ref();
                let Amended { key: after, rule } = match work {
                    Work::OnKey(step) => {
                        let demands = self.demands_of(&before, why).await;
                        self.ensure_reasoned(deed.action, why, &demands)?;
                        step(before.clone(), now)?.into()
                    }
                    Work::OnGround(step) => {
                        let ground = self.ground().await?;
                        self.ensure_reasoned(deed.action, why, &ground.demands(&before))?;
                        step(before.clone(), now, &ground)?
                    }
                };
                let mut writes = Vec::new();
                if after != before {
                    writes.push(Write::Key(after.clone()));
                }
                let mut entry = caller.did(deed.action, now)?.about_key(&after);
                entry.reason.clone_from(&reason);
                entry.key_version = deed.version;
                entry.changes = changes(Some(&before.settings), &after.settings);
                entry
                    .changes
                    .extend(lifecycle_changes(&before, &after, now));
                if let Some(step) = rule {
                    entry.changes.push(step.change);
                    writes.push(step.write);
                }
                if writes.is_empty() {
                    return Ok(Draft::nothing(after));
                }
                Ok(Draft {
                    writes,
                    audit: vec![entry],
                    value: after,
                })
            }
            .boxed()
        };
        let audience = terms.audience;
        let done = match self.ends(id, deed).await? {
            Some(what) => {
                let ending = self.writer.commit_ending(what, ORDINARY, audience, amend);
                ending.await
            }
            None => self.writer.commit_for(audience, amend).await,
        };
        let Done {
            revision,
            change,
            value,
        } = done?;
        Ok(Done {
            revision,
            change,
            value: self.view_of_done(value).await,
        })
    }

    /// What a deed ends, if that is what it does.
    async fn ends(&self, id: KeyId, deed: Deed) -> Result<Option<Ended>, ControlError> {
        let number = match deed {
            Deed {
                action: Action::KeyRevocation,
                version,
            } => version,
            _ => return Ok(None),
        };
        let Some(number) = number else {
            return Ok(Some(Ended::Key(id)));
        };
        let key = self.store.key(id).await?;
        let versions = key.iter().flat_map(|key| &key.versions);
        let version = versions.into_iter().find(|it| it.number == number);
        // One that is not there is refused.
        Ok(Some(version.map_or(Ended::Key(id), |it| name_of(id, it))))
    }

    /// What policies ask of a key, as far as a step needs to know: nothing, where there is a reason. Policies
    /// that cannot be read must not make a key irrevocable.
    async fn demands_of(&self, key: &Key, reason: Option<&String>) -> Demands {
        if reason.is_some() {
            return Demands::on(&[], key);
        }
        match self.store.rules().await {
            Ok(rules) => Demands::on(&rules.policies, key),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(key.id = %key.id, error, "policies cannot be read, and ask for no reason");
                Demands::on(&[], key)
            }
        }
    }

    /// The view of a key that was changed a moment ago; what cannot be read is told of as unknown.
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
}
