//! What may be said of a key, when it is made and later.

use clap::Args;
use serde_json::{Map, Value};

use crate::api::keys::{CreateKey, NewRotation, PatchKey};
use crate::cli::values::{Label, QuotaArgument, RateArgument, Span};
use crate::domain::time::Timestamp;

/// The settings of a key; what is not given is left to the gate, or as it is.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Why it exists
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A permission; repeatable
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A product it is given, by name; repeatable
    #[arg(long = "product", value_name = "NAME")]
    products: Vec<String>,
    /// A rate limit, with its burst if that differs: 100/minute:20; repeatable
    #[arg(long = "rate", value_name = "RATE[:BURST]")]
    rates: Vec<RateArgument>,
    /// A quota: 1000/day, 5000/month@15, 100/total:soft; repeatable
    #[arg(long = "quota", value_name = "LIMIT/PERIOD[@DAY][:soft]")]
    quotas: Vec<QuotaArgument>,
    /// The most of its requests in flight at once, per gate
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// For how long a gate out of touch with the store goes on admitting it, such as 30s
    #[arg(long, value_name = "SPAN")]
    max_staleness: Option<String>,
    /// An address or network it may be used from; repeatable, none given: all
    #[arg(long = "allow-ip", value_name = "ADDRESS")]
    allowed_ips: Vec<String>,
    /// A path it may reach, with all below it; repeatable, none given: all
    #[arg(long = "allow-path", value_name = "PATH")]
    allowed_paths: Vec<String>,
    /// A method it may use; repeatable, none given: all
    #[arg(long = "allow-method", value_name = "METHOD")]
    allowed_methods: Vec<String>,
    /// When it ends by itself: 2030-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Timestamp>,
    /// In what time it ends by itself: 90d
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Span>,
    /// A label to find it by: team=billing; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Label>,
    /// Whatever is to be kept with it, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,
    /// How bad its loss would be: high, standard or low
    #[arg(long, value_name = "CLASS", value_parser = ["high", "standard", "low"])]
    risk: Option<String>,
    /// It must be unprotected before it can be revoked; `=false`: no more
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    protected: Option<bool>,
    /// Its holder may rotate it; `=false`: no more
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    self_rotation: Option<bool>,
    /// It rotates by itself, by a rule of its own: the days between rotations
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    rotation_days: Option<u32>,
    /// With --rotation-days: keep only the newest secret; otherwise the one before works until the next rotation
    #[arg(long, requires = "rotation_days")]
    newest_only: bool,
    /// With --newest-only: how long the one before still works, such as 24h
    #[arg(long, value_name = "SPAN", requires = "newest_only")]
    rotation_grace: Option<String>,
}

impl Settings {
    /// Adds to a key that is to be made what was given.
    pub(super) fn fill(self, key: CreateKey) -> CreateKey {
        let patch = self.into_patch(&[]);
        CreateKey {
            description: patch.description.flatten(),
            products: patch.products.unwrap_or_default(),
            scopes: patch.scopes.unwrap_or_default(),
            allowed_methods: patch.allowed_methods.unwrap_or_default(),
            allowed_paths: patch.allowed_paths.unwrap_or_default(),
            allowed_ips: patch.allowed_ips.unwrap_or_default(),
            rate_limits: patch.rate_limits.unwrap_or_default(),
            quotas: patch.quotas.unwrap_or_default(),
            concurrency: patch.concurrency.flatten(),
            max_staleness: patch.max_staleness.flatten(),
            expires_at: patch.expires_at.flatten(),
            risk: patch.risk,
            metadata: patch.metadata.unwrap_or_default(),
            labels: patch.labels.unwrap_or_default(),
            protected: patch.protected.unwrap_or_default(),
            self_rotation: patch.self_rotation.unwrap_or_default(),
            rotation: patch.rotation.flatten(),
            ..key
        }
    }

    /// What was given replaces the field, what is in `cleared` becomes empty, the rest stays.
    pub(super) fn into_patch(self, cleared: &[String]) -> PatchKey {
        let is_cleared = |field: &str| cleared.iter().any(|name| name == field);
        fn list<T, U: FromIterator<T>>(given: Vec<T>, is_cleared: bool) -> Option<U> {
            (is_cleared || !given.is_empty()).then(|| given.into_iter().collect())
        }
        fn one<T>(given: Option<T>, is_cleared: bool) -> Option<Option<T>> {
            given.map(Some).or_else(|| is_cleared.then_some(None))
        }
        let end = self
            .expires_at
            .or_else(|| self.expires_in.map(Span::ahead_of_now));
        let rotation = self.rotation_days.map(|interval_days| NewRotation {
            interval_days,
            keep_previous: !self.newest_only,
            grace: self.rotation_grace,
        });
        let rates = self.rates.into_iter().map(|rate| rate.0).collect();
        let quotas = self.quotas.into_iter().map(|quota| quota.0).collect();
        let labels = self.labels.into_iter();
        let labels: Vec<_> = labels.map(|label| (label.name, label.value)).collect();
        PatchKey {
            name: None,
            description: one(self.description, is_cleared("description")),
            products: list(self.products, is_cleared("products")),
            scopes: list(self.scopes, is_cleared("scopes")),
            allowed_methods: list(self.allowed_methods, is_cleared("allowed_methods")),
            allowed_paths: list(self.allowed_paths, is_cleared("allowed_paths")),
            allowed_ips: list(self.allowed_ips, is_cleared("allowed_ips")),
            rate_limits: list(rates, is_cleared("rate_limits")),
            concurrency: one(self.concurrency, is_cleared("concurrency")),
            max_staleness: one(self.max_staleness, is_cleared("max_staleness")),
            quotas: list(quotas, is_cleared("quotas")),
            risk: self.risk,
            expires_at: one(end.map(|end| end.to_string()), is_cleared("expires_at")),
            metadata: self
                .metadata
                .or_else(|| is_cleared("metadata").then(Map::new)),
            labels: list(labels, is_cleared("labels")),
            protected: self.protected,
            self_rotation: self.self_rotation,
            rotation: one(rotation, is_cleared("rotation")),
        }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "metadata is a JSON object, like {\"a\": 1}".to_owned())
}

/// What may become empty.
pub(super) const EMPTIABLE: [&str; 14] = [
    "description",
    "products",
    "scopes",
    "allowed_methods",
    "allowed_paths",
    "allowed_ips",
    "rate_limits",
    "concurrency",
    "max_staleness",
    "quotas",
    "expires_at",
    "metadata",
    "labels",
    "rotation",
];
