//! Secrets that were made by hand, on their way to the sink of their key.
//!
//! A key that has a sink and is rotated over the API, the command line or by its holder has its new secret
//! in the sink too, so that whoever reads there is not left with one that retires. The rotation is in
//! force by then and is not undone where the sink fails: whoever asked is told, and the sink is tried
//! again, ever less often.
//!
//! A secret is kept here, in memory alone, from before its change is committed: a caller who hangs up in
//! between does not take it away. It is given only while it is the current one of its key.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{NamedSink, Note, SinkError, Sinks, again_after};
use crate::control::jobs::{Alone, Lease};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Standing};
use crate::domain::secret::{Fingerprint, Secret};
use crate::domain::time::{Clock, Timestamp};
use crate::store::{Store, StoreError};

/// Hands over what was made by hand.
pub struct Handover {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sinks: Sinks,
    lease: Arc<dyn Lease>,
    waiting: Mutex<Vec<Waiting>>,
    /// One at a time: of two secrets of one key the newer one must come last.
    turn: tokio::sync::Mutex<()>,
}

/// What became of a secret at its sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The name of the sink.
    pub sink: Arc<str>,
    /// Whether it holds the secret; if not, it is tried again.
    pub is_there: bool,
}

/// A secret that its sink does not hold yet.
#[derive(Clone)]
struct Waiting {
    key: KeyId,
    secret: Secret,
    fingerprint: Fingerprint,
    made_at: Timestamp,
    failures: u32,
    again_at: Timestamp,
}

/// What is to be done with one that waits.
enum Verdict {
    /// Its version is current: it is handed over.
    Give(Box<Key>, u16),
    /// Its change has not come yet.
    Early,
    /// It will never be current, or not again.
    Over,
}

impl Handover {
    /// Hands over to `sinks` what is current in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, sinks: Sinks) -> Self {
        Self {
            store,
            clock,
            sinks,
            lease: Arc::new(Alone),
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The same, which hands over only where others look for it too.
    #[must_use]
    pub fn under(mut self, lease: Arc<dyn Lease>) -> Self {
        self.lease = lease;
        self
    }

    /// Keeps a secret that is about to be committed, if its key has a sink.
    pub(in crate::control) fn expect(&self, key: &Key, secret: &Secret) {
        if self.sinks.of_key(key).is_none() {
            return;
        }
        let now = self.clock.now();
        self.waiting.lock().push(Waiting {
            key: key.id,
            secret: secret.clone(),
            fingerprint: secret.fingerprint(),
            made_at: now,
            failures: 0,
            again_at: now.after(UNCOMMITTED_FOR),
        });
    }

    /// Hands over a secret whose change has been committed, in a few seconds or later; `None` where its
    /// key has no sink.
    pub(in crate::control) async fn give(&self, key: &Key, secret: &Secret) -> Option<Handed> {
        let sink = Arc::clone(&self.sinks.of_key(key)?.name);
        let place = (key.id, secret.fingerprint());
        let given = tokio::time::timeout(GIVEN_WITHIN, self.try_once(place)).await;
        let is_there = given.unwrap_or_else(|_| {
            self.postpone(place, key, &SinkError::Late(GIVEN_WITHIN));
            false
        });
        Some(Handed { sink, is_there })
    }

    /// Tries again what is due to be.
    pub(in crate::control) async fn again(&self) {
        let now = self.clock.now();
        let due: Vec<_> = {
            let waiting = self.waiting.lock();
            let due = waiting.iter().filter(|it| it.again_at <= now);
            due.map(|it| (it.key, it.fingerprint)).collect()
        };
        for place in due {
            if tokio::time::timeout(GIVEN_WITHIN, self.try_once(place))
                .await
                .is_err()
                && let Ok(Some(key)) = self.store.key(place.0).await
            {
                self.postpone(place, &key, &SinkError::Late(GIVEN_WITHIN));
            }
        }
    }

    /// Whether the sink holds the secret now.
    async fn try_once(&self, place: Place) -> bool {
        let _turn = self.turn.lock().await;
        let Some(waiting) = self.find(place) else {
            return false;
        };
        let now = self.clock.now();
        match self.verdict(&waiting, now).await {
            Ok(Verdict::Give(key, version)) => {
                let Some(sink) = self.sinks.of_key(&key) else {
                    self.forget(place);
                    return false;
                };
                let note = Note {
                    version,
                    fingerprint: waiting.fingerprint,
                    made_at: waiting.made_at,
                };
                let handing = async {
                    self.lease.is_here(sink).await?;
                    sink.hand_over(&key, &waiting.secret, note).await
                };
                match handing.await {
                    Ok(()) => {
                        self.forget(place);
                        return true;
                    }
                    Err(error) => self.postpone_at(place, &key, sink, &error, now),
                }
            }
            Ok(Verdict::Over) => self.forget(place),
            // Its change is on its way, or the store is away: nothing is known yet.
            Ok(Verdict::Early) | Err(_) => {
                let mut waiting = self.waiting.lock();
                if let Some(it) = waiting.iter_mut().find(|it| it.is_at(place)) {
                    it.again_at = now.after(UNCOMMITTED_FOR);
                }
            }
        }
        false
    }

    async fn verdict(&self, waiting: &Waiting, now: Timestamp) -> Result<Verdict, StoreError> {
        let Some(key) = self.store.key(waiting.key).await? else {
            return Ok(Verdict::Over);
        };
        let is_it = |found: Fingerprint| found == waiting.fingerprint;
        let current = key.current().filter(|version| is_it(version.fingerprint));
        Ok(
            match (current.map(|version| version.number), key.standing) {
                (_, Standing::Revoked { .. }) => Verdict::Over,
                (Some(number), _) => Verdict::Give(Box::new(key), number),
                (None, _) => {
                    let is_known = key.versions.iter().any(|it| is_it(it.fingerprint));
                    if is_known || now.since(waiting.made_at) >= UNCOMMITTED_MOST {
                        Verdict::Over
                    } else {
                        Verdict::Early
                    }
                }
            },
        )
    }

    fn find(&self, place: Place) -> Option<Waiting> {
        let waiting = self.waiting.lock();
        waiting.iter().find(|it| it.is_at(place)).cloned()
    }

    fn forget(&self, place: Place) {
        self.waiting.lock().retain(|it| !it.is_at(place));
    }

    fn postpone(&self, place: Place, key: &Key, error: &SinkError) {
        if let Some(sink) = self.sinks.of_key(key) {
            self.postpone_at(place, key, sink, error, self.clock.now());
        }
    }

    fn postpone_at(
        &self,
        place: Place,
        key: &Key,
        sink: &NamedSink,
        error: &SinkError,
        now: Timestamp,
    ) {
        let mut waiting = self.waiting.lock();
        if let Some(it) = waiting.iter_mut().find(|it| it.is_at(place)) {
            sink.tell_failure(key, error, it.failures);
            it.again_at = now.after(again_after(it.failures));
            it.failures = it.failures.saturating_add(1);
        }
    }
}

impl Waiting {
    fn is_at(&self, (key, fingerprint): Place) -> bool {
        self.key == key && self.fingerprint == fingerprint
    }
}

/// Which secret.
type Place = (KeyId, Fingerprint);

/// How long a sink may take, before whoever waits is told that it is tried again.
const GIVEN_WITHIN: Duration = Duration::from_secs(5);
/// How soon a secret is looked at whose maker did not come back after its change.
const UNCOMMITTED_FOR: Duration = Duration::from_secs(10);
/// When a secret that is in no version will be in none.
const UNCOMMITTED_MOST: Duration = Duration::from_secs(2 * 60);
