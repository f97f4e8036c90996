//! Writes requests into this gate's own log, on a thread of its own: no request waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::domain::audit::request::RequestEntry;
use crate::domain::id::AuditId;
use crate::state::requests::{Note, NoteSink};
use crate::store::requests::RequestLog;

/// Counts what could not be written.
#[derive(Debug, Default)]
pub(crate) struct RequestsLost(AtomicU64);

impl RequestsLost {
    /// How many requests are missing in the log because the disk did not take them.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Writes what comes until nobody sends any more; `routes` are the names of routes, by their places.
pub(crate) fn keep_requests(
    sink: &NoteSink,
    log: &RequestLog,
    node: &Arc<str>,
    routes: &[Arc<str>],
    lost: &RequestsLost,
) {
    let mut is_failing = false;
    loop {
        let page = match sink.recv_timeout(TIDY_EVERY) {
            Ok(page) => page,
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = log.tidy() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "old requests cannot be let go of");
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut entries = entries(page, node, routes);
        // One transaction for what comes in the next moment too, so that a busy gate writes each page of the
        // file once, and a disk that is behind catches up.
        for _ in 0..PAGES_TOGETHER {
            match sink.recv_timeout(GATHER) {
                Ok(page) => entries.extend(self::entries(page, node, routes)),
                Err(_) => break,
            }
        }
        match log.write(&entries) {
            Ok(()) => is_failing = false,
            Err(error) => {
                let count = entries.iter().map(|entry| entry.count).sum();
                lost.0.fetch_add(count, Ordering::Relaxed);
                if !is_failing {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "requests cannot be written into the audit log, and are counted as lost"
                    );
                    is_failing = true;
                }
            }
        }
    }
    log.close();
}

fn entries(page: Vec<Note>, node: &Arc<str>, routes: &[Arc<str>]) -> Vec<RequestEntry> {
    let mut random = vec![[0; 10]; page.len()];
    // Without random bytes an id is all zeros: an id names, and an entry is not lost for one.
    let _ = getrandom::fill(random.as_flattened_mut());
    page.into_iter()
        .zip(random)
        .map(|(note, random)| entry(note, AuditId::from_random(random), node, routes))
        .collect()
}

fn entry(note: Note, id: AuditId, node: &Arc<str>, routes: &[Arc<str>]) -> RequestEntry {
    let likeness = note.likeness;
    let (key, key_version, owner) = match likeness.key {
        Some((key, version, owner)) => (Some(key), Some(version), Some(owner)),
        None => (None, None, None),
    };
    RequestEntry {
        id,
        timestamp: note.at,
        code: likeness.code.map(|code| code.as_str().to_owned()),
        key,
        key_version,
        owner,
        route: likeness
            .route
            .and_then(|route| routes.get(usize::from(route)).cloned()),
        method: likeness.method,
        path: note.path,
        status: likeness.status,
        address: likeness.client,
        request_id: note
            .request_id
            .and_then(|id| id.to_str().ok().map(str::to_owned)),
        node: Arc::clone(node),
        count: note.count,
        until: note.until,
    }
}

/// How many pages more go into one transaction.
const PAGES_TOGETHER: usize = 16;
/// How long the next of them is waited for.
const GATHER: Duration = Duration::from_millis(150);
/// How long nothing has come when what is too old is looked for; while there is much, it is anyway.
const TIDY_EVERY: Duration = Duration::from_secs(600);
