//! Rotating keys: another secret for the same key.

use futures_util::FutureExt;

use crate::control::ControlError;
use crate::control::caller::{About, Caller, reason};
use crate::control::keys::ground::Ground;
use crate::control::keys::refused::Attempt;
use crate::control::keys::service::{Deed, lifecycle_changes, visible};
use crate::control::keys::{Idempotency, KeyService, KeyView, Terms};
use crate::control::sinks::Handed;
use crate::control::writer::{Done, Draft};
use crate::domain::audit::{Action, RotationNote};
use crate::domain::change::{Receipt, Write};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, KeySettings, KeyVersion, VersionState};
use crate::domain::lifecycle::{self, Activation, FieldFault, NewVersion, RotationTerms};
use crate::domain::patch::changes;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// How a key is to be rotated.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// What becomes of the versions there are, and of the key's end.
    pub terms: RotationTerms,
    /// What was already found wrong with what was asked.
    pub faults: Vec<FieldFault>,
    /// What tells a repetition of this call from another one.
    pub idempotency: Option<Idempotency>,
    /// The version whose holder asks; `None`: whoever asks is no holder.
    pub by_holder_of: Option<u16>,
}

/// A key that was rotated.
#[derive(Debug)]
pub struct Rotated {
    /// The key.
    pub view: KeyView,
    /// Its new secret; `None` where the call is a repetition, for then the secret is gone.
    pub secret: Option<Secret>,
    /// The version that was current before.
    pub previous: Option<KeyVersion>,
    /// What became of the secret at the key's sink; `None` where it has none, and in a repetition.
    pub handed: Option<Handed>,
}

impl KeyService {
    /// Gives a key a new secret, which opens the gate when this returns. All else about the key stays.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Changed`], [`ControlError::Invalid`],
    /// [`ControlError::Lifecycle`], [`ControlError::OtherRequest`], or what the store returns.
    pub async fn rotate(
        &self,
        caller: &Caller,
        id: KeyId,
        asked: &Rotation,
        terms: Terms,
    ) -> Result<Rotated, ControlError> {
        let attempt = Attempt::on(Action::KeyRotation, id).because(&terms);
        let done = self.rotate_once(caller, id, asked, &terms).await;
        let done = self.note_if_refused(caller, attempt, done).await?;
        let mut rotated = done.value;
        if let (Some(handover), Some(secret)) = (&self.handover, &rotated.secret) {
            rotated.handed = handover.give(&rotated.view.key, secret).await;
        }
        Ok(rotated)
    }

    /// Ends one version of a key by itself; the current one is ended by replacing it. Ending it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Changed`], [`ControlError::Lifecycle`], or what the
    /// store returns.
    pub async fn revoke_version(
        &self,
        caller: &Caller,
        id: KeyId,
        number: u16,
        terms: Terms,
    ) -> Result<Done<KeyView>, ControlError> {
        let deed = Deed {
            action: Action::KeyRevocation,
            version: Some(number),
        };
        let step = |key, now| Ok(lifecycle::revoke_version(key, number, now)?);
        self.amend(caller, id, deed, terms, step).await
    }

    async fn rotate_once(
        &self,
        caller: &Caller,
        id: KeyId,
        asked: &Rotation,
        terms: &Terms,
    ) -> Result<Done<Rotated>, ControlError> {
        let reason = reason(terms.reason.clone())?;
        let rotate = || {
            async {
                let now = self.clock.now();
                if let Some(receipt) = self.receipt(asked.idempotency, now).await? {
                    return Ok(Draft::nothing(self.rotated_before(caller, &receipt).await?));
                }
                let before = visible(&*self.store, caller, id).await?;
                terms.ensure_unchanged(&before)?;
                let ground = self.ground().await?;
                let demands = ground.demands(&before);
                self.ensure_reasoned(Action::KeyRotation, reason.as_ref(), &demands)?;
                self.check_end(asked, &before, &ground, now)?;
                // Drawn anew where another gate's change came first: a secret that was not committed
                // is told to nobody.
                let secret = self.new_secret(&before.env, id)?;
                let new = NewVersion {
                    hash: self.rules.hasher.hash(secret.reveal().as_bytes()),
                    fingerprint: secret.fingerprint(),
                };
                let held = match asked.by_holder_of {
                    Some(number) => by_holder(before.clone(), number, now)?,
                    None => before.clone(),
                };
                let after = lifecycle::rotate(held, new, asked.terms, now)?;
                let number = after.current().map(|version| version.number);
                let previous = number.and_then(|number| before_version(&after, number));

                let mut entry = caller.did(Action::KeyRotation, now)?.about_key(&after);
                entry.reason.clone_from(&reason);
                entry.key_version = number;
                entry.changes = changes(Some(&before.settings), &after.settings);
                entry
                    .changes
                    .extend(lifecycle_changes(&before, &after, now));
                entry.rotation = previous.as_ref().map(|old| RotationNote {
                    old_version: old.number,
                    old_fingerprint: old.fingerprint,
                    new_fingerprint: new.fingerprint,
                    grace: old.stops_at().map(|end| end.since(now)),
                });
                let mut writes = vec![Write::Key(after.clone())];
                if let Some(Idempotency { digest, request }) = asked.idempotency {
                    writes.push(Write::Receipt(Receipt {
                        digest,
                        request,
                        key: id,
                        version: number.unwrap_or(1),
                        at: now,
                    }));
                }
                let view = self.view(after).await?;
                if let Some(handover) = &self.handover {
                    handover.expect(&view.key, &secret);
                }
                Ok(Draft {
                    writes,
                    audit: vec![entry],
                    value: Rotated {
                        view,
                        secret: Some(secret),
                        previous,
                        handed: None,
                    },
                })
            }
            .boxed()
        };
        self.writer.commit(rotate).await
    }

    /// What this call did when it came the first time.
    async fn rotated_before(
        &self,
        caller: &Caller,
        receipt: &Receipt,
    ) -> Result<Rotated, ControlError> {
        let view = self.load(caller, receipt.key).await?;
        Ok(Rotated {
            previous: before_version(&view.key, receipt.version),
            view,
            secret: None,
            handed: None,
        })
    }

    /// Whether the key may have the end that it is to be given, and nothing else is wrong.
    fn check_end(
        &self,
        asked: &Rotation,
        before: &Key,
        ground: &Ground,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let mut faults = asked.faults.clone();
        if let Some(expires_at) = asked.terms.expires_at {
            let settings = KeySettings {
                expires_at,
                ..before.settings.clone()
            };
            // What was wrong with the key before is not the rotation's doing.
            let mut found = ground.faults(&settings, Some(&before.settings), now);
            let after = Key {
                settings,
                ..before.clone()
            };
            found.extend(ground.demanded(&after, None));
            faults.extend(found.into_iter().filter(|it| it.pointer == "/expires_at"));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ControlError::Invalid(faults))
        }
    }

    pub(super) fn new_secret(&self, env: &str, id: KeyId) -> Result<Secret, ControlError> {
        Secret::generate(&self.rules.prefix, env, id, |bytes| {
            getrandom::fill(bytes).map_err(ControlError::Random)
        })
    }
}

/// A key as it is where the holder of the version `number` rotates it. Only the current version may, or a
/// pending one that becomes it by this: a secret that was replaced, lost perhaps, is no way to the next.
fn by_holder(key: Key, number: u16, now: Timestamp) -> Result<Key, ControlError> {
    if !key.settings.self_rotation {
        return Err(ControlError::NotForHolder);
    }
    let version = key.versions.iter().find(|it| it.number == number);
    match version.map(|version| key.version_state(version, now)) {
        Some(VersionState::Current) => Ok(key),
        Some(VersionState::Pending) => Ok(lifecycle::activate(
            key,
            number,
            Activation::KeepPrevious,
            now,
        )?),
        _ => Err(ControlError::NotForHolder),
    }
}

/// The version that was current when the one of this number became it.
fn before_version(key: &Key, number: u16) -> Option<KeyVersion> {
    key.versions
        .iter()
        .filter(|version| version.activated_at.is_some() && version.number < number)
        .max_by_key(|version| version.number)
        .cloned()
}
