//! What this gate itself sees.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::domain::summary::{self, Summary};
use crate::domain::watch::{Telling, Wanted};
use crate::state::tap::{CountsWatch, Second, Sight, Watch};

use super::service::{Line, LiveService, News};

/// What finishes here from now on.
pub(super) fn watch(
    service: &LiveService,
    telling: Telling,
    wanted: Wanted,
) -> BoxStream<'static, News> {
    let node = Arc::clone(&service.node);
    match telling {
        Telling::Requests => requests(service.tap.watch(), wanted, node),
        Telling::Counts => {
            let routes = Arc::clone(&service.routes);
            counts(
                CountedHere::new(service.tap.watch_counts(), wanted, routes),
                node,
            )
        }
    }
}

fn requests(watch: Watch, wanted: Wanted, node: Arc<str>) -> BoxStream<'static, News> {
    let next = async |(mut watch, wanted, node): (Watch, Wanted, Arc<str>)| loop {
        let news = match watch.next().await? {
            Sight::One(request) if wanted.admits(&request.traits()) => {
                News::Request(Line::Here(request))
            }
            Sight::One(_) => continue,
            Sight::Dropped(count) => News::Dropped(Arc::clone(&node), count),
        };
        return Some((news, (watch, wanted, node)));
    };
    stream::unfold((watch, wanted, node), next).boxed()
}

fn counts(counted: CountedHere, node: Arc<str>) -> BoxStream<'static, News> {
    let next = async |(mut counted, node): (CountedHere, Arc<str>)| {
        let (summary, missed) = counted.next().await?;
        let told = News::Counts(Arc::clone(&node), Box::new(summary));
        let dropped = (missed > 0).then(|| News::Dropped(Arc::clone(&node), missed));
        let news = dropped.into_iter().chain([told]);
        Some((stream::iter(news), (counted, node)))
    };
    stream::unfold((counted, node), next).flatten().boxed()
}

/// Counts of this gate, as far as they are wanted.
pub(super) struct CountedHere {
    watch: CountsWatch,
    wanted: Wanted,
    routes: Arc<[Arc<str>]>,
    /// How many were counted, of whomever, when the last second that was seen ended.
    seen: Option<u64>,
}

impl CountedHere {
    pub(super) fn new(watch: CountsWatch, wanted: Wanted, routes: Arc<[Arc<str>]>) -> Self {
        Self {
            watch,
            wanted,
            routes,
            seen: None,
        }
    }

    /// The next second, and how many requests may be missing in what is told: those counted in seconds that were
    /// missed before it, and where one key or owner is asked for, those that no longer say whose they were. `None`
    /// when there will be no more. Nothing is lost if it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Option<(Summary, u64)> {
        let second = loop {
            // What was missed says itself in the next.
            if let Sight::One(second) = self.watch.next().await? {
                break second;
            }
        };
        let missed = self
            .seen
            .map_or(0, |seen| second.before - seen.min(second.before));
        self.seen = Some(second.before + total(&second));
        let summary = Summary::fold(&second.counted, &self.wanted, &self.routes, second.span);
        let nobodys = summary::unattributed(&second.counted, &self.wanted, &self.routes);
        Some((summary, missed + nobodys))
    }
}

/// How many were counted in a second.
pub(super) fn total(second: &Second) -> u64 {
    let counts = second.counted.iter().map(|(_, counts)| counts.requests);
    counts.sum()
}

/// How often counts are taken.
pub(super) const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{KeyId, OwnerId};
    use crate::domain::summary::Passed;
    use crate::state::tap::{ROWS_MAX, Tap};

    fn key(number: usize) -> (KeyId, OwnerId) {
        let mut bytes = [0; 10];
        let mut rest = number;
        for byte in &mut bytes {
            *byte = (rest % 16) as u8;
            rest /= 16;
        }
        (KeyId::from_random(bytes), OwnerId::from_random(bytes))
    }

    /// A second in which one key more was used than a core has rows for, and the last of them twice.
    async fn told_of_a_crowd(wanted: Wanted) -> (u64, u64) {
        let tap = Arc::new(Tap::default());
        let watch = tap.watch_counts();
        for number in (0..=ROWS_MAX).chain([ROWS_MAX]) {
            tap.count(0, Some(key(number)), Some(0), &Passed::default());
        }
        let second = Second {
            counted: tap.take_counts(),
            ..Second::default()
        };
        tap.show_counts(second);
        let routes = Arc::new(["a".into(), "b".into()]);
        let mut counted = CountedHere::new(watch, wanted, routes);
        let (summary, missed) = counted.next().await.unwrap();
        (summary.total.requests, missed)
    }

    /// S4-04: of whom a core had no room for nothing is told to who asks for one, and that it may be so is.
    #[tokio::test]
    async fn counts_of_one_key_or_owner_say_what_may_be_missing_in_them() {
        let all = ROWS_MAX as u64 + 2;
        assert_eq!(told_of_a_crowd(Wanted::default()).await, (all, 0));
        for (number, told) in [(0, 1), (ROWS_MAX, 0)] {
            let (key, owner) = key(number);
            let of_key = Wanted {
                key: Some(key),
                ..Wanted::default()
            };
            assert_eq!(told_of_a_crowd(of_key.clone()).await, (told, 2));
            let of_owner = Wanted {
                owner: Some(owner),
                ..Wanted::default()
            };
            assert_eq!(told_of_a_crowd(of_owner).await, (told, 2));
            // They were on another route.
            let elsewhere = Wanted {
                route: Some("b".into()),
                ..of_key
            };
            assert_eq!(told_of_a_crowd(elsewhere).await, (0, 0));
        }
    }
}
