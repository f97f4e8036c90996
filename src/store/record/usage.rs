//! Batches of counts, as stored until they are in their tables.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::form::{Bytes, DecodeError, decode, encode, known};
use crate::domain::id::KeyId;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Tally, UsageBatch, UsageRow};

/// Writes a batch.
#[must_use]
pub fn encode_usage(batch: &UsageBatch) -> Vec<u8> {
    let mut routes: Vec<&str> = Vec::new();
    let mut rows = Vec::with_capacity(batch.rows.len());
    for row in &batch.rows {
        // A gate has few routes, and like ones come together.
        let known = routes.iter().rposition(|route| **route == *row.route);
        let route = known.unwrap_or_else(|| {
            routes.push(&row.route);
            routes.len() - 1
        });
        rows.push(StoredRow::of(row, route as u64));
    }
    encode(&StoredBatch {
        node: &batch.node,
        epoch: batch.epoch,
        seq: batch.seq,
        routes,
        rows,
    })
}

/// Reads a batch.
///
/// # Errors
/// If the bytes are no batch, or one that this binary does not understand.
pub fn decode_usage(bytes: &[u8]) -> Result<UsageBatch, DecodeError> {
    let stored: StoredBatch<'_> = decode(bytes)?;
    let routes: Vec<Arc<str>> = stored.routes.into_iter().map(Arc::from).collect();
    let rows = stored.rows.into_iter().map(|row| row.read(&routes));
    Ok(UsageBatch {
        node: Arc::from(stored.node),
        epoch: stored.epoch,
        seq: stored.seq,
        rows: rows.collect::<Result<_, _>>()?,
    })
}

#[derive(Serialize, Deserialize)]
struct StoredBatch<'a> {
    node: &'a str,
    epoch: u64,
    seq: u64,
    #[serde(borrow)]
    routes: Vec<&'a str>,
    #[serde(borrow)]
    rows: Vec<StoredRow<'a>>,
}

/// Key, version, place among the routes, minute, and the tally. Without names, because there may be tens of
/// thousands a second.
#[derive(Serialize, Deserialize)]
struct StoredRow<'a>(
    Bytes<10>,
    u16,
    u64,
    u32,
    [u64; 5],
    #[serde(borrow)] Vec<(&'a str, u64)>,
    [u64; 4],
    Option<u64>,
);

impl<'a> StoredRow<'a> {
    fn of(row: &'a UsageRow, route: u64) -> Self {
        let tally = &row.tally;
        let refused = tally.refused.iter();
        Self(
            Bytes(*row.key.as_bytes()),
            row.version,
            route,
            row.minute,
            tally.status,
            refused
                .map(|(code, count)| (code.as_str(), *count))
                .collect(),
            [tally.requests, tally.cost, tally.bytes_in, tally.bytes_out],
            tally.last_used_at.map(Timestamp::as_millis),
        )
    }

    fn read(self, routes: &[Arc<str>]) -> Result<UsageRow, DecodeError> {
        let Self(key, version, route, minute, status, refused, numbers, used) = self;
        let [requests, cost, bytes_in, bytes_out] = numbers;
        let route = usize::try_from(route).ok().and_then(|at| routes.get(at));
        let refused = refused
            .into_iter()
            .map(|(word, count)| Ok((known("code", RefusalCode::from_word(word))?, count)));
        Ok(UsageRow {
            key: known("key", KeyId::from_chars(&key.0).ok())?,
            version,
            route: Arc::clone(known("route", route)?),
            minute,
            tally: Tally {
                requests,
                status,
                refused: refused.collect::<Result<_, DecodeError>>()?,
                cost,
                bytes_in,
                bytes_out,
                last_used_at: used.map(Timestamp::from_millis),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = UsageRow> {
        let refused = vec((0..RefusalCode::ALL.len(), any::<u64>()), 0..3);
        let numbers = any::<([u64; 5], [u64; 4], Option<u64>)>();
        (
            any::<[u8; 10]>(),
            any::<(u16, u32)>(),
            0..3_usize,
            refused,
            numbers,
        )
            .prop_map(
                |(key, (version, minute), route, refused, (status, numbers, used))| {
                    let [requests, cost, bytes_in, bytes_out] = numbers;
                    let refused = refused.into_iter();
                    UsageRow {
                        key: KeyId::from_random(key),
                        version,
                        route: ["orders", "", "/.portcullis"][route].into(),
                        minute,
                        tally: Tally {
                            requests,
                            status,
                            refused: refused
                                .map(|(at, count)| (RefusalCode::ALL[at], count))
                                .collect(),
                            cost,
                            bytes_in,
                            bytes_out,
                            last_used_at: used.map(Timestamp::from_millis),
                        },
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_batch_is_read_as_it_was_written(rows in vec(row(), 0..20), epoch: u64, seq: u64) {
            let batch = UsageBatch { node: "gate-1".into(), epoch, seq, rows };
            prop_assert_eq!(decode_usage(&encode_usage(&batch)).unwrap(), batch);
        }
    }
}
