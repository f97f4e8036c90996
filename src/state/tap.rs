//! Requests as they finish, for whoever watches; nothing is made while nobody does.
//!
//! Two things can be watched. [`Tap::watch`] shows each request, and is lossy: who is too slow is told how
//! many were missed. [`Tap::watch_counts`] shows counts, once a second, which leave nothing out: each core adds
//! to a map of its own, which `control::live` empties. A request that nobody watches pays for two relaxed loads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::domain::id::{KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::summary::{Counted, Counts, Passed, Whose};
use crate::domain::watch::Traits;

/// A finished request.
#[derive(Debug, Default)]
pub struct Finished {
    /// Its access-log line, without the line end.
    pub line: String,
    /// Whose key it was, if one was recognised.
    pub key: Option<KeyId>,
    /// And whose that is.
    pub owner: Option<OwnerId>,
    /// What the client got.
    pub status: u16,
    /// The route it took.
    pub route: Option<Arc<str>>,
    /// Its method, if it is one that is known.
    pub method: Option<Method>,
}

/// Where finished requests can be watched.
#[derive(Debug)]
pub struct Tap {
    sender: broadcast::Sender<Arc<Finished>>,
    watchers: AtomicUsize,
    seconds: broadcast::Sender<Arc<Second>>,
    counters: AtomicUsize,
    cores: Box<[CoreCounts]>,
}

/// What one core counted since that was last taken.
#[derive(Debug, Default)]
struct CoreCounts {
    // Boxed, so that a map that grows on a request's path moves little.
    rows: Mutex<HashMap<Row, Box<Counts>, foldhash::fast::RandomState>>,
}

type Row = (Whose<(KeyId, OwnerId)>, Option<u16>);

/// What was counted in about a second.
#[derive(Debug, Default)]
pub struct Second {
    /// How long it was.
    pub span: Duration,
    /// How many requests were counted in those before it.
    pub before: u64,
    /// By key and route; several rows may be of the same.
    pub counted: Vec<Counted>,
}

impl Default for Tap {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Tap {
    /// One for so many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self {
            sender: broadcast::channel(BACKLOG).0,
            watchers: AtomicUsize::new(0),
            seconds: broadcast::channel(SECONDS_KEPT).0,
            counters: AtomicUsize::new(0),
            cores: (0..cores).map(|_| CoreCounts::default()).collect(),
        }
    }

    /// Whether anyone watches requests: one relaxed load, since every request asks.
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Whether anyone watches counts: as cheap.
    pub fn is_counting(&self) -> bool {
        self.counters.load(Ordering::Relaxed) > 0
    }

    /// Shows a finished request.
    pub fn show(&self, finished: Finished) {
        // An error says that nobody watches any more, which is no loss.
        let _ = self.sender.send(Arc::new(finished));
    }

    /// Counts a finished request; only on its own core.
    pub fn count(
        &self,
        core: usize,
        key: Option<(KeyId, OwnerId)>,
        route: Option<u16>,
        request: &Passed,
    ) {
        let Some(core) = self.cores.get(core) else {
            return;
        };
        let whose = key.map_or(Whose::Nobody, Whose::One);
        let mut rows = core.rows.lock();
        let has_room = rows.len() < ROWS_MAX;
        let counts = match rows.entry((whose, route)) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) if has_room => free.insert(Box::default()),
            // There are as many of these as there are routes.
            Entry::Vacant(_) => rows.entry((Whose::Others, route)).or_default(),
        };
        counts.count(request);
    }

    /// Takes what all cores have counted.
    pub fn take_counts(&self) -> Vec<Counted> {
        let mut all = Vec::new();
        for core in &self.cores {
            let rows = std::mem::take(&mut *core.rows.lock());
            all.extend(rows.into_iter().map(|(row, counts)| (row, *counts)));
        }
        all
    }

    /// Shows what was counted.
    pub fn show_counts(&self, second: Second) {
        // As with requests.
        let _ = self.seconds.send(Arc::new(second));
    }

    /// Watches requests from now on, until the watch is dropped.
    pub fn watch(self: &Arc<Self>) -> Watch {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watch {
            receiver: self.sender.subscribe(),
            tap: Arc::clone(self),
        }
    }

    /// Has requests counted from now on, until the watch is dropped.
    pub fn watch_counts(self: &Arc<Self>) -> CountsWatch {
        self.counters.fetch_add(1, Ordering::Relaxed);
        CountsWatch {
            receiver: self.seconds.subscribe(),
            tap: Arc::clone(self),
        }
    }
}

impl Finished {
    /// What is looked at to know whether it is wanted.
    #[must_use]
    pub fn traits(&self) -> Traits<'_> {
        Traits {
            key: self.key,
            owner: self.owner,
            status: self.status,
            route: self.route.as_deref(),
            method: self.method,
        }
    }
}

/// Someone watching requests.
#[derive(Debug)]
pub struct Watch {
    receiver: broadcast::Receiver<Arc<Finished>>,
    tap: Arc<Tap>,
}

/// What a watcher sees next.
#[derive(Debug)]
pub enum Sight<T> {
    /// This.
    One(Arc<T>),
    /// So many were missed.
    Dropped(u64),
}

impl Watch {
    /// The next sight; `None` when there will be no more. Nothing is lost if it is not waited for to the end.
    pub async fn next(&mut self) -> Option<Sight<Finished>> {
        next(&mut self.receiver).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tap.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Someone watching counts.
#[derive(Debug)]
pub struct CountsWatch {
    receiver: broadcast::Receiver<Arc<Second>>,
    tap: Arc<Tap>,
}

impl CountsWatch {
    /// The counts of the next second; `None` when there will be no more. Nothing is lost if it is not waited for
    /// to the end.
    pub async fn next(&mut self) -> Option<Sight<Second>> {
        next(&mut self.receiver).await
    }
}

impl Drop for CountsWatch {
    fn drop(&mut self) {
        self.tap.counters.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn next<T>(receiver: &mut broadcast::Receiver<Arc<T>>) -> Option<Sight<T>> {
    match receiver.recv().await {
        Ok(one) => Some(Sight::One(one)),
        Err(broadcast::error::RecvError::Lagged(count)) => Some(Sight::Dropped(count)),
        Err(broadcast::error::RecvError::Closed) => None,
    }
}

/// How many requests a watcher may be behind before it misses some.
const BACKLOG: usize = 1_024;
/// How many seconds a watcher of counts may be behind. They may be large, and one who missed some is told by the
/// next how much was in them ([`Second::before`]).
const SECONDS_KEPT: usize = 2;
/// How many rows a core keeps in a second; what has none is counted among all others.
pub(crate) const ROWS_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_too_slow_is_told_what_was_missed() {
        let tap = Arc::new(Tap::default());
        assert!(!tap.is_watched());
        let mut watch = tap.watch();
        assert!(tap.is_watched() && !tap.is_counting());
        (0..BACKLOG + 5).for_each(|_| tap.show(Finished::default()));
        assert!(matches!(watch.next().await, Some(Sight::Dropped(5))));
        assert!(matches!(watch.next().await, Some(Sight::One(_))));
        drop(watch);
        assert!(!tap.is_watched());
    }

    #[tokio::test]
    async fn of_counts_only_the_last_seconds_are_held_for_who_is_slow() {
        let tap = Arc::new(Tap::default());
        let mut watch = tap.watch_counts();
        let rows = |second: u64| Second {
            before: second,
            ..Second::default()
        };
        (1..=16).for_each(|second| tap.show_counts(rows(second)));
        assert!(matches!(watch.next().await, Some(Sight::Dropped(14))));
        assert!(matches!(watch.next().await, Some(Sight::One(it)) if it.before == 15));
        assert!(matches!(watch.next().await, Some(Sight::One(it)) if it.before == 16));
    }

    #[test]
    fn who_watches_counts_has_them_made_and_nobody_else() {
        let tap = Arc::new(Tap::new(2));
        let watch = tap.watch_counts();
        assert!(tap.is_counting() && !tap.is_watched());
        drop(watch);
        assert!(!tap.is_counting());
    }

    #[test]
    fn what_is_taken_is_everything_once_and_too_many_keys_share_a_row() {
        let tap = Tap::new(2);
        let key = |number: usize| {
            let mut chars = *b"0000000000";
            for (at, digit) in format!("{number}").bytes().enumerate() {
                chars[at] = digit;
            }
            let id = KeyId::from_chars(&chars).unwrap();
            (id, OwnerId::from_random([1; 10]))
        };
        // Told apart by what stands behind the last digit, too.
        let passed = Passed::default();
        let before = ROWS_MAX;
        for number in 10_000..10_000 + before + 7 {
            tap.count(1, Some(key(number)), Some(0), &passed);
        }
        tap.count(1, Some(key(10_000)), Some(0), &passed);
        tap.count(0, None, None, &passed);
        // There is no such core, and nothing breaks.
        tap.count(2, None, None, &passed);

        let taken = tap.take_counts();
        let total: u64 = taken.iter().map(|(_, counts)| counts.requests).sum();
        assert_eq!(total, before as u64 + 7 + 1 + 1);
        let of = |row: Row| {
            let found = taken.iter().find(|(held, _)| *held == row);
            found.map_or(0, |(_, counts)| counts.requests)
        };
        assert_eq!(of((Whose::Others, Some(0))), 7);
        assert_eq!(of((Whose::One(key(10_000)), Some(0))), 2);
        assert_eq!(of((Whose::Nobody, None)), 1);
        assert!(tap.take_counts().is_empty());
    }
}
