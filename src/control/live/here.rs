//! What this gate itself sees.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::domain::summary::Summary;
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

    /// The next second, and how many requests were counted in those that were missed before it; `None` when there
    /// will be no more. Nothing is lost if it is not waited for to the end.
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
        Some((summary, missed))
    }
}

/// How many were counted in a second.
pub(super) fn total(second: &Second) -> u64 {
    let counts = second.counted.iter().map(|(_, counts)| counts.requests);
    counts.sum()
}

/// How often counts are taken.
pub(super) const EVERY: Duration = Duration::from_secs(1);
