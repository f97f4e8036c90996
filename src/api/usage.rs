//! Counts over time, on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;
use super::{Text, Time};
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::usage::{STATUS_CLASSES, Tally};

/// What a key was used for in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Whose.
    pub key_id: Text<KeyId>,
    /// From when, on a whole step.
    pub from: Time,
    /// Until when, exclusively.
    pub to: Time,
    /// The width of a bucket: `1m`, `1h` or `1d`.
    #[schemars(with = "form::Step")]
    pub step: String,
    /// When the key was last admitted, ever.
    pub last_used_at: Option<Time>,
    /// All buckets together.
    pub total: Counts,
    /// In order of time, then version, then route; empty ones are left out.
    pub buckets: Vec<Bucket>,
}

/// What all keys together were used for at a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The gate that tells this; every gate knows of what passed it.
    pub node: String,
    /// From when, on a whole minute.
    pub from: Time,
    /// Until when, exclusively.
    pub to: Time,
    /// The width of a bucket.
    #[schemars(with = "form::Step")]
    pub step: String,
    /// How many keys were used.
    pub keys: u64,
    /// All of it together.
    pub total: Counts,
    /// In order of time; empty ones are left out. Neither versions nor routes are told apart.
    pub buckets: Vec<Bucket>,
    /// The keys with the most requests, admitted and refused, the busiest first.
    pub top_keys: Vec<BusyKey>,
    /// The routes, the busiest first.
    pub routes: Vec<BusyRoute>,
}

/// A key that was used a lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BusyKey {
    /// The key.
    pub key_id: Text<KeyId>,
    /// What people call it; `null` while the store cannot say.
    pub name: Option<String>,
    /// Who holds it.
    pub owner_id: Option<Text<OwnerId>>,
    /// What it was used for.
    pub counts: Counts,
}

/// A route that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BusyRoute {
    /// Its name.
    pub route: String,
    /// What it was used for.
    pub counts: Counts,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Requests admitted.
    pub requests: u64,
    /// Requests refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// What clients got for admitted requests, by class: `2xx`.
    pub status: BTreeMap<String, u64>,
    /// Tokens the admitted requests cost.
    pub cost: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

/// What was counted in one bucket of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Where it begins.
    pub start: Time,
    /// By which version; `null` where versions are not told apart.
    pub version: Option<u16>,
    /// On which route; `null` where routes are not told apart.
    pub route: Option<String>,
    /// Requests admitted.
    pub requests: u64,
    /// Requests refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// What clients got for admitted requests, by class: `2xx`.
    pub status: BTreeMap<String, u64>,
    /// Tokens the admitted requests cost.
    pub cost: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

impl From<&Tally> for Counts {
    fn from(tally: &Tally) -> Self {
        let refused = tally.refused.iter();
        let status = STATUS_CLASSES.iter().zip(tally.status);
        Self {
            requests: tally.requests,
            refused: refused
                .map(|(code, count)| (code.as_str().to_owned(), *count))
                .collect(),
            status: status
                .filter(|(_, count)| *count > 0)
                .map(|(class, count)| ((*class).to_owned(), count))
                .collect(),
            cost: tally.cost,
            bytes_in: tally.bytes_in,
            bytes_out: tally.bytes_out,
        }
    }
}

impl Bucket {
    /// A bucket of what `tally` counted.
    #[must_use]
    pub fn new(start: Time, version: Option<u16>, route: Option<String>, tally: &Tally) -> Self {
        let Counts {
            requests,
            refused,
            status,
            cost,
            bytes_in,
            bytes_out,
        } = Counts::from(tally);
        Self {
            start,
            version,
            route,
            requests,
            refused,
            status,
            cost,
            bytes_in,
            bytes_out,
        }
    }
}
