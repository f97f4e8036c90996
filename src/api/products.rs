//! Products on the wire.

use serde::{Deserialize, Serialize};

use super::keys::{Quota, RateLimit};
use crate::domain;

/// A bundle of permissions and limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// What keys name it by.
    pub name: String,
    /// Scopes it grants.
    pub scopes: Vec<String>,
    /// Limits it sets, each counted per key.
    pub rate_limits: Vec<RateLimit>,
    /// Quotas it sets, each counted per key.
    pub quotas: Vec<Quota>,
    /// Where it is defined: `config` is read-only here.
    pub source: String,
}

impl From<&domain::product::Product> for Product {
    /// A product as the configuration file defines it.
    fn from(product: &domain::product::Product) -> Self {
        Self {
            name: product.name.clone(),
            scopes: product.scopes.iter().map(ToString::to_string).collect(),
            rate_limits: product.rate_limits.iter().map(Into::into).collect(),
            quotas: product.quotas.iter().map(Into::into).collect(),
            source: "config".to_owned(),
        }
    }
}
