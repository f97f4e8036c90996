//! How much of its quotas a key has spent.

use std::collections::HashMap;
use std::sync::Arc;

use super::{KeyService, KeyView};
use crate::domain::draw::QuotaPlace;
use crate::domain::id::KeyId;
use crate::domain::key::Key;
use crate::domain::limit::Quota;
use crate::domain::time::Timestamp;
use crate::state::keys::KeyEntry;
use crate::state::quotas::{Standing, names};

/// A quota of a key or its product, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaStanding {
    /// What `RateLimit` fields call it.
    pub name: Arc<str>,
    /// What it is.
    pub quota: Quota,
    /// How much of it is spent: what was given out, less what this gate still holds. Where the store cannot
    /// say, `None`.
    pub used: Option<u64>,
    /// The same, as this gate last saw it: what decides while the store is away.
    pub seen: u64,
    /// When it renews; `None`: never.
    pub renews_at: Option<Timestamp>,
}

impl KeyService {
    /// How much of each of a key's own quotas is spent in its period: what was given out, less what this
    /// gate still holds. Nothing, if the store cannot say.
    pub(super) async fn spent(&self, key: &Key) -> Vec<u64> {
        let places = places(key, self.clock.now());
        let granted = self.granted(&places).await;
        self.less_what_is_held(key, &places, &granted)
    }

    /// Says of all keys on a page how much of their quotas is spent, by one question to the store.
    pub(super) async fn add_spent(&self, views: &mut [KeyView]) {
        let now = self.clock.now();
        let places: Vec<_> = views.iter().flat_map(|it| places(&it.key, now)).collect();
        let granted = self.granted(&places).await;
        let mut by_key: HashMap<KeyId, (Vec<QuotaPlace>, Vec<u64>)> = HashMap::new();
        for (place, granted) in places.into_iter().zip(granted) {
            let (places, units) = by_key.entry(place.key).or_default();
            places.push(place);
            units.push(granted);
        }
        for view in views {
            if let Some((places, granted)) = by_key.get(&view.key.id) {
                view.spent = self.less_what_is_held(&view.key, places, granted);
            }
        }
    }

    /// Where all quotas of a key stand that this gate knows, its products' included.
    pub async fn quotas(&self, entry: &KeyEntry) -> Vec<QuotaStanding> {
        let now = self.clock.now();
        let quotas = &entry.grants.quotas;
        let place = |quota: &Arc<str>, span| QuotaPlace {
            key: entry.id,
            quota: Arc::clone(quota),
            span,
        };
        let places: Vec<_> = quotas
            .iter()
            .map(|named| place(&named.name, named.span(now)))
            .collect();
        let granted = self.granted(&places).await;
        let each = quotas.iter().zip(&places).enumerate();
        let standing = each.map(|(at, (named, place))| {
            let here = entry
                .slot()
                .account(named.id)
                .standing(place.span.first_day);
            QuotaStanding {
                name: Arc::clone(&named.name),
                quota: named.quota,
                used: granted.get(at).map(|granted| spent(*granted, Some(&here))),
                seen: here.spent(),
                renews_at: place.span.end(),
            }
        });
        standing.collect()
    }

    /// Where all quotas of a key stand; none, if this gate does not have the key yet.
    pub async fn quotas_of(&self, key: &Key) -> Vec<QuotaStanding> {
        let cache = self.cache.as_ref();
        let find = |hash| cache.and_then(|cache| cache.find(hash));
        match key.versions.iter().find_map(|it| find(&it.hash)) {
            Some((entry, _)) => self.quotas(&entry).await,
            None => Vec::new(),
        }
    }

    /// What was given out; nothing, if the store cannot say.
    async fn granted(&self, places: &[QuotaPlace]) -> Vec<u64> {
        if places.is_empty() {
            return Vec::new();
        }
        self.store.granted(places).await.unwrap_or_default()
    }

    fn less_what_is_held(&self, key: &Key, places: &[QuotaPlace], granted: &[u64]) -> Vec<u64> {
        let each = places.iter().zip(granted).map(|(place, granted)| {
            let here = self.standing(key, &place.quota, place.span.first_day);
            spent(*granted, here.as_ref())
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

/// Where the store keeps what was given out of a key's own quotas, in their order.
fn places(key: &Key, now: Timestamp) -> Vec<QuotaPlace> {
    let quotas = &key.settings.quotas;
    let each = names("key", quotas)
        .zip(quotas)
        .map(|(quota, of)| QuotaPlace {
            key: key.id,
            quota,
            span: of.span(now),
        });
    each.collect()
}

/// What is spent of what was given out, where this gate has something of it.
fn spent(granted: u64, here: Option<&Standing>) -> u64 {
    let (held, owed) = here.map_or((0, 0), |here| (here.held, here.owed));
    granted.saturating_add(owed).saturating_sub(held)
}
