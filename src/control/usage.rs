//! What a key was used for, folded as it was asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::keys::visible;
use crate::domain::id::{KeyId, OwnerId};
use crate::domain::time::Timestamp;
use crate::domain::usage::{Step, Tally, UsageBucket};
use crate::store::{Store, StoreError};

/// The last hours minute by minute, which this gate keeps in memory.
pub trait Minutes: Send + Sync + 'static {
    /// The counts of a key in `[from, to)`, in any order.
    fn usage(&self, key: KeyId, from: Timestamp, to: Timestamp) -> Vec<UsageBucket>;

    /// Hands the counts of every key in `[from, to)` to `take`, in order of time.
    fn each(&self, from: Timestamp, to: Timestamp, take: &mut dyn FnMut(Counted<'_>));
}

/// What a key was used for in a minute, on a route.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// Whose.
    pub key: KeyId,
    /// Where the minute begins.
    pub start: Timestamp,
    /// On which route.
    pub route: &'a Arc<str>,
    /// How much.
    pub tally: &'a Tally,
}

/// What is asked of all keys' usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SummaryQuery {
    /// From when, on a whole minute.
    pub from: Timestamp,
    /// Until when, exclusively.
    pub to: Timestamp,
    /// How many of the busiest keys to tell of.
    pub top: usize,
}

/// What all keys were used for at this gate.
#[derive(Debug, Clone, Default)]
pub struct SummaryView {
    /// How many keys were used.
    pub keys: u64,
    /// All of it together.
    pub total: Tally,
    /// By minute, in order of time.
    pub minutes: BTreeMap<Timestamp, Tally>,
    /// The busiest keys, the busiest first.
    pub busiest: Vec<(BusyKey, Tally)>,
    /// The routes, the busiest first.
    pub routes: Vec<(Arc<str>, Tally)>,
}

/// A key as far as a summary names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyKey {
    /// Its id.
    pub id: KeyId,
    /// What people call it, where the store could say.
    pub name: Option<String>,
    /// Who holds it, where the store could say.
    pub owner: Option<OwnerId>,
}

/// Answers what keys were used for.
pub struct UsageService {
    store: Arc<dyn Store>,
    minutes: Arc<dyn Minutes>,
}

/// What is asked of a key's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageQuery {
    /// From when, on a whole step.
    pub from: Timestamp,
    /// Until when, exclusively.
    pub to: Timestamp,
    /// The width of a bucket.
    pub step: Step,
    /// Whether versions are told apart.
    pub by_version: bool,
    /// Whether routes are told apart.
    pub by_route: bool,
}

/// What a key was used for.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageView {
    /// When it was last admitted, ever.
    pub last_used_at: Option<Timestamp>,
    /// All buckets together.
    pub total: Tally,
    /// In order of time, then version, then route.
    pub buckets: Vec<Folded>,
}

/// A bucket of time, as far as it was asked to be told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Where it begins.
    pub start: Timestamp,
    /// By which version, if versions are told apart.
    pub version: Option<u16>,
    /// On which route, if routes are told apart.
    pub route: Option<Arc<str>>,
    /// How much.
    pub tally: Tally,
}

impl UsageService {
    /// Answers from `store`, and by minute from `minutes`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, minutes: Arc<dyn Minutes>) -> Self {
        Self { store, minutes }
    }

    /// What a key was used for, revoked or not.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn usage(
        &self,
        caller: &Caller,
        key: KeyId,
        query: UsageQuery,
    ) -> Result<UsageView, ControlError> {
        visible(&*self.store, caller, key).await?;
        let UsageQuery { from, to, step, .. } = query;
        let counted = match step {
            Step::Minute => self.minutes.usage(key, from, to),
            Step::Hour | Step::Day => self.store.usage(key, step, from, to).await?,
        };
        let view = fold(counted, query);
        let last_used_at = match self.store.last_used(key).await {
            Ok(last_used) => last_used.into_iter().map(|(_, at)| at).max(),
            // Minutes are known here, and so is when the key was last used in them.
            Err(StoreError::Unavailable { .. }) if step == Step::Minute => view.total.last_used_at,
            Err(error) => return Err(error.into()),
        };
        Ok(UsageView {
            last_used_at,
            ..view
        })
    }
}

impl UsageService {
    /// What all keys were used for of late at this gate. It goes on without the store, and without names then.
    ///
    /// # Errors
    /// [`ControlError::Bound`] for who sees one owner's keys alone.
    pub async fn summary(
        &self,
        caller: &Caller,
        query: SummaryQuery,
    ) -> Result<SummaryView, ControlError> {
        if caller.bound_to.is_some() {
            return Err(ControlError::Bound);
        }
        let mut view = SummaryView::default();
        let mut by_key = HashMap::<KeyId, Tally>::new();
        let mut by_route = HashMap::<Arc<str>, Tally>::new();
        self.minutes.each(query.from, query.to, &mut |counted| {
            view.total.add(counted.tally);
            view.minutes
                .entry(counted.start)
                .or_default()
                .add(counted.tally);
            by_key.entry(counted.key).or_default().add(counted.tally);
            match by_route.get_mut(counted.route) {
                Some(tally) => tally.add(counted.tally),
                None => drop(by_route.insert(Arc::clone(counted.route), counted.tally.clone())),
            }
        });
        view.keys = by_key.len() as u64;
        for (id, tally) in busiest(by_key.into_iter().collect(), query.top) {
            let key = self.store.key(id).await.ok().flatten();
            let (name, owner) = key.map(|key| (key.settings.name, key.owner)).unzip();
            view.busiest.push((BusyKey { id, name, owner }, tally));
        }
        view.routes = busiest(by_route.into_iter().collect(), usize::MAX);
        Ok(view)
    }
}

/// The `most` with the most requests; among equals in the order of their names.
fn busiest<T: Ord>(mut counted: Vec<(T, Tally)>, most: usize) -> Vec<(T, Tally)> {
    counted.sort_unstable_by(|(a, this), (b, that)| {
        let by_count = that.all_requests().cmp(&this.all_requests());
        by_count.then_with(|| a.cmp(b))
    });
    counted.truncate(most);
    counted
}

fn fold(counted: Vec<UsageBucket>, query: UsageQuery) -> UsageView {
    let mut total = Tally::default();
    let mut folded = BTreeMap::<_, Tally>::new();
    for bucket in counted {
        total.add(&bucket.tally);
        let place = (
            bucket.start.floor(query.step.millis()),
            query.by_version.then_some(bucket.version),
            query.by_route.then_some(bucket.route),
        );
        folded.entry(place).or_default().add(&bucket.tally);
    }
    let buckets = folded.into_iter();
    UsageView {
        last_used_at: None,
        total,
        buckets: buckets
            .map(|((start, version, route), tally)| Folded {
                start,
                version,
                route,
                tally,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(start: u64, version: u16, route: &str, requests: u64) -> UsageBucket {
        UsageBucket {
            start: Timestamp::from_millis(start),
            version,
            route: route.into(),
            tally: Tally {
                requests,
                ..Tally::default()
            },
        }
    }

    #[test]
    fn only_what_was_asked_for_is_told_apart_and_the_total_stays() {
        let counted = vec![
            bucket(0, 1, "a", 1),
            bucket(0, 1, "b", 2),
            bucket(0, 2, "a", 4),
            bucket(3_600_000, 1, "a", 8),
        ];
        for (by_version, by_route, expected) in [
            (false, false, vec![7, 8]),
            (true, false, vec![3, 4, 8]),
            (false, true, vec![5, 2, 8]),
            (true, true, vec![1, 2, 4, 8]),
        ] {
            let query = UsageQuery {
                from: Timestamp::from_millis(0),
                to: Timestamp::from_millis(7_200_000),
                step: Step::Hour,
                by_version,
                by_route,
            };
            let view = fold(counted.clone(), query);
            let told: Vec<u64> = view.buckets.iter().map(|b| b.tally.requests).collect();
            assert_eq!(told, expected, "{by_version} {by_route}");
            assert_eq!(view.total.requests, 15);
        }
    }
}
