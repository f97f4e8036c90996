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

use super::connect::Connection;
use super::scripts::Call;
use super::store::RedisStore;

/// Connections that wait for answers, when nobody does.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Vec<Connection>>);

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
        let held = self.listeners.0.lock().pop();
        let connection = match held {
            Some(connection) => connection,
            None => {
                let deadline = WAIT_MOST + Duration::from_millis(1_500);
                shared.link.connect(deadline).await?
            }
        };
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
                self.listeners.0.lock().push(connection);
                let batches = answer.map(|(_, batches)| batches).unwrap_or_default();
                Ok(batches.iter().filter_map(|batch| read(batch)).collect())
            }
            Err(fault) => {
                // The others lead where this one did.
                self.listeners.0.lock().clear();
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
