//! Brings a store in Redis into the tables of the embedded one, as of one revision.
//!
//! The control state comes as to any gate: into a mirror that follows the feed. When that has all of the audit
//! log, no more changes are taken, and what a mirror lacks is read beside it: feed, outbox, receipts, counts and
//! quotas. What counts is as of when it was read; nothing of it belongs to a revision.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::super::connect::Fault;
use super::super::follow::Shared;
use super::super::frame::{self, Kind};
use super::super::names::Counted;
use super::super::store::{Local, RedisStore};
use super::super::{counts, feed, outbox};
use super::there::standing;
use crate::config::RedisChoice;
use crate::domain::change::{ChangeId, Revision, Write};
use crate::domain::event::EventPlace;
use crate::domain::id::KeyId;
use crate::domain::time::{Clock, Timestamp};
use crate::domain::usage::Step;
use crate::store::carry::Progress;
use crate::store::embedded::{Adding, QuotaRow};
use crate::store::node_key::NodeKey;
use crate::store::{Feed as _, StoreError};

/// Brings the store into the directory `work`, where nothing is yet; where in it its tables are.
///
/// # Errors
/// If there is none, or it cannot be read to its end.
pub(in crate::store) async fn draw(
    choice: &RedisChoice,
    work: &Path,
    clock: Arc<dyn Clock>,
    progress: Progress<'_>,
) -> Result<PathBuf, StoreError> {
    if standing(choice).await?.is_none() {
        return Err(StoreError::Unusable {
            place: format!("the prefix `{}` in Redis", choice.prefix),
            reason: "there is no store".to_owned(),
        });
    }
    let local = Local {
        dir: work,
        // Nobody opens it as a mirror again.
        node_key: &NodeKey::for_once()?,
        signed_head: None,
        accepts_store: false,
    };
    let store = RedisStore::open(choice, local, Arc::clone(&clock)).await?;
    let tables = local.mirror();
    let drawn = rest(store.shared(), &tables, clock.now(), progress).await;
    store.close().await;
    drawn.map(|()| tables)
}

/// Waits until the mirror has all that a mirror has, and adds what it lacks.
async fn rest(
    shared: &Shared,
    tables: &Path,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let mut tries = 0_u32;
    let turn = loop {
        let turn = shared.mirror.hold().await;
        let is_whole = shared.mirror.tables().audit_gap().await?.is_none();
        if is_whole && shared.mirror.stand().is_some() {
            break turn;
        }
        drop(turn);
        let away = shared.stage().borrow().fault().cloned();
        if let Some(fault) = away {
            tries += 1;
            if tries > AWAY_MOST {
                return Err(fault.into());
            }
        }
        progress("audit log", u64::from(tries), 0);
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let stand = shared.mirror.stand().ok_or_else(|| {
        StoreError::unavailable("the mirror is of nothing, though it was a moment ago")
    })?;
    let adding = Adding::open(tables)?;
    changes(shared, stand.revision, &adding).await?;
    events(shared, stand.revision, &adding).await?;
    counted(shared, stand.revision, &adding, now, progress).await?;
    let change: ChangeId = stand.change;
    adding.finish(change)?;
    drop(turn);
    Ok(())
}

async fn changes(shared: &Shared, until: Revision, adding: &Adding) -> Result<(), StoreError> {
    let mut after = Revision(0);
    loop {
        let ask = feed::ask_range(&shared.names, after, Some(until), PAGE);
        let entries = shared.entries(feed::read_range(shared.link.ask(&ask).await?))?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        after = last.revision;
        for entry in entries.iter().filter(|entry| entry.unreadable == 0) {
            adding.change(entry.revision, &entry.change)?;
        }
    }
}

async fn events(shared: &Shared, until: Revision, adding: &Adding) -> Result<(), StoreError> {
    let mut after = EventPlace {
        revision: Revision(0),
        index: 0,
    };
    loop {
        let ask = outbox::ask(&shared.names, after, PAGE);
        let events = outbox::read(shared.link.ask(&ask).await?);
        let events = events.map_err(|outbox::NotAnOutbox| StoreError::Corrupt {
            table: "events",
            key: shared.names.events(),
            source: "it does not look like an outbox".into(),
        })?;
        let Some((last, _)) = events.last() else {
            return Ok(());
        };
        after = *last;
        for (place, event) in events.iter().filter(|(place, _)| place.revision <= until) {
            adding.event(*place, event)?;
        }
    }
}

/// Reads everything that lies apart from the control state: found by its name, on each master.
async fn counted(
    shared: &Shared,
    until: Revision,
    adding: &Adding,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let names = &shared.names;
    let mut done = 0;
    for master in shared.link.masters().await? {
        for pattern in names.patterns() {
            let mut cursor = 0_u64;
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(&pattern);
                scan.arg("COUNT").arg(SCAN_COUNT);
                let (next, found): (u64, Vec<String>) = master.ask(&scan).await?;
                done += found.len() as u64;
                progress("counts", done, 0);
                for found in found.chunks(READS_AT_ONCE) {
                    page(shared, found, until, adding, now).await?;
                }
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
    }
    Ok(())
}

async fn page(
    shared: &Shared,
    found: &[String],
    until: Revision,
    adding: &Adding,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (mut reads, mut what) = (redis::pipe(), Vec::new());
    for name in found {
        let Some(counted) = shared.names.read(name) else {
            continue;
        };
        match &counted {
            Counted::Receipt => reads.get(name),
            _ => reads.hgetall(name),
        };
        reads.pttl(name);
        what.push(counted);
    }
    if what.is_empty() {
        return Ok(());
    }
    let answers: Vec<Value> = shared.link.ask_all(&reads).await?;
    let mut answers = answers.into_iter();
    for counted in what {
        let (Some(value), Some(Value::Int(lives_ms))) = (answers.next(), answers.next()) else {
            return Err(strange(shared));
        };
        // It has gone since it was named.
        if lives_ms == -2 {
            continue;
        }
        put(shared, counted, value, lives_ms, until, adding, now)?;
    }
    Ok(())
}

fn put(
    shared: &Shared,
    counted: Counted,
    value: Value,
    lives_ms: i64,
    until: Revision,
    adding: &Adding,
    now: Timestamp,
) -> Result<(), StoreError> {
    match counted {
        Counted::Receipt => {
            let framed: Vec<u8> = read(shared, value)?;
            if let Ok((revision, Write::Receipt(receipt))) = frame::read(Kind::Receipt, &framed)
                && revision <= until
            {
                adding.receipt(&receipt, now)?;
            }
        }
        Counted::Used(key) => {
            let uses: Vec<(u16, u64)> = read(shared, value)?;
            let uses: Vec<_> = uses
                .into_iter()
                .map(|(version, ms)| (key, version, Timestamp::from_millis(ms)))
                .collect();
            adding.used(&uses)?;
        }
        Counted::Hours(key) => buckets(shared, Step::Hour, key, value, adding)?,
        Counted::Days(key) => buckets(shared, Step::Day, key, value, adding)?,
        Counted::Marks => {
            let marks: Vec<(String, String)> = read(shared, value)?;
            for (node, mark) in marks {
                let mut numbers = mark.split(' ').map(str::parse::<u64>);
                if let (Some(Ok(epoch)), Some(Ok(seq))) = (numbers.next(), numbers.next()) {
                    adding.mark(&node, epoch, seq)?;
                }
            }
        }
        Counted::Quota {
            key,
            quota,
            first_day,
        } => {
            let mut fields: HashMap<String, String> = read(shared, value)?;
            let mut number = |name: &str| -> u64 {
                let text = fields.remove(name);
                text.and_then(|text| text.parse().ok()).unwrap_or_default()
            };
            let (granted, reached, reached_of) = (number("g"), number("r"), number("l"));
            let ends_at = match u64::try_from(lives_ms) {
                // It lives for so long after its end.
                Ok(lives_ms) => day_before(now.as_millis().saturating_add(lives_ms)),
                Err(_) => Timestamp::NEVER,
            };
            let mut holders: Vec<(String, String)> = fields
                .into_iter()
                .filter_map(|(name, held)| Some((name.strip_prefix("n:")?.to_owned(), held)))
                .collect();
            holders.sort_unstable();
            adding.quota(&QuotaRow {
                key,
                quota,
                first_day,
                ends_at,
                granted,
                reached: u8::try_from(reached).unwrap_or(u8::MAX),
                reached_of,
                holders,
            })?;
        }
    }
    Ok(())
}

fn buckets(
    shared: &Shared,
    step: Step,
    key: KeyId,
    value: Value,
    adding: &Adding,
) -> Result<(), StoreError> {
    let fields: Vec<(String, String)> = read(shared, value)?;
    for (field, text) in fields {
        if let Some(bucket) = counts::read_bucket(step, &field, &text) {
            adding.counts(step, key, &bucket)?;
        }
    }
    Ok(())
}

/// When a period ended whose hash goes at `gone_ms`: periods end with a day, and the time to live is told from
/// when it was last set, to the second.
fn day_before(gone_ms: u64) -> Timestamp {
    let end_ms = gone_ms.saturating_sub(super::super::quotas::KEPT_S * 1_000);
    let day_ms = Step::Day.millis();
    Timestamp::from_millis((end_ms + day_ms / 2) / day_ms * day_ms)
}

fn read<T: redis::FromRedisValue>(shared: &Shared, value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value).map_err(|_| strange(shared))
}

fn strange(shared: &Shared) -> StoreError {
    let fault: Fault = shared.link.blame(super::super::connect::Cause::Damaged {
        what: "its counts cannot be read".to_owned(),
    });
    fault.into()
}

/// How often it is looked whether the mirror has everything.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many times in a row it may be away: ten seconds.
const AWAY_MOST: u32 = 500;
const PAGE: usize = 256;
const SCAN_COUNT: usize = 1_000;
const READS_AT_ONCE: usize = 200;
