//! What this gate tells those who wait for a change: that it has applied it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::change::{ChangeId, Revision};
use crate::store::Store;

/// Changes that were applied here and that someone waits for.
#[derive(Debug, Default)]
pub(crate) struct Words {
    changes: Mutex<Vec<(Revision, ChangeId)>>,
    news: Notify,
}

impl Words {
    /// This gate acts on these changes.
    pub(crate) fn applied(&self, changes: impl IntoIterator<Item = (Revision, ChangeId)>) {
        let mut waiting = self.changes.lock();
        let before = waiting.len();
        waiting.extend(changes);
        let is_news = waiting.len() > before;
        // Whoever is not told in time sees it in the next beat.
        let too_many = waiting.len().saturating_sub(WORDS_MAX);
        waiting.drain(..too_many);
        drop(waiting);
        if is_news {
            self.news.notify_one();
        }
    }

    /// Tells whoever waits, as soon as there is something to tell; for as long as it is polled.
    pub(crate) async fn pass_on(&self, store: &dyn Store, node: &Arc<str>) {
        loop {
            let changes = std::mem::take(&mut *self.changes.lock());
            if changes.is_empty() {
                self.news.notified().await;
                continue;
            }
            let Some(fleet) = store.fleet() else {
                continue;
            };
            if let Err(error) = fleet.acknowledge(node, &changes).await {
                tracing::debug!(%error, "nobody was told of an applied change, the next beat says it");
            }
        }
    }
}

/// How many wait to be told of at most.
const WORDS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_changes_wait_to_be_told_of() {
        let words = Words::default();
        let change = |revision| (Revision(revision), ChangeId([0; 16]));
        words.applied((1..=1_030).map(change));
        let waiting = words.changes.lock();
        assert_eq!(waiting.len(), 1_024);
        assert_eq!(waiting.first(), Some(&change(7)));
        assert_eq!(waiting.last(), Some(&change(1_030)));
    }
}
