//! The steps of a key as a whole, and what its settings may be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::domain::id::{KeyId, OwnerId};
use crate::domain::key::{Key, KeySettings, KeyVersion, Standing};
use crate::domain::lifecycle::most;
use crate::domain::limit::RATE_MAX;
use crate::domain::notice::Notice;
use crate::domain::permission;
use crate::domain::product::Product;
use crate::domain::secret::{Fingerprint, KeyHash};
use crate::domain::staleness::{SHORTEST, STALENESS};
use crate::domain::time::Timestamp;

/// Why a step cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleError {
    /// A revoked key never changes again.
    #[error("the key is revoked, which is final")]
    Revoked,
    /// A protected key must be unprotected first.
    #[error("the key is protected; patch `protected` to false first")]
    Protected,
    /// An expired key is left as it is, but for a rotation that gives it a new end.
    #[error("the key has expired; only a rotation with a new `expires_at` gives it a new life")]
    Expired,
    /// Another version would be one too many to be live at once.
    #[error("the key has five live versions; revoke one of them, or wait until one retires")]
    TooManyVersions,
    /// A version that was made before still waits to be used or confirmed.
    #[error("a version of the key is pending already")]
    PendingVersion,
    /// The current version is ended by replacing it.
    #[error("this is the current version; rotate the key with a grace of `0s` to end it")]
    CurrentVersion,
    /// A revoked version never comes back.
    #[error("this version is revoked, which is final")]
    VersionRevoked,
    /// The key has no version of this number.
    #[error("the key has no version of this number")]
    NoSuchVersion,
}

/// One field of what was asked for that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Which, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong with it, for programs.
    pub code: &'static str,
    /// What is wrong with it, for people.
    pub detail: String,
}

impl FieldFault {
    /// A fault of the field at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// What a new key is made of, besides its settings.
#[derive(Debug, Clone)]
pub struct Birth {
    /// Its name for ever.
    pub id: KeyId,
    /// Who will hold it.
    pub owner: OwnerId,
    /// Its environment.
    pub env: String,
    /// What is kept of its first secret.
    pub hash: KeyHash,
    /// What may be shown of it.
    pub fingerprint: Fingerprint,
    /// Who makes it.
    pub created_by: String,
}

/// Makes a key whose first version is current at once.
#[must_use]
pub fn create(birth: Birth, settings: KeySettings, now: Timestamp) -> Key {
    let first = KeyVersion {
        number: 1,
        hash: birth.hash,
        fingerprint: birth.fingerprint,
        created_at: now,
        activated_at: Some(now),
        retires_at: None,
        revoked_at: None,
    };
    Key {
        id: birth.id,
        owner: birth.owner,
        env: birth.env,
        settings,
        standing: Standing::Active,
        created_at: now,
        created_by: birth.created_by,
        last_rotated_at: None,
        told: BTreeMap::new(),
        versions: vec![first],
    }
}

/// Gives a key other settings.
///
/// # Errors
/// [`LifecycleError::Revoked`]: what is final does not change. [`LifecycleError::Expired`] for a later
/// end of a key that has ended: its secrets stay dead, only a rotation gives it a new life.
pub fn change(mut key: Key, settings: KeySettings, now: Timestamp) -> Result<Key, LifecycleError> {
    ensure_not_revoked(&key)?;
    let ended = key.settings.expires_at.is_some_and(|end| end <= now);
    if ended && settings.expires_at != key.settings.expires_at {
        return Err(LifecycleError::Expired);
    }
    if settings.expires_at != key.settings.expires_at {
        // Another end is warned of anew.
        key.told.remove(&Notice::Expiring);
    }
    key.settings = settings;
    Ok(key)
}

/// Pauses a key. Pausing a paused key changes nothing.
///
/// # Errors
/// [`LifecycleError::Revoked`].
pub fn suspend(mut key: Key, now: Timestamp) -> Result<Key, LifecycleError> {
    ensure_not_revoked(&key)?;
    if key.standing == Standing::Active {
        key.standing = Standing::Suspended { at: now };
    }
    Ok(key)
}

/// Ends a pause. Resuming a key in force changes nothing.
///
/// # Errors
/// [`LifecycleError::Revoked`].
pub fn resume(mut key: Key) -> Result<Key, LifecycleError> {
    ensure_not_revoked(&key)?;
    key.standing = Standing::Active;
    Ok(key)
}

/// Ends a key for ever. Revoking a revoked key changes nothing, not even the time it was revoked at.
///
/// # Errors
/// [`LifecycleError::Protected`].
pub fn revoke(mut key: Key, now: Timestamp) -> Result<Key, LifecycleError> {
    if matches!(key.standing, Standing::Revoked { .. }) {
        return Ok(key);
    }
    if key.settings.protected {
        return Err(LifecycleError::Protected);
    }
    key.standing = Standing::Revoked { at: now };
    Ok(key)
}

/// Ends a key because its owner is switched off, protected or not.
#[must_use]
pub fn end_with_owner(mut key: Key, now: Timestamp) -> Key {
    if !matches!(key.standing, Standing::Revoked { .. }) {
        key.standing = Standing::Revoked { at: now };
    }
    key
}

pub(super) fn ensure_not_revoked(key: &Key) -> Result<(), LifecycleError> {
    if let Standing::Revoked { .. } = key.standing {
        Err(LifecycleError::Revoked)
    } else {
        Ok(())
    }
}

/// What settings are judged against.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The products there are.
    pub products: &'a [Product],
    /// Now; an end must lie ahead of it.
    pub now: Timestamp,
}

/// Everything that is wrong with a key's settings; nothing, if they may stand.
///
/// `before` is what they replace: an end that has passed may stay as it is.
#[must_use]
pub fn faults(
    settings: &KeySettings,
    before: Option<&KeySettings>,
    bounds: Bounds<'_>,
) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let mut fault =
        |pointer: String, code, detail: &str| faults.push(FieldFault::new(pointer, code, detail));

    if !is_text(&settings.name, 1, 128) {
        fault(
            "/name".into(),
            "length",
            "a name has 1 to 128 characters and no control characters",
        );
    }
    if settings
        .description
        .as_ref()
        .is_some_and(|text| !is_text(text, 0, 1_024))
    {
        fault(
            "/description".into(),
            "length",
            "a description has at most 1024 characters and no control characters",
        );
    }
    for (at, name) in settings.products.iter().enumerate() {
        if !bounds.products.iter().any(|product| product.name == *name) {
            fault(
                format!("/products/{at}"),
                "unknown_product",
                "there is no product of this name",
            );
        }
    }
    for (at, path) in settings.allowed_paths.iter().enumerate() {
        if !path.starts_with('/')
            || path.len() > 1_024
            || path
                .bytes()
                .any(|byte| byte <= b' ' || byte >= 0x7f || b"?#\\".contains(&byte))
        {
            fault(
                format!("/allowed_paths/{at}"),
                "form",
                "a path begins with `/` and has neither query nor fragment",
            );
        } else if !permission::is_canonical(path) {
            fault(
                format!("/allowed_paths/{at}"),
                "form",
                "no request has such a path: it has no dot segments, and escapes only what must be, in upper case",
            );
        }
    }
    for (at, limit) in settings.rate_limits.iter().enumerate() {
        if limit.burst.get() > RATE_MAX {
            fault(
                format!("/rate_limits/{at}/burst"),
                "too_large",
                "a burst is at most 1000000000",
            );
        }
    }
    if settings.concurrency == Some(0) {
        fault(
            "/concurrency".into(),
            "too_small",
            "a concurrency limit is at least 1",
        );
    }
    if settings.max_staleness.is_some_and(|it| it < SHORTEST) {
        fault("/max_staleness".into(), "too_small", STALENESS);
    }
    let kept = before.is_some_and(|before| before.expires_at == settings.expires_at);
    if !kept && settings.expires_at.is_some_and(|end| end <= bounds.now) {
        fault(
            "/expires_at".into(),
            "past",
            "the end of a key lies in the future",
        );
    }
    for (label, value) in &settings.labels {
        if !is_text(label, 1, 64) || !is_text(value, 0, 256) {
            fault(
                format!("/labels/{}", label.replace('~', "~0").replace('/', "~1")),
                "length",
                "a label has 1 to 64 characters, its value at most 256",
            );
        }
    }
    for (pointer, count, most) in [
        ("/products", settings.products.len(), most::PRODUCTS),
        ("/scopes", settings.scopes.len(), most::SCOPES),
        ("/allowed_paths", settings.allowed_paths.len(), most::PATHS),
        ("/allowed_ips", settings.allowed_ips.len(), most::NETWORKS),
        (
            "/rate_limits",
            settings.rate_limits.len(),
            most::RATE_LIMITS,
        ),
        ("/quotas", settings.quotas.len(), most::QUOTAS),
        ("/labels", settings.labels.len(), most::LABELS),
    ] {
        if count > most {
            fault(
                pointer.into(),
                "too_many",
                &format!("at most {most} of these"),
            );
        }
    }
    if serde_json::to_string(&settings.metadata).is_ok_and(|text| text.len() > 4_096) {
        fault(
            "/metadata".into(),
            "too_large",
            "metadata has at most 4096 bytes as JSON",
        );
    }
    faults
}

/// Whether a text for people has a fitting length and nothing that hides or breaks lines.
#[must_use]
pub fn is_text(text: &str, least: usize, most: usize) -> bool {
    let length = text.chars().count();
    least <= length && length <= most && !text.chars().any(char::is_control)
}

/// The address in its shortest form, for logs and audit entries.
#[must_use]
pub fn address_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::KeyStatus;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn key() -> Key {
        let birth = Birth {
            id: KeyId::from_random([1; 10]),
            owner: OwnerId::from_random([2; 10]),
            env: "live".into(),
            hash: KeyHash {
                pepper: 0,
                digest: [1; 32],
            },
            fingerprint: Fingerprint::from_bytes([1; 6]),
            created_by: "tok_x".into(),
        };
        create(birth, KeySettings::named("k"), at(1_000))
    }

    #[test]
    fn a_revoked_key_never_comes_back() {
        let revoked = revoke(key(), at(2_000)).unwrap_or_else(|_| key());
        assert_eq!(revoked.status(at(2_000)), KeyStatus::Revoked);
        assert_eq!(resume(revoked.clone()), Err(LifecycleError::Revoked));
        assert_eq!(
            suspend(revoked.clone(), at(3_000)),
            Err(LifecycleError::Revoked)
        );
        assert_eq!(
            change(revoked.clone(), KeySettings::named("n"), at(3_000)),
            Err(LifecycleError::Revoked)
        );
        assert_eq!(revoke(revoked.clone(), at(3_000)), Ok(revoked));
    }

    #[test]
    fn an_expired_key_is_not_revived_by_a_later_end() {
        let mut ended = key();
        ended.settings.expires_at = Some(at(1_500));
        let later = KeySettings {
            expires_at: Some(at(9_000)),
            ..ended.settings.clone()
        };
        assert_eq!(
            change(ended.clone(), later, at(1_500)),
            Err(LifecycleError::Expired)
        );
        let renamed = KeySettings {
            name: "n".into(),
            ..ended.settings.clone()
        };
        assert!(change(ended, renamed, at(1_500)).is_ok());
    }

    #[test]
    fn a_protected_key_ends_with_its_owner_only() {
        let mut protected = key();
        protected.settings.protected = true;
        assert_eq!(
            revoke(protected.clone(), at(2_000)),
            Err(LifecycleError::Protected)
        );
        let ended = end_with_owner(protected, at(2_000));
        assert_eq!(ended.status(at(2_000)), KeyStatus::Revoked);
        let again = end_with_owner(ended.clone(), at(3_000));
        assert_eq!(again, ended, "the time of its end stays");
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let settings = KeySettings {
            products: vec!["none".into()],
            allowed_paths: vec!["v1".into(), "/ok".into()],
            concurrency: Some(0),
            max_staleness: Some(std::time::Duration::from_millis(4_999)),
            expires_at: Some(at(5)),
            ..KeySettings::named("")
        };
        let found = faults(
            &settings,
            None,
            Bounds {
                products: &[],
                now: at(5),
            },
        );
        let pointers: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/products/0",
                "/allowed_paths/0",
                "/concurrency",
                "/max_staleness",
                "/expires_at"
            ]
        );
    }
}
