//! What the store lacks and this gate knows: given to it.
//!
//! First what was ended here while the store was away, then what it has lost in favour of another history,
//! then the end of everything that it does not show as ended, which is looked for after each meeting, whenever
//! it was seen to lack one, and once an hour. Gates that do so at once do it once: each change goes by the
//! revision that it was decided at, and where another came first it is decided anew.

use std::collections::HashSet;

use parking_lot::Mutex;
use redis::pipe;
use tokio::time::Instant;
use tracing::{info, warn};

use super::commit;
use super::connect::Cause;
use super::feed::Entry;
use super::follow::Shared;
use super::frame::{self, Kind};
use super::names::{Bucket, Table};
use super::tell::is_echo;
use crate::domain::change::{Change, ChangeId, Revision, Write};
use crate::domain::repair::{Deed, only_ends, plan};
use crate::domain::tombstone::{Ended, Graves, Tombstone, ended_in};
use crate::store::tombstones::{Owed, OwedKind};
use crate::store::{EventStore as _, StoreError};

/// When it is done next.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    /// By the gate's clock, in nanoseconds.
    looked_at: Option<u64>,
    not_before: Option<Instant>,
    has_failed: bool,
}

/// Why nothing came of a round.
pub(super) enum Setback {
    /// Another change came first: decide anew.
    Overtaken,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Setback {
    fn from(error: E) -> Self {
        match error.into() {
            StoreError::Conflict { expected, found } if expected != found => Self::Overtaken,
            error => Self::Failed(error),
        }
    }
}

impl Shared {
    /// Gives the store what it lacks, if there is anything and it is time to. What fails is tried again.
    pub(super) async fn make_good(&self) {
        let now = self.clock.read().mono_ns;
        {
            let mut times = self.rounds.0.lock();
            if times.not_before.is_some_and(|at| Instant::now() < at) {
                return;
            }
            times.not_before = None;
            let is_hour = times
                .looked_at
                .is_none_or(|at| now.saturating_sub(at) >= LOOK_EVERY_NS);
            if is_hour {
                self.mirror.doubt();
            }
        }
        let is_owing = self.tombstones.is_owed();
        if !self.mirror.found_lacking() && !is_owing {
            return;
        }
        let outcome = match self.pay().await {
            Ok(()) => self.end_again().await,
            Err(error) => Err(error),
        };
        let mut times = self.rounds.0.lock();
        match outcome {
            Ok(()) => {
                times.looked_at = Some(now);
                times.has_failed = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut times.has_failed, true) {
                    let error = &error as &dyn std::error::Error;
                    warn!(
                        error,
                        "the store does not take yet what it lacks, trying again"
                    );
                }
                times.not_before = Some(Instant::now() + AGAIN_AFTER);
                self.mirror.doubt();
            }
        }
    }

    /// Gives the store the changes that it is owed.
    async fn pay(&self) -> Result<(), StoreError> {
        self.rounds_of(async || {
            let owed = self.tombstones.owed();
            if owed.is_empty() {
                return Ok(());
            }
            let branch = self.branch(&owed).await?;
            let mut expect = self.catch_up_to(branch.as_deref()).await?;
            let is_held = |it: &&Owed| it.kind == OwedKind::Held;
            let (held, lost): (Vec<&Owed>, Vec<&Owed>) = owed.iter().partition(is_held);
            for held in held {
                let is_made = self
                    .end_as(&held.change, branch.as_deref(), &mut expect)
                    .await?;
                self.tombstones.settle(vec![held.change.id]).await?;
                if is_made {
                    info!("the store has what was revoked while it was away");
                }
            }
            self.pay_lost(&lost, branch.as_deref(), expect).await
        })
        .await
    }

    /// Does `work` until no other change comes in between, with a pause that grows.
    pub(super) async fn rounds_of(
        &self,
        work: impl AsyncFn() -> Result<(), Setback>,
    ) -> Result<(), StoreError> {
        for round in 0..ROUNDS {
            match work().await {
                Ok(()) => return Ok(()),
                Err(Setback::Failed(error)) => return Err(error),
                Err(Setback::Overtaken) => {
                    let mut random = [0];
                    getrandom::fill(&mut random).map_err(StoreError::unavailable)?;
                    let most_us = 1_000_u64 << round.min(6);
                    let pause = most_us * u64::from(random[0]) / 256;
                    tokio::time::sleep(std::time::Duration::from_micros(pause)).await;
                }
            }
        }
        Err(self.link.blame(Cause::Contended).into())
    }

    /// What the store has had since the oldest thing that it is owed; `None` if it does not remember all of it,
    /// or another history was meant.
    async fn branch(&self, owed: &[Owed]) -> Result<Option<Vec<Entry>>, Setback> {
        let Some(stand) = self.mirror.stand() else {
            return Err(self.link.blame(Cause::NotConnected).into());
        };
        let of_this = owed.iter().filter(|it| it.incarnation == stand.incarnation);
        let Some(mut at) = of_this.map(|it| it.since).min() else {
            return Ok(None);
        };
        let mut branch = Vec::new();
        loop {
            let entries = self.read_feed(at, None, AT_ONCE).await?;
            if entries.first().is_some_and(|it| it.revision != at.next()) {
                return Ok(None);
            }
            let is_end = entries.len() < AT_ONCE;
            at = entries.last().map_or(at, |it| it.revision);
            branch.extend(entries);
            if is_end {
                // What comes after this is decided anew.
                return Ok((at >= stand.revision).then_some(branch));
            }
        }
    }

    /// Lands a change that ended something, whatever has become of the records since: that has ended in them.
    /// Whether it did not lie in the branch.
    async fn end_as(
        &self,
        change: &Change,
        branch: Option<&[Entry]>,
        expect: &mut Revision,
    ) -> Result<bool, Setback> {
        let mut entries = branch.unwrap_or_default().iter();
        if entries.any(|entry| entry.change.id == change.id) {
            return Ok(false);
        }
        let mut writes = self.mirror.records(&ends_of(change)).await?;
        self.mirror.end_again(&mut writes);
        let others = change.writes.iter();
        let others = others.filter(|it| ended_in(it).is_empty()).cloned();
        writes.extend(self.not_told(others.collect()).await?);
        let again = Change {
            id: change.id,
            expect: *expect,
            writes,
            audit: change.audit.clone(),
        };
        let landed = commit::commit(self, again, None).await?;
        *expect = landed.max(*expect);
        Ok(true)
    }

    /// Makes the changes again that were lost, as far as nobody has touched what they wrote or they only end what
    /// is there, and tells of the others.
    async fn pay_lost(
        &self,
        lost: &[&Owed],
        branch: Option<&[Entry]>,
        mut expect: Revision,
    ) -> Result<(), Setback> {
        if lost.is_empty() {
            return Ok(());
        }
        let deed = |change: &Change| Deed::of(change, is_echo);
        // Of the others nothing is known but that they are gone.
        let of_this = self.mirror.stand().map(|stand| stand.incarnation);
        let (lost, others): (Vec<&Owed>, Vec<&Owed>) = lost
            .iter()
            .copied()
            .partition(|it| branch.is_some() && Some(it.incarnation) == of_this);
        let deeds: Vec<_> = lost.iter().map(|it| deed(&it.change)).collect();
        let branch_deeds = branch.unwrap_or_default().iter();
        let branch_deeds: Vec<_> = branch_deeds.map(|it| deed(&it.change)).collect();
        let plan = plan(&deeds, &branch_deeds);
        let at = |places: &[usize]| -> Vec<&Change> {
            let places = places.iter().filter_map(|at| lost.get(*at));
            places.map(|it| &it.change).collect()
        };
        let mut done: Vec<_> = at(&plan.landed).iter().map(|it| it.id).collect();
        let mut gone: Vec<_> = others.iter().map(|it| &it.change).collect();
        for met in at(&plan.lost) {
            if only_ends(met) && !self.mirror.records(&ends_of(met)).await?.is_empty() {
                self.end_as(met, branch, &mut expect).await?;
                self.tombstones.settle(vec![met.id]).await?;
            } else {
                gone.push(met);
            }
        }
        let again = at(&plan.again);
        let made = self.make_again(&again, expect, &mut done, &mut gone).await;
        // Also of what was made before others came first.
        self.tombstones.settle(done).await?;
        let are_gone = !gone.is_empty();
        self.tell_of(&gone, branch, made?).await?;
        if are_gone {
            // What was shown of them for as long as they could be made again.
            self.mirror.renew();
        }
        Ok(())
    }

    /// Makes changes again, and says which are `done` and which, after all, `gone`; where the store stands then.
    async fn make_again<'a>(
        &self,
        lost: &[&'a Change],
        mut expect: Revision,
        done: &mut Vec<ChangeId>,
        gone: &mut Vec<&'a Change>,
    ) -> Result<Revision, Setback> {
        for change in lost {
            // Who signed the end of a chain has signed another one.
            let writes = change.writes.iter();
            let writes = writes.filter(|it| !matches!(it, Write::Checkpoint(_)));
            let mut writes = self.not_told(writes.cloned().collect()).await?;
            // What has ended since, by an older change of its, it does not bring back.
            self.mirror.end_again(&mut writes);
            self.end_as_there(&mut writes).await?;
            if !(writes.is_empty() && change.audit.is_empty()) {
                let again = Change {
                    id: change.id,
                    expect,
                    writes,
                    audit: change.audit.clone(),
                };
                match commit::commit(self, again, None).await {
                    // Where it had landed before, that is in the past.
                    Ok(landed) => expect = expect.max(landed),
                    // Others have given its name or its secret to something else.
                    Err(StoreError::DuplicateHash { .. } | StoreError::Conflict { .. })
                        if self.revision() == expect =>
                    {
                        gone.push(change);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            done.push(change.id);
        }
        Ok(expect)
    }

    /// Ends in `writes` what has ended in the records that they replace.
    async fn end_as_there(&self, writes: &mut [Write]) -> Result<(), StoreError> {
        let replaced = writes.iter().filter_map(|write| match write {
            Write::Key(key) => Some(Ended::Key(key.id)),
            Write::Owner(owner) => Some(Ended::Owner(owner.id)),
            Write::Token(token) => Some(Ended::Token(token.id)),
            _ => None,
        });
        let replaced: Vec<_> = replaced.collect();
        let mut graves = Graves::default();
        for there in self.mirror.records(&replaced).await? {
            for (what, at) in ended_in(&there) {
                graves.add(Tombstone {
                    what,
                    at,
                    revision: None,
                });
            }
        }
        for write in writes {
            graves.lay_over(write);
        }
        Ok(())
    }

    /// Ends again in the store what it does not show as ended.
    async fn end_again(&self) -> Result<(), StoreError> {
        self.rounds_of(async || {
            let known: Vec<Ended> = self
                .tombstones
                .graves(|graves| graves.iter().map(|it| it.what).collect());
            let expect = self.revision();
            let (mut shown, mut lacking) = (Vec::new(), Vec::new());
            for some in known.chunks(LOOKED_AT_ONCE) {
                for (what, is_shown) in self.look_at(some).await? {
                    if is_shown {
                        shown.push(what);
                    } else {
                        lacking.push(what);
                    }
                }
            }
            let mut expect = expect;
            for some in lacking.chunks(ENDED_AT_ONCE) {
                let mut writes = self.mirror.records(some).await?;
                self.mirror.end_again(&mut writes);
                let mut audit = Vec::new();
                for what in some {
                    let Some(write) = writes.iter().find(|write| what.is_shown_by(write)) else {
                        continue;
                    };
                    audit.push(self.ended_again(what, write)?);
                }
                if audit.is_empty() {
                    continue;
                }
                let mut id = [0; 16];
                getrandom::fill(&mut id).map_err(StoreError::unavailable)?;
                let change = Change {
                    id: ChangeId(id),
                    expect,
                    writes,
                    audit,
                };
                expect = commit::commit(self, change, None).await?;
                warn!(
                    count = some.len(),
                    "the store had lost revocations, and has them again"
                );
            }
            let now = self.clock.now();
            Ok(self.tombstones.compact(shown, now).await?)
        })
        .await
    }

    /// Of each of these that the store has a record of, whether that shows it as ended.
    async fn look_at(&self, some: &[Ended]) -> Result<Vec<(Ended, bool)>, Setback> {
        let mut ask = pipe();
        for what in some {
            let (place, id) = match what {
                Ended::Key(id) | Ended::Version { key: id, .. } => {
                    (self.names.bucket(Bucket::of(*id)), id.chars().to_owned())
                }
                Ended::Owner(id) => (self.names.table(Table::Owners), id.chars().to_owned()),
                Ended::Token(id) => (self.names.table(Table::Tokens), id.chars().to_owned()),
            };
            ask.hget(place, id);
        }
        let records: Vec<Option<Vec<u8>>> = self.link.ask_all(&ask).await?;
        let looked = some.iter().zip(records).filter_map(|(what, record)| {
            let kind = match what {
                Ended::Key(_) | Ended::Version { .. } => Kind::Key,
                Ended::Owner(_) => Kind::Owner,
                Ended::Token(_) => Kind::Token,
            };
            let (_, write) = frame::read(kind, &record?).ok()?;
            Some((*what, what.is_shown_by(&write)))
        });
        Ok(looked.collect())
    }

    /// Brings the mirror up to the end of what was looked at; where it stands then.
    async fn catch_up_to(&self, branch: Option<&[Entry]>) -> Result<Revision, Setback> {
        if let Some(last) = branch.unwrap_or_default().last() {
            self.catch_up(last.revision).await?;
            if self.revision() != last.revision {
                return Err(Setback::Overtaken);
            }
        }
        Ok(self.revision())
    }

    /// These writes without the events that lie in the outbox already.
    async fn not_told(&self, mut writes: Vec<Write>) -> Result<Vec<Write>, Setback> {
        let events = writes.iter().filter_map(|write| match write {
            Write::Event(event) => Some(event.id),
            _ => None,
        });
        let events: Vec<_> = events.collect();
        if !events.is_empty() {
            let told: HashSet<_> = self.mirror.tables().told(&events).await?;
            writes
                .retain(|write| !matches!(write, Write::Event(event) if told.contains(&event.id)));
        }
        Ok(writes)
    }
}

/// Everything that a change ends.
pub(super) fn ends_of(change: &Change) -> Vec<Ended> {
    let writes = change.writes.iter();
    writes
        .flat_map(|write| ended_in(write).into_iter().map(|(what, _)| what))
        .collect()
}

/// How often it is decided anew before others are let go first for longer.
const ROUNDS: u32 = 16;
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(250);
const LOOK_EVERY_NS: u64 = 3_600 * 1_000_000_000;
const AT_ONCE: usize = 256;
/// How many records are looked at in one question.
const LOOKED_AT_ONCE: usize = 512;
/// How many things are ended by one change.
const ENDED_AT_ONCE: usize = 128;
