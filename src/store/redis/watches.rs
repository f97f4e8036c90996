//! Questions between gates: a hash of them, and a list of answers for each. Both lapse by themselves.
//!
//! Answers are waited for on connections of their own, as words of applied changes are: they are large, and
//! nothing else is to stand behind them. Lists and a hash, not channels: a user of Redis has no channels
//! unless it is given them, and in a cluster every word on one goes to every master.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tracing::debug;

use crate::domain::watch::{Batch, Question, QuestionId};
use crate::store::record::{decode_batch, decode_question, encode_batch, encode_question};
use crate::store::{StoreError, WatchStore};

use super::connect::{Cause, Connection, Fault};
use super::scripts::Call;
use super::store::RedisStore;

/// Connections that wait for answers, when nobody does.
pub(super) type Listeners = Idle<Connection>;

/// A few connections that are not used now, each with how many the link had made when it began: what was found out
/// about the server then may not hold once there is another.
#[derive(Debug)]
pub(super) struct Idle<C>(Mutex<Vec<(u64, C)>>);

impl<C> Default for Idle<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Idle<C> {
    /// One that began when the link had made so many as now; older ones are let go of.
    fn take(&self, made: u64) -> Option<C> {
        let mut held = self.0.lock();
        held.retain(|(at, _)| *at == made);
        held.pop().map(|(_, connection)| connection)
    }

    /// Keeps one for whoever comes next, if there are not enough.
    fn keep(&self, at: u64, connection: C) {
        let mut held = self.0.lock();
        if held.len() < IDLE_MAX {
            held.push((at, connection));
        }
    }

    /// Lets go of all.
    fn clear(&self) {
        self.0.lock().clear();
    }
}

impl RedisStore {
    /// A connection that leads to this gate's own store and nobody listens on.
    async fn listener(&self, made: u64) -> Result<Connection, Fault> {
        if let Some(held) = self.listeners.take(made) {
            return Ok(held);
        }
        let shared = &*self.shared;
        let Some(mine) = shared.mirror.stand() else {
            return Err(shared.link.blame(Cause::NotConnected));
        };
        let deadline = WAIT_MOST + Duration::from_millis(1_500);
        let connection = shared.link.connect(deadline).await?;
        shared.look(&connection, Some(mine)).await?;
        Ok(connection)
    }
}

#[async_trait]
impl WatchStore for RedisStore {
    async fn ask(&self, question: &Question, span: Duration) -> Result<(), StoreError> {
        let shared = &*self.shared;
        let mut call = Call::default();
        call.key(shared.names.questions());
        call.bytes(question.id.to_string())
            .bytes(encode_question(question))
            .number(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
            .number(QUESTIONS_MAX);
        let route = shared.ours().await?;
        let answer: String = shared.scripts.ask.run(route, &call).await?;
        match answer.as_str() {
            "DONE" => Ok(()),
            _ => Err(StoreError::Full {
                source: "gates ask each other as many questions as they may".into(),
            }),
        }
    }

    async fn withdraw(&self, ids: &[QuestionId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let shared = &*self.shared;
        let route = shared.ours().await?;
        let (mut forget, mut clear) = (redis::cmd("HDEL"), redis::cmd("DEL"));
        forget.arg(shared.names.questions());
        for id in ids {
            forget.arg(id.to_string());
            clear.arg(shared.names.answers(*id));
        }
        let _: u64 = route.ask(&forget).await?;
        let _: u64 = route.ask(&clear).await?;
        Ok(())
    }

    async fn asked(&self) -> Result<Vec<Question>, StoreError> {
        let shared = &*self.shared;
        let mut ask = redis::pipe();
        ask.cmd("TIME");
        ask.hgetall(shared.names.questions());
        let answer = shared.link.ask_all(&ask).await?;
        let ((seconds, micros), rows): ((u64, u64), Vec<(String, Vec<u8>)>) = answer;
        let now_ms = seconds * 1_000 + micros / 1_000;
        let mut questions: Vec<Question> = rows
            .iter()
            .filter_map(|(_, row)| read_row(row, now_ms))
            .collect();
        questions.sort_by_key(|question| question.id);
        Ok(questions)
    }

    async fn answer(&self, id: QuestionId, batch: &Batch) -> Result<(), StoreError> {
        let shared = &*self.shared;
        let mut call = Call::default();
        call.key(shared.names.answers(id));
        call.bytes(encode_batch(batch))
            .number(ANSWERS_MAX)
            .number(ANSWERS_LIVE_MS);
        let route = shared.ours().await?;
        let _: u64 = shared.scripts.answer.run(route, &call).await?;
        Ok(())
    }

    async fn answers(&self, id: QuestionId, wait: Duration) -> Result<Vec<Batch>, StoreError> {
        let shared = &*self.shared;
        let wait = wait.clamp(Duration::from_millis(1), WAIT_MOST);
        let made = shared.link.made();
        let connection = self.listener(made).await?;
        let mut ask = redis::cmd("BLMPOP");
        ask.arg(wait.as_secs_f64())
            .arg(1)
            .arg(shared.names.answers(id))
            .arg("LEFT")
            .arg("COUNT")
            .arg(ANSWERS_AT_ONCE);
        let answer = connection.ask::<Option<(String, Vec<Vec<u8>>)>>(&ask).await;
        match answer {
            Ok(answer) => {
                self.listeners.keep(made, connection);
                let batches = answer.map(|(_, batches)| batches).unwrap_or_default();
                Ok(batches.iter().filter_map(|batch| read(batch)).collect())
            }
            Err(fault) => {
                // The others lead where this one did.
                self.listeners.clear();
                Err(fault.into())
            }
        }
    }
}

/// What a row asks, if its time is not over and it is understood here.
fn read_row(row: &[u8], now_ms: u64) -> Option<Question> {
    let space = row.iter().position(|byte| *byte == b' ')?;
    let (till, question) = row.split_at_checked(space)?;
    let till: u64 = std::str::from_utf8(till).ok()?.parse().ok()?;
    if till <= now_ms {
        return None;
    }
    match decode_question(question.get(1..)?) {
        Ok(question) => Some(question),
        Err(error) => {
            debug!(%error, "a question of another gate is not understood");
            None
        }
    }
}

fn read(batch: &[u8]) -> Option<Batch> {
    match decode_batch(batch) {
        Ok(batch) => Some(batch),
        Err(error) => {
            debug!(%error, "an answer of another gate is not understood");
            None
        }
    }
}

/// How many questions may be asked at once: each has every gate say a lot.
const QUESTIONS_MAX: u64 = 32;
/// How many answers may wait to be heard.
const ANSWERS_MAX: u64 = 64;
const ANSWERS_AT_ONCE: u64 = 16;
/// How long answers wait.
const ANSWERS_LIVE_MS: u64 = 10_000;
/// How long one blocking read is at most.
const WAIT_MOST: Duration = Duration::from_secs(1);
/// How many connections are kept for those who listen next.
const IDLE_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_connections_are_kept_and_none_of_before_the_link_was_made_anew() {
        let idle = Idle::default();
        assert_eq!(idle.take(1), None);
        (0..IDLE_MAX + 5).for_each(|number| idle.keep(1, number));
        let mut taken: Vec<_> = std::iter::from_fn(|| idle.take(1)).collect();
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..IDLE_MAX));

        idle.keep(1, 0);
        idle.keep(2, 1);
        // One that began before, and comes back after.
        idle.keep(1, 2);
        assert_eq!((idle.take(2), idle.take(2)), (Some(1), None));
        idle.keep(2, 3);
        idle.clear();
        assert_eq!(idle.take(2), None);
    }
}
