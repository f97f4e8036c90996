//! The steps of a key's versions: rotated by hand or by a policy, activated, ended, forgotten.
//!
//! By hand, a version gets its end at once: the rotation that replaces it says when. By a policy, the new
//! version is *pending* until it is known to have arrived, and only then does the clock of the old one
//! start: nobody is locked out by a secret that never reached them.

use std::time::Duration;

use super::steps::{LifecycleError, ensure_not_revoked};
use crate::domain::key::{Key, KeyVersion};
use crate::domain::notice::Notice;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::Timestamp;

/// The most versions that are admitted at once: one pending, one current, the rest previous.
pub const LIVE_VERSIONS_MAX: usize = 5;

/// How long a replaced version still works: `0s` to `72h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grace(Duration);

impl Grace {
    /// No time at all: the old secret stops with the rotation.
    pub const NONE: Self = Self(Duration::ZERO);
    /// The most a rotation by hand may ask.
    pub const MAX: Self = Self(Duration::from_secs(72 * 3_600));

    /// A grace of this length, to the millisecond; `None` if it is longer than 72 hours.
    #[must_use]
    pub fn new(length: Duration) -> Option<Self> {
        (length <= Self::MAX.0).then_some(Self(length))
    }

    /// Its length.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.0
    }
}

impl Default for Grace {
    /// A day.
    fn default() -> Self {
        Self(Duration::from_secs(24 * 3_600))
    }
}

/// What a new version is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewVersion {
    /// What is kept of its secret.
    pub hash: KeyHash,
    /// What may be shown of it.
    pub fingerprint: Fingerprint,
}

/// What a rotation by hand does to the versions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Each that has no end yet gets one, so far from now.
    Retire(Grace),
    /// Each ends now, whatever it was promised: its secret has leaked.
    Revoke,
}

impl Default for Earlier {
    fn default() -> Self {
        Self::Retire(Grace::default())
    }
}

/// How a key is rotated by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationTerms {
    /// What becomes of the versions there are.
    pub earlier: Earlier,
    /// Another end for the key; `Some(None)`: no end. An expired key needs one, and it lies ahead.
    pub expires_at: Option<Option<Timestamp>>,
}

/// What becomes of the versions before one that is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The two most recent stay: the one before gets no end, what is older ends now if it has none.
    KeepPrevious,
    /// Only the newest stays: what is older ends so far from now if it has no end yet.
    Retire(Duration),
}

/// Gives a key a new current version; its id and all else about it stay. A version that is pending is
/// discarded: two secrets would wait to become current.
///
/// The end of a version never moves, so a second rotation neither prolongs nor cuts an earlier grace; only
/// [`Earlier::Revoke`] ends a version sooner than was said. The secrets of a key that had expired stay
/// dead, whatever end the key is given.
///
/// # Errors
/// [`LifecycleError::Revoked`]; [`LifecycleError::Expired`] without a new end that lies ahead;
/// [`LifecycleError::TooManyVersions`].
pub fn rotate(
    key: Key,
    new: NewVersion,
    terms: RotationTerms,
    now: Timestamp,
) -> Result<Key, LifecycleError> {
    ensure_not_revoked(&key)?;
    let expired_at = key.settings.expires_at.filter(|end| *end <= now);
    let mut key = discard_pending(key, now)?;
    if let Some(end) = terms.expires_at {
        key.told.remove(&Notice::Expiring);
        key.settings.expires_at = end;
    }
    if key.settings.expires_at.is_some_and(|end| end <= now) {
        return Err(LifecycleError::Expired);
    }
    for version in key.versions.iter_mut().filter(|v| !v.has_ended(now)) {
        match (expired_at, terms.earlier) {
            // They died with the key. One that was promised more than that is ended by hand, for its own
            // end cannot be moved.
            (Some(end), _) => {
                if *version.retires_at.get_or_insert(end) > now {
                    version.revoked_at = Some(now);
                }
            }
            (None, Earlier::Revoke) => version.revoked_at = Some(now),
            (None, Earlier::Retire(grace)) => {
                version.retires_at.get_or_insert(now.after(grace.length()));
            }
        }
    }
    key.last_rotated_at = Some(now);
    add(key, new, Some(now), now)
}

/// Gives a key a *pending* version, and leaves the others as they are. It is admitted, and becomes the
/// current one by [`activate`].
///
/// # Errors
/// [`LifecycleError::Revoked`], [`LifecycleError::Expired`], [`LifecycleError::PendingVersion`],
/// [`LifecycleError::TooManyVersions`].
pub fn begin_rotation(key: Key, new: NewVersion, now: Timestamp) -> Result<Key, LifecycleError> {
    ensure_in_force(&key, now)?;
    if key.pending(now).is_some() {
        return Err(LifecycleError::PendingVersion);
    }
    add(key, new, None, now)
}

/// Makes the pending version of this number the current one: it was used, or it is known to have arrived.
/// A version that was activated before changes nothing.
///
/// # Errors
/// [`LifecycleError::NoSuchVersion`]; [`LifecycleError::VersionRevoked`] if it was discarded in the
/// meantime; [`LifecycleError::Revoked`], [`LifecycleError::Expired`].
pub fn activate(
    mut key: Key,
    number: u16,
    others: Activation,
    now: Timestamp,
) -> Result<Key, LifecycleError> {
    ensure_in_force(&key, now)?;
    let previous = key.current().map(|version| version.number);
    let version = version_mut(&mut key, number)?;
    if version.activated_at.is_some() {
        return Ok(key);
    }
    if version.revoked_at.is_some() {
        return Err(LifecycleError::VersionRevoked);
    }
    version.activated_at = Some(now);
    key.last_rotated_at = Some(now);
    let stays = |version: &KeyVersion| {
        version.number == number
            || (others == Activation::KeepPrevious && Some(version.number) == previous)
    };
    let grace = match others {
        Activation::KeepPrevious => Duration::ZERO,
        Activation::Retire(grace) => grace,
    };
    for version in &mut key.versions {
        if !stays(version) && !version.has_ended(now) {
            version.retires_at.get_or_insert(now.after(grace));
        }
    }
    Ok(key)
}

/// Ends the pending version, if there is one: it could not be delivered, or something else takes its place.
///
/// # Errors
/// [`LifecycleError::Revoked`].
pub fn discard_pending(mut key: Key, now: Timestamp) -> Result<Key, LifecycleError> {
    ensure_not_revoked(&key)?;
    for version in &mut key.versions {
        if version.activated_at.is_none() && !version.has_ended(now) {
            version.revoked_at = Some(now);
        }
    }
    Ok(key)
}

/// Ends one version by itself, sooner than was said; one that waits to become current too. Ending it again
/// changes nothing.
///
/// # Errors
/// [`LifecycleError::NoSuchVersion`]; [`LifecycleError::CurrentVersion`]; [`LifecycleError::Revoked`] for
/// a version that ended only with its key.
pub fn revoke_version(mut key: Key, number: u16, now: Timestamp) -> Result<Key, LifecycleError> {
    let is_current = key
        .current()
        .is_some_and(|current| current.number == number);
    let is_revoked = version_mut(&mut key, number)?.revoked_at.is_some();
    if is_revoked {
        return Ok(key);
    }
    ensure_not_revoked(&key)?;
    if is_current {
        return Err(LifecycleError::CurrentVersion);
    }
    // A version that has retired too: what gates think of its time no longer matters then.
    version_mut(&mut key, number)?.revoked_at = Some(now);
    Ok(key)
}

/// Forgets the versions that ended before `before`: their secrets are unknown from then on. The current
/// version stays, and the newest: its number must not be given again.
#[must_use]
pub fn forget_tombstones(mut key: Key, before: Timestamp) -> Key {
    let current = key.current().map(|version| version.number);
    let newest = newest(&key);
    key.versions.retain(|version| {
        let is_old = [version.retires_at, version.revoked_at]
            .into_iter()
            .flatten()
            .any(|end| end < before);
        !is_old || Some(version.number) == current || version.number == newest
    });
    key
}

fn add(
    mut key: Key,
    new: NewVersion,
    activated_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Key, LifecycleError> {
    let live = key.versions.iter().filter(|v| !v.has_ended(now)).count();
    let number = newest(&key).checked_add(1);
    let Some(number) = number.filter(|_| live < LIVE_VERSIONS_MAX) else {
        return Err(LifecycleError::TooManyVersions);
    };
    key.versions.push(KeyVersion {
        number,
        hash: new.hash,
        fingerprint: new.fingerprint,
        created_at: now,
        activated_at,
        retires_at: None,
        revoked_at: None,
    });
    Ok(key)
}

fn newest(key: &Key) -> u16 {
    let numbers = key.versions.iter().map(|version| version.number);
    numbers.max().unwrap_or(0)
}

fn ensure_in_force(key: &Key, now: Timestamp) -> Result<(), LifecycleError> {
    ensure_not_revoked(key)?;
    if key.settings.expires_at.is_some_and(|end| end <= now) {
        return Err(LifecycleError::Expired);
    }
    Ok(())
}

fn version_mut(key: &mut Key, number: u16) -> Result<&mut KeyVersion, LifecycleError> {
    key.versions
        .iter_mut()
        .find(|version| version.number == number)
        .ok_or(LifecycleError::NoSuchVersion)
}
