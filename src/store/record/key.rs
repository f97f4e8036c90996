//! Keys, as stored.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::form::{Bytes, DecodeError, decode, encode, known};
use super::rules::millis;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Key, KeySettings, KeyVersion, Risk, Standing};
use crate::domain::limit::{Enforce, LimitMode, Period, Quota, Rate, RateLimit, Unit};
use crate::domain::notice::Notice;
use crate::domain::permission::Method;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::time::Timestamp;

/// Writes a key.
#[must_use]
pub fn encode_key(key: &Key) -> Vec<u8> {
    encode(&StoredKey::from(key))
}

/// Reads a key.
///
/// # Errors
/// If the bytes are no key, or one that this binary does not understand.
pub fn decode_key(bytes: &[u8]) -> Result<Key, DecodeError> {
    decode::<StoredKey<'_>>(bytes)?.try_into()
}

/// Texts are borrowed, from the key when writing and from the bytes when reading.
#[derive(Serialize, Deserialize)]
struct StoredKey<'a> {
    id: Bytes<10>,
    owner: Bytes<10>,
    env: &'a str,
    name: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    products: Vec<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    allowed_methods: Vec<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    allowed_paths: Vec<&'a str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_ips: Vec<String>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    rate_limits: Vec<StoredLimit<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_staleness: Option<u64>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    quotas: Vec<StoredQuota<'a>>,
    risk: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_empty")]
    metadata: Cow<'a, serde_json::Map<String, serde_json::Value>>,
    #[serde(default, borrow, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    self_rotation: bool,
    /// Never left out: a key is in force because that is written, not because nothing is.
    standing: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    standing_since: Option<u64>,
    created_at: u64,
    created_by: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_rotated_at: Option<u64>,
    #[serde(default, borrow, skip_serializing_if = "BTreeMap::is_empty")]
    told: BTreeMap<&'a str, u64>,
    versions: Vec<StoredVersion>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredLimit<'a> {
    count: u32,
    per: &'a str,
    burst: u32,
    mode: &'a str,
    enforce: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredQuota<'a> {
    limit: u64,
    per: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_day: Option<u8>,
    hard: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredVersion {
    number: u16,
    #[serde(default, skip_serializing_if = "is_zero")]
    pepper: u8,
    digest: Bytes<32>,
    fingerprint: Bytes<6>,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activated_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<u64>,
}

impl<'a> From<&'a Key> for StoredKey<'a> {
    fn from(key: &'a Key) -> Self {
        let settings = &key.settings;
        let (standing, standing_since) = match key.standing {
            Standing::Active => (ACTIVE, None),
            Standing::Suspended { at } => (SUSPENDED, Some(at.as_millis())),
            Standing::Revoked { at } => (REVOKED, Some(at.as_millis())),
        };
        Self {
            id: Bytes(*key.id.as_bytes()),
            owner: Bytes(*key.owner.as_bytes()),
            env: &key.env,
            name: &settings.name,
            description: settings.description.as_deref(),
            products: settings.products.iter().map(String::as_str).collect(),
            scopes: settings.scopes.iter().map(|scope| scope.as_str()).collect(),
            allowed_methods: settings
                .allowed_methods
                .iter()
                .map(Method::as_str)
                .collect(),
            allowed_paths: settings.allowed_paths.iter().map(String::as_str).collect(),
            allowed_ips: settings
                .allowed_ips
                .iter()
                .map(ToString::to_string)
                .collect(),
            rate_limits: settings.rate_limits.iter().map(StoredLimit::from).collect(),
            concurrency: settings.concurrency,
            max_staleness: settings.max_staleness.map(millis),
            quotas: settings.quotas.iter().map(StoredQuota::from).collect(),
            risk: settings.risk.as_str(),
            expires_at: settings.expires_at.map(Timestamp::as_millis),
            metadata: Cow::Borrowed(&settings.metadata),
            labels: settings
                .labels
                .iter()
                .map(|(label, value)| (label.as_str(), value.as_str()))
                .collect(),
            protected: settings.protected,
            self_rotation: settings.self_rotation,
            standing,
            standing_since,
            created_at: key.created_at.as_millis(),
            created_by: &key.created_by,
            last_rotated_at: key.last_rotated_at.map(Timestamp::as_millis),
            told: key
                .told
                .iter()
                .map(|(notice, at)| (notice.as_str(), at.as_millis()))
                .collect(),
            versions: key.versions.iter().map(StoredVersion::from).collect(),
        }
    }
}

impl TryFrom<StoredKey<'_>> for Key {
    type Error = DecodeError;

    fn try_from(stored: StoredKey<'_>) -> Result<Self, DecodeError> {
        let since = stored.standing_since.map(Timestamp::from_millis);
        let standing = match (stored.standing, since) {
            (ACTIVE, None) => Standing::Active,
            (SUSPENDED, Some(at)) => Standing::Suspended { at },
            (REVOKED, Some(at)) => Standing::Revoked { at },
            _ => return Err(DecodeError::Value("standing")),
        };
        let settings = KeySettings {
            name: stored.name.to_owned(),
            description: stored.description.map(str::to_owned),
            products: owned(stored.products),
            scopes: each("scopes", stored.scopes, |scope| scope.parse().ok())?,
            allowed_methods: each("allowed_methods", stored.allowed_methods, |method| {
                Method::from_token(method)
            })?
            .into_iter()
            .collect(),
            allowed_paths: owned(stored.allowed_paths),
            allowed_ips: each("allowed_ips", stored.allowed_ips, |net| net.parse().ok())?,
            rate_limits: each("rate_limits", stored.rate_limits, StoredLimit::read)?,
            concurrency: stored.concurrency,
            max_staleness: stored.max_staleness.map(Duration::from_millis),
            quotas: each("quotas", stored.quotas, StoredQuota::read)?,
            risk: known("risk", Risk::from_word(stored.risk))?,
            expires_at: stored.expires_at.map(Timestamp::from_millis),
            metadata: stored.metadata.into_owned(),
            labels: stored
                .labels
                .into_iter()
                .map(|(label, value)| (label.to_owned(), value.to_owned()))
                .collect(),
            protected: stored.protected,
            self_rotation: stored.self_rotation,
        };
        Ok(Self {
            id: known("id", KeyId::from_chars(&stored.id.0).ok())?,
            owner: known("owner", OwnerId::from_chars(&stored.owner.0).ok())?,
            env: stored.env.to_owned(),
            settings,
            standing,
            created_at: Timestamp::from_millis(stored.created_at),
            created_by: stored.created_by.to_owned(),
            last_rotated_at: stored.last_rotated_at.map(Timestamp::from_millis),
            // A notice of a newer binary is passed over: at worst it is told again.
            told: stored
                .told
                .into_iter()
                .filter_map(|(word, at)| {
                    Some((Notice::from_word(word)?, Timestamp::from_millis(at)))
                })
                .collect(),
            versions: stored.versions.into_iter().map(KeyVersion::from).collect(),
        })
    }
}

impl<'a> From<&'a RateLimit> for StoredLimit<'a> {
    fn from(limit: &'a RateLimit) -> Self {
        Self {
            count: limit.rate.count.get(),
            per: limit.rate.unit.as_str(),
            burst: limit.burst.get(),
            mode: limit.mode.as_str(),
            enforce: limit.enforce.as_str(),
        }
    }
}

impl StoredLimit<'_> {
    pub(super) fn read(self) -> Option<RateLimit> {
        Some(RateLimit {
            rate: Rate {
                count: NonZeroU32::new(self.count)?,
                unit: Unit::from_word(self.per)?,
            },
            burst: NonZeroU32::new(self.burst)?,
            mode: LimitMode::from_word(self.mode)?,
            enforce: Enforce::from_word(self.enforce)?,
        })
    }
}

impl<'a> From<&'a Quota> for StoredQuota<'a> {
    fn from(quota: &'a Quota) -> Self {
        Self {
            limit: quota.limit,
            per: quota.per.as_str(),
            on_day: quota.on_day,
            hard: quota.hard,
        }
    }
}

impl StoredQuota<'_> {
    pub(super) fn read(self) -> Option<Quota> {
        Some(Quota {
            limit: self.limit,
            per: Period::from_word(self.per)?,
            on_day: self.on_day,
            hard: self.hard,
        })
    }
}

impl From<&KeyVersion> for StoredVersion {
    fn from(version: &KeyVersion) -> Self {
        Self {
            number: version.number,
            pepper: version.hash.pepper,
            digest: Bytes(version.hash.digest),
            fingerprint: Bytes(*version.fingerprint.as_bytes()),
            created_at: version.created_at.as_millis(),
            activated_at: version.activated_at.map(Timestamp::as_millis),
            retires_at: version.retires_at.map(Timestamp::as_millis),
            revoked_at: version.revoked_at.map(Timestamp::as_millis),
        }
    }
}

impl From<StoredVersion> for KeyVersion {
    fn from(stored: StoredVersion) -> Self {
        Self {
            number: stored.number,
            hash: KeyHash {
                pepper: stored.pepper,
                digest: stored.digest.0,
            },
            fingerprint: Fingerprint::from_bytes(stored.fingerprint.0),
            created_at: Timestamp::from_millis(stored.created_at),
            activated_at: stored.activated_at.map(Timestamp::from_millis),
            retires_at: stored.retires_at.map(Timestamp::from_millis),
            revoked_at: stored.revoked_at.map(Timestamp::from_millis),
        }
    }
}

/// Reads each of a list, or names the field that one is unknown in: a restriction that is not
/// understood must not be dropped.
pub(super) fn each<S, T>(
    field: &'static str,
    stored: Vec<S>,
    read: impl FnMut(S) -> Option<T>,
) -> Result<Vec<T>, DecodeError> {
    known(field, stored.into_iter().map(read).collect())
}

pub(super) fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

#[expect(
    clippy::ptr_arg,
    reason = "serde calls it with a reference to the field"
)]
fn is_empty(map: &Cow<'_, serde_json::Map<String, serde_json::Value>>) -> bool {
    map.is_empty()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

const ACTIVE: &str = "active";
const SUSPENDED: &str = "suspended";
const REVOKED: &str = "revoked";
