//! A new secret, from its making to its use.
//!
//! 1. The secret is made, and a *pending* version of its hash committed: it is admitted from now on.
//! 2. The secret is handed to the key's sink, and read back.
//! 3. What was read is what was handed over: the version is activated, and the clock of the old one starts.
//!
//! Over Redis this is done by the gate that has the sink, and each change lands only while it still has it.
//!
//! The secret itself is never stored: it lives in this process until its sink has it. Whatever breaks off
//! in between locks out nobody. Before 2 the sink holds the secret before, which is current; after 2 it
//! holds one that is admitted. A gate that starts again asks the sink: if it holds the pending secret, the
//! version is activated; if not, the pending secret is nowhere any more, and another is made.

use std::time::Duration;

use futures_util::FutureExt;

use super::turns::{Jobs, State};
use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::sinks::{NamedSink, Note, SinkError, again_after};
use crate::control::writer::Draft;
use crate::domain::audit::{Action, AuditEntry, RotationNote};
use crate::domain::change::Write;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, KeyVersion};
use crate::domain::lifecycle::{self, LifecycleError, NewVersion};
use crate::domain::rotation::{RotationPlan, Schedule};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// A secret that its sink did not take yet.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// The pending version it is of.
    number: u16,
    /// The secret; `None` once it is out of date.
    secret: Option<Secret>,
    /// How often its sink failed.
    failures: u32,
    /// When its sink is tried again.
    again_at: Timestamp,
}

/// What there is of a rotation that was begun before.
enum Begun {
    /// Nothing: begin.
    Nothing,
    /// A secret to hand over, and the version it is of.
    Secret(Secret, u16),
    /// A version that its sink holds.
    Delivered(u16),
    /// Its sink holds a secret that was given up before it was ever current.
    Dead,
    /// Someone may be at it: look again later.
    Wait,
}

impl Jobs {
    /// Takes the rotation of a key as far as it goes: to its end, unless its sink fails.
    pub(super) async fn rotate(
        &self,
        key: Key,
        schedule: Schedule,
        sink: &NamedSink,
        state: &mut State,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        let held = state.undelivered.get(&key.id);
        if held.is_some_and(|held| now < held.again_at) {
            return Ok(());
        }
        let failures = held.map_or(0, |held| held.failures);
        let begun = match self.begun(&key, sink, state, now).await {
            Ok(begun) => begun,
            Err(error) => {
                sink.tell_failure(&key, &error, failures);
                let unknown = later(0, None, failures, now);
                state.undelivered.insert(key.id, unknown);
                return Ok(());
            }
        };
        let number = match begun {
            Begun::Wait => return Ok(()),
            // Nothing pending and not due: the last activation was all there was to do.
            Begun::Nothing if !schedule.is_due(now) => return Ok(()),
            Begun::Delivered(number) => number,
            Begun::Nothing | Begun::Dead => {
                let Some((secret, number)) = self.begin(key.id, schedule.plan, sink).await? else {
                    return Ok(());
                };
                if !self.deliver(&key, secret, number, sink, state).await {
                    return Ok(());
                }
                number
            }
            Begun::Secret(secret, number) => {
                if !self.deliver(&key, secret, number, sink, state).await {
                    return Ok(());
                }
                number
            }
        };
        state.undelivered.remove(&key.id);
        match self.activate(key.id, number, schedule.plan, sink).await {
            // Someone rotated the key by hand meanwhile: what the sink holds is dead, so it gets another.
            Err(ControlError::Lifecycle(
                LifecycleError::VersionRevoked | LifecycleError::NoSuchVersion,
            )) => self.replace_dead(key.id, schedule.plan, sink, state).await,
            outcome => outcome,
        }
    }

    /// What there is of this key's rotation already.
    async fn begun(
        &self,
        key: &Key,
        sink: &NamedSink,
        state: &mut State,
        now: Timestamp,
    ) -> Result<Begun, SinkError> {
        let Some(pending) = key.pending(now) else {
            let is_dead = holds_discarded(sink, key).await?;
            return Ok(if is_dead { Begun::Dead } else { Begun::Nothing });
        };
        if let Some(held) = state.undelivered.get_mut(&key.id)
            && held.number == pending.number
            && let Some(secret) = held.secret.take()
        {
            return Ok(Begun::Secret(secret, pending.number));
        }
        if holds(sink, key, pending).await? {
            return Ok(Begun::Delivered(pending.number));
        }
        if now.since(pending.created_at) < PATIENCE {
            return Ok(Begun::Wait);
        }
        Ok(Begun::Nothing)
    }

    /// Makes a secret and commits a pending version of it, in the place of one whose secret is nowhere any
    /// more. `None` where the key cannot be rotated: it is left working.
    async fn begin(
        &self,
        id: KeyId,
        plan: RotationPlan,
        sink: &NamedSink,
    ) -> Result<Option<(Secret, u16)>, ControlError> {
        let Some(tenure) = self.lease.hold_sink(sink).await else {
            return Ok(None);
        };
        let caller = Caller::system("rotation");
        let begin = || {
            async {
                let now = self.clock.now();
                let Some(before) = self.store.key(id).await? else {
                    return Ok(Draft::nothing(None));
                };
                // Another gate came first, and is at it.
                let is_new = |it: &KeyVersion| now.since(it.created_at) < PATIENCE;
                if before.pending(now).is_some_and(is_new) {
                    return Ok(Draft::nothing(None));
                }
                let secret = Secret::generate(&self.making.prefix, &before.env, id, |bytes| {
                    getrandom::fill(bytes).map_err(ControlError::Random)
                })?;
                let new = NewVersion {
                    hash: self.making.hasher.hash(secret.reveal().as_bytes()),
                    fingerprint: secret.fingerprint(),
                };
                let mut entry = caller.did(Action::KeyRotation, now)?.about_key(&before);
                entry.reason = Some("regular".to_owned());
                let after = lifecycle::discard_pending(before.clone(), now)
                    .and_then(|key| lifecycle::begin_rotation(key, new, now));
                let after = match after {
                    Ok(after) => after,
                    Err(error) => {
                        tracing::warn!(key.id = %id, %error, "a key that is due cannot be rotated");
                        return Ok(Draft::nothing(None));
                    }
                };
                let number = after.pending(now).map(|pending| pending.number);
                note(&mut entry, &before, number, new, plan);
                Ok(Draft {
                    writes: vec![Write::Key(after)],
                    audit: vec![entry],
                    value: number.map(|number| (secret, number)),
                })
            }
            .boxed()
        };
        Ok(self.commit(&tenure, begin).await?.value)
    }

    /// Hands a secret over and reads it back; whether its sink holds it now.
    async fn deliver(
        &self,
        key: &Key,
        secret: Secret,
        number: u16,
        sink: &NamedSink,
        state: &mut State,
    ) -> bool {
        let now = self.clock.now();
        let note = Note {
            version: number,
            fingerprint: secret.fingerprint(),
            made_at: now,
        };
        // Asked for at the last moment: what is handed over cannot be refused afterwards.
        if self.lease.hold_sink(sink).await.is_none() {
            return false;
        }
        let Err(error) = sink.hand_over(key, &secret, note).await else {
            return true;
        };
        let failures = state
            .undelivered
            .get(&key.id)
            .map_or(0, |held| held.failures);
        sink.tell_failure(key, &error, failures);
        let held = later(number, Some(secret), failures, now);
        state.undelivered.insert(key.id, held);
        false
    }

    /// Makes a version that its sink holds the current one.
    async fn activate(
        &self,
        id: KeyId,
        number: u16,
        plan: RotationPlan,
        sink: &NamedSink,
    ) -> Result<(), ControlError> {
        // Whoever has the sink now finds the secret there.
        let Some(tenure) = self.lease.hold_sink(sink).await else {
            return Ok(());
        };
        let caller = Caller::system("rotation");
        let activate = || {
            async {
                let now = self.clock.now();
                let Some(before) = self.store.key(id).await? else {
                    return Ok(Draft::nothing(()));
                };
                let after = lifecycle::activate(before.clone(), number, plan.activation(), now)?;
                // Its first use came before this.
                if after == before {
                    return Ok(Draft::nothing(()));
                }
                let mut entry = caller.did(Action::KeyActivation, now)?.about_key(&after);
                entry.key_version = Some(number);
                entry.reason = Some("regular".to_owned());
                Ok(Draft {
                    writes: vec![Write::Key(after)],
                    audit: vec![entry],
                    value: (),
                })
            }
            .boxed()
        };
        self.commit(&tenure, activate).await.map(drop)
    }

    /// Gives a sink a live secret in the place of a dead one, at once.
    async fn replace_dead(
        &self,
        id: KeyId,
        plan: RotationPlan,
        sink: &NamedSink,
        state: &mut State,
    ) -> Result<(), ControlError> {
        let Some(key) = self.store.key(id).await? else {
            return Ok(());
        };
        let Some((secret, number)) = self.begin(id, plan, sink).await? else {
            return Ok(());
        };
        if !self.deliver(&key, secret, number, sink, state).await {
            return Ok(());
        }
        state.undelivered.remove(&id);
        self.activate(id, number, plan, sink).await
    }
}

/// Whether the sink holds the secret of this version. The fingerprint tells, whatever the hash was made with.
async fn holds(sink: &NamedSink, key: &Key, version: &KeyVersion) -> Result<bool, SinkError> {
    let held = sink.sink.held(key).await?;
    Ok(held.is_some_and(|secret| secret.fingerprint() == version.fingerprint))
}

/// Whether the sink holds a secret that was given up before it was ever current: one that a gate handed over
/// which had been paused for long, after another had taken its place.
async fn holds_discarded(sink: &NamedSink, key: &Key) -> Result<bool, SinkError> {
    let discarded =
        |version: &&KeyVersion| version.activated_at.is_none() && version.revoked_at.is_some();
    let mut given_up = key.versions.iter().filter(discarded).peekable();
    if given_up.peek().is_none() {
        return Ok(false);
    }
    let held = sink
        .sink
        .held(key)
        .await?
        .map(|secret| secret.fingerprint());
    Ok(given_up.any(|version| held == Some(version.fingerprint)))
}

fn note(
    entry: &mut AuditEntry,
    before: &Key,
    number: Option<u16>,
    new: NewVersion,
    plan: RotationPlan,
) {
    entry.key_version = number;
    entry.rotation = before.current().map(|old| RotationNote {
        old_version: old.number,
        old_fingerprint: old.fingerprint,
        new_fingerprint: new.fingerprint,
        grace: (!plan.keep_previous).then_some(plan.grace),
    });
}

fn later(number: u16, secret: Option<Secret>, failures: u32, now: Timestamp) -> Undelivered {
    Undelivered {
        number,
        secret,
        failures: failures.saturating_add(1),
        again_at: now.after(again_after(failures)),
    }
}

/// How long a pending version that this process knows nothing of is left to whoever made it.
const PATIENCE: Duration = Duration::from_secs(2 * 60);
