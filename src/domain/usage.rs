//! What was used: facts of single requests, folded into counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

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

    /// Requests of either kind, admitted and refused.
    #[must_use]
    pub fn all_requests(&self) -> u64 {
        let refused = self.refused.iter().map(|(_, count)| count);
        self.requests + refused.sum::<u64>()
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

/// A batch's place among all of its gate: its run, then its number in that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BatchMark {
    /// The run.
    pub epoch: u64,
    /// The number.
    pub seq: u64,
}

impl UsageBatch {
    /// Its place among all of its gate.
    #[must_use]
    pub const fn mark(&self) -> BatchMark {
        BatchMark {
            epoch: self.epoch,
            seq: self.seq,
        }
    }

    /// Requests it tells of, refused ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let rows = self.rows.iter();
        rows.map(|row| row.tally.all_requests()).sum()
    }
}

/// Folds like rows into like, without losing a count: by hour, which is the finest that stores keep. Where
/// more than `most` rows would be left, the hours of a day become its last one; and where there are still
/// more, all routes of a version become `other`.
#[must_use]
pub fn fold_rows(rows: impl IntoIterator<Item = UsageRow>, most: usize) -> Vec<UsageRow> {
    const HOUR: u32 = 60;
    const DAY: u32 = 24 * HOUR;
    let by_hour = rows.into_iter().map(|row| UsageRow {
        minute: row.minute - row.minute % HOUR,
        ..row
    });
    let folded = fold_by(by_hour, |row| row.minute);
    if folded.len() <= most {
        return folded;
    }
    let folded = fold_by(folded, |row| row.minute / DAY);
    if folded.len() <= most {
        return folded;
    }
    let other: Arc<str> = OTHER_ROUTES.into();
    let one_route = folded.into_iter().map(|row| UsageRow {
        route: Arc::clone(&other),
        ..row
    });
    fold_by(one_route, |row| row.minute / DAY)
}

/// Rows of one key, version and route fold where `time` says the same of them.
fn fold_by(
    rows: impl IntoIterator<Item = UsageRow>,
    time: impl Fn(&UsageRow) -> u32,
) -> Vec<UsageRow> {
    let mut folded = BTreeMap::<_, UsageRow>::new();
    for row in rows {
        let place = (row.key, row.version, Arc::clone(&row.route), time(&row));
        match folded.entry(place) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(row);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.minute = sum.minute.max(row.minute);
                sum.tally.add(&row.tally);
            }
        }
    }
    folded.into_values().collect()
}

/// What routes are called that are not told apart any more.
pub const OTHER_ROUTES: &str = "other";

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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u8, route: &str, minute: u32) -> UsageRow {
        UsageRow {
            key: KeyId::from_random([key; 10]),
            version: 1,
            route: route.into(),
            minute,
            tally: Tally {
                requests: 1,
                last_used_at: Some(Timestamp::from_millis(u64::from(minute))),
                ..Tally::default()
            },
        }
    }

    fn told(rows: &[UsageRow]) -> Vec<(&str, u32, u64)> {
        let told = rows
            .iter()
            .map(|row| (&*row.route, row.minute, row.tally.requests));
        told.collect()
    }

    /// Two days, three hours each, three minutes in each hour, on two routes.
    fn rows() -> Vec<UsageRow> {
        let mut rows = Vec::new();
        for day in 0..2 {
            for hour in [1, 5, 9] {
                for minute in [0, 30, 59] {
                    for route in ["a", "b"] {
                        rows.push(row(1, route, day * 1_440 + hour * 60 + minute));
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn minutes_fold_into_hours_whatever_room_there_is() {
        let folded = fold_rows(rows(), 12);
        assert_eq!(folded.len(), 12);
        assert_eq!(told(&folded)[..2], [("a", 60, 3), ("a", 300, 3)]);
        let last = folded[0].tally.last_used_at;
        assert_eq!(last, Some(Timestamp::from_millis(119)));
    }

    #[test]
    fn what_is_too_much_by_the_hour_folds_into_days_and_then_into_one_route() {
        let folded = fold_rows(rows(), 11);
        let days = [
            ("a", 540, 9),
            ("a", 1_980, 9),
            ("b", 540, 9),
            ("b", 1_980, 9),
        ];
        assert_eq!(told(&folded), days);
        let folded = fold_rows(rows(), 3);
        assert_eq!(told(&folded), [("other", 540, 18), ("other", 1_980, 18)]);
        // Keys and days are never folded, however little room there is.
        assert_eq!(fold_rows(rows(), 0).len(), 2);
    }
}
