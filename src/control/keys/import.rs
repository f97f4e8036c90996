//! Taking over secrets there are already, so that no client need change.

use std::collections::{HashMap, HashSet};

use futures_util::FutureExt;

use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::keys::ground::Ground;
use crate::control::keys::{KeyService, NewKey, OwnerChoice};
use crate::control::rotation::{RuleStep, own_rule_step};
use crate::control::writer::Draft;
use crate::domain::audit::{Action, AuditEntry};
use crate::domain::change::Write;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, KeySettings};
use crate::domain::lifecycle::{self, Birth, FieldFault};
use crate::domain::owner::{Owner, OwnerKind};
use crate::domain::patch::changes;
use crate::domain::secret::{CREDENTIAL_MAX, Fingerprint, Form, KeyHash, Secret, form};
use crate::domain::time::Timestamp;

/// A key to be made of a secret there is.
#[derive(Debug, Clone)]
pub struct Import {
    /// What is known of the secret; `None` if that could not be understood, and `key.faults` says why.
    pub secret: Option<Known>,
    /// What the key is to be. Of its idempotency key nothing is kept: a secret is taken over once.
    pub key: NewKey,
}

/// What is known of a secret.
#[derive(Debug, Clone)]
pub enum Known {
    /// All of it.
    Text(Secret),
    /// Its SHA-256.
    Sha256([u8; 32]),
}

/// A secret that was taken over, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The key that was made; `None` where it was only tried.
    pub key: Option<KeyId>,
    /// What may be shown of the secret.
    pub fingerprint: Fingerprint,
}

/// What became of each import, in order.
pub type Outcomes = Vec<Result<Imported, ControlError>>;

impl KeyService {
    /// Makes keys of secrets there are, all that can be made in one change, and says of each of the others
    /// why not. With `is_trial` nothing is made.
    ///
    /// # Errors
    /// What keeps all of them from being made: the store.
    pub async fn import(
        &self,
        caller: &Caller,
        asked: &[Import],
        is_trial: bool,
    ) -> Result<Outcomes, ControlError> {
        if is_trial {
            return Ok(self.draft_import(caller, asked, is_trial).await?.value);
        }
        let make = || self.draft_import(caller, asked, is_trial).boxed();
        Ok(self.writer.commit(make).await?.value)
    }

    async fn draft_import(
        &self,
        caller: &Caller,
        asked: &[Import],
        is_trial: bool,
    ) -> Result<Draft<Outcomes>, ControlError> {
        let mut batch = Batch {
            service: self,
            caller,
            now: self.clock.now(),
            ground: self.ground().await?,
            owners: HashMap::new(),
            hashes: HashSet::new(),
            ids: HashSet::new(),
            writes: Vec::new(),
            audit: Vec::new(),
        };
        let mut outcomes = Vec::with_capacity(asked.len());
        for import in asked {
            match batch.take(import).await {
                Ok((key, fingerprint)) => outcomes.push(Ok(Imported {
                    key: (!is_trial).then_some(key),
                    fingerprint,
                })),
                Err(error) if is_of_one(&error) => outcomes.push(Err(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(Draft {
            writes: batch.writes,
            audit: batch.audit,
            value: outcomes,
        })
    }
}

/// One change in the making: what earlier imports took, later ones find taken.
struct Batch<'a> {
    service: &'a KeyService,
    caller: &'a Caller,
    now: Timestamp,
    ground: Ground,
    /// Owners that are made with it, by kind and lower-case name.
    owners: HashMap<(OwnerKind, String), Owner>,
    hashes: HashSet<KeyHash>,
    ids: HashSet<KeyId>,
    writes: Vec<Write>,
    audit: Vec<AuditEntry>,
}

impl Batch<'_> {
    async fn take(&mut self, import: &Import) -> Result<(KeyId, Fingerprint), ControlError> {
        let service = self.service;
        let Some(known) = &import.secret else {
            // Nothing could be made of it: what else is wrong only follows from that.
            return Err(ControlError::Invalid(import.key.faults.clone()));
        };
        let settings = import.key.settings.clone();
        let settings = settings.apply(KeySettings::named(""));
        let mut asked = import.key.clone();
        asked.faults.extend(self.secret_fault(known));
        let env = service.check(&asked, &settings, &self.ground, self.now)?;
        let (hash, twin, fingerprint) = self.hashes_of(known);
        for hash in [Some(hash), twin].into_iter().flatten() {
            if self.hashes.contains(&hash) || service.store.hash_owner(&hash).await?.is_some() {
                return Err(ControlError::DuplicateSecret);
            }
        }
        let (owner, is_new) = self.owner(&asked.owner).await?;
        let mut id = service.unused_id().await?;
        while !self.ids.insert(id) {
            id = service.unused_id().await?;
        }
        let birth = Birth {
            id,
            owner: owner.id,
            env,
            hash,
            fingerprint,
            created_by: self.caller.actor.id.clone(),
        };
        let key = lifecycle::create(birth, settings, self.now);
        let rule = own_rule_step(&self.ground.rules, id, asked.rotation, self.now)?;
        let demanded = self.ground.demanded(&key, Some(owner.kind));
        if !demanded.is_empty() {
            return Err(ControlError::Invalid(demanded));
        }
        self.hashes.extend([Some(hash), twin].into_iter().flatten());
        if is_new {
            let entry = self.caller.did(Action::OwnerCreation, self.now)?;
            self.audit.push(entry.about_owner(&owner));
            self.owners
                .insert((owner.kind, owner.name.to_lowercase()), owner.clone());
            self.writes.push(Write::Owner(owner));
        }
        self.key(key, rule)?;
        Ok((id, fingerprint))
    }

    fn key(&mut self, key: Key, rule: Option<RuleStep>) -> Result<(), ControlError> {
        let mut entry = self
            .caller
            .did(Action::KeyImport, self.now)?
            .about_key(&key);
        entry.changes = changes(None, &key.settings);
        self.writes.push(Write::Key(key));
        if let Some(step) = rule {
            self.ground.rules.apply(&step.write);
            entry.changes.push(step.change);
            self.writes.push(step.write);
        }
        self.audit.push(entry);
        Ok(())
    }

    /// What keeps a secret from ever opening this gate.
    fn secret_fault(&self, known: &Known) -> Option<FieldFault> {
        let rules = &self.service.rules;
        match known {
            Known::Text(secret) => {
                let text = secret.reveal().as_bytes();
                let is_sendable = (1..=CREDENTIAL_MAX).contains(&text.len())
                    && text
                        .iter()
                        .all(|byte| byte.is_ascii_graphic() && *byte != b',');
                if !is_sendable {
                    let detail = "a secret is 1 to 512 visible ASCII characters without a comma, so that a header can carry it";
                    return Some(FieldFault::new("/secret", "form", detail));
                }
                (form(&rules.prefix, text) == Form::Mistyped).then(|| {
                    let detail = "this has the form of a secret of this gate but a wrong checksum, and would be refused unseen";
                    FieldFault::new("/secret", "checksum", detail)
                })
            }
            Known::Sha256(_) => (!rules.hasher.finds_plain()).then(|| {
                let detail = "this gate finds no SHA-256 hashes beside its peppers; `keys.previous_pepper: none` makes it";
                FieldFault::new("/sha256", "scheme", detail)
            }),
        }
    }

    /// By which hash a secret is kept, by which other one it would be found too, and its fingerprint.
    fn hashes_of(&self, known: &Known) -> (KeyHash, Option<KeyHash>, Fingerprint) {
        let hasher = &self.service.rules.hasher;
        match known {
            Known::Text(secret) => {
                let text = secret.reveal().as_bytes();
                (
                    hasher.hash(text),
                    hasher.other_hash(text),
                    secret.fingerprint(),
                )
            }
            Known::Sha256(digest) => {
                let hash = KeyHash {
                    pepper: 0,
                    digest: *digest,
                };
                (hash, None, Fingerprint::of_sha256(digest))
            }
        }
    }

    /// The owner of a key to be made, and whether it is to be made too.
    async fn owner(&self, choice: &OwnerChoice) -> Result<(Owner, bool), ControlError> {
        let OwnerChoice::Named { kind, name } = choice else {
            return self.service.owner_for(self.caller, choice, self.now).await;
        };
        let place = (*kind, name.to_lowercase());
        if let Some(owner) = self.owners.get(&place) {
            return Ok((owner.clone(), false));
        }
        self.service.owner_for(self.caller, choice, self.now).await
    }
}

/// Whether an error is about one import, and the others may still be made.
const fn is_of_one(error: &ControlError) -> bool {
    matches!(
        error,
        ControlError::Invalid(_) | ControlError::DuplicateSecret | ControlError::OwnerDisabled
    )
}
