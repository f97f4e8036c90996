//! Words from gate to gate, that a change someone waits for has been applied.
//!
//! They lie in a list of their own for a minute, and are waited for on connections of their own: a blocking read
//! would hold up everything else on the one that commands go over.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connect::{Connection, Fault, Link};
use super::feed;
use super::follow::Shared;
use crate::domain::change::{ChangeId, Revision};
use crate::store::StoreError;

/// Who waits for words.
#[derive(Debug)]
pub(super) struct Ears {
    /// Connections that wait for words, when nobody does.
    idle: Mutex<Vec<Connection>>,
    waits: Semaphore,
}

impl Default for Ears {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            waits: Semaphore::new(WAITS_MAX),
        }
    }
}

/// Says that a gate has applied these changes.
///
/// # Errors
/// If nobody was told.
pub(super) async fn acknowledge(
    shared: &Shared,
    node: &str,
    changes: &[(Revision, ChangeId)],
) -> Result<(), StoreError> {
    let mut words = redis::pipe();
    for (revision, change) in changes {
        let list = shared.names.acks(*revision);
        words.rpush(&list, word(node, *change)).ignore();
        words.expire(&list, ACKS_LIVE_S).ignore();
    }
    let answers: redis::Value = shared.link.ask_all(&words).await?;
    drop(answers);
    Ok(())
}

/// What `node` says that has applied `change`: which change it was, since a store that lost some has others at their
/// revisions.
fn word(node: &str, change: ChangeId) -> String {
    format!("{node} {}", feed::change_text(change))
}

/// The next gate that says so; `None` if none does in time, or what one says is of another change.
///
/// # Errors
/// If nobody can be heard.
pub(super) async fn acknowledged(
    shared: &Shared,
    (revision, change): (Revision, ChangeId),
    wait: Duration,
) -> Result<Option<String>, StoreError> {
    let until = Instant::now() + wait.min(WAIT_MOST);
    let Ears { idle, waits } = &shared.neighbours.ears;
    let turn = tokio::time::timeout_at(until, waits.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Ok(None);
    };
    let held = idle.lock().pop();
    let connection = match held {
        Some(connection) => connection,
        None => connect(&shared.link).await?,
    };
    // Zero would be for ever.
    let left = until.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(1));
    let mut ask = redis::cmd("BLPOP");
    ask.arg(shared.names.acks(revision)).arg(left.as_secs_f64());
    match connection.ask::<Option<(String, String)>>(&ask).await {
        Ok(answer) => {
            idle.lock().push(connection);
            Ok(answer.and_then(|(_, said)| {
                let (node, _) = said.split_once(' ')?;
                (said == word(node, change)).then(|| node.to_owned())
            }))
        }
        Err(fault) => {
            // The others lead where this one did. One that nobody waits for to the end is let go of, too.
            idle.lock().clear();
            Err(fault.into())
        }
    }
}

async fn connect(link: &Link) -> Result<Connection, Fault> {
    link.connect(WAIT_MOST + Duration::from_millis(1_500)).await
}

/// How long it is remembered who has applied a change.
const ACKS_LIVE_S: i64 = 60;
/// How long one blocking read is at most.
const WAIT_MOST: Duration = Duration::from_secs(1);
/// How many wait at once, each on a connection of its own; more than that take turns.
const WAITS_MAX: usize = 16;
