//! The one way to the store: a change at a time, tried again where another gate came first, and told of
//! only when this gate acts on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::control::ControlError;
use crate::control::told::Told;
use crate::domain::audit::{AuditEntry, Outcome};
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::store::{Store, StoreError};

/// What this gate's cache has taken in.
#[async_trait]
pub trait Applied: Send + Sync + 'static {
    /// Returns when every request from now on is judged by `revision` or a later one.
    async fn reached(&self, revision: Revision);
}

/// What a change is to write, and what its maker wants to know of it afterwards.
#[derive(Debug)]
pub struct Draft<T> {
    /// The records; if there are none, nothing is committed and nothing audited.
    pub writes: Vec<Write>,
    /// What the audit log says of them.
    pub audit: Vec<AuditEntry>,
    /// For whoever asked.
    pub value: T,
}

/// A draft in the making.
pub type Drafting<'a, T> = BoxFuture<'a, Result<Draft<T>, ControlError>>;

impl<T> Draft<T> {
    /// Things are already as they were asked to be.
    #[must_use]
    pub fn nothing(value: T) -> Self {
        Self {
            writes: Vec::new(),
            audit: Vec::new(),
            value,
        }
    }
}

/// What came of a change.
#[derive(Debug)]
pub struct Done<T> {
    /// Where it landed; where nothing was to be written, what it was found at.
    pub revision: Revision,
    /// What its maker wanted to know.
    pub value: T,
}

/// Commits the changes of this gate, one after the other.
pub struct Writer {
    store: Arc<dyn Store>,
    applied: Arc<dyn Applied>,
    turn: tokio::sync::Mutex<()>,
    told: Told,
}

impl Writer {
    /// Writes to `store`, and waits for `applied`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, applied: Arc<dyn Applied>) -> Self {
        Self {
            store,
            applied,
            turn: tokio::sync::Mutex::new(()),
            told: Told::default(),
        }
    }

    /// The result, after its refusal was written down as `entry` has it. A fault of ours is nobody's
    /// refused attempt.
    pub(in crate::control) async fn note_if_refused<T>(
        &self,
        entry: impl FnOnce() -> Result<AuditEntry, ControlError>,
        result: Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        if let Err(error) = &result
            && let Some(code) = error.refusal()
            && let Ok(mut entry) = entry()
        {
            entry.outcome = Outcome::Refused(code.to_owned());
            self.note_refusal(entry).await;
        }
        result
    }

    /// Commits what `draft` says, and returns when this gate acts on it.
    ///
    /// `draft` reads what it needs from the store each time it is called, and it is called again when
    /// another gate's change came in between: what it decided then no longer holds.
    ///
    /// # Errors
    /// What `draft` returns; [`ControlError::Contended`] after eight lost races; what the store returns;
    /// [`ControlError::NotApplied`] if this gate's cache does not follow.
    pub async fn commit<'a, T: Send>(
        &self,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let done = self.land(draft).await?;
        let reached = self.applied.reached(done.revision);
        match tokio::time::timeout(APPLIED_WITHIN, reached).await {
            Ok(()) => Ok(done),
            Err(_) => Err(ControlError::NotApplied {
                revision: done.revision,
            }),
        }
    }

    /// What this gate has told those outside.
    #[must_use]
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Writes down that something was refused to someone who is known. They are refused all the same
    /// where that cannot be written; the log says so then.
    pub async fn note_refusal(&self, entry: AuditEntry) {
        let error = match tokio::time::timeout(NOTED_WITHIN, self.note(entry)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        tracing::warn!(
            error,
            "a refused attempt could not be written to the audit log"
        );
    }

    async fn note(&self, entry: AuditEntry) -> Result<(), ControlError> {
        let _turn = self.turn.lock().await;
        let id = ChangeId(draw()?);
        for attempt in 0..ATTEMPTS_MAX {
            let expect = self.store.revision().await?;
            let change = Change {
                id,
                expect,
                writes: Vec::new(),
                audit: vec![entry.clone()],
            };
            match self.store.commit(change).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => self.step_back(expect, attempt).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::Contended {
            attempts: ATTEMPTS_MAX,
        })
    }

    async fn land<'a, T: Send>(
        &self,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        // Changes of one gate would only make each other fail; in turn, they conflict with none but
        // those of other gates.
        let _turn = self.turn.lock().await;
        for attempt in 0..ATTEMPTS_MAX {
            // Read before anything else: whatever the draft reads is at least as new as this.
            let expect = self.store.revision().await?;
            let Draft {
                mut writes,
                audit,
                value,
            } = draft().await?;
            if writes.is_empty() {
                return Ok(Done {
                    revision: expect,
                    value,
                });
            }
            tell(&mut writes, &audit)?;
            let events = events_of(&writes);
            let change = Change {
                id: ChangeId(draw()?),
                expect,
                writes,
                audit,
            };
            match self.store.commit(change).await {
                Ok(revision) => {
                    self.told.tell(&events);
                    return Ok(Done { revision, value });
                }
                Err(StoreError::Conflict { .. }) => self.step_back(expect, attempt).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::Contended {
            attempts: ATTEMPTS_MAX,
        })
    }

    /// Waits until the change that came first is here, then for a random while: two gates that met once
    /// should not meet again.
    async fn step_back(&self, beyond: Revision, attempt: u32) -> Result<(), ControlError> {
        self.store.moved(beyond).await;
        let [random] = draw::<1>()?;
        let most_us = 1_000 << attempt;
        tokio::time::sleep(Duration::from_micros(most_us * u64::from(random) / 256)).await;
        Ok(())
    }
}

/// Adds the events that the audit entries are to those outside.
fn tell(writes: &mut Vec<Write>, audit: &[AuditEntry]) -> Result<(), ControlError> {
    for entry in audit {
        let id = EventId::from_random(draw()?);
        if let Some(event) = Event::telling(id, entry, writes) {
            writes.push(Write::Event(event));
        }
    }
    Ok(())
}

fn events_of(writes: &[Write]) -> Vec<Event> {
    let events = writes.iter().filter_map(|write| match write {
        Write::Event(event) => Some(event.clone()),
        _ => None,
    });
    events.collect()
}

/// Random bytes from the system.
///
/// # Errors
/// If it gives none.
pub fn draw<const N: usize>() -> Result<[u8; N], ControlError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(ControlError::Random)?;
    Ok(bytes)
}

/// How long writing a refused attempt down may keep its answer waiting.
const NOTED_WITHIN: Duration = Duration::from_secs(2);
/// How often a change is tried.
const ATTEMPTS_MAX: u32 = 8;
/// How long a stored change may take to be acted on here. Beyond this something is broken, and the
/// caller had better know than wait.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);
