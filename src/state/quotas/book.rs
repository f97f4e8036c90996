//! All quotas there are, by name: what an account and a row in the store are found by.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::limit::Quota;
use crate::domain::period::Span;
use crate::domain::time::Timestamp;

/// Names a quota of a key or its product. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaId(pub(super) u32);

/// A quota as a request meets it.
#[derive(Debug)]
pub struct NamedQuota {
    /// What `RateLimit` fields call it, and the store.
    pub name: Arc<str>,
    /// Where its account lies in a slot.
    pub id: QuotaId,
    /// What it is.
    pub quota: Quota,
    /// The period that was asked for last: its first day and its end.
    span: AtomicU64,
}

impl NamedQuota {
    /// The period that `now` lies in.
    #[must_use]
    pub fn span(&self, now: Timestamp) -> Span {
        let packed = self.span.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let known = Span {
            first_day: half(packed >> 32),
            end_day: half(packed),
        };
        if known.contains(now) {
            return known;
        }
        let span = self.quota.span(now);
        let packed = u64::from(span.first_day) << 32 | u64::from(span.end_day);
        self.span.store(packed, Ordering::Relaxed);
        span
    }

    /// The period that begins on `first_day`.
    #[must_use]
    pub fn span_from(&self, first_day: u32) -> Span {
        let day = Span {
            first_day,
            end_day: first_day.saturating_add(1),
        };
        self.quota.span(day.start())
    }
}

/// All quotas there are: names to ids.
#[derive(Debug, Default)]
pub struct QuotaBook {
    /// Never shrinks: a name keeps its id, and with it its account in every slot.
    ids: Mutex<HashMap<Arc<str>, QuotaId>>,
}

impl QuotaBook {
    /// The quotas of `owner`, named as [`names`] does.
    #[must_use]
    pub fn named(&self, owner: &str, quotas: &[Quota]) -> Vec<Arc<NamedQuota>> {
        let mut ids = self.ids.lock();
        let named = names(owner, quotas).zip(quotas).map(|(name, quota)| {
            let next = QuotaId(u32::try_from(ids.len()).unwrap_or(u32::MAX - 1) + 1);
            let id = *ids.entry(Arc::clone(&name)).or_insert(next);
            Arc::new(NamedQuota {
                name,
                id,
                quota: *quota,
                span: AtomicU64::new(0),
            })
        });
        named.collect()
    }
}

/// What the quotas of `owner` are called: `owner-month`, `owner-week@3` where the period begins on a chosen
/// day, `owner-month-2` for a second of the same period. So a name says of which period it is, and a quota
/// keeps it when its limit changes or another is put before it.
pub fn names<'a>(owner: &'a str, quotas: &'a [Quota]) -> impl Iterator<Item = Arc<str>> + 'a {
    quotas.iter().enumerate().map(move |(at, quota)| {
        let is_like =
            |other: &&Quota| other.per == quota.per && other.begins_on() == quota.begins_on();
        let mut name = format!("{owner}-{}", quota.per.as_str());
        if quota.begins_on() != 1 {
            name.push_str(&format!("@{}", quota.begins_on()));
        }
        match quotas.iter().take(at).filter(is_like).count() {
            0 => {}
            before => name.push_str(&format!("-{}", before + 1)),
        }
        name.into()
    })
}
