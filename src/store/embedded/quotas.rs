//! Quotas: what was given out of each, in a row a period.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use super::EmbeddedStore;
use super::fault::Fault;
use super::tables::{millis, signed, unsigned};
use super::writer::{Drawing, Work};
use crate::domain::draw::{QuotaDraw, QuotaGrant, QuotaPlace};
use crate::domain::time::Timestamp;
use crate::store::{QuotaStore, StoreError};

#[async_trait]
impl QuotaStore for EmbeddedStore {
    async fn draw(
        &self,
        _node: &str,
        draws: Vec<QuotaDraw>,
    ) -> Result<Vec<QuotaGrant>, StoreError> {
        let drawing = Arc::new(Drawing {
            draws,
            grants: Mutex::default(),
        });
        self.writer.have(Work::Draw(Arc::clone(&drawing))).await?;
        Ok(std::mem::take(&mut *drawing.grants.lock()))
    }

    async fn granted(&self, places: &[QuotaPlace]) -> Result<Vec<u64>, StoreError> {
        let places = places.to_vec();
        self.ask(move |connection| granted(connection, &places))
            .await
    }
}

/// Settles draws, one after the other. Nothing is lost between this process and its file, so what a gate has
/// received need not be compared.
pub(super) fn draw(
    transaction: &Connection,
    draws: &[QuotaDraw],
    now: Timestamp,
) -> Result<Vec<QuotaGrant>, Fault> {
    let mut grants = Vec::with_capacity(draws.len());
    for draw in draws {
        let row: Option<(i64, u8, i64)> = transaction
            .prepare_cached(
                "SELECT granted, reached, reached_of FROM quotas
                 WHERE key = ?1 AND quota = ?2 AND first_day = ?3",
            )?
            .query_row(
                params![draw.key.chars(), draw.quota, draw.span.first_day],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let (before, told, told_of) = row.unwrap_or_default();
        let before = unsigned(before);
        let (units, granted) = draw.grant(before);
        let (reached, reached_before) = draw.reach(told, unsigned(told_of));
        if granted != before || draw.reached > reached_before {
            write(transaction, draw, granted, reached)?;
        }
        grants.push(QuotaGrant {
            units,
            granted,
            reached_before,
        });
    }
    sweep(transaction, now)?;
    Ok(grants)
}

fn write(
    transaction: &Connection,
    draw: &QuotaDraw,
    granted: u64,
    reached: u8,
) -> Result<(), Fault> {
    let ends_at = draw.span.end().unwrap_or(Timestamp::NEVER);
    transaction
        .prepare_cached(
            "INSERT INTO quotas (key, quota, first_day, ends_at, granted, reached, reached_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (key, quota, first_day) DO UPDATE SET granted = excluded.granted,
                 reached = excluded.reached, reached_of = excluded.reached_of",
        )?
        .execute(params![
            draw.key.chars(),
            draw.quota,
            draw.span.first_day,
            millis(ends_at),
            signed(granted),
            reached,
            signed(draw.limit),
        ])?;
    Ok(())
}

/// What was given out of each of these, in its period.
pub(super) fn granted(connection: &Connection, places: &[QuotaPlace]) -> Result<Vec<u64>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT granted FROM quotas WHERE key = ?1 AND quota = ?2 AND first_day = ?3",
    )?;
    let each = places.iter().map(|place| {
        let at = params![place.key.chars(), place.quota, place.span.first_day];
        let granted: Option<i64> = statement.query_row(at, |row| row.get(0)).optional()?;
        Ok(unsigned(granted.unwrap_or_default()))
    });
    each.collect()
}

/// Deletes some of the rows whose period ended long ago: more of them than ever come at once.
fn sweep(transaction: &Connection, now: Timestamp) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "DELETE FROM quotas WHERE (key, quota, first_day) IN
                 (SELECT key, quota, first_day FROM quotas WHERE ends_at < ?1 LIMIT 32)",
        )?
        .execute([millis(now.before(KEPT))])?;
    Ok(())
}

/// For how long after its end a period's row is kept.
const KEPT: Duration = Duration::from_secs(35 * 86_400);
