//! What time it was when the gate last ran, and when it last met its store: no restart takes it back behind the
//! one, or forgets how long the other is ago.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::app::tasks::Tasks;
use crate::domain::time::{Clock, Timestamp};
use crate::store::local::{DataDir, LocalError, TimeFile};
use crate::store::{Contact, Store};

/// Keeps what time it is, and says when the machine's clock is behind it.
pub(crate) struct TimeKept {
    latest: TimeFile,
    contact: TimeFile,
    /// When the store was last met, as far as that is in the file.
    kept_contact: Mutex<Option<Timestamp>>,
    clock: Arc<dyn Clock>,
}

impl TimeKept {
    /// Has `clock` go on from what is kept in `dir`.
    ///
    /// # Errors
    /// If that cannot be read, or is no time.
    pub(crate) fn open(dir: &DataDir, clock: &Arc<dyn Clock>) -> Result<Self, LocalError> {
        let (latest, contact) = (TimeFile::latest(dir), TimeFile::contact(dir));
        if let Some(kept) = latest.read()? {
            clock.not_before(kept);
        }
        Ok(Self {
            kept_contact: Mutex::new(contact.read()?),
            latest,
            contact,
            clock: Arc::clone(clock),
        })
    }

    /// For how long the store had not been met when the gate began; nothing, if it never was.
    pub(crate) fn silence(&self) -> Duration {
        let last = *self.kept_contact.lock();
        last.map_or(Duration::ZERO, |last| self.clock.now().since(last))
    }

    /// Keeps both until the gate stops.
    pub(crate) fn spawn(self: Arc<Self>, tasks: &Tasks, store: &Arc<dyn Store>) {
        let store = Arc::clone(store);
        tasks.spawn("time", move || {
            let (kept, store) = (Arc::clone(&self), Arc::clone(&store));
            async move { kept.keep_on(store).await }
        });
    }

    async fn keep_on(self: Arc<Self>, store: Arc<dyn Store>) {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_behind = false;
        loop {
            interval.tick().await;
            is_behind = self.look(is_behind);
            let (kept, store) = (Arc::clone(&self), Arc::clone(&store));
            // A panic of the thread has been told of by the hook.
            let _ = tokio::task::spawn_blocking(move || kept.keep(&*store)).await;
        }
    }

    /// Keeps what time it is, and when `store` was last met.
    pub(crate) fn keep(&self, store: &dyn Store) {
        let kept = self.latest.write(self.clock.now());
        if let Err(error) = kept.and_then(|()| self.keep_contact(&store.contact())) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what time it is cannot be kept");
        }
    }

    fn keep_contact(&self, contact: &Contact) -> Result<(), LocalError> {
        let mut kept = self.kept_contact.lock();
        // A store of this gate's own needs no meeting.
        if let Some(last) = contact.last_at.filter(|_| !contact.is_own)
            && *kept != Some(last)
        {
            self.contact.write(last)?;
            *kept = Some(last);
        }
        Ok(())
    }

    /// Says so when the machine's clock was set back, and when it has caught up; whether it is behind.
    fn look(&self, was_behind: bool) -> bool {
        let behind = self.clock.behind();
        let is_behind = behind > TOLERATED;
        let seconds = behind.as_secs();
        if is_behind && !was_behind {
            tracing::error!(
                behind_s = seconds,
                "the machine's clock was set back by {seconds} s; the gate goes on with the time it had, so that nothing that ended comes back"
            );
        } else if was_behind && !is_behind {
            tracing::info!("the machine's clock has caught up with the gate's");
        }
        is_behind
    }
}

/// What was refused because its time was over is refused after `kill -9` too, but for the last second.
const EVERY: Duration = Duration::from_millis(500);
/// Less than this is the machine's clock being made exact.
const TOLERATED: Duration = Duration::from_secs(1);
