//! A key, its versions, and whether one of them opens the gate at a point in time.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::id::{KeyId, OwnerId};
use super::limit::{Quota, RateLimit};
use super::notice::Notice;
use super::permission::{Methods, Scope};
use super::refusal::RefusalCode;
use super::secret::{Fingerprint, KeyHash};
use super::time::Timestamp;

/// The record an owner holds. Its id, limits and counts stay the same whatever its versions do.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Names the key for ever, and stands in its secrets.
    pub id: KeyId,
    /// Who holds it.
    pub owner: OwnerId,
    /// The environment it was made for; stands in its secrets.
    pub env: String,
    /// What may be changed about it.
    pub settings: KeySettings,
    /// Whether it is in force, paused or ended.
    pub standing: Standing,
    /// When it was made.
    pub created_at: Timestamp,
    /// The id of who made it, as the audit log has it.
    pub created_by: String,
    /// When its newest version replaced another.
    pub last_rotated_at: Option<Timestamp>,
    /// What was told of it and when, so that nothing is told twice.
    pub told: BTreeMap<Notice, Timestamp>,
    /// Its secrets, oldest first; the ended ones too, as tombstones.
    pub versions: Vec<KeyVersion>,
}

/// What may be changed about a key, by whoever may.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySettings {
    /// What people call it.
    pub name: String,
    /// Why it exists.
    pub description: Option<String>,
    /// Products it is given, by name.
    pub products: Vec<String>,
    /// What it is permitted, besides what its products grant.
    pub scopes: Vec<Scope>,
    /// Methods it may use; none named: all.
    pub allowed_methods: Methods,
    /// Paths it may reach, each with all below it; none named: all.
    pub allowed_paths: Vec<String>,
    /// Addresses it may be used from; none named: all.
    pub allowed_ips: Vec<IpNet>,
    /// Its own rate limits, checked before those of its products and the route.
    pub rate_limits: Vec<RateLimit>,
    /// The most of its requests in flight at once, per gate.
    pub concurrency: Option<u32>,
    /// For how long a gate that lost touch with the store goes on admitting it; `None`: as its products and
    /// the gate say.
    pub max_staleness: Option<Duration>,
    /// Its own quotas.
    pub quotas: Vec<Quota>,
    /// How bad its loss would be.
    pub risk: Risk,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Whatever its owner wants kept with it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What it is sorted by.
    pub labels: BTreeMap<String, String>,
    /// Whether it must be unprotected before it can be revoked.
    pub protected: bool,
    /// Whether its holder may rotate it.
    pub self_rotation: bool,
}

impl KeySettings {
    /// Settings of this name that permit nothing and limit nothing.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            products: Vec::new(),
            scopes: Vec::new(),
            allowed_methods: Methods::default(),
            allowed_paths: Vec::new(),
            allowed_ips: Vec::new(),
            rate_limits: Vec::new(),
            concurrency: None,
            max_staleness: None,
            quotas: Vec::new(),
            risk: Risk::Standard,
            expires_at: None,
            metadata: serde_json::Map::new(),
            labels: BTreeMap::new(),
            protected: false,
            self_rotation: false,
        }
    }
}

/// How bad the loss of a key would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Risk {
    /// Rotated often.
    High,
    /// Rotated at the usual interval.
    #[default]
    Standard,
    /// Rotated once a year or less.
    Low,
}

impl Risk {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Standard => "standard",
            Self::Low => "low",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::High, Self::Standard, Self::Low]
            .into_iter()
            .find(|risk| risk.as_str() == word)
    }
}

/// Whether a key is in force, apart from time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In force.
    Active,
    /// Paused; may be resumed.
    Suspended {
        /// Since when.
        at: Timestamp,
    },
    /// Ended; never comes back.
    Revoked {
        /// Since when.
        at: Timestamp,
    },
}

/// What the list filters by: standing and time together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyStatus {
    /// Its current version is admitted.
    Active,
    /// Refused until resumed.
    Suspended,
    /// Refused since `expires_at`.
    Expired,
    /// Refused for ever.
    Revoked,
}

impl KeyStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Expired, Self::Revoked]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// One secret of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// 1 for the first; each rotation adds one.
    pub number: u16,
    /// What is kept of the secret.
    pub hash: KeyHash,
    /// What may be shown of it.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became the current one; `None` while it is pending.
    pub activated_at: Option<Timestamp>,
    /// When it stops working because a newer one exists; never moved once set.
    pub retires_at: Option<Timestamp>,
    /// When it was revoked by itself.
    pub revoked_at: Option<Timestamp>,
}

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Made, not yet confirmed; admitted, and current at its first use.
    Pending,
    /// The newest.
    Current,
    /// Replaced, and still admitted.
    Previous,
    /// Replaced, and its grace is over.
    Retired,
    /// Ended by hand.
    Revoked,
}

impl VersionState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether a version in this state is admitted, its key permitting.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Current | Self::Previous)
    }
}

impl KeyVersion {
    /// When it stopped or will stop, for whichever reason comes first.
    #[must_use]
    pub fn stops_at(&self) -> Option<Timestamp> {
        [self.retires_at, self.revoked_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether it will never be admitted again, whatever becomes of its key.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.retires_at.is_some_and(|end| end <= now)
    }
}

impl Key {
    /// The version that waits to become the current one.
    #[must_use]
    pub fn pending(&self, now: Timestamp) -> Option<&KeyVersion> {
        self.versions
            .iter()
            .find(|version| version.activated_at.is_none() && !version.has_ended(now))
    }

    /// The newest version that was ever activated; what the key's fingerprint is taken from.
    #[must_use]
    pub fn current(&self) -> Option<&KeyVersion> {
        self.versions
            .iter()
            .filter(|version| version.activated_at.is_some())
            .max_by_key(|version| version.number)
    }

    /// Standing and time together.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        match self.standing {
            Standing::Revoked { .. } => KeyStatus::Revoked,
            _ if self.settings.expires_at.is_some_and(|end| end <= now) => KeyStatus::Expired,
            Standing::Suspended { .. } => KeyStatus::Suspended,
            Standing::Active => KeyStatus::Active,
        }
    }

    /// Whether a version was replaced with no time left to it: its end is when another one became current. It
    /// is over for whoever knows of that, even where the clock has not come so far.
    #[must_use]
    pub fn ended_at_once(&self, version: &KeyVersion) -> bool {
        version.retires_at.is_some_and(|end| {
            let mut later = self.versions.iter().filter(|it| it.number > version.number);
            later.any(|it| it.activated_at == Some(end))
        })
    }

    /// Where a version of this key is in its life.
    #[must_use]
    pub fn version_state(&self, version: &KeyVersion, now: Timestamp) -> VersionState {
        if version.revoked_at.is_some() {
            VersionState::Revoked
        } else if version.retires_at.is_some_and(|end| end <= now) || self.ended_at_once(version) {
            VersionState::Retired
        } else if version.activated_at.is_none() {
            VersionState::Pending
        } else if self
            .current()
            .is_some_and(|current| current.number == version.number)
        {
            VersionState::Current
        } else {
            VersionState::Previous
        }
    }

    /// The same as it is told: of a revoked key no version is alive.
    #[must_use]
    pub fn told_state(&self, version: &KeyVersion, now: Timestamp) -> VersionState {
        match (self.standing, self.version_state(version, now)) {
            (Standing::Revoked { .. }, state) if state.is_live() => VersionState::Revoked,
            (_, state) => state,
        }
    }

    /// Whether the secret with this hash opens the gate at `now`: the version it is, or why not.
    ///
    /// # Errors
    /// `unknown_key` if no version has the hash, else the reason this one is not admitted.
    pub fn admits(&self, hash: &KeyHash, now: Timestamp) -> Result<&KeyVersion, RefusalCode> {
        let version = self
            .versions
            .iter()
            .find(|version| version.hash.matches(hash))
            .ok_or(RefusalCode::UnknownKey)?;
        let facts = Facts {
            is_revoked: version.revoked_at.is_some()
                || matches!(self.standing, Standing::Revoked { .. }),
            is_suspended: matches!(self.standing, Standing::Suspended { .. }),
            has_retired: self.ended_at_once(version),
            retires_at: version.retires_at.unwrap_or(Timestamp::NEVER),
            expires_at: self.settings.expires_at.unwrap_or(Timestamp::NEVER),
        };
        facts.verdict(now)?;
        Ok(version)
    }
}

/// All that decides whether a version may pass; the gate's cache keeps just this of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether the key, or this version of it, was ended by hand.
    pub is_revoked: bool,
    /// Whether the key is paused.
    pub is_suspended: bool,
    /// Whether this version is over whatever the time, as one is that was replaced without grace.
    pub has_retired: bool,
    /// When this version's grace ends.
    pub retires_at: Timestamp,
    /// When the key ends by itself.
    pub expires_at: Timestamp,
}

impl Facts {
    /// Whether the version may pass at `now`. What ended for good is named before what may come back.
    ///
    /// # Errors
    /// The reason it may not.
    pub fn verdict(&self, now: Timestamp) -> Result<(), RefusalCode> {
        if self.is_revoked {
            Err(RefusalCode::KeyRevoked)
        } else if self.has_retired || self.retires_at <= now {
            Err(RefusalCode::KeyRetired)
        } else if self.expires_at <= now {
            Err(RefusalCode::KeyExpired)
        } else if self.is_suspended {
            Err(RefusalCode::KeySuspended)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn hash(byte: u8) -> KeyHash {
        KeyHash {
            pepper: 0,
            digest: [byte; 32],
        }
    }

    fn key() -> Key {
        let version = KeyVersion {
            number: 1,
            hash: hash(1),
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_at: at(1_000),
            activated_at: Some(at(1_000)),
            retires_at: None,
            revoked_at: None,
        };
        Key {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            settings: KeySettings::named("k"),
            standing: Standing::Active,
            created_at: at(1_000),
            created_by: "tok_".into(),
            last_rotated_at: None,
            told: BTreeMap::new(),
            versions: vec![version],
        }
    }

    #[test]
    fn a_retiring_version_is_admitted_until_its_end_and_not_at_it() {
        let mut key = key();
        key.versions[0].retires_at = Some(at(1_050));
        assert_eq!(
            key.admits(&hash(1), at(1_049))
                .map(|version| version.number),
            Ok(1)
        );
        assert_eq!(
            key.admits(&hash(1), at(1_050)),
            Err(RefusalCode::KeyRetired)
        );
    }

    #[test]
    fn a_key_is_admitted_until_it_expires_and_not_at_it() {
        let mut key = key();
        key.settings.expires_at = Some(at(2_000));
        assert!(key.admits(&hash(1), at(1_999)).is_ok());
        assert_eq!(
            key.admits(&hash(1), at(2_000)),
            Err(RefusalCode::KeyExpired)
        );
        assert_eq!(key.status(at(1_999)), KeyStatus::Active);
        assert_eq!(key.status(at(2_000)), KeyStatus::Expired);
    }

    #[test]
    fn what_ended_for_good_is_named_before_what_may_come_back() {
        let mut key = key();
        key.settings.expires_at = Some(at(2_000));
        key.standing = Standing::Revoked { at: at(1_500) };
        assert_eq!(
            key.admits(&hash(1), at(3_000)),
            Err(RefusalCode::KeyRevoked)
        );
        key.standing = Standing::Suspended { at: at(1_500) };
        assert_eq!(
            key.admits(&hash(1), at(3_000)),
            Err(RefusalCode::KeyExpired)
        );
        assert_eq!(
            key.admits(&hash(1), at(1_600)),
            Err(RefusalCode::KeySuspended)
        );
    }

    #[test]
    fn no_version_of_a_revoked_key_is_called_current() {
        let mut key = key();
        key.standing = Standing::Revoked { at: at(1_500) };
        let state = |key: &Key| key.told_state(&key.versions[0], at(2_000));
        assert_eq!(state(&key), VersionState::Revoked);
        key.versions[0].retires_at = Some(at(1_200));
        assert_eq!(state(&key), VersionState::Retired, "it ended before");
    }

    #[test]
    fn another_hash_is_unknown() {
        assert_eq!(
            key().admits(&hash(2), at(1_000)),
            Err(RefusalCode::UnknownKey)
        );
    }
}
