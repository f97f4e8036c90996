//! How much of its quotas a key has spent.

use std::sync::Arc;

use super::KeyService;
use crate::domain::key::Key;
use crate::domain::limit::Quota;
use crate::domain::time::Timestamp;
use crate::state::keys::KeyEntry;
use crate::state::quotas::{Standing, names};

impl KeyService {
    /// How much of each of a key's own quotas is spent in its period: what was given out, less what this
    /// gate still holds. Nothing, if the store cannot say.
    pub(super) async fn spent(&self, key: &Key) -> Vec<u64> {
        let quotas = &key.settings.quotas;
        let now = self.clock.now();
        let named: Vec<_> = names("key", quotas)
            .zip(quotas.iter().map(|quota| quota.span(now)))
            .collect();
        let granted = match named.as_slice() {
            [] => Vec::new(),
            named => self.store.granted(key.id, named).await.unwrap_or_default(),
        };
        let each = named.iter().zip(granted).map(|((name, span), granted)| {
            let here = self.standing(key, name, span.first_day);
            spent(granted, here.as_ref())
        });
        each.collect()
    }

    /// Where all quotas of a key stand that this gate knows, its products' included: each quota, how much
    /// of it is spent if the store can say, and when it renews.
    pub async fn quotas(&self, entry: &KeyEntry) -> Vec<(Quota, Option<u64>, Option<Timestamp>)> {
        let now = self.clock.now();
        let quotas = &entry.grants.quotas;
        let named: Vec<_> = quotas
            .iter()
            .map(|named| (Arc::clone(&named.name), named.span(now)))
            .collect();
        let granted = match named.as_slice() {
            [] => Vec::new(),
            named => self
                .store
                .granted(entry.id, named)
                .await
                .unwrap_or_default(),
        };
        let each = quotas
            .iter()
            .zip(&named)
            .enumerate()
            .map(|(at, (quota, (_, span)))| {
                let here = entry.slot().account(quota.id).standing(span.first_day);
                let used = granted.get(at).map(|granted| spent(*granted, Some(&here)));
                (quota.quota, used, span.end())
            });
        each.collect()
    }

    fn standing(&self, key: &Key, name: &str, day: u32) -> Option<Standing> {
        let cache = self.cache.as_ref()?;
        let (entry, _) = key.versions.iter().find_map(|it| cache.find(&it.hash))?;
        let named = entry.grants.quotas.iter().find(|it| &*it.name == name)?;
        Some(entry.slot().account(named.id).standing(day))
    }
}

/// What is spent of what was given out, where this gate has something of it.
fn spent(granted: u64, here: Option<&Standing>) -> u64 {
    let (held, owed) = here.map_or((0, 0), |here| (here.held, here.owed));
    granted.saturating_add(owed).saturating_sub(held)
}
