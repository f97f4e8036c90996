//! Owners who leave: switched off with everything they hold, erased.

use futures_util::FutureExt;

use crate::control::ControlError;
use crate::control::caller::{About, Caller, reason};
use crate::control::jobs::{Progress, ended_entry, tokens_of};
use crate::control::owners::OwnerService;
use crate::control::writer::{Audience, Done, Draft, Patience};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::Write;
use crate::domain::id::OwnerId;
use crate::domain::key::{KeyStatus, Standing};
use crate::domain::owner::Owner;
use crate::domain::policy::Demands;
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::time::Timestamp;
use crate::domain::token::AdminToken;
use crate::domain::tombstone::Ended;

/// What switching an owner off came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchedOff {
    /// The owner as it is now.
    pub owner: Owner,
    /// How many keys were revoked so far, and how many admin tokens ended.
    pub progress: Progress,
}

impl OwnerService {
    /// Switches an owner off, with all that it holds, in one small change: from then on its keys, protected
    /// or not, and the admin tokens bound to it are refused, and it gets no new ones. Then each of them is
    /// ended; that goes on where it takes longer than the caller waits. Doing it again ends what is there
    /// by then.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], or what the store returns.
    pub async fn switch_off(
        &self,
        caller: &Caller,
        id: OwnerId,
        why: Option<String>,
        audience: Audience,
    ) -> Result<Done<SwitchedOff>, ControlError> {
        let why = reason(why)?;
        if why.is_none() && self.asks_reason {
            let detail = "this gate asks for a reason";
            return Err(ControlError::field("/reason", "missing", detail));
        }
        if why.is_none() && self.policy_asks_reason(id).await? {
            let detail = "a policy of one of its keys asks for a reason";
            return Err(ControlError::field("/reason", "missing", detail));
        }
        let shut_out = || self.shut_out(caller, id, &why).boxed();
        let urgent = Patience::urgent(ATTEMPTS);
        let done = self
            .writer
            .commit_ending(Ended::Owner(id), urgent, audience, shut_out);
        let done = done.await?;
        let progress = match done.revision {
            Some(_) => self.leavers.end_all(caller, why, id).await,
            // What it holds is ended, one by one, when the store is back.
            None => self.leavers.begin(caller, why, id),
        };
        Ok(Done {
            revision: done.revision,
            change: done.change,
            value: SwitchedOff {
                owner: done.value,
                progress,
            },
        })
    }

    /// Whether a policy wants to know why a living key of this owner ends.
    async fn policy_asks_reason(&self, id: OwnerId) -> Result<bool, ControlError> {
        let policies = self.store.rules().await?.policies;
        if !policies.iter().any(|policy| policy.terms.require_reason) {
            return Ok(false);
        }
        let query = KeyQuery {
            owner: Some(id),
            now: self.clock.now(),
            ..KeyQuery::default()
        };
        let mut after = None;
        loop {
            let sort = KeySort::default();
            let page = self.store.keys(&query, sort, PAGE, after).await?;
            let mut living = page
                .items
                .iter()
                .filter(|row| !matches!(row.key.standing, Standing::Revoked { .. }));
            if living.any(|row| Demands::on(&policies, &row.key).ask_reason(Action::OwnerDisable)) {
                return Ok(true);
            }
            after = page.next;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    async fn shut_out(
        &self,
        caller: &Caller,
        id: OwnerId,
        why: &Option<String>,
    ) -> Result<Draft<Owner>, ControlError> {
        let now = self.clock.now();
        let before = self.load(caller, id).await?;
        if before.disabled_at.is_some() {
            return Ok(Draft::nothing(before));
        }
        let after = Owner {
            disabled_at: Some(now),
            ..before
        };
        let mut entry = caller.did(Action::OwnerDisable, now)?.about_owner(&after);
        entry.reason.clone_from(why);
        entry.changes = vec![change("disabled_at", time(None), time(after.disabled_at))];
        Ok(Draft {
            writes: vec![Write::Owner(after.clone())],
            audit: vec![entry],
            value: after,
        })
    }

    /// Refuses while a key or a token of an owner who was switched off is not ended yet.
    pub(in crate::control) async fn ensure_gone(&self, id: OwnerId) -> Result<(), ControlError> {
        let now = self.clock.now();
        let tokens = tokens_of(&*self.store, id).await?;
        if tokens.iter().any(|token| token.is_live(now)) || self.has_living_key(id, now).await? {
            return Err(ControlError::OwnerLeaving);
        }
        Ok(())
    }

    /// Erases what is known of an owner as a person: a pseudonym takes the place of its name. The id
    /// stays, so that the history of its keys is still one history, and its audit entries are emptied of
    /// what was personal in them. It is disabled, and its tokens end.
    ///
    /// # Errors
    /// [`ControlError::OwnerHasKeys`] while it has a key that is not revoked; [`ControlError::NotFound`];
    /// what the store returns.
    pub async fn erase(
        &self,
        caller: &Caller,
        id: OwnerId,
        why: Option<String>,
    ) -> Result<Owner, ControlError> {
        let why = reason(why)?;
        let erase = || {
            async {
                let now = self.clock.now();
                let before = self.load(caller, id).await?;
                if self.has_living_key(id, now).await? {
                    return Err(ControlError::OwnerHasKeys);
                }
                let after = Owner {
                    name: pseudonym(id),
                    disabled_at: before.disabled_at.or(Some(now)),
                    ..before.clone()
                };
                let tokens = tokens_of(&*self.store, id).await?;
                let is_erased =
                    |token: &AdminToken| token.name == pseudonym(id) && token.revoked_at.is_some();
                if after == before && tokens.iter().all(is_erased) {
                    return Ok(Draft::nothing(after));
                }
                // Not what the name was: that is what is erased.
                let mut entry = caller.did(Action::OwnerErasure, now)?.about_owner(&after);
                entry.reason.clone_from(&why);
                let mut draft = Draft {
                    writes: vec![Write::Owner(after.clone()), Write::Erasure(id)],
                    audit: vec![entry],
                    value: after,
                };
                for token in tokens.into_iter().filter(|token| !is_erased(token)) {
                    if token.revoked_at.is_none() {
                        draft.audit.push(ended_entry(caller, &token, now)?);
                    }
                    draft.writes.push(Write::Token(AdminToken {
                        name: pseudonym(id),
                        revoked_at: token.revoked_at.or(Some(now)),
                        ..token
                    }));
                }
                Ok(draft)
            }
            .boxed()
        };
        Ok(self.writer.commit(erase).await?.value)
    }

    /// Whether an owner has a key that is not revoked.
    async fn has_living_key(&self, id: OwnerId, now: Timestamp) -> Result<bool, ControlError> {
        for status in [KeyStatus::Active, KeyStatus::Suspended, KeyStatus::Expired] {
            let query = KeyQuery {
                status: Some(status),
                owner: Some(id),
                now,
                ..KeyQuery::default()
            };
            let found = self.store.keys(&query, KeySort::default(), 1, None).await?;
            if !found.items.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What stands for a person who was erased; no two have the same.
fn pseudonym(id: OwnerId) -> String {
    format!("erased-{}", id.chars())
}

fn time(at: Option<Timestamp>) -> serde_json::Value {
    at.map(|at| at.to_string()).into()
}

fn change(
    field: &str,
    from: impl Into<serde_json::Value>,
    to: impl Into<serde_json::Value>,
) -> FieldChange {
    FieldChange {
        field: field.to_owned(),
        from: from.into(),
        to: to.into(),
    }
}

/// How often shutting an owner out is tried against others who write: it must not depend on them.
const ATTEMPTS: u32 = 256;
const PAGE: usize = 1_000;
