//! Changing some of a key's settings, and saying which became different.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::audit::FieldChange;
use super::key::{KeySettings, Risk};
use super::limit::{Quota, RateLimit};
use super::permission::{Methods, Scope};
use super::span::Span;
use super::time::Timestamp;

/// Other values for some of a key's settings; `None` leaves one as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SettingsPatch {
    /// See [`KeySettings::name`].
    pub name: Option<String>,
    /// See [`KeySettings::description`].
    pub description: Option<Option<String>>,
    /// See [`KeySettings::products`].
    pub products: Option<Vec<String>>,
    /// See [`KeySettings::scopes`].
    pub scopes: Option<Vec<Scope>>,
    /// See [`KeySettings::allowed_methods`].
    pub allowed_methods: Option<Methods>,
    /// See [`KeySettings::allowed_paths`].
    pub allowed_paths: Option<Vec<String>>,
    /// See [`KeySettings::allowed_ips`].
    pub allowed_ips: Option<Vec<IpNet>>,
    /// See [`KeySettings::rate_limits`].
    pub rate_limits: Option<Vec<RateLimit>>,
    /// See [`KeySettings::concurrency`].
    pub concurrency: Option<Option<u32>>,
    /// See [`KeySettings::max_staleness`].
    pub max_staleness: Option<Option<Duration>>,
    /// See [`KeySettings::quotas`].
    pub quotas: Option<Vec<Quota>>,
    /// See [`KeySettings::risk`].
    pub risk: Option<Risk>,
    /// See [`KeySettings::expires_at`].
    pub expires_at: Option<Option<Timestamp>>,
    /// See [`KeySettings::metadata`].
    pub metadata: Option<Map<String, Value>>,
    /// See [`KeySettings::labels`].
    pub labels: Option<BTreeMap<String, String>>,
    /// See [`KeySettings::protected`].
    pub protected: Option<bool>,
    /// See [`KeySettings::self_rotation`].
    pub self_rotation: Option<bool>,
}

impl SettingsPatch {
    /// The settings with what is given put in place of what was there.
    #[must_use]
    pub fn apply(self, settings: KeySettings) -> KeySettings {
        KeySettings {
            name: self.name.unwrap_or(settings.name),
            description: self.description.unwrap_or(settings.description),
            products: self.products.unwrap_or(settings.products),
            scopes: self.scopes.unwrap_or(settings.scopes),
            allowed_methods: self.allowed_methods.unwrap_or(settings.allowed_methods),
            allowed_paths: self.allowed_paths.unwrap_or(settings.allowed_paths),
            allowed_ips: self.allowed_ips.unwrap_or(settings.allowed_ips),
            rate_limits: self.rate_limits.unwrap_or(settings.rate_limits),
            concurrency: self.concurrency.unwrap_or(settings.concurrency),
            max_staleness: self.max_staleness.unwrap_or(settings.max_staleness),
            quotas: self.quotas.unwrap_or(settings.quotas),
            risk: self.risk.unwrap_or(settings.risk),
            expires_at: self.expires_at.unwrap_or(settings.expires_at),
            metadata: self.metadata.unwrap_or(settings.metadata),
            labels: self.labels.unwrap_or(settings.labels),
            protected: self.protected.unwrap_or(settings.protected),
            self_rotation: self.self_rotation.unwrap_or(settings.self_rotation),
        }
    }
}

/// What became different from `before` to `after`; everything that is there, where there was no before.
#[must_use]
pub fn changes(before: Option<&KeySettings>, after: &KeySettings) -> Vec<FieldChange> {
    let empty = KeySettings::named("");
    let from = fields(before.unwrap_or(&empty));
    from.into_iter()
        .zip(fields(after))
        .filter(|((_, from), (_, to))| from != to)
        .map(|((field, from), (_, to))| FieldChange {
            field: field.to_owned(),
            from: if before.is_some() { from } else { Value::Null },
            to,
        })
        .collect()
}

/// Every setting by its name in the API.
fn fields(settings: &KeySettings) -> [(&'static str, Value); 17] {
    // Taken apart by name: a new setting does not compile until it is told of here.
    let KeySettings {
        name,
        description,
        products,
        scopes,
        allowed_methods,
        allowed_paths,
        allowed_ips,
        rate_limits,
        concurrency,
        max_staleness,
        quotas,
        risk,
        expires_at,
        metadata,
        labels,
        protected,
        self_rotation,
    } = settings;
    [
        ("name", json!(name)),
        ("description", json!(description)),
        ("products", json!(products)),
        ("scopes", texts(scopes)),
        (
            "allowed_methods",
            allowed_methods
                .iter()
                .map(|method| json!(method.as_str()))
                .collect(),
        ),
        ("allowed_paths", json!(allowed_paths)),
        ("allowed_ips", texts(allowed_ips)),
        ("rate_limits", rate_limits.iter().map(rate_limit).collect()),
        ("concurrency", json!(concurrency)),
        ("max_staleness", span(*max_staleness)),
        ("quotas", quotas.iter().map(quota).collect()),
        ("risk", json!(risk.as_str())),
        (
            "expires_at",
            json!(expires_at.map(|at: Timestamp| at.to_string())),
        ),
        ("metadata", json!(metadata)),
        ("labels", json!(labels)),
        ("protected", json!(protected)),
        ("self_rotation", json!(self_rotation)),
    ]
}

/// A length of time as the audit log tells of it.
#[must_use]
pub fn span(length: Option<Duration>) -> Value {
    json!(length.map(|length| Span(length).to_string()))
}

/// Each as text.
pub fn texts<T: ToString>(items: &[T]) -> Value {
    items.iter().map(|item| json!(item.to_string())).collect()
}

/// A rate limit as the audit log tells of it.
#[must_use]
pub fn rate_limit(limit: &RateLimit) -> Value {
    json!({
        "rate": limit.rate.to_string(),
        "burst": limit.burst,
        "mode": limit.mode.as_str(),
        "enforce": limit.enforce.as_str(),
    })
}

/// A quota as the audit log tells of it.
#[must_use]
pub fn quota(quota: &Quota) -> Value {
    json!({
        "limit": quota.limit,
        "per": quota.per.as_str(),
        "on_day": quota.on_day,
        "hard": quota.hard,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays_and_null_empties() {
        let before = KeySettings {
            description: Some("old".into()),
            concurrency: Some(4),
            ..KeySettings::named("k")
        };
        let patch = SettingsPatch {
            description: Some(None),
            risk: Some(Risk::High),
            ..SettingsPatch::default()
        };
        let after = patch.apply(before.clone());
        assert_eq!(after.concurrency, Some(4));
        assert_eq!(after.description, None);

        let told = changes(Some(&before), &after);
        let told: Vec<_> = told
            .iter()
            .map(|change| (change.field.as_str(), &change.from, &change.to))
            .collect();
        assert_eq!(
            told,
            [
                ("description", &json!("old"), &Value::Null),
                ("risk", &json!("standard"), &json!("high"))
            ]
        );
    }

    #[test]
    fn a_new_key_tells_what_it_was_given() {
        let told = changes(None, &KeySettings::named("k"));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].from, Value::Null);
        assert_eq!(told[0].to, json!("k"));
    }
}
