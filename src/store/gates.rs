//! What gates have of each other through a store that they share: limits, a roster, jobs, questions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::change::{ChangeId, Revision};
use crate::domain::fleet::Roster;
use crate::domain::job::Claim;
use crate::domain::lease::{LeaseCall, LeaseReply};
use crate::domain::watch::{Batch, Question, QuestionId};

/// Limits that several gates hold together, by leased tokens.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Settles each call of `node`, of which no two may be on one limit, by
    /// [`Bucket::settle`](crate::domain::lease::Bucket::settle) and the store's own clock, and says what came of
    /// each, in their order: `None` if a later call of the same lease was settled before. Calls on one limit take
    /// effect one after the other, whoever sends them.
    ///
    /// Without any call there is one answer, and it only says whether the store would.
    ///
    /// # Errors
    /// For each call on its own, if it is not known to have been settled: then nothing was granted, and the next
    /// call of that lease undoes what there was of it.
    async fn settle(
        &self,
        node: &Arc<str>,
        calls: Vec<LeaseCall>,
    ) -> Vec<Result<Option<LeaseReply>, StoreError>>;
}

/// The gates that share a store: who is there, and who has applied what.
#[async_trait]
pub trait FleetStore: Send + Sync {
    /// Writes down that a gate is there, and tells who else is, by the store's own clock. A gate whose name
    /// nobody has gets the lowest index that no gate has which may be serving, and keeps it as long as it is
    /// in the roster; rows of gates that nobody heard of for a day, and that must have stopped by themselves,
    /// go.
    ///
    /// # Errors
    /// If nothing was written.
    async fn beat(&self, beat: &Beat) -> Result<Beaten, StoreError>;

    /// Writes down that a gate serves no more; nothing, if its name is another's by now.
    ///
    /// # Errors
    /// If that is not known to have been written: the gate is then silent until it is forgotten.
    async fn sign_off(&self, beat: &Beat) -> Result<(), StoreError>;

    /// Who is there now.
    ///
    /// # Errors
    /// If the store does not say.
    async fn roster(&self) -> Result<Roster, StoreError>;

    /// Who is there, and what they have applied of the history in which a change landed at a revision: nothing, if the
    /// store has lost it.
    ///
    /// # Errors
    /// If the store does not say.
    async fn roster_of(&self, landed: (Revision, ChangeId)) -> Result<Roster, StoreError>;

    /// What landed at a revision, as far as that is known here.
    ///
    /// # Errors
    /// If the copy of the store that is here cannot be read.
    async fn change_at(&self, revision: Revision) -> Result<Option<ChangeId>, StoreError>;

    /// Takes a gate out of the roster, unless it is live. It comes back by its next beat.
    ///
    /// # Errors
    /// If it is not known to be out.
    async fn strike_off(&self, node: &str) -> Result<Struck, StoreError>;

    /// Says that `node` has applied these changes, to whoever waits for that within a minute.
    ///
    /// # Errors
    /// If nobody was told; the next beat says it too.
    async fn acknowledge(
        &self,
        node: &str,
        changes: &[(Revision, ChangeId)],
    ) -> Result<(), StoreError>;

    /// The next gate that says it has applied what landed at a revision, each once; `None` if none does within `wait`,
    /// or what one says is of another change. Only one waits for a revision at a time, and no other call waits for
    /// this one.
    ///
    /// # Errors
    /// If nobody can be heard.
    async fn acknowledged(
        &self,
        landed: (Revision, ChangeId),
        wait: Duration,
    ) -> Result<Option<String>, StoreError>;

    /// How long ago the change of this revision was committed, both times by the store's clock; `None` if
    /// it is not one of another gate's that came here lately. Never waits.
    fn age(&self, revision: Revision) -> Option<Duration>;
}

/// What a gate says of itself once a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its name.
    pub node: Arc<str>,
    /// Which start of it.
    pub boot: u64,
    /// What it has applied.
    pub applied: Revision,
    /// How often the store was [taken anew](super::Feed::renewals) when it had.
    pub renewals: u64,
    /// After how long without the store it refuses by itself.
    pub max_staleness: Duration,
}

/// What came of a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beaten {
    /// It is written down; these are all gates, this one among them.
    Known(Roster),
    /// Another process beats under this name, and did so this long ago.
    Taken {
        /// How long ago.
        since: Duration,
    },
    /// There are as many gates as a roster has room for.
    Full,
}

/// What came of striking a gate off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struck {
    /// It is off.
    Off,
    /// There is none of this name.
    Unknown,
    /// It is live, and stays.
    Live,
}

/// Jobs that one gate at a time does.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Takes a job for `span` from now by the store's own clock, or goes on with it. One that is bound to a
    /// place is only taken there; one that is bound to none is bound to `place`, if that is said.
    ///
    /// # Errors
    /// If it is not known whether it was taken.
    async fn take_job(
        &self,
        job: &Arc<str>,
        owner: &str,
        place: Option<&str>,
        span: Duration,
    ) -> Result<Claim, StoreError>;

    /// Gives a job back, if it is `owner`'s.
    ///
    /// # Errors
    /// If it is not known whether it was given back; it lapses by itself.
    async fn leave_job(&self, job: &Arc<str>, owner: &str) -> Result<(), StoreError>;

    /// Binds a job to `place`, if it is bound to none; the error within says who did it last elsewhere.
    ///
    /// # Errors
    /// If that is not known.
    async fn bind_job(
        &self,
        job: &Arc<str>,
        owner: &str,
        place: &str,
    ) -> Result<Result<(), String>, StoreError>;
}

/// Questions that a gate asks the others for someone who watches, and what they answer. None of it is kept.
#[async_trait]
pub trait WatchStore: Send + Sync {
    /// Has a question asked for `span` from now, by the store's own clock; asked again, it is asked for longer.
    ///
    /// # Errors
    /// [`StoreError::Full`] if as many are asked as may be; or if it is not known to be asked.
    async fn ask(&self, question: &Question, span: Duration) -> Result<(), StoreError>;

    /// Asks these no more, and forgets what was answered. What nobody withdraws lapses by itself.
    ///
    /// # Errors
    /// If that is not known to have been done; some of it may have been.
    async fn withdraw(&self, ids: &[QuestionId]) -> Result<(), StoreError>;

    /// What is asked now, in the order of the names; what is of a newer gate, and not understood, is left out.
    ///
    /// # Errors
    /// If the store does not say.
    async fn asked(&self) -> Result<Vec<Question>, StoreError>;

    /// Leaves an answer. Where too many wait to be heard the oldest go, and all go after some seconds.
    ///
    /// # Errors
    /// If it is not known to lie there.
    async fn answer(&self, id: QuestionId, batch: &Batch) -> Result<(), StoreError>;

    /// Answers that were left, each once, in the order they were left in; waits up to `wait` if there are none.
    /// Only one listens for a question, and no other call waits for this one.
    ///
    /// # Errors
    /// If nobody can be heard.
    async fn answers(&self, id: QuestionId, wait: Duration) -> Result<Vec<Batch>, StoreError>;
}
