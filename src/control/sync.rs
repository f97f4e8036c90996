//! Keeps this gate's cache in step with the store: a snapshot, then the feed, by revision.
//!
//! **Invariant:** the cache is never ahead of what it says it has applied, but for what was revoked while the
//! store was away; and never goes back: what was applied once stays until a later revision replaces it, or
//! the store's own copy here was taken anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::control::fleet::Words;
use crate::control::jobs::LeaverBook;
use crate::control::rules::RuleBook;
use crate::control::writer::Applied;
use crate::domain::change::{Change, Revision, Write};
use crate::domain::id::KeyId;
use crate::domain::key::Key;
use crate::domain::owner::Owner;
use crate::domain::time::Clock;
use crate::state::counters::Histogram;
use crate::state::grants::GrantBook;
use crate::state::keys::{KeyCache, SeenSecrets};
use crate::state::readiness::Readiness;
use crate::store::{News, Store, StoreError};

/// Keeps the cache in step.
pub(crate) struct Sync {
    store: Arc<dyn Store>,
    hands: Arc<Hands>,
    rules: Arc<RuleBook>,
    readiness: Arc<Readiness>,
    clock: Arc<dyn Clock>,
    max_staleness: Duration,
    /// When this gate began, on the monotonic clock, and for how long it had not met its store before: what a
    /// store that was not met since is counted from.
    began_ns: u64,
    silence_before: Duration,
    applied: watch::Sender<Revision>,
    /// How often the store had taken what it holds anew when that was read.
    renewals: Arc<AtomicU64>,
    words: Arc<Words>,
    propagation: Arc<Histogram>,
}

/// What puts records into the cache.
#[derive(Debug)]
struct Hands {
    cache: Arc<KeyCache>,
    grants: Mutex<GrantBook>,
    leavers: Arc<LeaverBook>,
    /// Held from reading records until they are in: what is put in meanwhile must not be covered by what was
    /// read before.
    turn: tokio::sync::Mutex<()>,
}

impl Hands {
    fn put_key(&self, key: &Key) {
        self.cache.put(key, self.grants.lock().grants(key));
    }

    fn put_owner(&self, owner: &Owner, is_start: bool) {
        let is_off = owner.disabled_at.is_some();
        self.cache.set_owner(owner.id, is_off);
        if is_off {
            self.leavers.note(owner.id, is_start);
        }
    }

    fn put(&self, write: &Write) {
        match write {
            Write::Key(key) => self.put_key(key),
            Write::Owner(owner) => self.put_owner(owner, false),
            _ => {}
        }
    }
}

/// Which change wrote each key last. No request meets what a key was in between: where lost changes were made again
/// one by one, that has not all of its secrets.
fn latest_of_keys(changes: &[(Revision, Arc<Change>)]) -> HashMap<KeyId, Revision> {
    let mut latest = HashMap::new();
    for (revision, change) in changes {
        for write in &change.writes {
            if let Write::Key(key) = write {
                latest.insert(key.id, *revision);
            }
        }
    }
    latest
}

/// Tells when a revision has been applied.
#[derive(Debug, Clone)]
pub(crate) struct AppliedRevision {
    applied: watch::Receiver<Revision>,
    renewals: Arc<AtomicU64>,
    hands: Arc<Hands>,
}

impl AppliedRevision {
    /// What has been applied.
    pub(crate) fn revision(&self) -> Revision {
        *self.applied.borrow()
    }

    /// What has been applied, and how often the store had been taken anew when it was.
    pub(crate) fn now(&self) -> (Revision, u64) {
        // In this order: what is applied of an older history is never told of as of a newer one.
        let renewals = self.renewals.load(Ordering::Acquire);
        (self.revision(), renewals)
    }
}

#[async_trait]
impl Applied for AppliedRevision {
    async fn reached(&self, revision: Revision) {
        // The sender lives as long as the gate; when it is gone nobody is left to be told.
        let _ = self
            .applied
            .clone()
            .wait_for(|applied| *applied >= revision)
            .await;
    }

    async fn taken(&self, writes: &[Write]) {
        let _turn = self.hands.turn.lock().await;
        writes.iter().for_each(|write| self.hands.put(write));
    }
}

impl Sync {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        cache: Arc<KeyCache>,
        grants: GrantBook,
        rules: Arc<RuleBook>,
        readiness: Arc<Readiness>,
        clock: Arc<dyn Clock>,
        max_staleness: Duration,
    ) -> Self {
        Self {
            store,
            hands: Arc::new(Hands {
                cache,
                grants: Mutex::new(grants),
                leavers: Arc::default(),
                turn: tokio::sync::Mutex::new(()),
            }),
            rules,
            readiness,
            max_staleness,
            began_ns: clock.mono_ns(),
            silence_before: Duration::ZERO,
            clock,
            applied: watch::Sender::new(Revision::default()),
            renewals: Arc::default(),
            words: Arc::default(),
            propagation: Arc::default(),
        }
    }

    /// The same, of a gate that had not met its store for so long before it began.
    pub(crate) fn after_silence(self, silence_before: Duration) -> Self {
        Self {
            silence_before,
            ..self
        }
    }

    /// What those who wait for changes are told.
    pub(crate) fn words(&self) -> Arc<Words> {
        Arc::clone(&self.words)
    }

    /// How long changes of other gates took from their commit until this gate acted on them.
    pub(crate) fn propagation(&self) -> Arc<Histogram> {
        Arc::clone(&self.propagation)
    }

    /// Where owners are noted of whom something may be left.
    pub(crate) fn leavers(&self) -> Arc<LeaverBook> {
        Arc::clone(&self.hands.leavers)
    }

    /// Tells when a revision has been applied.
    pub(crate) fn applied(&self) -> AppliedRevision {
        AppliedRevision {
            applied: self.applied.subscribe(),
            renewals: Arc::clone(&self.renewals),
            hands: Arc::clone(&self.hands),
        }
    }

    /// Fills the cache with everything there is.
    ///
    /// # Errors
    /// If the store cannot be read; the cache has then what it had.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        let _turn = self.hands.turn.lock().await;
        self.load_in_turn().await
    }

    async fn load_in_turn(&self) -> Result<(), StoreError> {
        // Before anything is read: what is renewed meanwhile is read again.
        let renewals = self.store.renewals();
        self.load_rules().await?;
        let seen = Arc::new(Mutex::new(SeenSecrets::default()));
        let is_again = !self.hands.cache.is_empty();
        let take = {
            let (hands, seen) = (Arc::clone(&self.hands), Arc::clone(&seen));
            move |key: Key| {
                hands.put_key(&key);
                if is_again {
                    seen.lock().note(&key);
                }
            }
        };
        let revision = self.store.snapshot(Box::new(take)).await?;
        if is_again {
            self.hands.cache.retain(&seen.lock());
        }
        // Once more: what was changed before the snapshot ended is not in the feed after it.
        self.load_rules().await?;
        self.load_owners(!is_again).await?;
        // In this order, for who reads both.
        self.applied.send_replace(revision);
        self.renewals.store(renewals, Ordering::Release);
        self.judge_staleness();
        Ok(())
    }

    /// Learns which owners are switched off. What changes meanwhile is in the feed after the snapshot.
    async fn load_owners(&self, is_start: bool) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.owners(None, OWNERS_AT_ONCE, after).await?;
            for owner in page.items {
                self.hands.put_owner(&owner, is_start);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn load_rules(&self) -> Result<(), StoreError> {
        self.rules.replace(self.store.rules().await?);
        self.regrant();
        Ok(())
    }

    /// Has the keys do what their products say now.
    fn regrant(&self) {
        let regrants = self.hands.grants.lock().set_products(self.rules.products());
        self.hands.cache.regrant(&regrants);
    }

    /// Follows the feed for as long as it is polled.
    pub(crate) async fn follow(&self) {
        let mut swept_at = self.clock.now();
        loop {
            let applied = *self.applied.borrow();
            match self.step(applied).await {
                // There may be more already.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot read the store's feed, serving what is known");
                }
            }
            self.judge_staleness();
            let now = self.clock.now();
            if now.since(swept_at) >= SWEEP_EVERY {
                self.hands.cache.sweep();
                swept_at = now;
            }
            self.store.moved(applied).await;
        }
    }

    /// Applies what came after `applied`; whether anything did.
    async fn step(&self, applied: Revision) -> Result<bool, StoreError> {
        let _turn = self.hands.turn.lock().await;
        if self.store.renewals() != self.renewals.load(Ordering::Acquire) {
            // Of another history, perhaps: its revisions say nothing here, and ours say nothing there.
            self.applied.send_replace(Revision(0));
            self.load_in_turn().await?;
            return Ok(true);
        }
        match self.store.since(applied, BATCH).await? {
            News::Trimmed => {
                self.load_in_turn().await?;
                Ok(true)
            }
            News::Changes(changes) => {
                let latest = latest_of_keys(&changes);
                let (mut last, mut awaited) = (None, Vec::new());
                for (revision, change) in changes {
                    if change.id.is_awaited() {
                        awaited.push((revision, change.id));
                    }
                    // Before the keys of the change, which may name what it makes.
                    if self.rules.apply(&change.writes) {
                        self.regrant();
                    }
                    let writes = change.writes.iter().filter(|it| match it {
                        Write::Key(key) => latest.get(&key.id) == Some(&revision),
                        _ => true,
                    });
                    writes.for_each(|write| self.hands.put(write));
                    last = Some(revision);
                }
                if let Some(last) = last {
                    self.applied.send_replace(last);
                    self.words.applied(awaited);
                    self.measure(applied, last);
                }
                Ok(last.is_some())
            }
        }
    }

    /// Notes how long the changes after `before`, up to `last`, were under way.
    fn measure(&self, before: Revision, last: Revision) {
        let Some(fleet) = self.store.fleet() else {
            return;
        };
        let revisions = (before.next().0..=last.0).map(Revision);
        for age in revisions.filter_map(|revision| fleet.age(revision)) {
            self.propagation.observe(age);
        }
    }

    /// A gate that has not met its store for too long stops serving: what it knows may be wrong by now.
    fn judge_staleness(&self) {
        let contact = self.store.contact();
        if contact.is_own {
            self.readiness.always_met();
        } else {
            self.readiness.met(contact.last_ns);
        }
        let since = |ns| Duration::from_nanos(self.clock.mono_ns().saturating_sub(ns));
        let silence = contact.last_ns.map_or_else(
            || since(self.began_ns).saturating_add(self.silence_before),
            since,
        );
        if contact.is_up || contact.is_own || silence < self.max_staleness {
            self.readiness.set_ready();
        } else {
            self.readiness.set_stale();
        }
    }
}

/// How soon forgotten secrets are let go of again: a look through all keys, however few were forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How many changes are read at once.
const BATCH: usize = 256;
const OWNERS_AT_ONCE: usize = 1_000;
