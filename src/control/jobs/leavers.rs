//! Owners who were switched off: what they hold is ended, a batch at a time, until nothing of it is left.
//!
//! Being switched off is one small change, and from then on every gate refuses all that the owner holds.
//! What is done here only writes that down key by key, so it may take its time: it goes on when whoever
//! asked is gone, and after a restart, and another gate does it where this one does not come back.
//!
//! **Invariant:** a batch is decided on what the store holds at the revision it lands after, and ends
//! nothing of an owner who is not switched off at that revision.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::control::ControlError;
use crate::control::caller::{About, Caller};
use crate::control::writer::{Draft, Drafting, Patience, Writer};
use crate::domain::audit::{Action, AuditEntry, FieldChange};
use crate::domain::change::Write;
use crate::domain::id::{KeyId, OwnerId, TokenId};
use crate::domain::key::{KeyStatus, Standing};
use crate::domain::lifecycle;
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::token::AdminToken;
use crate::store::Store;

use super::lease::{Alone, Lease, Tenure};

/// How far ending what an owner holds has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// How many keys were revoked.
    pub keys: u64,
    /// How many admin tokens were ended.
    pub tokens: u64,
    /// Whether nothing is left.
    pub is_done: bool,
}

/// Owners of whom something may be left, and on whose behalf it is ended.
#[derive(Debug, Default)]
pub struct LeaverBook {
    errands: Mutex<HashMap<OwnerId, Errand>>,
    news: Notify,
}

#[derive(Debug)]
struct Errand {
    caller: Caller,
    why: Option<String>,
    /// Whether a call waits for it: that call's own gate does it, whoever has the job.
    is_asked: bool,
    due: Instant,
    /// Asked for since it was begun: what is being walked over may lack what is there now.
    is_new: bool,
    progress: watch::Sender<Progress>,
}

impl LeaverBook {
    /// Notes an owner who is switched off, found at a start or in the feed. The gate that switched it off
    /// is at it, so this one waits; after a start there may be no other.
    pub fn note(&self, owner: OwnerId, is_start: bool) {
        let wait = if is_start {
            Duration::ZERO
        } else {
            OTHERS_TURN
        };
        self.errands.lock().entry(owner).or_insert_with(|| Errand {
            caller: Caller::system("owners"),
            why: Some("the owner is switched off".to_owned()),
            is_asked: false,
            due: Instant::now() + wait,
            is_new: true,
            progress: watch::Sender::default(),
        });
        self.news.notify_one();
    }

    /// Has all ended that an owner holds, at once, and tells how far it has come.
    fn ask(
        &self,
        caller: &Caller,
        why: Option<String>,
        owner: OwnerId,
    ) -> watch::Receiver<Progress> {
        let mut errands = self.errands.lock();
        let before = errands.remove(&owner);
        let progress = before.map_or_else(watch::Sender::default, |errand| errand.progress);
        let told = progress.subscribe();
        let errand = Errand {
            caller: caller.clone(),
            why,
            is_asked: true,
            due: Instant::now(),
            is_new: true,
            progress,
        };
        errands.insert(owner, errand);
        self.news.notify_one();
        told
    }

    /// What is due first, begun; or when something will be.
    fn begin(&self) -> Next {
        let mut errands = self.errands.lock();
        let Some((owner, errand)) = errands.iter_mut().min_by_key(|(_, errand)| errand.due) else {
            return Next::Nothing;
        };
        if errand.due > Instant::now() {
            return Next::At(errand.due);
        }
        errand.is_new = false;
        Next::Due(Begun {
            owner: *owner,
            caller: errand.caller.clone(),
            why: errand.why.clone(),
            is_asked: errand.is_asked,
        })
    }

    fn count(&self, owner: OwnerId, keys: usize, tokens: usize) {
        if let Some(errand) = self.errands.lock().get(&owner) {
            errand.progress.send_modify(|progress| {
                progress.keys += keys as u64;
                progress.tokens += tokens as u64;
            });
        }
    }

    /// Nothing is left, unless someone asked again meanwhile.
    fn end(&self, owner: OwnerId) {
        let mut errands = self.errands.lock();
        if errands.get(&owner).is_some_and(|errand| !errand.is_new)
            && let Some(errand) = errands.remove(&owner)
        {
            errand
                .progress
                .send_modify(|progress| progress.is_done = true);
        }
    }

    fn put_off(&self, owner: OwnerId) {
        if let Some(errand) = self.errands.lock().get_mut(&owner) {
            errand.due = Instant::now() + TRY_AGAIN;
        }
    }
}

enum Next {
    Nothing,
    At(Instant),
    Due(Begun),
}

/// What is walked over.
struct Begun {
    owner: OwnerId,
    caller: Caller,
    why: Option<String>,
    is_asked: bool,
}

/// Ends what owners hold who were switched off.
pub struct Leavers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    book: Arc<LeaverBook>,
    lease: Arc<dyn Lease>,
}

impl Leavers {
    /// Ends what the owners in `book` hold.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        book: Arc<LeaverBook>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            book,
            lease: Arc::new(Alone),
        }
    }

    /// The same, which does what nobody waits for while it has the job.
    #[must_use]
    pub fn under(mut self, lease: Arc<dyn Lease>) -> Self {
        self.lease = lease;
        self
    }

    /// Has all ended that an owner holds, and tells how far it has come after at most a few seconds. It
    /// goes on whether or not this is waited for.
    pub(in crate::control) async fn end_all(
        &self,
        caller: &Caller,
        why: Option<String>,
        owner: OwnerId,
    ) -> Progress {
        let mut progress = self.book.ask(caller, why, owner);
        let done = progress.wait_for(|progress| progress.is_done);
        // Not done in time, or not at all because the gate stops: what is told is how far it came.
        let _ = tokio::time::timeout(ANSWER_WITHIN, done).await;
        *progress.borrow()
    }

    /// Has all ended that an owner holds as soon as may be; how far that has come.
    pub(in crate::control) fn begin(
        &self,
        caller: &Caller,
        why: Option<String>,
        owner: OwnerId,
    ) -> Progress {
        *self.book.ask(caller, why, owner).borrow()
    }

    /// Works for as long as it is polled.
    pub async fn run(&self) {
        loop {
            match self.book.begin() {
                Next::Nothing => self.book.news.notified().await,
                Next::At(due) => {
                    let news = self.book.news.notified();
                    // Whichever comes first: the book is looked at again.
                    let _ = tokio::time::timeout_at(due, news).await;
                }
                Next::Due(begun) => self.go_on(begun).await,
            }
        }
    }

    async fn go_on(&self, begun: Begun) {
        let owner = begun.owner;
        let tenure = if begun.is_asked {
            None
        } else {
            let Some(tenure) = self.lease.hold(JOB).await else {
                // Another gate is at it, and may be gone before it is done.
                self.book.put_off(owner);
                return;
            };
            Some(tenure)
        };
        match self.walk(&begun, tenure.as_ref()).await {
            Ok(()) => self.book.end(owner),
            Err(error) => {
                if let (ControlError::Fenced(_), Some(tenure)) = (&error, &tenure) {
                    self.lease.lost(tenure);
                }
                let error = &error as &dyn std::error::Error;
                tracing::warn!(owner.id = %owner, error, "what an owner who left holds is not all ended yet, trying again");
                self.book.put_off(owner);
            }
        }
    }

    /// Goes once over all that an owner holds. No new ones come: an owner who is switched off gets none.
    async fn walk(&self, begun: &Begun, tenure: Option<&Tenure>) -> Result<(), ControlError> {
        let (owner, caller, why) = (begun.owner, &begun.caller, begun.why.as_deref());
        let now = self.clock.now();
        let tokens = tokens_of(&*self.store, owner).await?;
        let tokens = tokens.into_iter().filter(|token| token.is_live(now));
        let tokens: Vec<TokenId> = tokens.map(|token| token.id).collect();
        let mut size = AT_ONCE;
        let mut left = &*tokens;
        while !left.is_empty() {
            let (some, rest) = left.split_at(size.min(left.len()));
            let end = || self.end_tokens(owner, caller, why, some).boxed();
            if let Some(ended) = self.end(tenure, end, &mut size).await? {
                self.book.count(owner, 0, ended);
                left = rest;
            }
        }
        let query = KeyQuery {
            owner: Some(owner),
            now,
            ..KeyQuery::default()
        };
        let mut after = None;
        loop {
            let page = self
                .store
                .keys(&query, KeySort::default(), PAGE, after)
                .await?;
            let living = page
                .items
                .iter()
                .filter(|row| !matches!(row.key.standing, Standing::Revoked { .. }));
            let living: Vec<KeyId> = living.map(|row| row.key.id).collect();
            let mut left = &*living;
            while !left.is_empty() {
                let (some, rest) = left.split_at(size.min(left.len()));
                let end = || self.end_keys(owner, caller, why, some).boxed();
                if let Some(ended) = self.end(tenure, end, &mut size).await? {
                    self.book.count(owner, ended, 0);
                    left = rest;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Commits a batch, and how many things it ended; `None` if others always came first. A large batch is
    /// long in the making, so where others write all the time the next one is smaller, down to one thing.
    async fn end<'a>(
        &self,
        tenure: Option<&Tenure>,
        batch: impl Fn() -> Drafting<'a, usize> + Send + Sync,
        size: &mut usize,
    ) -> Result<Option<usize>, ControlError> {
        // Kept up while the walk goes on; the store knows whether it still is.
        let renewed = match tenure {
            Some(_) => self.lease.hold(JOB).await,
            None => None,
        };
        let fence = renewed.as_ref().or(tenure).and_then(Tenure::fence);
        let urgent = Patience::urgent(ATTEMPTS);
        match self.writer.commit_held(fence, urgent, batch).await {
            Ok(done) => {
                *size = (*size * 2).min(AT_ONCE);
                Ok(Some(done.value))
            }
            Err(ControlError::Contended { .. }) if *size > 1 => {
                *size = (*size / 4).max(1);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn end_keys(
        &self,
        owner: OwnerId,
        caller: &Caller,
        why: Option<&str>,
        keys: &[KeyId],
    ) -> Result<Draft<usize>, ControlError> {
        let mut draft = Draft::nothing(0);
        if !self.is_off(owner).await? {
            return Ok(draft);
        }
        let now = self.clock.now();
        for id in keys {
            let Some(key) = self.store.key(*id).await? else {
                continue;
            };
            if key.owner != owner || matches!(key.standing, Standing::Revoked { .. }) {
                continue;
            }
            let from = key.status(now);
            let ended = lifecycle::end_with_owner(key, now);
            let mut entry = caller.did(Action::KeyRevocation, now)?.about_key(&ended);
            entry.reason = why.map(str::to_owned);
            entry.changes = vec![FieldChange {
                field: "status".to_owned(),
                from: from.as_str().into(),
                to: KeyStatus::Revoked.as_str().into(),
            }];
            draft.audit.push(entry);
            draft.writes.push(Write::Key(ended));
            draft.value += 1;
        }
        Ok(draft)
    }

    async fn end_tokens(
        &self,
        owner: OwnerId,
        caller: &Caller,
        why: Option<&str>,
        tokens: &[TokenId],
    ) -> Result<Draft<usize>, ControlError> {
        let mut draft = Draft::nothing(0);
        if !self.is_off(owner).await? {
            return Ok(draft);
        }
        let now = self.clock.now();
        for id in tokens {
            let found = self.store.token(*id).await?;
            let Some(token) = found.filter(|token| token.is_live(now)) else {
                continue;
            };
            let mut entry = ended_entry(caller, &token, now)?;
            entry.reason = why.map(str::to_owned);
            draft.audit.push(entry);
            draft.writes.push(Write::Token(AdminToken {
                revoked_at: Some(now),
                ..token
            }));
            draft.value += 1;
        }
        Ok(draft)
    }

    async fn is_off(&self, owner: OwnerId) -> Result<bool, ControlError> {
        let owner = self.store.owner(owner).await?;
        Ok(owner.is_some_and(|owner| owner.disabled_at.is_some()))
    }
}

/// The admin tokens that are bound to an owner.
///
/// # Errors
/// What the store returns.
pub(in crate::control) async fn tokens_of(
    store: &dyn Store,
    id: OwnerId,
) -> Result<Vec<AdminToken>, ControlError> {
    let mut bound = Vec::new();
    let mut after = None;
    loop {
        let page = store.tokens(PAGE, after).await?;
        let own = page.items.into_iter();
        bound.extend(own.filter(|token| token.owner == Some(id)));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(bound),
        }
    }
}

/// That a token was ended.
///
/// # Errors
/// If there are no random bytes.
pub(in crate::control) fn ended_entry(
    caller: &Caller,
    token: &AdminToken,
    now: Timestamp,
) -> Result<AuditEntry, ControlError> {
    let mut entry = caller.did(Action::TokenRevocation, now)?;
    entry.owner = token.owner;
    let change = |field: &str, to: String| FieldChange {
        field: field.to_owned(),
        from: serde_json::Value::Null,
        to: to.into(),
    };
    entry.changes = vec![
        change("id", token.id.to_string()),
        change("revoked_at", now.to_string()),
    ];
    Ok(entry)
}

const JOB: &str = "owner_off";
/// The most things that one change ends: with their entries and events, a few milliseconds of any store.
const AT_ONCE: usize = 128;
/// How often a batch is tried before a smaller one is.
const ATTEMPTS: u32 = 8;
const PAGE: usize = 1_000;
/// How long whoever asked waits to be told that all is done.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the gate that switched an owner off has, before the others look whether it is done.
const OTHERS_TURN: Duration = Duration::from_secs(15);
/// How long after a failure it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
