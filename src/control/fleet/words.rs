//! What this gate tells those who wait for a change: that it has applied it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::change::Revision;
use crate::store::Store;

/// Changes that were applied here and that someone waits for.
#[derive(Debug, Default)]
pub(crate) struct Words {
    revisions: Mutex<Vec<Revision>>,
    news: Notify,
}

impl Words {
    /// This gate acts on these changes.
    pub(crate) fn applied(&self, revisions: impl IntoIterator<Item = Revision>) {
        let mut waiting = self.revisions.lock();
        let before = waiting.len();
        waiting.extend(revisions);
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
            let revisions = std::mem::take(&mut *self.revisions.lock());
            if revisions.is_empty() {
                self.news.notified().await;
                continue;
            }
            let Some(fleet) = store.fleet() else {
                continue;
            };
            if let Err(error) = fleet.acknowledge(node, &revisions).await {
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
        words.applied((1..=1_030).map(Revision));
        let waiting = words.revisions.lock();
        assert_eq!(waiting.len(), 1_024);
        assert_eq!(waiting.first(), Some(&Revision(7)));
        assert_eq!(waiting.last(), Some(&Revision(1_030)));
    }
}
