//! Admin tokens: who may run the gate, and how they show it.
//!
//! A token is looked up in the store at each call of the admin API: revoking one ends it at once, on
//! every gate, and the admin API is not where requests come by the thousand.

use std::sync::Arc;

use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::Write;
use crate::domain::id::{KeyId, OwnerId, TokenId};
use crate::domain::lifecycle::{FieldFault, is_text};
use crate::domain::query::{Page, Position};
use crate::domain::secret::{CREDENTIAL_MAX, Fingerprint, Form, Secret, form};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::token::{AdminToken, Role, TOKEN_PREFIX};
use crate::store::Store;

/// Makes, lists, revokes and recognises admin tokens.
pub struct TokenService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    /// SHA-256 of the token in the configuration, which is never stored.
    configured: Option<[u8; 32]>,
}

/// SHA-256 of a token: enough to ask who holds it, not to show it.
#[derive(Clone, PartialEq)]
pub(in crate::control) struct TokenDigest([u8; 32]);

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What people will call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The one owner it is to be bound to.
    pub owner: Option<OwnerId>,
    /// When it is to end by itself.
    pub expires_at: Option<Timestamp>,
}

/// Other values for some of what a token is; `None` leaves one as it is. The owner it is bound to never
/// changes: what it has seen belongs to that one.
#[derive(Debug, Clone, Default)]
pub struct TokenPatch {
    /// What people will call it.
    pub name: Option<String>,
    /// What it may do.
    pub role: Option<Role>,
    /// When it is to end by itself.
    pub expires_at: Option<Option<Timestamp>>,
}

impl TokenService {
    /// A service over `store`; besides what is stored, the token `configured` opens the door as admin.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        configured: Option<&str>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            configured: configured.map(|token| Sha256::digest(token).into()),
        }
    }

    /// Who presents `secret`; `None` if nobody is known by it.
    ///
    /// # Errors
    /// What the store returns: not being able to look is no reason to say no.
    pub async fn recognise(&self, secret: &str) -> Result<Option<Caller>, ControlError> {
        match self.digest(secret) {
            Some(digest) => self.holder(&digest).await,
            None => Ok(None),
        }
    }

    /// What stands for a token in memory; `None` if no token can have this text.
    #[must_use]
    pub(in crate::control) fn digest(&self, secret: &str) -> Option<TokenDigest> {
        if secret.is_empty() || secret.len() > CREDENTIAL_MAX {
            return None;
        }
        let digest = TokenDigest(Sha256::digest(secret).into());
        let is_ours = form(TOKEN_PREFIX, secret.as_bytes()) == Form::Ours;
        (is_ours || self.is_configured(&digest)).then_some(digest)
    }

    /// Who holds the token of this digest; `None` if nobody does any more.
    ///
    /// # Errors
    /// As [`Self::recognise`].
    pub(in crate::control) async fn holder(
        &self,
        digest: &TokenDigest,
    ) -> Result<Option<Caller>, ControlError> {
        if self.is_configured(digest) {
            return Ok(Some(Caller::configured()));
        }
        let found = self.store.token_by_digest(digest.0).await?;
        let Some(token) = found.filter(|token| token.is_live(self.clock.now())) else {
            return Ok(None);
        };
        if let Some(owner) = token.owner {
            // Of an owner who was switched off a token may be left that is not ended yet.
            let owner = self.store.owner(owner).await?;
            if owner.is_none_or(|owner| owner.disabled_at.is_some()) {
                return Ok(None);
            }
        }
        Ok(Some(Caller::token(&token)))
    }

    fn is_configured(&self, digest: &TokenDigest) -> bool {
        self.configured
            .is_some_and(|configured| bool::from(configured.ct_eq(&digest.0)))
    }

    /// Makes an admin token where the configuration names none and none was ever made; its secret, for
    /// whoever started the gate.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn bootstrap(&self) -> Result<Option<Secret>, ControlError> {
        if self.configured.is_some() {
            return Ok(None);
        }
        let first = NewToken {
            name: "bootstrap".to_owned(),
            role: Role::Admin,
            owner: None,
            expires_at: None,
        };
        let caller = Caller::system("first start");
        let make = || {
            async {
                // Asked anew on each attempt: of two gates that start at once, one makes a token.
                if !self.store.tokens(1, None).await?.items.is_empty() {
                    return Ok(Draft::nothing(None));
                }
                let draft = self.draft(&caller, &first).await?;
                Ok(Draft {
                    writes: draft.writes,
                    audit: draft.audit,
                    value: Some(draft.value.1),
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(make).await?.value)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`ControlError::Invalid`], or what the store returns.
    pub async fn create(
        &self,
        caller: &Caller,
        asked: &NewToken,
    ) -> Result<(AdminToken, Secret), ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let faults = faults(asked, self.clock.now());
        if !faults.is_empty() {
            return Err(ControlError::Invalid(faults));
        }
        let make = || {
            async {
                if let Some(owner) = asked.owner {
                    let Some(owner) = self.store.owner(owner).await? else {
                        return Err(ControlError::field(
                            "/owner_id",
                            "unknown_owner",
                            "there is no owner of this id",
                        ));
                    };
                    if owner.disabled_at.is_some() {
                        return Err(ControlError::OwnerDisabled);
                    }
                }
                self.draft(caller, asked).await
            }
            .boxed()
        };
        Ok(self.writer.commit(make).await?.value)
    }

    /// A page of tokens, by when they were made.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn list(
        &self,
        caller: &Caller,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<AdminToken>, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        Ok(self.store.tokens(limit, after).await?)
    }

    /// Gives a token another name, role or end. A revoked one stays as it is.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::TokenRevoked`], [`ControlError::Invalid`], or what the
    /// store returns.
    pub async fn change(
        &self,
        caller: &Caller,
        id: TokenId,
        patch: &TokenPatch,
    ) -> Result<AdminToken, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let change = || {
            async {
                let now = self.clock.now();
                let before = self.store.token(id).await?.ok_or(ControlError::NotFound)?;
                let after = AdminToken {
                    name: patch.name.clone().unwrap_or_else(|| before.name.clone()),
                    role: patch.role.unwrap_or(before.role),
                    expires_at: patch.expires_at.unwrap_or(before.expires_at),
                    ..before.clone()
                };
                if after == before {
                    return Ok(Draft::nothing(after));
                }
                if before.revoked_at.is_some() {
                    return Err(ControlError::TokenRevoked);
                }
                let asked = NewToken {
                    name: after.name.clone(),
                    role: after.role,
                    owner: after.owner,
                    // An end that has passed may stay as it is.
                    expires_at: after
                        .expires_at
                        .filter(|_| after.expires_at != before.expires_at),
                };
                let faults = faults(&asked, now);
                if !faults.is_empty() {
                    return Err(ControlError::Invalid(faults));
                }
                let mut entry = caller.did(Action::TokenUpdate, now)?;
                entry.owner = after.owner;
                entry.changes = vec![told("id", after.id.to_string())];
                let ends = [&before, &after].map(|token| {
                    let end = token.expires_at.map(|end| end.to_string());
                    serde_json::Value::from(end)
                });
                let [from, to] = ends;
                entry.changes.extend(
                    [
                        (
                            "name",
                            before.name.clone().into(),
                            after.name.clone().into(),
                        ),
                        (
                            "role",
                            before.role.as_str().into(),
                            after.role.as_str().into(),
                        ),
                        ("expires_at", from, to),
                    ]
                    .into_iter()
                    .filter(|(_, from, to): &(_, serde_json::Value, serde_json::Value)| from != to)
                    .map(|(field, from, to)| FieldChange {
                        field: field.to_owned(),
                        from,
                        to,
                    }),
                );
                Ok(Draft {
                    writes: vec![Write::Token(after.clone())],
                    audit: vec![entry],
                    value: after,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(change).await?.value)
    }

    /// Ends a token for ever. Revoking a revoked one changes nothing.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: TokenId,
        reason: Option<String>,
    ) -> Result<AdminToken, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let reason = super::caller::reason(reason)?;
        let end = || {
            async {
                let token = self.store.token(id).await?.ok_or(ControlError::NotFound)?;
                if token.revoked_at.is_some() {
                    return Ok(Draft::nothing(token));
                }
                let now = self.clock.now();
                let ended = AdminToken {
                    revoked_at: Some(now),
                    ..token
                };
                let mut entry = caller.did(Action::TokenRevocation, now)?;
                entry.reason.clone_from(&reason);
                entry.owner = ended.owner;
                entry.changes = vec![
                    told("id", ended.id.to_string()),
                    told("revoked_at", now.to_string()),
                ];
                Ok(Draft {
                    writes: vec![Write::Token(ended.clone())],
                    audit: vec![entry],
                    value: ended,
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(end).await?.value)
    }

    async fn draft(
        &self,
        caller: &Caller,
        asked: &NewToken,
    ) -> Result<Draft<(AdminToken, Secret)>, ControlError> {
        let mut id = TokenId::from_random(draw()?);
        while self.store.token(id).await?.is_some() {
            id = TokenId::from_random(draw()?);
        }
        let now = self.clock.now();
        // A token's secret has the form of a key's, and with it the checksum: KeyId lends its text.
        let secret = Secret::generate(TOKEN_PREFIX, SECRET_ENV, KeyId::from(id), |bytes| {
            getrandom::fill(bytes).map_err(ControlError::Random)
        })?;
        let digest: [u8; 32] = Sha256::digest(secret.reveal()).into();
        let token = AdminToken {
            id,
            name: asked.name.clone(),
            role: asked.role,
            owner: asked.owner,
            digest,
            fingerprint: Fingerprint::of_sha256(&digest),
            created_at: now,
            expires_at: asked.expires_at,
            revoked_at: None,
        };
        let mut entry = caller.did(Action::TokenCreation, now)?;
        entry.owner = token.owner;
        entry.changes = vec![
            told("id", token.id.to_string()),
            told("name", token.name.clone()),
            told("role", token.role.as_str()),
        ];
        Ok(Draft {
            writes: vec![Write::Token(token.clone())],
            audit: vec![entry],
            value: (token, secret),
        })
    }
}

fn faults(asked: &NewToken, now: Timestamp) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    if !is_text(&asked.name, 1, 128) {
        faults.push(FieldFault::new(
            "/name",
            "length",
            "a name has 1 to 128 characters and no control characters",
        ));
    }
    if asked.expires_at.is_some_and(|end| end <= now) {
        faults.push(FieldFault::new(
            "/expires_at",
            "past",
            "the end of a token lies in the future",
        ));
    }
    faults
}

fn told(field: &str, to: impl Into<serde_json::Value>) -> FieldChange {
    FieldChange {
        field: field.to_owned(),
        from: serde_json::Value::Null,
        to: to.into(),
    }
}

/// What stands where a key's environment would.
const SECRET_ENV: &str = "admin";
