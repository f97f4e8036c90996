//! What was used: facts of single requests, folded into counts.

use smallvec::SmallVec;
use std::sync::Arc;

use super::id::KeyId;
use super::refusal::RefusalCode;
use super::time::Timestamp;

/// What happened to requests of one key, version, route and minute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests admitted.
    pub requests: u64,
    /// What clients got for admitted requests, by class: 1xx … 5xx.
    pub status: [u64; 5],
    /// Requests of a known key that were refused, by code.
    pub refused: SmallVec<[(RefusalCode, u64); 1]>,
    /// Tokens the admitted requests cost.
    pub cost: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// When the key was last admitted; `None` if it was only refused.
    pub last_used_at: Option<Timestamp>,
}

impl Tally {
    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.cost += other.cost;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.last_used_at = self.last_used_at.max(other.last_used_at);
        for (mine, theirs) in self.status.iter_mut().zip(other.status) {
            *mine += theirs;
        }
        for (code, count) in &other.refused {
            self.add_refused(*code, *count);
        }
    }

    /// Counts refusals of one code.
    pub fn add_refused(&mut self, code: RefusalCode, count: u64) {
        match self.refused.iter_mut().find(|(known, _)| *known == code) {
            Some((_, counted)) => *counted += count,
            None => self.refused.push((code, count)),
        }
    }

    /// Counts the status that a client got for an admitted request.
    pub fn add_status(&mut self, status: u16) {
        if let Some(class) = self
            .status
            .get_mut(usize::from(status / 100).saturating_sub(1))
        {
            *class += 1;
        }
    }
}

/// The classes of [`Tally::status`], by their names in the API.
pub const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// One line of a batch: a tally and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose.
    pub key: KeyId,
    /// By which of its versions.
    pub version: u16,
    /// On which route.
    pub route: Arc<str>,
    /// In which minute: minutes since 1970.
    pub minute: u32,
    /// How much.
    pub tally: Tally,
}

/// What one gate counted in a flush interval. Applied once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBatch {
    /// The gate.
    pub node: Arc<str>,
    /// The run of that gate: greater at each start.
    pub epoch: u64,
    /// The batch's number in that run, from 1; a store ignores one not above the last it took.
    pub seq: u64,
    /// The counts.
    pub rows: Vec<UsageRow>,
}

/// The width of a bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Kept 3 hours, in the gates.
    Minute,
    /// Kept 35 days.
    Hour,
    /// Kept 400 days.
    Day,
}

impl Step {
    /// Its width in milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// Its name in the API: `1m`, `1h`, `1d`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The step a name stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day]
            .into_iter()
            .find(|step| step.as_str() == word)
    }
}

/// Counts of one bucket, version and route, as a store answers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBucket {
    /// Where the bucket begins.
    pub start: Timestamp,
    /// By which version.
    pub version: u16,
    /// On which route.
    pub route: Arc<str>,
    /// How much.
    pub tally: Tally,
}
