//! Owners who leave: switched off with everything they hold, erased.

use futures_util::FutureExt;

use crate::control::ControlError;
use crate::control::caller::{About, Caller, reason};
use crate::control::owners::OwnerService;
use crate::control::writer::{Done, Draft};
use crate::domain::audit::{Action, AuditEntry, FieldChange};
use crate::domain::change::Write;
use crate::domain::id::OwnerId;
use crate::domain::key::{Key, KeyStatus, Standing};
use crate::domain::lifecycle;
use crate::domain::owner::Owner;
use crate::domain::policy::Demands;
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::time::Timestamp;
use crate::domain::token::AdminToken;

/// What switching an owner off came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchedOff {
    /// The owner as it is now.
    pub owner: Owner,
    /// How many keys were revoked.
    pub keys: u64,
    /// How many admin tokens were ended.
    pub tokens: u64,
}

/// Where one change has left things.
struct Leaving {
    owner: Owner,
    keys: u64,
    tokens: u64,
    /// Whether more keys are left than one change takes.
    is_more: bool,
}

impl OwnerService {
    /// Revokes every key of an owner, protected or not, ends the admin tokens bound to it, and makes it
    /// one that gets no new keys: in one change, so that no moment has half of it. Doing it again revokes
    /// what is there by then.
    ///
    /// An owner of more than [`KEYS_AT_ONCE`] living keys takes several changes, the first of which also
    /// shuts out new ones; this returns when the last is in force.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], or what the store returns.
    pub async fn switch_off(
        &self,
        caller: &Caller,
        id: OwnerId,
        why: Option<String>,
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
        let (mut keys, mut tokens) = (0, 0);
        loop {
            let step = || self.leave(caller, id, &why).boxed();
            let done = self.writer.commit(step).await?;
            keys += done.value.keys;
            tokens += done.value.tokens;
            if !done.value.is_more {
                return Ok(Done {
                    revision: done.revision,
                    value: SwitchedOff {
                        owner: done.value.owner,
                        keys,
                        tokens,
                    },
                });
            }
        }
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
            let mut living = page.items.iter().filter(|row| is_living(&row.key));
            if living.any(|row| Demands::on(&policies, &row.key).ask_reason(Action::OwnerDisable)) {
                return Ok(true);
            }
            after = page.next;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    async fn leave(
        &self,
        caller: &Caller,
        id: OwnerId,
        why: &Option<String>,
    ) -> Result<Draft<Leaving>, ControlError> {
        let now = self.clock.now();
        let before = self.load(caller, id).await?;
        let (living, is_more) = self.living_keys(id, now).await?;
        let tokens = self.living_tokens(id, now).await?;
        let after = Owner {
            disabled_at: before.disabled_at.or(Some(now)),
            ..before.clone()
        };
        let value = Leaving {
            keys: living.len() as u64,
            tokens: tokens.len() as u64,
            owner: after.clone(),
            is_more,
        };
        if after == before && living.is_empty() && tokens.is_empty() {
            return Ok(Draft::nothing(value));
        }
        let noted = |mut entry: AuditEntry| {
            entry.reason.clone_from(why);
            entry
        };
        let mut entry = noted(caller.did(Action::OwnerDisable, now)?.about_owner(&after));
        entry.changes = vec![
            change(
                "disabled_at",
                time(before.disabled_at),
                time(after.disabled_at),
            ),
            change("living_keys", value.keys, 0),
            change("living_tokens", value.tokens, 0),
        ];
        let mut draft = Draft {
            writes: vec![Write::Owner(after)],
            audit: vec![entry],
            value,
        };
        for key in living {
            let from = key.status(now);
            let ended = lifecycle::end_with_owner(key, now);
            let mut entry = noted(caller.did(Action::KeyRevocation, now)?.about_key(&ended));
            entry.changes = vec![change("status", from.as_str(), KeyStatus::Revoked.as_str())];
            draft.audit.push(entry);
            draft.writes.push(Write::Key(ended));
        }
        for token in tokens {
            draft.audit.push(noted(ended_entry(caller, &token, now)?));
            draft.writes.push(Write::Token(AdminToken {
                revoked_at: Some(now),
                ..token
            }));
        }
        Ok(draft)
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
                let (living, _) = self.living_keys(id, now).await?;
                if !living.is_empty() {
                    return Err(ControlError::OwnerHasKeys);
                }
                let after = Owner {
                    name: pseudonym(id),
                    disabled_at: before.disabled_at.or(Some(now)),
                    ..before.clone()
                };
                let tokens = self.tokens_of(id).await?;
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

    /// Keys of an owner that are not revoked, as many as one change takes, and whether there are more.
    async fn living_keys(
        &self,
        id: OwnerId,
        now: Timestamp,
    ) -> Result<(Vec<Key>, bool), ControlError> {
        let query = KeyQuery {
            owner: Some(id),
            now,
            ..KeyQuery::default()
        };
        let mut living = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .store
                .keys(&query, KeySort::default(), PAGE, after)
                .await?;
            let keys = page.items.into_iter().map(|row| row.key);
            living.extend(keys.filter(is_living));
            if living.len() > KEYS_AT_ONCE {
                living.truncate(KEYS_AT_ONCE);
                return Ok((living, true));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((living, false)),
            }
        }
    }

    async fn living_tokens(
        &self,
        id: OwnerId,
        now: Timestamp,
    ) -> Result<Vec<AdminToken>, ControlError> {
        let mut tokens = self.tokens_of(id).await?;
        tokens.retain(|token| token.is_live(now));
        tokens.truncate(TOKENS_AT_ONCE);
        Ok(tokens)
    }

    async fn tokens_of(&self, id: OwnerId) -> Result<Vec<AdminToken>, ControlError> {
        let mut bound = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.tokens(PAGE, after).await?;
            let own = page.items.into_iter();
            bound.extend(own.filter(|token| token.owner == Some(id)));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(bound),
            }
        }
    }
}

fn is_living(key: &Key) -> bool {
    !matches!(key.standing, Standing::Revoked { .. })
}

fn ended_entry(
    caller: &Caller,
    token: &AdminToken,
    now: Timestamp,
) -> Result<AuditEntry, ControlError> {
    let mut entry = caller.did(Action::TokenRevocation, now)?;
    entry.owner = token.owner;
    entry.changes = vec![
        change("id", serde_json::Value::Null, token.id.to_string()),
        change("revoked_at", time(None), time(Some(now))),
    ];
    Ok(entry)
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

/// The most keys that one change revokes: with their audit entries, what a script in Redis takes at once.
pub const KEYS_AT_ONCE: usize = 1_500;
const TOKENS_AT_ONCE: usize = 100;
const PAGE: usize = 1_000;
