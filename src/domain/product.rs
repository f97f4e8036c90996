//! Products: bundles of permissions and limits that keys are given by name.

use super::limit::{Quota, RateLimit};
use super::permission::Scope;

/// A bundle of permissions and limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Product {
    /// What keys name it by: `[a-z0-9_-]{1,64}`.
    pub name: String,
    /// Scopes it grants, besides a key's own.
    pub scopes: Vec<Scope>,
    /// Limits it sets, each counted per key, after the key's own.
    pub rate_limits: Vec<RateLimit>,
    /// Quotas it sets, each counted per key.
    pub quotas: Vec<Quota>,
}

/// Whether a text may name a product, a route or an upstream.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/{}*:".contains(&byte))
}
