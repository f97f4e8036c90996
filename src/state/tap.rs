//! Requests as they finish, for whoever watches; nothing is made while nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;

use crate::domain::id::{KeyId, OwnerId};

/// A finished request.
#[derive(Debug)]
pub struct Finished {
    /// Its access-log line, without the line end.
    pub line: String,
    /// Whose key it was, if one was recognised.
    pub key: Option<KeyId>,
    /// And whose that is.
    pub owner: Option<OwnerId>,
    /// What the client got.
    pub status: u16,
}

/// Where finished requests can be watched. Lossy: who is too slow is told how many were missed.
#[derive(Debug)]
pub struct Tap {
    sender: broadcast::Sender<Arc<Finished>>,
    watchers: AtomicUsize,
}

impl Default for Tap {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(BACKLOG).0,
            watchers: AtomicUsize::new(0),
        }
    }
}

impl Tap {
    /// Whether anyone watches: one relaxed load, since every request asks.
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Shows a finished request.
    pub fn show(&self, finished: Finished) {
        // An error says that nobody watches any more, which is no loss.
        let _ = self.sender.send(Arc::new(finished));
    }

    /// Watches from now on, until the watch is dropped.
    pub fn watch(self: &Arc<Self>) -> Watch {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watch {
            receiver: self.sender.subscribe(),
            tap: Arc::clone(self),
        }
    }
}

/// Someone watching.
#[derive(Debug)]
pub struct Watch {
    receiver: broadcast::Receiver<Arc<Finished>>,
    tap: Arc<Tap>,
}

/// What a watcher sees next.
#[derive(Debug)]
pub enum Sight {
    /// A request that finished.
    Request(Arc<Finished>),
    /// So many were missed.
    Dropped(u64),
}

impl Watch {
    /// The next sight; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Sight> {
        match self.receiver.recv().await {
            Ok(finished) => Some(Sight::Request(finished)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Sight::Dropped(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tap.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many requests a watcher may be behind before it misses some.
const BACKLOG: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(status: u16) -> Finished {
        Finished {
            line: String::new(),
            key: None,
            owner: None,
            status,
        }
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_what_was_missed() {
        let tap = Arc::new(Tap::default());
        assert!(!tap.is_watched());
        let mut watch = tap.watch();
        assert!(tap.is_watched());
        (0..BACKLOG + 5).for_each(|_| tap.show(finished(200)));
        assert!(matches!(watch.next().await, Some(Sight::Dropped(5))));
        assert!(matches!(watch.next().await, Some(Sight::Request(_))));
        drop(watch);
        assert!(!tap.is_watched());
    }
}
