//! Jobs: one script takes them, and the commit script proves that they are still held.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::job::{Claim, Fence};
use crate::store::{JobStore, StoreError};

use super::connect::{Cause, Fault, Route};
use super::names::Names;
use super::scripts::{Call, Script};
use super::store::RedisStore;

impl RedisStore {
    /// The script, and the way to the store that it may run in.
    async fn job_script(&self) -> Result<(Route<'_>, &Script, &Names), Fault> {
        let shared = &*self.shared;
        let route = shared.ours().await?;
        Ok((route, &shared.scripts.job, &shared.names))
    }
}

#[async_trait]
impl JobStore for RedisStore {
    async fn take_job(
        &self,
        job: &Arc<str>,
        owner: &str,
        place: Option<&str>,
        span: Duration,
    ) -> Result<Claim, StoreError> {
        Ok(take(self.job_script().await?, job, owner, place, span).await?)
    }

    async fn leave_job(&self, job: &Arc<str>, owner: &str) -> Result<(), StoreError> {
        Ok(leave(self.job_script().await?, job, owner).await?)
    }

    async fn bind_job(
        &self,
        job: &Arc<str>,
        owner: &str,
        place: &str,
    ) -> Result<Result<(), String>, StoreError> {
        Ok(bind(self.job_script().await?, job, owner, place).await?)
    }
}

/// Takes a job for `span` from now by the clock of Redis, or goes on with it.
///
/// # Errors
/// If it is not known whether it was.
async fn take(
    (route, script, names): (Route<'_>, &Script, &Names),
    job: &Arc<str>,
    owner: &str,
    place: Option<&str>,
    span: Duration,
) -> Result<Claim, Fault> {
    let span = span.as_millis().max(1).to_string();
    let answer = ask((route, script, names), job, owner, place, &span).await?;
    let word = |at: usize| answer.get(at).map_or("", String::as_str);
    let number = |at| word(at).parse().ok();
    let claim = match word(0) {
        "MINE" => number(1).map(|number| {
            let job = Arc::clone(job);
            Claim::Mine(Fence { job, number })
        }),
        "OTHER" => number(2).map(|left_ms| Claim::Others {
            owner: word(1).to_owned(),
            left_ms,
        }),
        "ELSEWHERE" => Some(Claim::Elsewhere {
            owner: word(1).to_owned(),
            is_done: word(2) == "1",
        }),
        _ => None,
    };
    claim.ok_or_else(|| route.blame(strange()))
}

/// Gives a job back, so that another gate need not wait for it to lapse.
///
/// # Errors
/// If it is not known whether it was.
async fn leave(at: (Route<'_>, &Script, &Names), job: &Arc<str>, owner: &str) -> Result<(), Fault> {
    ask(at, job, owner, None, "0").await.map(drop)
}

/// Whether a job that is bound to a place is done at `place`: it is from now on, if it was bound to none.
/// Otherwise who did it last.
///
/// # Errors
/// If that is not known.
async fn bind(
    at: (Route<'_>, &Script, &Names),
    job: &Arc<str>,
    owner: &str,
    place: &str,
) -> Result<Result<(), String>, Fault> {
    let mut answer = ask(at, job, owner, Some(place), "").await?.into_iter();
    match (answer.next().as_deref(), answer.next()) {
        (Some("HERE"), _) => Ok(Ok(())),
        (Some("ELSEWHERE"), holder) => Ok(Err(holder.unwrap_or_default())),
        _ => Err(at.0.blame(strange())),
    }
}

async fn ask(
    (route, script, names): (Route<'_>, &Script, &Names),
    job: &Arc<str>,
    owner: &str,
    place: Option<&str>,
    span: &str,
) -> Result<Vec<String>, Fault> {
    let mut call = Call::default();
    call.key(names.job(job));
    call.bytes(owner)
        .bytes(span)
        .bytes(place.unwrap_or_default());
    script.run(route, &call).await
}

fn strange() -> Cause {
    Cause::Damaged {
        what: "it does not answer as the job script does".to_owned(),
    }
}
