//! The task that carries calls to the store and answers back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::domain::lease::LeaseReply;
use crate::domain::time::Clock;
use crate::state::desk::Desk;
use crate::state::leases::LeaseLink;
use crate::store::{Store, StoreError};

use super::book::{Book, Planned};

/// Leases of this gate.
pub(crate) struct Leases {
    store: Arc<dyn Store>,
    desk: Arc<Desk>,
    link: Arc<LeaseLink>,
    clock: Arc<dyn Clock>,
    node: Arc<str>,
    book: Mutex<Book>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    leases: AtomicU64,
    calls: AtomicU64,
}

/// Calls that were sent together, and what came of each.
struct Landed {
    planned: Vec<Planned>,
    answers: Vec<Result<Option<LeaseReply>, StoreError>>,
    sent_ns: u64,
}

impl Leases {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        desk: Arc<Desk>,
        link: Arc<LeaseLink>,
        clock: Arc<dyn Clock>,
        node: Arc<str>,
        boot: u64,
    ) -> Self {
        Self {
            store,
            desk,
            link,
            clock,
            node,
            // Leases of another start of this gate begin elsewhere.
            book: Mutex::new(Book::new(boot & !0 << 32)),
            counts: Counts::default(),
        }
    }

    /// Answers the desk and keeps leases up, for as long as it is polled.
    pub(crate) async fn serve(&self) {
        let mut asks = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut probed_at = None::<Instant>;
        loop {
            let pause = self.pause();
            tokio::select! {
                () = self.desk.leases.take(&mut asks) => {}
                Some(landed) = under_way.next() => self.land(landed),
                () = sleep(pause) => {}
            }
            let now_ns = self.clock.mono_ns();
            let planned = {
                let mut book = self.book.lock();
                for ask in asks.drain(..) {
                    book.ask(ask, now_ns);
                }
                book.due(now_ns);
                self.counts.leases.store(book.len(), Ordering::Relaxed);
                book.plan(now_ns)
            };
            // How long the store has been silent is only known if it is asked now and then.
            let is_due = self.link.is_away() || self.link.is_quiet(now_ns);
            // It may say no at once, each time.
            let is_time = probed_at.is_none_or(|at| at.elapsed() >= PROBE_PAUSE);
            let may_probe = under_way.is_empty() && self.store.leases().is_some();
            let is_probe = is_due && is_time && may_probe;
            if is_probe {
                probed_at = Some(Instant::now());
            }
            if is_probe || !planned.is_empty() {
                under_way.push(self.send(planned));
            }
        }
    }

    /// Until something is due; not long, so that a clock that is turned by hand is looked at too.
    fn pause(&self) -> Duration {
        let next = self.book.lock().next_due_ns();
        let wait = next.map(|due_ns| due_ns.saturating_sub(self.clock.mono_ns()));
        let wait = wait.map_or(PAUSE_MAX, Duration::from_nanos);
        if self.link.is_away() {
            return wait.clamp(PROBE_PAUSE, PAUSE_MAX);
        }
        wait.clamp(PAUSE_MIN, PAUSE_MAX)
    }

    async fn send(&self, planned: Vec<Planned>) -> Landed {
        let sent_ns = self.clock.mono_ns();
        let calls: Vec<_> = planned.iter().map(|planned| planned.call.clone()).collect();
        self.counts
            .calls
            .fetch_add(calls.len() as u64, Ordering::Relaxed);
        let answers = match self.store.leases() {
            Some(leases) => leases.settle(&self.node, calls).await,
            None => Vec::new(),
        };
        Landed {
            planned,
            answers,
            sent_ns,
        }
    }

    fn land(&self, landed: Landed) {
        let now_ns = self.clock.mono_ns();
        let took_ns = now_ns.saturating_sub(landed.sent_ns);
        match landed
            .answers
            .iter()
            .find_map(|answer| answer.as_ref().err())
        {
            None if landed.answers.is_empty() => {}
            None => {
                if self.link.met(now_ns, took_ns) {
                    tracing::info!("shared limits are asked for again");
                }
            }
            Some(error) => {
                let contact = self.store.contact();
                // Who is merely cut off does not know whether the others have a share left for it.
                let is_news = if contact.is_up || contact.is_silent {
                    self.link.missed(now_ns)
                } else {
                    self.link.lost()
                };
                if is_news {
                    tracing::warn!(%error, "the store grants no leases, limits go by this gate's share");
                }
            }
        }
        let mut book = self.book.lock();
        let mut answers = landed.answers.into_iter();
        for planned in landed.planned {
            let reply = answers.next().and_then(Result::ok).flatten();
            book.land(&planned, reply, now_ns);
        }
    }

    /// Gives back what is in hand: the last thing, when no request comes any more.
    ///
    /// # Errors
    /// What the store returns: then it lapses by itself.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        let planned = self.book.lock().release(self.clock.mono_ns());
        if planned.is_empty() {
            return Ok(());
        }
        let landed = self.send(planned).await;
        landed
            .answers
            .into_iter()
            .try_for_each(|answer| answer.map(drop))
    }

    /// How many leases there are.
    pub(crate) fn leases(&self) -> u64 {
        self.counts.leases.load(Ordering::Relaxed)
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.counts.calls.load(Ordering::Relaxed)
    }

    /// How many requests have waited, and how many were decided by this gate's share.
    pub(crate) fn waits(&self) -> (u64, u64) {
        self.link.counts()
    }

    /// Whether limits go by this gate's share, because the store does not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.link.is_away()
    }
}

const PAUSE_MAX: Duration = Duration::from_millis(100);
const PAUSE_MIN: Duration = Duration::from_micros(500);
/// How often to look whether the store is back, at most; each look waits for its answer.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
