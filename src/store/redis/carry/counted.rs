//! Puts what counts into Redis: usage, last uses, how far each node was counted, and what was given out of quotas.

use std::collections::{BTreeMap, HashMap};

use super::super::counts;
use super::super::period::Period;
use super::super::quotas::KEPT_S;
use super::batch::Batch;
use super::seed::{Seeding, expire, found};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Step, UsageBucket};
use crate::store::StoreError;
use crate::store::embedded::Pieces;

impl Seeding<'_> {
    /// Counts by hour and day, last uses, and up to where each node was counted.
    pub(super) async fn counts(
        &self,
        batch: &mut Batch<'_>,
        before: u64,
        told: &mut dyn FnMut(u64),
    ) -> Result<u64, StoreError> {
        let mut sent = 0;
        for step in [Step::Hour, Step::Day] {
            let mut place: Option<(String, i64)> = None;
            let mut statement = self.held.counts(step)?;
            let mut rows = Pieces::of_counts(&mut statement)?;
            loop {
                let page = rows.next()?;
                if page.is_empty() {
                    break;
                }
                for (key, bucket) in page {
                    sent += self.bucket(batch, step, &key, &bucket, &mut place).await?;
                    told(before + sent);
                }
            }
        }
        let sql = "SELECT key, CAST(at AS BLOB), version FROM last_used";
        let mut statement = self.held.find(sql)?;
        let mut rows = Pieces::of(&mut statement, found)?;
        loop {
            let page = rows.next()?;
            if page.is_empty() {
                break;
            }
            for (key, at, version) in page {
                let Ok(key) = KeyId::from_chars(key.as_bytes()) else {
                    continue;
                };
                let hash = self.names.last_used(key);
                batch.field(&hash, version.as_bytes(), &at).await?;
                batch.other(expire(&hash, counts::DAYS_KEPT_S)).await?;
                sent += 1;
            }
        }
        let mut marks: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        self.held
            .each("SELECT node, epoch, seq FROM usage_mark", |row| {
                let number = |at: usize| row.get_ref(at).ok().and_then(|it| it.as_i64().ok());
                let node = row
                    .get_ref(0)
                    .ok()
                    .and_then(|it| it.as_str().ok().map(str::to_owned));
                if let (Some(node), Some(epoch), Some(seq)) = (node, number(1), number(2)) {
                    let mark = (epoch.unsigned_abs(), seq.unsigned_abs());
                    let known = marks.entry(node).or_default();
                    *known = (*known).max(mark);
                }
                Ok(())
            })?;
        for shard in self.names.shards() {
            for (node, (epoch, seq)) in &marks {
                // All parts of that batch.
                let mark = format!("{epoch} {seq} {}", u32::MAX);
                batch
                    .field(&shard, node.as_bytes(), mark.as_bytes())
                    .await?;
                sent += 1;
            }
            if !marks.is_empty() {
                batch.other(expire(&shard, counts::DAYS_KEPT_S)).await?;
            }
        }
        Ok(sent)
    }

    async fn bucket(
        &self,
        batch: &mut Batch<'_>,
        step: Step,
        key: &str,
        bucket: &UsageBucket,
        last: &mut Option<(String, i64)>,
    ) -> Result<u64, StoreError> {
        let Ok(id) = KeyId::from_chars(key.as_bytes()) else {
            return Ok(0);
        };
        let period = Period::of(step, bucket.start);
        let hash = period.name(self.names, id);
        let field = format!(
            "{}:{}:{}",
            bucket.start.as_millis() / step.millis(),
            bucket.version,
            bucket.route
        );
        let text = counts::write_counts(&bucket.tally);
        batch
            .field(&hash, field.as_bytes(), text.as_bytes())
            .await?;
        let lives_s = period.lives_s(self.now);
        let lives = (hash, i64::try_from(lives_s).unwrap_or(i64::MAX));
        if last.as_ref() != Some(&lives) {
            batch.other(expire(&lives.0, lives_s)).await?;
            *last = Some(lives);
        }
        Ok(1)
    }

    pub(super) async fn quotas(&self, batch: &mut Batch<'_>) -> Result<u64, StoreError> {
        let mut sent = 0;
        let mut ends: HashMap<String, u64> = HashMap::new();
        let mut fields: Vec<(String, String, String)> = Vec::new();
        let name = |key: &str, quota: &str, day: i64| {
            let key = KeyId::from_chars(key.as_bytes()).ok()?;
            Some(self.names.quota(key, quota, u32::try_from(day).ok()?))
        };
        let sql = "SELECT key, quota, first_day, ends_at, granted, reached, reached_of FROM quotas";
        self.held.each(sql, |row| {
            let text = |at: usize| row.get_ref(at).ok().and_then(|it| it.as_str().ok());
            let number = |at: usize| row.get_ref(at).ok().and_then(|it| it.as_i64().ok());
            let (Some(key), Some(quota), Some(day)) = (text(0), text(1), number(2)) else {
                return Ok(());
            };
            let Some(hash) = name(key, quota, day) else {
                return Ok(());
            };
            let ends_at = number(3).unwrap_or(i64::MAX);
            if ends_at != i64::MAX {
                let end = Timestamp::from_millis(ends_at.unsigned_abs());
                let lives_s = end
                    .after(std::time::Duration::from_secs(KEPT_S))
                    .since(self.now);
                ends.insert(hash.clone(), lives_s.as_secs().max(1));
            }
            for (field, at) in [("g", 4), ("r", 5), ("l", 6)] {
                let value = number(at).unwrap_or_default().to_string();
                fields.push((hash.clone(), field.to_owned(), value));
            }
            Ok(())
        })?;
        let sql = "SELECT key, quota, first_day, node, received FROM quota_holder";
        self.held.each(sql, |row| {
            let text = |at: usize| row.get_ref(at).ok().and_then(|it| it.as_str().ok());
            let day = row.get_ref(2).ok().and_then(|it| it.as_i64().ok());
            if let (Some(key), Some(quota), Some(day), Some(node), Some(received)) =
                (text(0), text(1), day, text(3), text(4))
                && let Some(hash) = name(key, quota, day)
            {
                fields.push((hash, format!("n:{node}"), received.to_owned()));
            }
            Ok(())
        })?;
        for (hash, field, value) in fields {
            batch
                .field(&hash, field.as_bytes(), value.as_bytes())
                .await?;
            sent += 1;
        }
        for (hash, lives_s) in ends {
            batch.other(expire(&hash, lives_s)).await?;
        }
        Ok(sent)
    }
}
