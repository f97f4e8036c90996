//! Making keys.

use futures_util::FutureExt;

use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::keys::ground::Ground;
use crate::control::keys::refused::Attempt;
use crate::control::keys::{KeyService, KeyView};
use crate::control::owners::{check_name, new_owner};
use crate::control::rotation::own_rule_step;
use crate::control::writer::{Draft, draw};
use crate::domain::audit::Action;
use crate::domain::change::{Receipt, Write};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::KeySettings;
use crate::domain::lifecycle::{self, Birth, FieldFault};
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::patch::{SettingsPatch, changes};
use crate::domain::rotation::{RotationPlan, Schedule};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Who is to hold it.
    pub owner: OwnerChoice,
    /// Its environment; default: the first there is.
    pub env: Option<String>,
    /// Its settings.
    pub settings: SettingsPatch,
    /// How it is to rotate by itself, by a rule of its own.
    pub rotation: Option<RotationPlan>,
    /// What was already found wrong with what was asked, so that everything is told at once.
    pub faults: Vec<FieldFault>,
    /// What tells a repetition of this call from another one.
    pub idempotency: Option<Idempotency>,
}

impl NewKey {
    /// One of which nothing is known.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            owner: OwnerChoice::Unclear,
            env: None,
            settings: SettingsPatch::default(),
            rotation: None,
            faults: Vec::new(),
            idempotency: None,
        }
    }
}

/// Who is to hold a new key.
#[derive(Debug, Clone)]
pub enum OwnerChoice {
    /// An owner there is.
    Known(OwnerId),
    /// The owner of this kind and name, found or made.
    Named {
        /// What it is.
        kind: OwnerKind,
        /// What people call it.
        name: String,
    },
    /// Nobody that could be understood; `NewKey::faults` says why.
    Unclear,
}

/// What tells a repetition of a call from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 of the caller's id and the idempotency key.
    pub digest: [u8; 32],
    /// SHA-256 of the method, path and body.
    pub request: [u8; 32],
}

/// A key that was made.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub view: KeyView,
    /// Its secret; `None` where the call is a repetition, for then the secret is gone.
    pub secret: Option<Secret>,
}

impl KeyService {
    /// Makes a key whose secret opens the gate when this returns.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] with everything that is wrong; [`ControlError::NotFound`] for an owner
    /// the caller does not see; [`ControlError::OwnerDisabled`]; [`ControlError::OtherRequest`]; what the
    /// store returns.
    pub async fn create(&self, caller: &Caller, asked: &NewKey) -> Result<Created, ControlError> {
        let attempt = Attempt::making(Action::KeyCreation);
        let made = self.create_once(caller, asked).await;
        self.note_if_refused(caller, attempt, made).await
    }

    async fn create_once(&self, caller: &Caller, asked: &NewKey) -> Result<Created, ControlError> {
        let make = || {
            async {
                let now = self.clock.now();
                if let Some(receipt) = self.receipt(asked.idempotency, now).await? {
                    return Ok(Draft::nothing(Created {
                        view: self.load(caller, receipt.key).await?,
                        secret: None,
                    }));
                }
                let settings = asked.settings.clone().apply(KeySettings::named(""));
                let mut ground = self.ground().await?;
                let env = self.check(asked, &settings, &ground, now)?;
                let (owner, is_new) = self.owner_for(caller, &asked.owner, now).await?;

                let id = self.unused_id().await?;
                let secret = self.new_secret(&env, id)?;
                let birth = Birth {
                    id,
                    owner: owner.id,
                    env,
                    hash: self.rules.hasher.hash(secret.reveal().as_bytes()),
                    fingerprint: secret.fingerprint(),
                    created_by: caller.actor.id.clone(),
                };
                let key = lifecycle::create(birth, settings, now);
                let demanded = ground.demanded(&key, Some(owner.kind));
                if !demanded.is_empty() {
                    return Err(ControlError::Invalid(demanded));
                }

                let mut entry = caller.did(Action::KeyCreation, now)?.about_key(&key);
                entry.changes = changes(None, &key.settings);
                let mut writes = vec![Write::Key(key.clone())];
                if let Some(step) = own_rule_step(&ground.rules, id, asked.rotation, now)? {
                    ground.rules.apply(&step.write);
                    entry.changes.push(step.change);
                    writes.push(step.write);
                }
                let mut draft = Draft {
                    writes,
                    audit: vec![entry],
                    value: Created {
                        view: KeyView {
                            spent: vec![0; key.settings.quotas.len()],
                            schedule: Schedule::of(&ground.rules.rotation, &key, now),
                            key,
                            owner: owner.clone(),
                            last_used: Vec::new(),
                        },
                        secret: Some(secret),
                    },
                };
                if is_new {
                    let entry = caller.did(Action::OwnerCreation, now)?;
                    draft.audit.insert(0, entry.about_owner(&owner));
                    draft.writes.insert(0, Write::Owner(owner));
                }
                if let Some(Idempotency { digest, request }) = asked.idempotency {
                    draft.writes.push(Write::Receipt(Receipt {
                        digest,
                        request,
                        key: id,
                        version: 1,
                        at: now,
                    }));
                }
                Ok(draft)
            }
            .boxed()
        };
        Ok(self.writer.commit(make).await?.value)
    }

    /// What is written of this call having come before, if it has.
    pub(super) async fn receipt(
        &self,
        idempotency: Option<Idempotency>,
        now: Timestamp,
    ) -> Result<Option<Receipt>, ControlError> {
        let Some(Idempotency { digest, request }) = idempotency else {
            return Ok(None);
        };
        let receipt = self.store.receipt(digest).await?;
        let Some(receipt) = receipt.filter(|receipt| now.since(receipt.at) < Receipt::KEPT) else {
            return Ok(None);
        };
        if receipt.request != request {
            return Err(ControlError::OtherRequest);
        }
        Ok(Some(receipt))
    }

    /// The environment of the key to be made, if nothing is wrong with it.
    pub(super) fn check(
        &self,
        asked: &NewKey,
        settings: &KeySettings,
        ground: &Ground,
        now: Timestamp,
    ) -> Result<String, ControlError> {
        let mut faults = asked.faults.clone();
        faults.extend(ground.faults(settings, None, now));
        if let OwnerChoice::Named { name, .. } = &asked.owner
            && let Err(ControlError::Invalid(found)) = check_name(name, "/owner/name")
        {
            faults.extend(found);
        }
        let envs = &self.rules.envs;
        let env = match &asked.env {
            None => envs.first(),
            Some(wanted) => envs.iter().find(|env| *env == wanted),
        };
        match env {
            Some(env) if faults.is_empty() => return Ok(env.clone()),
            Some(_) => {}
            None => faults.push(FieldFault::new(
                "/env",
                "unknown_env",
                format!("an environment is one of: {}", envs.join(", ")),
            )),
        }
        Err(ControlError::Invalid(faults))
    }

    /// The owner of a key to be made, and whether it is to be made too.
    pub(super) async fn owner_for(
        &self,
        caller: &Caller,
        choice: &OwnerChoice,
        now: Timestamp,
    ) -> Result<(Owner, bool), ControlError> {
        let found = match choice {
            OwnerChoice::Known(id) => self.store.owner(*id).await?,
            OwnerChoice::Named { kind, name } => self.store.owner_named(*kind, name).await?,
            OwnerChoice::Unclear => None,
        };
        match (found, choice) {
            (Some(owner), _) if !caller.sees(owner.id) => Err(unknown_owner(choice)),
            (Some(owner), _) if owner.disabled_at.is_some() => Err(ControlError::OwnerDisabled),
            (Some(owner), _) => Ok((owner, false)),
            (None, OwnerChoice::Named { kind, name }) if caller.bound_to.is_none() => {
                Ok((new_owner(&*self.store, *kind, name, now).await?, true))
            }
            (None, _) => Err(unknown_owner(choice)),
        }
    }

    pub(super) async fn unused_id(&self) -> Result<KeyId, ControlError> {
        // 59 random bits meet by chance sooner or later, and a key written over another would be lost.
        loop {
            let id = KeyId::from_random(draw()?);
            if self.store.key(id).await?.is_none() {
                return Ok(id);
            }
        }
    }
}

fn unknown_owner(choice: &OwnerChoice) -> ControlError {
    let pointer = match choice {
        OwnerChoice::Known(_) | OwnerChoice::Unclear => "/owner_id",
        OwnerChoice::Named { .. } => "/owner",
    };
    ControlError::field(pointer, "unknown_owner", "there is no such owner")
}
