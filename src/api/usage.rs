//! Counts over time, on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Text, Time};
use crate::domain::id::KeyId;
use crate::domain::usage::{STATUS_CLASSES, Tally};

/// What a key was used for in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Whose.
    pub key_id: Text<KeyId>,
    /// From when, on a whole step.
    pub from: Time,
    /// Until when, exclusively.
    pub to: Time,
    /// The width of a bucket: `1m`, `1h` or `1d`.
    pub step: String,
    /// When the key was last admitted, ever.
    pub last_used_at: Option<Time>,
    /// All buckets together.
    pub total: Counts,
    /// In order of time, then version, then route; empty ones are left out.
    pub buckets: Vec<Bucket>,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
