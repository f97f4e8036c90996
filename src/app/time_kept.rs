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
            let _ = tokio::task::spawn_blocking(move || kept.keep(&store.contact())).await;
        }
    }

    /// Keeps what time it is, and when the store was last met: each though the other could not be.
    pub(crate) fn keep(&self, contact: &Contact) {
        if let Err(error) = self.latest.write(self.clock.now()) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what time it is cannot be kept");
        }
        if let Err(error) = self.keep_contact(contact) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "when the store was last met cannot be kept");
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use parking_lot::Mutex;

    use super::*;
    use crate::app::clock::SystemClock;
    use crate::domain::change::Revision;
    use crate::store::ContactState;

    /// Keeps both where `blocked` cannot be written; what stands in the other, and what the log says.
    fn kept_beside(blocked: &str, other: &str) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let kept = TimeKept::open(&dir, &clock).unwrap();
        // A folder where the file is made.
        fs::create_dir(folder.path().join(format!("{blocked}.new"))).unwrap();

        let said = Arc::new(Mutex::new(Vec::new()));
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer({
                let said = Arc::clone(&said);
                move || Said(Arc::clone(&said))
            })
            .finish();
        tracing::subscriber::with_default(log, || {
            kept.keep(&Contact {
                is_up: true,
                is_silent: false,
                state: ContactState::Following,
                revision: Revision(1),
                last_at: Some(MET),
                last_ns: Some(1),
                is_own: false,
                is_mirror_refused: false,
                quarantined: 0,
            });
        });

        assert!(!folder.path().join(blocked).exists());
        let text = fs::read_to_string(folder.path().join(other)).unwrap();
        let said = String::from_utf8(said.lock().clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        (text, said)
    }

    struct Said(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const MET: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn when_the_store_was_met_is_kept_though_the_time_is_not() {
        let (contact, said) = kept_beside("time", "contact");
        assert_eq!(contact, format!("{MET}\n"));
        assert!(said.contains("what time it is cannot be kept"), "{said}");
    }

    #[test]
    fn the_time_is_kept_though_when_the_store_was_met_is_not() {
        let (time, said) = kept_beside("contact", "time");
        assert!(time.trim_end().parse::<Timestamp>().unwrap() > MET);
        assert!(
            said.contains("when the store was last met cannot be kept"),
            "{said}"
        );
    }
}
