//! What a gate answers of a key: never a secret but in [`KeyCreated`], never a hash.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::form;
use crate::api::owners::KeyOwner;
use crate::api::problem::Fault;
use crate::api::{Text, Time};
use crate::domain;
use crate::domain::id::KeyId;
use crate::domain::key::VersionState;
use crate::domain::rotation::Schedule;
use crate::domain::span::Span;
use crate::domain::time::Timestamp;

/// A key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// Names the key for ever.
    pub id: Text<KeyId>,
    /// What people call it.
    pub name: String,
    /// Why it exists.
    pub description: Option<String>,
    /// Who holds it.
    pub owner: KeyOwner,
    /// Its environment.
    pub env: String,
    /// Products it is given, by name.
    pub products: Vec<String>,
    /// What it is permitted, besides what its products grant.
    pub scopes: Vec<String>,
    /// Methods it may use; none named: all.
    pub allowed_methods: Vec<String>,
    /// Paths it may reach; none named: all.
    pub allowed_paths: Vec<String>,
    /// Networks it may be used from; none named: all.
    pub allowed_ips: Vec<String>,
    /// Its own rate limits.
    pub rate_limits: Vec<RateLimit>,
    /// The most of its requests in flight at once, per gate.
    pub concurrency: Option<u32>,
    /// For how long a gate out of touch with the store goes on admitting it; `null`: as its products and the
    /// gate say.
    #[schemars(with = "Option<form::Length>")]
    pub max_staleness: Option<String>,
    /// Its own quotas.
    pub quotas: Vec<Quota>,
    /// `high`, `standard` or `low`.
    #[schemars(with = "form::Risk")]
    pub risk: String,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// Whatever its owner wants kept with it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What it is sorted by.
    pub labels: BTreeMap<String, String>,
    /// Whether it must be unprotected before it can be revoked.
    pub protected: bool,
    /// Whether its holder may rotate it.
    pub self_rotation: bool,
    /// Automatic rotation; `null` if it is off.
    pub rotation: Option<Rotation>,
    /// `active`, `suspended`, `expired` or `revoked`.
    #[schemars(with = "form::Status")]
    pub status: String,
    /// What to know at a glance: `rotating`, `rotation due`, `potentially stale`.
    pub badges: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// The id of who made it.
    pub created_by: String,
    /// When its newest version replaced another.
    pub last_rotated_at: Option<Time>,
    /// When it was last admitted, to the second.
    pub last_used_at: Option<Time>,
    /// The number of its current version.
    pub version: Option<u16>,
    /// What of the current version's secret may be shown.
    #[schemars(with = "Option<form::Fingerprint>")]
    pub fingerprint: Option<String>,
    /// Its secrets, newest first.
    pub versions: Vec<Version>,
}

/// One secret of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// 1 for the first.
    pub number: u16,
    /// What may be shown of it.
    #[schemars(with = "form::Fingerprint")]
    pub fingerprint: String,
    /// `pending`, `current`, `previous`, `retired` or `revoked`.
    #[schemars(with = "form::VersionState")]
    pub state: String,
    /// When it was made.
    pub created_at: Time,
    /// When it became the current one.
    pub activated_at: Option<Time>,
    /// When it stops working because a newer one exists.
    pub retires_at: Option<Time>,
    /// When it was last admitted.
    pub last_used_at: Option<Time>,
}

/// A rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RateLimit {
    /// So many per unit: `10/second`.
    #[schemars(with = "form::Rate")]
    pub rate: String,
    /// The most at once.
    #[schemars(with = "form::Burst")]
    pub burst: u32,
    /// `local`, `shared` or `strict`.
    #[schemars(with = "form::Mode")]
    pub mode: String,
    /// `on` or `shadow`.
    #[schemars(with = "form::Enforce")]
    pub enforce: String,
}

/// A quota and how much of it is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// How much.
    #[schemars(with = "form::Allowance")]
    pub limit: u64,
    /// `day`, `week`, `month` or `total`.
    #[schemars(with = "form::Per")]
    pub per: String,
    /// On which day the period begins.
    #[schemars(with = "Option<form::OnDay>")]
    pub on_day: Option<u8>,
    /// Whether it refuses when spent.
    pub hard: bool,
    /// How much is spent in this period; `null` while the store cannot say.
    pub used: Option<u64>,
    /// When the period ends; `null` for credits, which do not renew.
    pub renews_at: Option<Time>,
}

/// Automatic rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotation {
    /// Days between rotations.
    #[schemars(with = "form::IntervalDays")]
    pub interval_days: u32,
    /// Whether the version before stays until the next rotation.
    pub keep_previous: bool,
    /// How long the version before stays otherwise.
    #[schemars(with = "form::Length")]
    pub grace: String,
    /// When the next one is due.
    pub next_at: Option<Time>,
}

/// The answer to making or rotating a key: the one place a secret is shown.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyCreated {
    /// The key.
    pub key: Key,
    /// Its secret, this once; `null` where a call is repeated.
    pub secret: Option<String>,
    /// The version it replaced.
    pub previous: Option<Previous>,
    /// What became of the secret at the key's sink; only there where the key has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<SinkTold>,
}

impl std::fmt::Debug for KeyCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyCreated({}, …)", self.key.id)
    }
}

/// Where a new secret was handed over, besides in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SinkTold {
    /// What the configuration calls the sink.
    pub name: String,
    /// Whether it holds the new secret; if not, the gate goes on trying.
    pub delivered: bool,
}

/// The version that a new one replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Previous {
    /// Its number.
    pub number: u16,
    /// What may be shown of it.
    #[schemars(with = "form::Fingerprint")]
    pub fingerprint: String,
    /// When it stops working.
    pub retires_at: Option<Time>,
}

/// The answer to revoking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Revoked {
    /// The key.
    pub key: Key,
    /// How far that has got.
    pub revocation: Revocation,
}

/// How far a revocation has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revocation {
    /// The change it landed in; `null` until the store has it.
    pub revision: Option<u64>,
    /// Where it outlives a crash: `store`, gates.
    pub durable_on: Vec<String>,
    /// The gates that refuse the key.
    pub applied_on: Vec<String>,
    /// The gates that may not yet.
    pub pending: Vec<PendingNode>,
}

/// What became of one line of `POST /admin/keys/import`; or, as the last one, that the import stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportLine {
    /// Which line, from 1.
    pub line: u64,
    /// `done` or `refused`; or `stopped`, at this line: of what is not told of before, nothing was done.
    pub outcome: String,
    /// The key that was made; `null` where none was, and in a dry run.
    pub key_id: Option<Text<KeyId>>,
    /// What may be shown of the secret.
    pub fingerprint: Option<String>,
    /// Why it was refused, for programs.
    pub code: Option<String>,
    /// Why it was refused, for people.
    pub detail: Option<String>,
    /// Each field that is wrong, the first ten.
    pub errors: Vec<Fault>,
}

/// A gate that may still admit a revoked key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingNode {
    /// Its name.
    pub node: String,
    /// When it was last heard of.
    pub last_contact_at: Option<Time>,
    /// When it stops serving by itself.
    pub stops_by: Option<Time>,
}

impl Key {
    /// A key as it stands at `now`, with all its versions.
    #[must_use]
    pub fn new(
        key: &domain::key::Key,
        owner: KeyOwner,
        last_used: &[(u16, Timestamp)],
        schedule: Option<Schedule>,
        now: Timestamp,
    ) -> Self {
        let settings = &key.settings;
        let last_used_at = last_used.iter().map(|(_, at)| *at).max();
        let current = key.current();
        Self {
            id: key.id.into(),
            name: settings.name.clone(),
            description: settings.description.clone(),
            owner,
            env: key.env.clone(),
            products: settings.products.clone(),
            scopes: settings.scopes.iter().map(ToString::to_string).collect(),
            allowed_methods: words(
                settings
                    .allowed_methods
                    .iter()
                    .map(|method| method.as_str()),
            ),
            allowed_paths: settings.allowed_paths.clone(),
            allowed_ips: settings
                .allowed_ips
                .iter()
                .map(ToString::to_string)
                .collect(),
            rate_limits: settings.rate_limits.iter().map(Into::into).collect(),
            concurrency: settings.concurrency,
            max_staleness: settings.max_staleness.map(|it| Span(it).to_string()),
            quotas: settings
                .quotas
                .iter()
                .map(|quota| Quota {
                    renews_at: quota.span(now).end().map(Into::into),
                    ..quota.into()
                })
                .collect(),
            risk: settings.risk.as_str().to_owned(),
            expires_at: settings.expires_at.map(Into::into),
            metadata: settings.metadata.clone(),
            labels: settings.labels.clone(),
            protected: settings.protected,
            self_rotation: settings.self_rotation,
            rotation: schedule.as_ref().map(Into::into),
            status: key.status(now).as_str().to_owned(),
            badges: words(
                key.badges(last_used_at, schedule, now)
                    .map(|badge| badge.as_str()),
            ),
            created_at: key.created_at.into(),
            created_by: key.created_by.clone(),
            last_rotated_at: key.last_rotated_at.map(Into::into),
            last_used_at: last_used_at.map(Into::into),
            version: current.map(|version| version.number),
            fingerprint: current.map(|version| version.fingerprint.to_string()),
            versions: key
                .versions
                .iter()
                .rev()
                .map(|version| Version::new(version, key.told_state(version, now), last_used))
                .collect(),
        }
    }

    /// The same, of whose quotas so much is spent, in their order.
    #[must_use]
    pub fn having(mut self, spent: &[u64]) -> Self {
        for (quota, spent) in self.quotas.iter_mut().zip(spent) {
            quota.used = Some(*spent);
        }
        self
    }

    /// The same without the versions that have ended, as lists have it.
    #[must_use]
    pub fn live_only(mut self) -> Self {
        let ended = [VersionState::Retired, VersionState::Revoked].map(VersionState::as_str);
        self.versions
            .retain(|version| !ended.contains(&version.state.as_str()));
        self
    }
}

impl Version {
    fn new(
        version: &domain::key::KeyVersion,
        state: VersionState,
        last_used: &[(u16, Timestamp)],
    ) -> Self {
        let used = last_used
            .iter()
            .find(|(number, _)| *number == version.number);
        Self {
            number: version.number,
            fingerprint: version.fingerprint.to_string(),
            state: state.as_str().to_owned(),
            created_at: version.created_at.into(),
            activated_at: version.activated_at.map(Into::into),
            retires_at: version.retires_at.map(Into::into),
            last_used_at: used.map(|(_, at)| (*at).into()),
        }
    }
}

impl From<&Schedule> for Rotation {
    fn from(schedule: &Schedule) -> Self {
        Self {
            interval_days: schedule.plan.interval_days,
            keep_previous: schedule.plan.keep_previous,
            grace: Span(schedule.plan.grace).to_string(),
            next_at: schedule.due_at.map(Into::into),
        }
    }
}

impl From<&domain::limit::RateLimit> for RateLimit {
    fn from(limit: &domain::limit::RateLimit) -> Self {
        Self {
            rate: limit.rate.to_string(),
            burst: limit.burst.get(),
            mode: limit.mode.as_str().to_owned(),
            enforce: limit.enforce.as_str().to_owned(),
        }
    }
}

impl From<&domain::limit::Quota> for Quota {
    /// A quota of which nothing is counted.
    fn from(quota: &domain::limit::Quota) -> Self {
        Self {
            limit: quota.limit,
            per: quota.per.as_str().to_owned(),
            on_day: quota.on_day,
            hard: quota.hard,
            used: None,
            renews_at: None,
        }
    }
}

fn words(words: impl Iterator<Item = &'static str>) -> Vec<String> {
    words.map(str::to_owned).collect()
}
