//! Counts: added once, kept by hour and by day, swept out when their time is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::tables::{millis, signed, timestamp, unsigned};
use crate::domain::id::KeyId;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Step, Tally, UsageBucket, UsageRow};

/// The number of a node's run that begins: greater than any before, and a time, so that old ones can be
/// told from new ones.
pub(super) fn begin_epoch(
    transaction: &Connection,
    node: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    let epoch: i64 = transaction
        .prepare_cached(
            "INSERT INTO epochs (node, epoch) VALUES (?1, ?2)
             ON CONFLICT (node) DO UPDATE SET epoch = max(epoch + 1, excluded.epoch)
             RETURNING epoch",
        )?
        .query_row(params![node, signed(now.as_millis() / 1_000)], |row| {
            row.get(0)
        })?;
    Ok(unsigned(epoch))
}

/// Adds to the counts, and to what is known of the last use.
pub(super) fn add(transaction: &Connection, rows: &[UsageRow]) -> Result<(), Fault> {
    for kept in [&HOUR, &DAY] {
        // In the order of the table's rows, so that each page is touched once.
        let mut buckets: BTreeMap<(Timestamp, KeyId, u16, &str), Tally> = BTreeMap::new();
        for row in rows {
            let minute = Timestamp::from_millis(u64::from(row.minute) * Step::Minute.millis());
            let start = minute.floor(kept.step.millis());
            buckets
                .entry((start, row.key, row.version, &row.route))
                .or_default()
                .add(&row.tally);
        }
        for ((start, key, version, route), tally) in buckets {
            let bucket = Bucket {
                start: millis(start),
                key,
                version,
                route,
            };
            kept.add(transaction, &bucket, &tally)?;
        }
    }
    let uses: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.key, row.version, row.tally.last_used_at?)))
        .collect();
    note_used(transaction, &uses)
}

/// Puts counts where they were counted elsewhere.
pub(super) fn put(
    transaction: &Connection,
    step: Step,
    key: KeyId,
    counted: &UsageBucket,
) -> Result<(), Fault> {
    let kept = match step {
        Step::Minute => return Ok(()),
        Step::Hour => &HOUR,
        Step::Day => &DAY,
    };
    let bucket = Bucket {
        start: millis(counted.start),
        key,
        version: counted.version,
        route: &counted.route,
    };
    // What is named twice is one: it does not add up.
    transaction
        .prepare_cached(&format!(
            "DELETE FROM {} WHERE start = ?1 AND key = ?2 AND version = ?3 AND route = ?4",
            kept.table
        ))?
        .execute(params![
            bucket.start,
            bucket.key.chars(),
            bucket.version,
            bucket.route
        ])?;
    kept.add(transaction, &bucket, &counted.tally)
}

/// All counts of one row that was read whole, by `start, key, version, route, …`.
pub(super) fn read_row(row: &Row<'_>) -> rusqlite::Result<(String, UsageBucket)> {
    let start: i64 = row.get(0)?;
    let number = |at: usize| row.get(at).map(unsigned);
    let refused: Option<String> = row.get(10)?;
    let bucket = UsageBucket {
        start: timestamp(start),
        version: row.get(2)?,
        route: Arc::from(row.get::<_, String>(3)?),
        tally: Tally {
            requests: number(4)?,
            status: [number(5)?, number(6)?, number(7)?, number(8)?, number(9)?],
            refused: words(refused.as_deref())
                .into_iter()
                .filter_map(|(word, count)| Some((RefusalCode::from_word(&word)?, count)))
                .collect(),
            cost: number(11)?,
            bytes_in: number(12)?,
            bytes_out: number(13)?,
            last_used_at: None,
        },
    };
    Ok((row.get(1)?, bucket))
}

/// Notes when versions were last used; an earlier time than is known changes nothing.
pub(super) fn note_used(
    transaction: &Connection,
    uses: &[(KeyId, u16, Timestamp)],
) -> Result<(), Fault> {
    let mut latest: BTreeMap<(KeyId, u16), Timestamp> = BTreeMap::new();
    for (key, version, at) in uses {
        let known = latest.entry((*key, *version)).or_default();
        *known = (*known).max(*at);
    }
    for ((key, version), at) in latest {
        transaction
            .prepare_cached(
                "INSERT INTO last_used (key, version, at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key, version) DO UPDATE SET at = excluded.at WHERE at < excluded.at",
            )?
            .execute(params![key.chars(), version, millis(at)])?;
        transaction
            .prepare_cached(
                "UPDATE key_list SET used_at = ?2
                 WHERE seq = (SELECT seq FROM keys WHERE id = ?1) AND used_at < ?2",
            )?
            .execute(params![key.chars(), millis(at)])?;
    }
    Ok(())
}

/// The counts of a key in `[from, to)`.
pub(super) fn counts(
    connection: &Connection,
    key: KeyId,
    step: Step,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<UsageBucket>, Fault> {
    let kept = match step {
        // Gates have them, a store does not.
        Step::Minute => return Ok(Vec::new()),
        Step::Hour => &HOUR,
        Step::Day => &DAY,
    };
    let (oldest, newest): (Option<i64>, Option<i64>) = connection.query_row(
        &format!(
            "SELECT (SELECT min(start) FROM {0}), (SELECT max(start) FROM {0})",
            kept.table
        ),
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (Some(oldest), Some(newest)) = (oldest, newest) else {
        return Ok(Vec::new());
    };
    // The table is ordered by time, so a key's buckets are looked up one by one: at most 840 hours or
    // 400 days.
    let step_ms = signed(kept.step.millis());
    let mut start = millis(from.floor(kept.step.millis())).max(oldest);
    let mut statement = connection.prepare_cached(kept.select)?;
    let mut buckets = Vec::new();
    while start < millis(to) && start <= newest {
        let rows = statement.query_map(params![start, key.chars()], |row| read(row, start))?;
        for bucket in rows {
            buckets.push(bucket?);
        }
        start += step_ms;
    }
    Ok(buckets)
}

/// When each version of a key was last used.
pub(super) fn last_used(
    connection: &Connection,
    key: KeyId,
) -> Result<Vec<(u16, Timestamp)>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT version, at FROM last_used WHERE key = ?1 ORDER BY version")?;
    let uses = statement
        .query_map([key.chars()], |row| {
            Ok((row.get(0)?, timestamp(row.get(1)?)))
        })?
        .collect::<Result<_, _>>()?;
    Ok(uses)
}

/// One step that counts are kept by.
struct Kept {
    step: Step,
    table: &'static str,
    /// How long after its beginning a bucket goes.
    for_time: Duration,
    refused: &'static str,
    upsert: &'static str,
    select: &'static str,
    edge: &'static str,
    sweep: &'static str,
}

macro_rules! kept {
    ($step:expr, $table:literal, $days:literal) => {
        Kept {
            step: $step,
            table: $table,
            for_time: Duration::from_secs($days * 86_400),
            refused: concat!(
                "SELECT refused FROM ",
                $table,
                " WHERE start = ?1 AND key = ?2 AND version = ?3 AND route = ?4"
            ),
            upsert: concat!(
                "INSERT INTO ",
                $table,
                " VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                 ON CONFLICT (start, key, version, route) DO UPDATE SET
                     requests = requests + excluded.requests,
                     status_1xx = status_1xx + excluded.status_1xx,
                     status_2xx = status_2xx + excluded.status_2xx,
                     status_3xx = status_3xx + excluded.status_3xx,
                     status_4xx = status_4xx + excluded.status_4xx,
                     status_5xx = status_5xx + excluded.status_5xx,
                     refused = coalesce(excluded.refused, refused),
                     cost = cost + excluded.cost,
                     bytes_in = bytes_in + excluded.bytes_in,
                     bytes_out = bytes_out + excluded.bytes_out"
            ),
            select: concat!(
                "SELECT version, route, requests, status_1xx, status_2xx, status_3xx, status_4xx,
                     status_5xx, refused, cost, bytes_in, bytes_out
                 FROM ",
                $table,
                " WHERE start = ?1 AND key = ?2"
            ),
            edge: concat!(
                "SELECT start, key, version, route FROM ",
                $table,
                " WHERE start < ?1
                 ORDER BY start, key, version, route LIMIT 1 OFFSET ?2"
            ),
            sweep: concat!(
                "DELETE FROM ",
                $table,
                " WHERE (start, key, version, route) <= (?1, ?2, ?3, ?4)"
            ),
        }
    };
}

const HOUR: Kept = kept!(Step::Hour, "usage_hour", 35);
const DAY: Kept = kept!(Step::Day, "usage_day", 400);

/// Which counts a row holds.
struct Bucket<'a> {
    start: i64,
    key: KeyId,
    version: u16,
    route: &'a str,
}

impl Kept {
    fn add(
        &self,
        transaction: &Connection,
        bucket: &Bucket<'_>,
        tally: &Tally,
    ) -> Result<(), Fault> {
        let [s1, s2, s3, s4, s5] = tally.status.map(count);
        transaction.prepare_cached(self.upsert)?.execute(params![
            bucket.start,
            bucket.key.chars(),
            bucket.version,
            bucket.route,
            count(tally.requests),
            s1,
            s2,
            s3,
            s4,
            s5,
            self.refused(transaction, bucket, tally)?,
            count(tally.cost),
            count(tally.bytes_in),
            count(tally.bytes_out),
        ])?;
        Ok(())
    }

    /// The refusals of a bucket with those of `tally`, as JSON; nothing if `tally` has none.
    fn refused(
        &self,
        transaction: &Connection,
        bucket: &Bucket<'_>,
        tally: &Tally,
    ) -> Result<Option<String>, Fault> {
        if tally.refused.is_empty() {
            return Ok(None);
        }
        let known: Option<Option<String>> = transaction
            .prepare_cached(self.refused)?
            .query_row(
                params![
                    bucket.start,
                    bucket.key.chars(),
                    bucket.version,
                    bucket.route
                ],
                |row| row.get(0),
            )
            .optional()?;
        // By word and not by code: codes of a newer binary are counted on.
        let mut refused = words(known.flatten().as_deref());
        for (code, more) in &tally.refused {
            let counted = refused.entry(code.as_str().to_owned()).or_default();
            *counted = counted.saturating_add(*more);
        }
        Ok(serde_json::to_string(&refused).ok())
    }

    /// Deletes some of what is past its time; whether that was all.
    fn sweep(&self, transaction: &Connection, now: Timestamp) -> Result<bool, Fault> {
        let end = millis(now.before(self.for_time));
        let edge = transaction
            .prepare_cached(self.edge)?
            .query_row(params![end, SWEEP_MAX - 1], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, u16>(2)?,
                    row.get::<_, String>(3)?,
                ))
            })
            .optional()?;
        let is_more = edge.is_some();
        // Without so many rows before `end`, all of them: no key sorts before an empty one.
        let (start, key, version, route) =
            edge.unwrap_or_else(|| (end, String::new(), 0, String::new()));
        transaction
            .prepare_cached(self.sweep)?
            .execute(params![start, key, version, route])?;
        Ok(!is_more)
    }
}

/// When the next sweep is due. A long one is spread over many batches.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    due: Timestamp,
}

impl Sweep {
    /// Deletes some of what is past its time, if that is due.
    pub(super) fn some(&mut self, transaction: &Connection, now: Timestamp) -> Result<(), Fault> {
        if now < self.due {
            return Ok(());
        }
        let hours_done = HOUR.sweep(transaction, now)?;
        let days_done = DAY.sweep(transaction, now)?;
        // Epochs begin as times in seconds, so what is an old run can be told from its number.
        let old = signed(now.before(MARKS_KEPT).as_millis() / 1_000);
        transaction
            .prepare_cached(
                "DELETE FROM usage_mark WHERE epoch < ?1
                 AND epoch < (SELECT epoch FROM epochs WHERE epochs.node = usage_mark.node)",
            )?
            .execute([old])?;
        if hours_done && days_done {
            self.due = now.after(SWEEP_EVERY);
        }
        Ok(())
    }
}

fn read(row: &Row<'_>, start: i64) -> rusqlite::Result<UsageBucket> {
    let number = |at: usize| row.get(at).map(unsigned);
    let refused: Option<String> = row.get(8)?;
    Ok(UsageBucket {
        start: timestamp(start),
        version: row.get(0)?,
        route: Arc::from(row.get::<_, String>(1)?),
        tally: Tally {
            requests: number(2)?,
            status: [number(3)?, number(4)?, number(5)?, number(6)?, number(7)?],
            refused: words(refused.as_deref())
                .into_iter()
                .filter_map(|(word, count)| Some((RefusalCode::from_word(&word)?, count)))
                .collect(),
            cost: number(9)?,
            bytes_in: number(10)?,
            bytes_out: number(11)?,
            last_used_at: None,
        },
    })
}

fn words(json: Option<&str>) -> BTreeMap<String, u64> {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

/// A count as stored. No batch counts so much; but one that claims to must not make the sums overflow,
/// which SQLite would refuse for ever after.
fn count(number: u64) -> i64 {
    signed(number.min(1 << 53))
}

const SWEEP_MAX: i64 = 5_000;
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How long the last number of an ended run is remembered: what it left unsent comes sooner or never.
const MARKS_KEPT: Duration = Duration::from_secs(400 * 86_400);
