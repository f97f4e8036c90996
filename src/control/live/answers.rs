//! The task that answers what other gates ask for those who watch there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::domain::watch::{Batch, Question, QuestionId, Telling, Told};
use crate::state::tap::Sight;
use crate::store::{StoreError, WatchStore};

use super::here::{CountedHere, EVERY};
use super::service::LiveService;

/// Which questions are being answered, and until when those that are asked no more are.
#[derive(Default)]
struct Answering {
    ends: BTreeMap<QuestionId, AbortHandle>,
    /// While the store was away questions have lapsed there that are asked again in a moment.
    lenient_until: Option<Instant>,
}

impl LiveService {
    /// Answers for as long as it is polled; nothing where this gate has its store for itself.
    pub(crate) async fn answer_others(&self) {
        let Some(watches) = self.store.watches() else {
            return;
        };
        let mut looks = Box::pin(stream::unfold(Instant::now(), async |at| {
            sleep_until(at).await;
            let found = self.look(watches).await;
            Some((found, Instant::now() + LOOK_EVERY))
        }));
        let mut answering = Answering::default();
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                found = looks.next() => for question in answering.take_in(found) {
                    let (answer, end) = abortable(self.answer(watches, question.clone()));
                    answering.ends.insert(question.id, end);
                    // Whether it ended or was ended is the same here.
                    running.push(answer.map(drop));
                },
                _ = running.next(), if !running.is_empty() => {}
            }
        }
    }

    /// What is asked of this gate now. Takes back what was asked for those here who have left.
    async fn look(&self, watches: &dyn WatchStore) -> Result<Vec<Question>, StoreError> {
        let departed = std::mem::take(&mut *self.departed.lock());
        if !departed.is_empty()
            && let Err(error) = watches.withdraw(&departed).await
        {
            tracing::debug!(%error, "questions could not be withdrawn, they lapse");
        }
        let mut asked = watches.asked().await?;
        asked.retain(|question| question.concerns(&self.node));
        Ok(asked)
    }

    async fn answer(&self, watches: &dyn WatchStore, question: Question) {
        let mut said = Said {
            service: self,
            watches,
            id: question.id,
            seen: 0,
        };
        // That there is someone who answers is known before there is anything to tell.
        said.say(Told::Requests(Vec::new())).await;
        match question.telling {
            Telling::Requests => self.tell_requests(&mut said, &question).await,
            Telling::Counts => self.tell_counts(&mut said, question).await,
        }
    }

    async fn tell_requests(&self, said: &mut Said<'_>, question: &Question) {
        let mut watch = self.tap.watch();
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let (mut told, mut told_at) = (said.seen, Instant::now());
        loop {
            tokio::select! {
                biased;
                now = ticks.tick() => {
                    if said.seen > told || now.duration_since(told_at) >= EVERY {
                        (told, told_at, bytes) = (said.seen, now, 0);
                        said.say(Told::Requests(std::mem::take(&mut lines))).await;
                    }
                }
                sight = watch.next() => match sight {
                    Some(Sight::One(request)) if question.wanted.admits(&request.traits()) => {
                        said.seen += 1;
                        if lines.len() < LINES_MAX && bytes < BYTES_MAX {
                            bytes += request.line.len();
                            lines.push(request.line.clone());
                        }
                    }
                    Some(Sight::One(_)) => {}
                    Some(Sight::Dropped(count)) => said.seen += count,
                    None => return,
                }
            }
        }
    }

    async fn tell_counts(&self, said: &mut Said<'_>, question: Question) {
        let (watch, routes) = (self.tap.watch_counts(), self.routes.clone());
        let mut counted = CountedHere::new(watch, question.wanted, routes);
        while let Some((summary, missed)) = counted.next().await {
            said.seen += missed + summary.total.requests;
            said.say(Told::Counts(Box::new(summary))).await;
        }
    }
}

/// What was said to a question so far.
struct Said<'s> {
    service: &'s LiveService,
    watches: &'s dyn WatchStore,
    id: QuestionId,
    /// How many requests there were, told of or not.
    seen: u64,
}

impl Said<'_> {
    async fn say(&mut self, told: Told) {
        let batch = Batch {
            node: self.service.node.clone(),
            boot: self.service.boot,
            seen: self.seen,
            told,
        };
        if let Err(error) = self.watches.answer(self.id, &batch).await {
            // The next one says how many it was.
            tracing::debug!(%error, "the store takes no answer for a watcher elsewhere");
        }
    }
}

impl Answering {
    /// Ends what is asked no more; what is to be answered from now on.
    fn take_in(&mut self, found: Option<Result<Vec<Question>, StoreError>>) -> Vec<Question> {
        let asked = match found {
            Some(Ok(asked)) => asked,
            Some(Err(error)) => {
                tracing::debug!(%error, "what other gates ask is not known");
                self.lenient_until = Some(Instant::now() + LENIENT);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        if self
            .lenient_until
            .is_none_or(|until| until < Instant::now())
        {
            self.ends.retain(|id, end| {
                let goes_on = asked.iter().any(|question| question.id == *id);
                if !goes_on {
                    end.abort();
                }
                goes_on
            });
        }
        let room = ANSWERED_MAX.saturating_sub(self.ends.len());
        let new = asked
            .into_iter()
            .filter(|question| !self.ends.contains_key(&question.id));
        // Whoever asked the others is told that this gate is missing.
        new.take(room).collect()
    }
}

/// How often a gate looks whether it is asked something.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it tells of requests.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// How long questions are answered on that lapsed while the store was away.
const LENIENT: Duration = Duration::from_secs(5);
/// How many requests are told of at once, and about how many bytes.
const LINES_MAX: usize = 256;
const BYTES_MAX: usize = 96 * 1_024;
/// How many questions are answered at once.
const ANSWERED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::watch::Wanted;

    fn question(number: u8) -> Question {
        Question {
            id: QuestionId([number; 16]),
            from: "gate-1".into(),
            to: None,
            telling: Telling::Requests,
            wanted: Wanted::default(),
        }
    }

    fn begin(answering: &mut Answering, asked: Vec<Question>) -> Vec<u8> {
        let new = answering.take_in(Some(Ok(asked)));
        new.iter()
            .map(|question| {
                let end = AbortHandle::new_pair().0;
                answering.ends.insert(question.id, end);
                question.id.0[0]
            })
            .collect()
    }

    #[tokio::test]
    async fn a_question_is_answered_once_and_as_long_as_it_is_asked() {
        let mut answering = Answering::default();
        assert_eq!(
            begin(&mut answering, vec![question(1), question(2)]),
            [1, 2]
        );
        assert_eq!(begin(&mut answering, vec![question(1), question(3)]), [3]);
        assert_eq!(answering.ends.len(), 2);
        // What lapsed while the store was away is asked again in a moment.
        let away = StoreError::unavailable("as the test wants it");
        assert!(answering.take_in(Some(Err(away))).is_empty());
        assert!(begin(&mut answering, vec![]).is_empty());
        assert_eq!(answering.ends.len(), 2);
    }

    #[tokio::test]
    async fn no_more_are_answered_than_there_is_room_for() {
        let mut answering = Answering::default();
        let all: Vec<Question> = (0..20).map(question).collect();
        assert_eq!(begin(&mut answering, all.clone()).len(), ANSWERED_MAX);
        assert!(begin(&mut answering, all).is_empty());
        assert_eq!(begin(&mut answering, vec![question(19)]), [19]);
    }
}
