//! The one way to the store: a change at a time, tried again where another gate came first, and told of
//! only when this gate acts on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::control::ControlError;
use crate::control::audit::Refusals;
use crate::control::told::Told;
use crate::domain::audit::AuditEntry;
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::job::Fence;
use crate::domain::tombstone::Ended;
use crate::store::{Kept, Store, StoreError};

/// What this gate's cache has taken in.
#[async_trait]
pub trait Applied: Send + Sync + 'static {
    /// Returns when every request from now on is judged by `revision` or a later one.
    async fn reached(&self, revision: Revision);

    /// Returns when every request from now on is judged by these records too, which are in force here and at
    /// no revision yet.
    async fn taken(&self, _writes: &[Write]) {}
}

/// What a change is to write, and what its maker wants to know of it afterwards.
#[derive(Debug)]
pub struct Draft<T> {
    /// The records. If there are none and nothing is to be audited either, nothing is committed.
    pub writes: Vec<Write>,
    /// What the audit log says of them, or of what was refused and has none.
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
    /// Where it landed; where nothing was to be written, what it was found at. `None` while only this gate has
    /// it, the store being away.
    pub revision: Option<Revision>,
    /// What landed there; `None` where nothing was to be written.
    pub change: Option<ChangeId>,
    /// What its maker wanted to know.
    pub value: T,
}

/// Who is to know of a change, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audience {
    /// Every gate acts on it as soon as it hears of it; nobody waits for that.
    #[default]
    Nobody,
    /// Someone waits: every gate says at once that it acts on it.
    Waiting,
}

impl Audience {
    /// What the change is called, where its name says something.
    fn name(self) -> Result<Option<ChangeId>, ControlError> {
        Ok(match self {
            Self::Nobody => None,
            Self::Waiting => Some(ChangeId::awaited(draw()?)),
        })
    }
}

/// What came of trying a change once.
enum Step<T> {
    Landed(Done<T>),
    /// Another gate came first.
    Lost {
        expect: Revision,
    },
}

/// Commits the changes of this gate, one after the other.
pub struct Writer {
    store: Arc<dyn Store>,
    applied: Arc<dyn Applied>,
    turn: tokio::sync::Mutex<()>,
    told: Told,
    refusals: Refusals,
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
            refusals: Refusals::default(),
        }
    }

    /// Commits what `draft` says, and returns when this gate acts on it.
    ///
    /// `draft` reads what it needs from the store each time it is called, and it is called again when
    /// another gate's change came in between: what it decided then no longer holds.
    ///
    /// # Errors
    /// What `draft` returns; [`ControlError::Contended`] after eight lost races; what the store returns;
    /// [`ControlError::NotApplied`] if this gate's cache does not follow. A change and its audit entries are
    /// one, so what is not durable within two seconds is taken back, and is [`ControlError::StoreAway`];
    /// unless the disk is at it that very moment, and then nobody knows until it has answered.
    pub async fn commit<'a, T: Send>(
        &self,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let done = self.land(None, draft, ORDINARY).await?;
        self.acted_on(done).await
    }

    /// As [`Self::commit`]; where someone waits for it to be in force everywhere, the change says so to every
    /// gate.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_for<'a, T: Send>(
        &self,
        audience: Audience,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let done = self.land(audience.name()?, draft, ORDINARY).await?;
        self.acted_on(done).await
    }

    /// As [`Self::commit`], for what must get through whoever else writes: it is tried as often as is said,
    /// and steps back for less than an ordinary change does.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_urgent<'a, T: Send>(
        &self,
        attempts: u32,
        audience: Audience,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let urgent = Patience::urgent(attempts);
        let done = self.land(audience.name()?, draft, urgent).await?;
        self.acted_on(done).await
    }

    /// As [`Self::commit`], by a job: nothing lands once another gate has taken that over, which `fence` shows.
    ///
    /// # Errors
    /// [`ControlError::Fenced`] if one has; else as [`Self::commit`].
    pub(in crate::control) async fn commit_held<'a, T: Send>(
        &self,
        fence: Option<&Fence>,
        patience: Patience,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let done = self.try_to_land(fence, None, draft, patience).await?;
        self.acted_on(done).await
    }

    /// As [`Self::commit_urgent`], for what only `ends` something: where the store is away it is done all the
    /// same, durably and by this gate, and the store is told when it is back.
    ///
    /// # Errors
    /// As [`Self::commit`]; [`ControlError::StoreFull`] if the store is away and this gate's disk does not take
    /// it either.
    pub(in crate::control) async fn commit_ending<'a, T: Send>(
        &self,
        ends: Ended,
        patience: Patience,
        audience: Audience,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
    ) -> Result<Done<T>, ControlError> {
        let id = match audience.name()? {
            Some(id) => id,
            None => ChangeId(draw()?),
        };
        let done = match self.land(Some(id), &draft, patience).await {
            Err(error @ (ControlError::StoreAway(_) | ControlError::StoreEstranged(_))) => {
                self.hold(id, &draft, error).await?
            }
            done => done?,
        };
        if self.store.holds(&ends) {
            return Ok(Done {
                revision: None,
                ..done
            });
        }
        self.acted_on(done).await
    }

    /// Has a change in force on this gate alone; `why` the store did not take it.
    async fn hold<'a, T: Send>(
        &self,
        id: ChangeId,
        draft: &(impl Fn() -> Drafting<'a, T> + Send + Sync),
        why: ControlError,
    ) -> Result<Done<T>, ControlError> {
        let _turn = self.turn.lock().await;
        let expect = self.store.revision().await?;
        let Draft {
            mut writes,
            audit,
            value,
        } = draft().await?;
        let found = Done {
            revision: Some(expect),
            change: None,
            value,
        };
        if writes.is_empty() {
            return Ok(found);
        }
        tell(&mut writes, &audit)?;
        let change = Change {
            id,
            expect,
            writes,
            audit,
        };
        match self.store.hold(change).await {
            Ok(Kept::Landed(revision)) => Ok(Done {
                revision: Some(revision),
                change: Some(id),
                ..found
            }),
            Ok(Kept::Held(writes)) => {
                self.applied.taken(&writes).await;
                Ok(Done {
                    revision: None,
                    ..found
                })
            }
            Err(StoreError::Unavailable { .. }) => Err(why),
            Err(error) => Err(error.into()),
        }
    }

    async fn acted_on<T>(&self, done: Done<T>) -> Result<Done<T>, ControlError> {
        let Some(revision) = done.revision else {
            return Ok(done);
        };
        let reached = self.applied.reached(revision);
        match tokio::time::timeout(APPLIED_WITHIN, reached).await {
            Ok(()) => Ok(done),
            Err(_) => Err(ControlError::NotApplied { revision }),
        }
    }

    /// What this gate has told those outside.
    #[must_use]
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Writes down that something was refused. It is in the audit log with the next
    /// [`Self::flush_refusals`].
    pub fn note_refusal(&self, entry: AuditEntry) {
        self.refusals.add(entry);
    }

    /// How many refusals were not written down because too many waited.
    #[must_use]
    pub fn refusals_lost(&self) -> u64 {
        self.refusals.lost()
    }

    /// Puts what was refused into the audit log, as changes that change nothing else.
    ///
    /// # Errors
    /// As [`Self::commit`]; what could not be written waits on, and so does what was being written when the
    /// caller went away.
    pub async fn flush_refusals(&self) -> Result<(), ControlError> {
        while let Some(sending) = self.refusals.take(ChangeId(draw()?)) {
            let batch = sending.batch();
            let draft = || {
                let audit = batch.entries.clone();
                async move {
                    Ok(Draft {
                        writes: Vec::new(),
                        audit,
                        value: (),
                    })
                }
                .boxed()
            };
            self.land(Some(batch.id), draft, ORDINARY).await?;
            sending.written();
        }
        Ok(())
    }

    /// As [`Self::commit`], without waiting until this gate acts on it. A change that may have been sent
    /// before goes under the `id` it had, and lands once.
    pub(in crate::control) async fn land<'a, T: Send>(
        &self,
        id: Option<ChangeId>,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
        patience: Patience,
    ) -> Result<Done<T>, ControlError> {
        self.try_to_land(None, id, draft, patience).await
    }

    async fn try_to_land<'a, T: Send>(
        &self,
        fence: Option<&Fence>,
        id: Option<ChangeId>,
        draft: impl Fn() -> Drafting<'a, T> + Send + Sync,
        patience: Patience,
    ) -> Result<Done<T>, ControlError> {
        // Changes of one gate would only make each other fail; in turn, they conflict with none but
        // those of other gates.
        let mut turn = None;
        for attempt in 0..patience.attempts {
            let step = async {
                if turn.is_none() {
                    turn = Some(self.turn.lock().await);
                }
                self.step(fence, id, &draft).await
            };
            // What is dropped here, the store does no more if it has not begun to.
            let step = tokio::time::timeout(DURABLE_WITHIN, step).await;
            match step.map_err(|_| ControlError::StoreAway(StoreError::unavailable(LATE)))?? {
                Step::Landed(done) => return Ok(done),
                Step::Lost { expect } => {
                    self.step_back(expect, attempt.min(patience.doublings))
                        .await?
                }
            }
        }
        Err(ControlError::Contended {
            attempts: patience.attempts,
        })
    }

    async fn step<'a, T: Send>(
        &self,
        fence: Option<&Fence>,
        id: Option<ChangeId>,
        draft: &(impl Fn() -> Drafting<'a, T> + Send + Sync),
    ) -> Result<Step<T>, ControlError> {
        // Read before anything else: whatever the draft reads is at least as new as this.
        let expect = self.store.revision().await?;
        let Draft {
            mut writes,
            audit,
            value,
        } = draft().await?;
        if writes.is_empty() && audit.is_empty() {
            return Ok(Step::Landed(Done {
                revision: Some(expect),
                change: None,
                value,
            }));
        }
        tell(&mut writes, &audit)?;
        let events = events_of(&writes);
        let id = match id {
            Some(id) => id,
            None => ChangeId(draw()?),
        };
        let change = Change {
            id,
            expect,
            writes,
            audit,
        };
        let committed = match fence {
            Some(fence) => self.store.commit_held(change, fence).await,
            None => self.store.commit(change).await,
        };
        match committed {
            Ok(revision) => {
                self.told.tell(&events);
                let (revision, change) = (Some(revision), Some(id));
                Ok(Step::Landed(Done {
                    revision,
                    change,
                    value,
                }))
            }
            Err(StoreError::Conflict { .. }) => Ok(Step::Lost { expect }),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the change that came first is here, then for a random while: two gates that met once
    /// should not meet again.
    async fn step_back(&self, beyond: Revision, doublings: u32) -> Result<(), ControlError> {
        self.store.moved(beyond).await;
        let [random] = draw::<1>()?;
        let most_us = 1_000 << doublings;
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

/// How a change bears losing races to other gates.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct Patience {
    /// How often it is tried.
    attempts: u32,
    /// How often the pause after a lost race doubles, from a millisecond on.
    doublings: u32,
}

impl Patience {
    /// That of what must get through whoever else writes.
    pub(in crate::control) const fn urgent(attempts: u32) -> Self {
        Self {
            attempts,
            doublings: 0,
        }
    }
}

pub(in crate::control) const ORDINARY: Patience = Patience {
    attempts: 8,
    doublings: 7,
};
/// How long a change may wait for the disk, or for the changes before it.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);
const LATE: &str = "the change was not durable within 2 s";
/// How long a stored change may take to be acted on here. Beyond this something is broken, and the
/// caller had better know than wait.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);
