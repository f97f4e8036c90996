//! Counts: how a batch becomes one script call a shard, and how counts are read again.
//!
//! A batch is split over the 256 shards of the key ids; a shard with more than 256 active keys takes
//! several parts. Each call carries (epoch, batch, part) and the shard remembers the last it took, so a
//! batch counts once however often it is sent. It also carries what this gate left there last, so that a
//! shard which lost that, in a failover, takes nothing before it has it again. Hour and day are written
//! together and expire by themselves; nothing has to be rolled up.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;

use crate::domain::id::KeyId;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;
use crate::domain::usage::{BatchMark, STATUS_CLASSES, Step, Tally, UsageBatch, UsageBucket};
use crate::store::Added;

use super::connect::{Fault, Link, Route};
use super::names::{Names, Shard};
use super::period::Period;
use super::scripts::{Call, Script};

/// What this gate left in each shard last: the place of a part. A shard that has an earlier one has lost it.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<HashMap<(Arc<str>, Shard), Place>>);

/// The place of a part among all of its gate, as the shard has it: epoch, batch, part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(BatchMark, usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(BatchMark { epoch, seq }, part) = self;
        write!(f, "{epoch} {seq} {part}")
    }
}

impl Marks {
    fn last(&self, node: &Arc<str>, shard: Shard) -> Option<Place> {
        let marks = self.0.lock();
        marks.get(&(Arc::clone(node), shard)).copied()
    }

    fn left(&self, node: &Arc<str>, shard: Shard, place: Place) {
        let mut marks = self.0.lock();
        let last = marks.entry((Arc::clone(node), shard)).or_insert(place);
        *last = place.max(*last);
    }

    /// What was left is not there any more; what comes next begins anew.
    fn forget(&self, node: &Arc<str>) {
        self.0.lock().retain(|(of, _), _| of != node);
    }
}

/// Adds a batch, each of its parts once.
///
/// # Errors
/// If a shard could not be told; sending the batch again is safe.
pub(super) async fn add(
    route: Route<'_>,
    script: &Script,
    names: &Names,
    marks: &Marks,
    batch: &UsageBatch,
    now: Timestamp,
) -> Result<Added, Fault> {
    let is_behind = AtomicBool::new(false);
    // Invariant: parts depend on nothing but the batch, so a batch that is sent again has the same ones.
    stream::iter(fold(batch))
        .map(Ok)
        .try_for_each_concurrent(CALLS_AT_ONCE, async |(shard, keys)| {
            let keys: Vec<_> = keys.into_iter().collect();
            for (part, keys) in keys.chunks(KEYS_A_CALL).enumerate() {
                let place = Place(batch.mark(), part);
                let before = marks.last(&batch.node, shard);
                let call = part_call(names, &batch.node, (shard, place, before), keys, now);
                let added: i8 = script.run(route, &call).await?;
                if added < 0 {
                    is_behind.store(true, Ordering::Relaxed);
                    break;
                }
                marks.left(&batch.node, shard, place);
            }
            Ok(())
        })
        .await?;
    if is_behind.into_inner() {
        marks.forget(&batch.node);
        return Ok(Added::Behind);
    }
    Ok(Added::Counted)
}

/// The counts of a key in `[from, to)`, in order of time, version and route.
///
/// # Errors
/// If they cannot be read.
pub(super) async fn read(
    link: &Link,
    names: &Names,
    key: KeyId,
    step: Step,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Vec<UsageBucket>, Fault> {
    let from = from.floor(step.millis());
    let mut hashes = redis::pipe();
    for period in Period::covering(step, from, to, now) {
        hashes.hgetall(period.name(names, key));
    }
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let hashes: Vec<Vec<(String, String)>> = link.ask_all(&hashes).await?;
    let mut buckets: Vec<_> = hashes
        .into_iter()
        .flatten()
        .filter_map(|(field, counts)| read_bucket(step, &field, &counts))
        .filter(|bucket| bucket.start >= from && bucket.start < to)
        .collect();
    buckets.sort_by(|a, b| (a.start, a.version, &a.route).cmp(&(b.start, b.version, &b.route)));
    Ok(buckets)
}

/// When each version of each of these keys was last used, for those that were.
///
/// # Errors
/// If it cannot be read.
pub(super) async fn last_used(
    link: &Link,
    names: &Names,
    keys: impl IntoIterator<Item = KeyId>,
) -> Result<Vec<Vec<(u16, Timestamp)>>, Fault> {
    let mut hashes = redis::pipe();
    for key in keys {
        hashes.hgetall(names.last_used(key));
    }
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let hashes: Vec<Vec<(u16, u64)>> = link.ask_all(&hashes).await?;
    let times = |hash: Vec<(u16, u64)>| {
        let mut times: Vec<_> = hash
            .into_iter()
            .map(|(version, ms)| (version, Timestamp::from_millis(ms)))
            .collect();
        times.sort_unstable();
        times
    };
    Ok(hashes.into_iter().map(times).collect())
}

/// What a batch adds to one key.
#[derive(Debug, Default)]
struct Additions {
    counts: BTreeMap<(Period, String, Arc<str>), Tally>,
    last_used: BTreeMap<u16, Timestamp>,
}

/// A batch by shard, then key; minutes folded into hours and days.
fn fold(batch: &UsageBatch) -> BTreeMap<Shard, BTreeMap<KeyId, Additions>> {
    let mut shards: BTreeMap<Shard, BTreeMap<KeyId, Additions>> = BTreeMap::new();
    for row in &batch.rows {
        let keys = shards.entry(Shard::of(row.key)).or_default();
        let additions = keys.entry(row.key).or_default();
        let at = Timestamp::from_millis(u64::from(row.minute) * Step::Minute.millis());
        for step in [Step::Hour, Step::Day] {
            let stem = format!("{}:{}", at.as_millis() / step.millis(), row.version);
            let place = (Period::of(step, at), stem, Arc::clone(&row.route));
            additions.counts.entry(place).or_default().add(&row.tally);
        }
        if let Some(at) = row.tally.last_used_at {
            let last = additions.last_used.entry(row.version).or_default();
            *last = at.max(*last);
        }
    }
    shards
}

fn part_call(
    names: &Names,
    node: &str,
    (shard, place, before): (Shard, Place, Option<Place>),
    keys: &[(KeyId, Additions)],
    now: Timestamp,
) -> Call {
    let mut call = Call::default();
    call.key(names.usage_marker(shard));
    let Place(mark, part) = place;
    call.bytes(node.as_bytes())
        .number(mark.epoch)
        .number(mark.seq)
        .number(part as u64)
        .bytes(before.map(|it| it.to_string()).unwrap_or_default())
        .number(DAYS_KEPT_S)
        .number(keys.iter().map(|(_, adds)| adds.counts.len() as u64).sum());
    for (key, additions) in keys {
        // Counts come sorted by period, so each hash is named once.
        let mut hash: Option<(Period, usize)> = None;
        for ((period, stem, route), tally) in &additions.counts {
            let place = match hash {
                Some((named, place)) if named == *period => place,
                _ => call.key(period.name(names, *key)),
            };
            hash = Some((*period, place));
            call.number(place as u64)
                .number(period.lives_s(now))
                .bytes(stem.as_bytes())
                .bytes(route.as_bytes())
                .bytes(write_counts(tally));
        }
    }
    for (key, additions) in keys {
        if additions.last_used.is_empty() {
            continue;
        }
        let place = call.key(names.last_used(*key));
        for (version, at) in &additions.last_used {
            call.number(place as u64)
                .number(DAYS_KEPT_S)
                .number(u64::from(*version))
                .number(at.as_millis());
        }
    }
    call
}

/// `name=number`, by spaces, zeros left out; what scripts can add without knowing the names.
pub(super) fn write_counts(tally: &Tally) -> String {
    let plain = [
        (REQUESTS, tally.requests),
        (COST, tally.cost),
        (BYTES_IN, tally.bytes_in),
        (BYTES_OUT, tally.bytes_out),
    ];
    let counts = plain
        .into_iter()
        .chain(STATUS_CLASSES.into_iter().zip(tally.status));
    let mut words: Vec<_> = counts
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    let refused = tally.refused.iter();
    words.extend(refused.map(|(code, count)| format!("{REFUSED}{}={count}", code.as_str())));
    words.join(" ")
}

pub(super) fn read_bucket(step: Step, field: &str, counts: &str) -> Option<UsageBucket> {
    let mut field = field.splitn(3, ':');
    let number: u64 = field.next()?.parse().ok()?;
    let version = field.next()?.parse().ok()?;
    let route = Arc::from(field.next()?);
    Some(UsageBucket {
        start: Timestamp::from_millis(number.checked_mul(step.millis())?),
        version,
        route,
        tally: read_counts(counts),
    })
}

/// Passes over names that this version does not know.
fn read_counts(text: &str) -> Tally {
    let mut tally = Tally::default();
    for word in text.split(' ') {
        let Some((name, Ok(count))) = word.split_once('=').map(|(n, c)| (n, c.parse())) else {
            continue;
        };
        match name {
            REQUESTS => tally.requests = count,
            COST => tally.cost = count,
            BYTES_IN => tally.bytes_in = count,
            BYTES_OUT => tally.bytes_out = count,
            _ => {
                if let Some(class) = STATUS_CLASSES.iter().position(|class| *class == name) {
                    if let Some(counted) = tally.status.get_mut(class) {
                        *counted = count;
                    }
                } else if let Some(code) =
                    name.strip_prefix(REFUSED).and_then(RefusalCode::from_word)
                {
                    tally.add_refused(code, count);
                }
            }
        }
    }
    tally
}

const REQUESTS: &str = "requests";
const COST: &str = "cost";
const BYTES_IN: &str = "in";
const BYTES_OUT: &str = "out";
const REFUSED: &str = "refused.";
const KEYS_A_CALL: usize = 256;
const CALLS_AT_ONCE: usize = 32;
pub(super) const DAYS_KEPT_S: u64 = 400 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::UsageRow;

    fn tally() -> Tally {
        let mut tally = Tally {
            requests: 118,
            status: [0, 116, 0, 2, 0],
            cost: 120,
            bytes_out: 3_020,
            ..Tally::default()
        };
        tally.add_refused(RefusalCode::RateLimited, 3);
        tally
    }

    #[test]
    fn counts_read_back_what_was_written_and_leave_zeros_out() {
        let text = write_counts(&tally());
        assert_eq!(
            text,
            "requests=118 cost=120 out=3020 2xx=116 4xx=2 refused.rate_limited=3"
        );
        assert_eq!(read_counts(&text), tally());
        assert_eq!(
            read_counts("requests=1 later=7 refused.never=2 junk").requests,
            1
        );
    }

    #[test]
    fn a_route_may_hold_whatever_a_field_is_parted_by() {
        let bucket = read_bucket(Step::Hour, "490896:2:api.example.com:8443/v1", "requests=1");
        let bucket = bucket.unwrap();
        assert_eq!(bucket.version, 2);
        assert_eq!(&*bucket.route, "api.example.com:8443/v1");
        assert_eq!(bucket.start.as_millis(), 490_896 * 3_600_000);
    }

    #[test]
    fn minutes_of_one_hour_fold_into_one_addition_an_hour_and_one_a_day() {
        let key = KeyId::from_random([1; 10]);
        let row = |minute| UsageRow {
            key,
            version: 1,
            route: "r".into(),
            minute,
            tally: tally(),
        };
        let batch = UsageBatch {
            node: "n".into(),
            epoch: 1,
            seq: 1,
            rows: vec![row(59), row(60), row(61)],
        };
        let shards = fold(&batch);
        let additions = &shards[&Shard::of(key)][&key];
        let requests: Vec<_> = additions.counts.values().map(|t| t.requests).collect();
        assert_eq!(requests, [118, 236, 354]);
    }
}
