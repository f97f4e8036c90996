//! Services and jobs over a store, without a gate: a clock turned by hand, and sinks that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portcullis::control::caller::Caller;
use portcullis::control::jobs::{Alone, Jobs, Turn};
use portcullis::control::keys::{KeyService, NewKey, OwnerChoice, Rules};
use portcullis::control::policies::PolicyService;
use portcullis::control::rotation::RotationService;
use portcullis::control::sinks::{
    FileError, Handover, NamedSink, Note, SecretSink, SinkError, Sinks,
};
use portcullis::control::writer::{Applied, Writer};
use portcullis::domain::change::Revision;
use portcullis::domain::event::{Event, EventPlace};
use portcullis::domain::id::KeyId;
use portcullis::domain::key::Key;
use portcullis::domain::owner::OwnerKind;
use portcullis::domain::patch::SettingsPatch;
use portcullis::domain::rotation::RotationPlan;
use portcullis::domain::secret::{Hasher, Secret};
use portcullis::domain::selector::Selector;
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::domain::usage::{Tally, UsageBatch, UsageRow};
use portcullis::store::Store;
use tokio::sync::Notify;

use crate::support::clock::ManualClock;
use crate::support::suite::store_of_services;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Services over a store of their own.
pub(super) struct Rig {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub writer: Arc<Writer>,
    pub keys: KeyService,
    pub rotation: RotationService,
    pub policies: PolicyService,
    pub sink: Arc<Vault>,
    /// What makes rotations by hand known to that sink.
    pub handover: Arc<Handover>,
    pub caller: Caller,
    uses: AtomicU32,
    _folder: tempfile::TempDir,
}

struct AtOnce;

#[async_trait]
impl Applied for AtOnce {
    async fn reached(&self, _: Revision) {}
}

impl Rig {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::<ManualClock>::default();
        let store = store_of_services(folder.path(), clock.clone());
        let writer = Arc::new(Writer::new(store.clone(), Arc::new(AtOnce)));
        let sink = Arc::<Vault>::default();
        let handover = Handover::new(store.clone(), clock.clone(), to_vault(&sink));
        Self {
            handover: Arc::new(handover),
            keys: KeyService::new(store.clone(), clock.clone(), writer.clone(), making()),
            rotation: RotationService::new(store.clone(), clock.clone(), writer.clone()),
            policies: PolicyService::new(store.clone(), clock.clone(), writer.clone(), Vec::new()),
            sink,
            caller: Caller::system("test"),
            uses: AtomicU32::new(0),
            store,
            clock,
            writer,
            _folder: folder,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Jobs of a process that has just begun, with a sink for every key.
    pub(super) fn jobs(&self) -> Jobs {
        let jobs = self.jobs_with(to_vault(&self.sink));
        jobs.handing_over(self.handover.clone())
    }

    pub(super) fn jobs_with(&self, sinks: Sinks) -> Jobs {
        Jobs::new(
            self.store.clone(),
            self.clock.clone(),
            self.writer.clone(),
            making(),
            sinks,
            Arc::new(Alone),
        )
    }

    pub(super) async fn make_key(&self, patch: SettingsPatch) -> (KeyId, Secret) {
        let asked = NewKey {
            owner: OwnerChoice::Named {
                kind: OwnerKind::Team,
                name: "Billing".into(),
            },
            settings: SettingsPatch {
                name: Some("k".into()),
                ..patch
            },
            ..NewKey::nothing()
        };
        let made = self.keys.create(&self.caller, &asked).await.unwrap();
        (made.view.key.id, made.secret.unwrap())
    }

    pub(super) async fn key(&self, id: KeyId) -> Key {
        self.store.key(id).await.unwrap().unwrap()
    }

    /// Whether the gate would admit this secret now.
    pub(super) async fn admits(&self, id: KeyId, secret: &Secret) -> bool {
        let hash = making().hasher.hash(secret.reveal().as_bytes());
        self.key(id).await.admits(&hash, self.now()).is_ok()
    }

    pub(super) async fn rotate_every(&self, days: u32, keep_previous: bool) {
        let plan = RotationPlan {
            interval_days: days,
            keep_previous,
            grace: Duration::ZERO,
        };
        let rules = [(Selector::All, plan)];
        self.rotation.enable(&self.caller, &rules).await.unwrap();
    }

    /// The key is used now.
    pub(super) async fn note_use(&self, id: KeyId) {
        let seq = u64::from(self.uses.fetch_add(1, Ordering::Relaxed)) + 1;
        let epoch = self.store.begin_epoch("rig", self.now()).await.unwrap();
        let row = UsageRow {
            key: id,
            version: 1,
            route: "r".into(),
            minute: u32::try_from(self.now().as_millis() / 60_000).unwrap(),
            tally: Tally {
                requests: 1,
                last_used_at: Some(self.now()),
                ..Tally::default()
            },
        };
        let batch = UsageBatch {
            node: "rig".into(),
            epoch,
            seq,
            rows: vec![row],
        };
        self.store.add_usage(Arc::new(batch)).await.unwrap();
    }

    /// The words of all events there were, in order.
    pub(super) async fn events(&self) -> Vec<Event> {
        let found = self.store.events(EventPlace::default(), 10_000).await;
        found.unwrap().into_iter().map(|(_, event)| event).collect()
    }
}

/// Looks after every key once.
pub(super) async fn walk(jobs: &Jobs) {
    while jobs.turn().await.unwrap() != Turn::Walked {}
}

/// Every key's secret goes to this one.
fn to_vault(sink: &Arc<Vault>) -> Sinks {
    Sinks::of(vec![NamedSink {
        failures: Arc::default(),
        name: "vault".into(),
        selector: Selector::All,
        sink: sink.clone(),
    }])
}

pub(super) fn making() -> Rules {
    Rules {
        prefix: "pk".into(),
        envs: vec!["live".into()],
        hasher: Hasher::default(),
        products: Vec::new(),
        scopes: Vec::new(),
        require_reason: Vec::new(),
    }
}

/// A sink in memory that does what a test wants it to.
#[derive(Default)]
pub(super) struct Vault {
    held: Mutex<Option<Secret>>,
    /// Whether it takes nothing.
    pub fails: AtomicBool,
    /// Whether putting never ends, before or after the secret is there.
    pub hangs_before: AtomicBool,
    pub hangs_after: AtomicBool,
    /// Rung where it hangs.
    pub hung: Notify,
    /// Whether it says nothing of what it holds.
    pub is_mute: AtomicBool,
    pub puts: AtomicU32,
}

impl Vault {
    /// Someone puts this there.
    pub(super) fn holds(&self, secret: Secret) {
        *self.held.lock() = Some(secret);
    }

    pub(super) fn secret(&self) -> Option<Secret> {
        self.held.lock().clone()
    }
}

fn broken() -> SinkError {
    SinkError::File(FileError::Stopped)
}

#[async_trait]
impl SecretSink for Vault {
    async fn put(&self, _: &Key, secret: &Secret, _: Note) -> Result<(), SinkError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        if self.hangs_before.load(Ordering::Relaxed) {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::Relaxed) {
            return Err(broken());
        }
        *self.held.lock() = Some(secret.clone());
        if self.hangs_after.load(Ordering::Relaxed) {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn held(&self, _: &Key) -> Result<Option<Secret>, SinkError> {
        if self.is_mute.load(Ordering::Relaxed) {
            return Err(broken());
        }
        Ok(self.secret())
    }
}
