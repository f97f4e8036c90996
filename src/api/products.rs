//! Products on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;
use super::keys::{NewQuota, NewRateLimit, Quota, RateLimit};
use super::patch::patch;
use super::{Text, Time};
use crate::domain;
use crate::domain::id::ProductId;
use crate::domain::product::KeptProduct;
use crate::domain::span::Span;

/// A bundle of permissions and limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// Names it for ever; `null` for one of the configuration, which has its name alone.
    pub id: Option<Text<ProductId>>,
    /// What keys name it by.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Scopes it grants.
    pub scopes: Vec<String>,
    /// Routes it opens; none named: all.
    pub routes: Vec<String>,
    /// Limits it sets, each counted per key.
    pub rate_limits: Vec<RateLimit>,
    /// Quotas it sets, each counted per key.
    pub quotas: Vec<Quota>,
    /// For how long a gate out of touch with the store goes on admitting its keys; `null`: as the gate says.
    #[schemars(with = "Option<form::Length>")]
    pub max_staleness: Option<String>,
    /// Where it is defined: `api`, or `config`, which is read-only here.
    #[schemars(with = "form::Source")]
    pub source: String,
    /// When it was made; `null` for one of the configuration.
    pub created_at: Option<Time>,
}

impl Product {
    /// A product as the configuration file defines it.
    #[must_use]
    pub fn configured(product: &domain::product::Product) -> Self {
        Self {
            id: None,
            name: product.name.clone(),
            description: product.description.clone(),
            scopes: product.scopes.iter().map(ToString::to_string).collect(),
            routes: product.routes.clone(),
            rate_limits: product.rate_limits.iter().map(Into::into).collect(),
            quotas: product.quotas.iter().map(Into::into).collect(),
            max_staleness: product.max_staleness.map(|it| Span(it).to_string()),
            source: "config".to_owned(),
            created_at: None,
        }
    }
}

impl From<&KeptProduct> for Product {
    /// A product as it was made over the admin API.
    fn from(kept: &KeptProduct) -> Self {
        Self {
            id: Some(kept.id.into()),
            source: "api".to_owned(),
            created_at: Some(kept.created_at.into()),
            ..Self::configured(&kept.product)
        }
    }
}

/// `POST /admin/products`. All but the name has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProduct {
    /// What keys will name it by.
    #[schemars(with = "form::ProductName")]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Description>")]
    pub description: Option<String>,
    /// Scopes it is to grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::ScopeNames")]
    pub scopes: Vec<String>,
    /// Routes it is to open; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "form::RouteNames")]
    pub routes: Vec<String>,
    /// Limits it is to set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<NewRateLimit>,
    /// Quotas it is to set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<NewQuota>,
    /// For how long a gate out of touch with the store is to go on admitting its keys: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<form::Length>")]
    pub max_staleness: Option<String>,
}

patch! {
    /// `PATCH /admin/products/{product}`: what is left out stays, what is given replaces the field whole.
    PatchProduct {
        /// What keys will name it by.
        #[schemars(with = "form::ProductName")]
        name: String,
        /// What it is for.
        #[schemars(with = "Option<form::Description>")]
        description: Option<String>,
        /// Scopes it is to grant.
        #[schemars(with = "form::ScopeNames")]
        scopes: Vec<String>,
        /// Routes it is to open.
        #[schemars(with = "form::RouteNames")]
        routes: Vec<String>,
        /// Limits it is to set.
        #[schemars(with = "Vec<NewRateLimit>")]
        rate_limits: Vec<NewRateLimit>,
        /// Quotas it is to set.
        #[schemars(with = "Vec<NewQuota>")]
        quotas: Vec<NewQuota>,
        /// For how long a gate out of touch with the store is to go on admitting its keys.
        #[schemars(with = "Option<form::Length>")]
        max_staleness: Option<String>,
    }
}
