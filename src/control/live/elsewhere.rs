//! Asking the other gates, and judging who answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, sleep};

use crate::domain::fleet::Presence;
use crate::domain::watch::{Batch, Heard, Question, Told};
use crate::store::{StoreError, WatchStore};

use super::service::{Gates, Line, LiveService, News, StoreStanding};

/// What is heard of the other gates.
pub(super) struct Elsewhere {
    service: Arc<LiveService>,
    question: Question,
    /// Whether this gate itself tells, besides.
    is_here: bool,
    expected: Expected,
    /// When the question is to be asked again, so that it does not lapse.
    ask_at: Instant,
    heard: BTreeMap<Arc<str>, (Instant, Heard)>,
    standing: StoreStanding,
    /// What was said last of who tells.
    told: Option<Gates>,
    news: VecDeque<News>,
}

/// The gates that are to answer, and since when.
#[derive(Debug, Default)]
struct Expected(BTreeMap<Arc<str>, Instant>);

impl Expected {
    /// From now on these are.
    fn are(&mut self, nodes: BTreeSet<Arc<str>>, now: Instant) {
        self.0.retain(|node, _| nodes.contains(node));
        for node in nodes {
            self.0.entry(node).or_insert(now);
        }
    }

    /// Those that have had the time to.
    fn late(&self, now: Instant) -> impl Iterator<Item = &Arc<str>> {
        let late = move |since: Instant| now.duration_since(since) >= ANSWER_WITHIN;
        let late = self.0.iter().filter(move |(_, since)| late(**since));
        late.map(|(node, _)| node)
    }
}

impl Elsewhere {
    pub(super) fn new(service: Arc<LiveService>, question: Question, is_here: bool) -> Self {
        let now = Instant::now();
        let mut this = Self {
            service,
            question,
            is_here,
            expected: Expected::default(),
            ask_at: now,
            heard: BTreeMap::new(),
            standing: StoreStanding::Up,
            told: None,
            news: VecDeque::new(),
        };
        this.judge(now);
        this
    }

    /// What is told of the others, for as long as it is listened to.
    pub(super) fn news(self) -> BoxStream<'static, News> {
        let next = async |mut this: Self| loop {
            if let Some(news) = this.news.pop_front() {
                return Some((news, this));
            }
            this.listen().await;
        };
        stream::unfold(self, next).boxed()
    }

    /// Listens for a moment.
    async fn listen(&mut self) {
        let service = Arc::clone(&self.service);
        let Some(watches) = service.store.watches() else {
            return std::future::pending().await;
        };
        match self.hear(watches).await {
            Ok(batches) => {
                self.standing = StoreStanding::Up;
                let now = Instant::now();
                batches.into_iter().for_each(|batch| self.take(batch, now));
            }
            Err(error) => {
                tracing::debug!(%error, "other gates are not heard of for someone who watches");
                self.standing = match error {
                    StoreError::Full { .. } => StoreStanding::Full,
                    _ => StoreStanding::Away,
                };
                self.ask_at = Instant::now();
                self.judge(Instant::now());
                if self.news.is_empty() {
                    sleep(PAUSE).await;
                }
            }
        }
        self.judge(Instant::now());
    }

    async fn hear(&mut self, watches: &dyn WatchStore) -> Result<Vec<Batch>, StoreError> {
        if self.ask_at <= Instant::now() {
            watches.ask(&self.question, ASKED_FOR).await?;
            self.ask_at = Instant::now() + ASK_EVERY;
        }
        watches.answers(self.question.id, LISTEN).await
    }

    /// Takes in what a gate said.
    fn take(&mut self, batch: Batch, now: Instant) {
        if !self.question.concerns(&batch.node) {
            return;
        }
        let before = self.heard.get(&batch.node).map(|(_, heard)| *heard);
        let mut missed = Heard::missed(before, &batch);
        let (node, heard) = (Arc::clone(&batch.node), Heard::of(&batch));
        match batch.told {
            Told::Requests(lines) => {
                for line in lines {
                    // It goes out as it is, as a line of a stream.
                    if line.contains(|c: char| c.is_ascii_control()) {
                        missed += 1;
                    } else {
                        self.news.push_back(News::Request(Line::There(line)));
                    }
                }
            }
            Told::Counts(summary) => {
                let told = News::Counts(Arc::clone(&node), summary);
                self.news.push_back(told);
            }
        }
        if missed > 0 {
            self.news
                .push_back(News::Dropped(Arc::clone(&node), missed));
        }
        self.heard.insert(node, (now, heard));
    }

    /// The other gates that may be serving.
    fn others(&self) -> BTreeSet<Arc<str>> {
        let nodes = self.service.fleet.nodes();
        // One that is silent may be serving, and what it serves is not seen.
        let others = nodes
            .iter()
            .filter(|node| !node.is_this && node.presence != Presence::Gone);
        let mut others: BTreeSet<_> = others.map(|node| Arc::clone(&node.name)).collect();
        if self.standing == StoreStanding::Away {
            // It came after the last beat that told who is there.
            let is_new = |node: &&Arc<str>| nodes.iter().all(|known| known.name != **node);
            others.extend(self.heard.keys().filter(is_new).cloned());
        }
        others
    }

    /// Says who tells and who does not, if that is another than what was said last.
    fn judge(&mut self, now: Instant) {
        let expected = match &self.question.to {
            Some(one) => BTreeSet::from([Arc::clone(one)]),
            None => self.others(),
        };
        self.expected.are(expected, now);
        let is_heard = |node: &Arc<str>| {
            let heard = self.heard.get(node);
            heard.is_some_and(|(at, _)| now.duration_since(*at) < SILENT_AFTER)
        };
        let missing = self.expected.late(now).filter(|node| !is_heard(node));
        let missing = missing.cloned().collect();
        let mut told_by: BTreeSet<_> = (self.heard.keys())
            .filter(|node| is_heard(node))
            .cloned()
            .collect();
        if self.is_here {
            told_by.insert(Arc::clone(&self.service.node));
        }
        let gates = Gates {
            told_by: told_by.into_iter().collect(),
            missing,
            store: self.standing,
        };
        if self.told.as_ref() != Some(&gates) {
            self.told = Some(gates.clone());
            // Before what the gates themselves tell.
            self.news.push_front(News::Gates(gates));
        }
    }
}

impl Drop for Elsewhere {
    /// Nobody listens any more: the others need not say more.
    fn drop(&mut self) {
        let mut departed = self.service.departed.lock();
        // More than that lapse by themselves.
        if departed.len() < DEPARTED_MAX {
            departed.push(self.question.id);
        }
    }
}

/// For how long a question is asked, and how often again.
const ASKED_FOR: Duration = Duration::from_secs(6);
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long answers are waited for at once.
const LISTEN: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(500);
/// After how long a gate that has not answered is missing.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// After how long one that has, and says no more. It says something once a second.
const SILENT_AFTER: Duration = Duration::from_secs(3);
const DEPARTED_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_joins_during_a_watch_has_as_long_to_answer_as_the_first() {
        let begun = Instant::now();
        let mut expected = Expected::default();
        let mut late = |nodes: &[&str], after_ms| {
            let now = begun + Duration::from_millis(after_ms);
            expected.are(nodes.iter().map(|node| (*node).into()).collect(), now);
            expected
                .late(now)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert!(late(&["a"], 0).is_empty());
        assert!(late(&["a"], 1_999).is_empty());
        assert_eq!(late(&["a", "b"], 10_000), ["a"]);
        assert_eq!(late(&["a", "b"], 11_999), ["a"]);
        assert_eq!(late(&["a", "b"], 12_000), ["a", "b"]);
        // One that went and is back begins anew.
        assert_eq!(late(&["b"], 13_000), ["b"]);
        assert_eq!(late(&["a", "b"], 14_000), ["b"]);
    }
}
