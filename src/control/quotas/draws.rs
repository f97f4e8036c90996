//! Draws on quotas for the requests of this gate: ahead of need, many in one call to the store.
//!
//! What lies at the desk is taken together and drawn together; while one call is under way the next
//! gathers. A grant is about what a key spends in two seconds, at most a quarter of what is left and at least
//! what is waited for: so the store is called a few times a second for a busy key, and what a kill loses is
//! small. Every second the rest is settled: what was spent without a grant, what idle keys still hold; and
//! what thresholds were reached is noted. At the end everything unspent is given back.
//!
//! **Invariant:** of one account there is never more than one draw under way, so what it has *received* is
//! known whenever the store is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::control::ControlError;
use crate::control::thresholds::Thresholds;
use crate::domain::draw::{QuotaDraw, QuotaGrant, Reached};
use crate::domain::id::KeyId;
use crate::domain::time::{Clock, Reading};
use crate::state::desk::Desk;
use crate::state::quotas::{QuotaAsk, QuotaId, QuotaLink};
use crate::store::{Store, StoreError};

use super::lease::Leases;

/// Draws on quotas.
pub(crate) struct Quotas {
    store: Arc<dyn Store>,
    desk: Arc<Desk>,
    link: Arc<QuotaLink>,
    clock: Arc<dyn Clock>,
    node: Arc<str>,
    thresholds: Thresholds,
    leases: Mutex<Leases>,
    counts: Counts,
}

/// What there is to measure.
#[derive(Debug, Default)]
struct Counts {
    leases: AtomicU64,
    draws: AtomicU64,
}

impl Quotas {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        desk: Arc<Desk>,
        link: Arc<QuotaLink>,
        clock: Arc<dyn Clock>,
        node: Arc<str>,
        boot: u64,
        thresholds: Thresholds,
    ) -> Self {
        Self {
            store,
            desk,
            link,
            clock,
            node,
            thresholds,
            leases: Mutex::new(Leases {
                by_account: HashMap::new(),
                ended: HashMap::new(),
                // Runs of another start of this gate begin elsewhere.
                next_run: boot & !0 << 32,
            }),
            counts: Counts::default(),
        }
    }

    /// Answers the desk for as long as it is polled.
    pub(crate) async fn serve(&self) {
        let mut asks = Vec::new();
        loop {
            self.desk.quotas.take(&mut asks).await;
            let mut leases = self.leases.lock().await;
            self.answer(&mut leases, &mut asks).await;
        }
    }

    /// Draws for all that was asked, in one call, and tells whoever waits.
    async fn answer(&self, leases: &mut Leases, asks: &mut Vec<QuotaAsk>) {
        let now = self.clock.read();
        let mut draws: HashMap<(KeyId, QuotaId), QuotaDraw> = HashMap::new();
        // First, so that none of them ends a lease that another has drawn on.
        for ask in asks.iter() {
            leases.of(ask, now);
        }
        for ask in asks.iter() {
            let at = (ask.key, ask.quota.id);
            let lease = leases.of(ask, now);
            if lease.span != ask.span {
                // Of a period that has ended: whoever asked finds itself in the next one.
                continue;
            }
            let draw = draws.entry(at).or_insert_with(|| lease.draw(ask.key));
            draw.need = draw.need.saturating_add(ask.need);
            if ask.quota.quota.hard {
                draw.want = lease.wanted(now);
            }
        }
        let outcome = self.settle(leases, draws, now).await;
        for ask in asks.drain(..) {
            ask.slot.account(ask.quota.id).answered();
            if let Some(answer) = ask.answer
                && outcome.is_ok()
            {
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
        }
    }

    /// Has draws on leases settled, and takes in what comes of them. What was to be given back is held again where
    /// the store did not take it.
    async fn settle(
        &self,
        leases: &mut Leases,
        draws: HashMap<(KeyId, QuotaId), QuotaDraw>,
        now: Reading,
    ) -> Result<(), StoreError> {
        let (places, draws): (Vec<_>, Vec<_>) = draws.into_iter().unzip();
        let mut outcome = Ok(());
        for (places, draws) in places.chunks(DRAWS_MAX).zip(draws.chunks(DRAWS_MAX)) {
            // Where one waited in vain, the others need not.
            let grants = match &outcome {
                Ok(()) => self.draw(draws).await.map(Some),
                Err(_) => Ok(None),
            };
            let grants = grants.unwrap_or_else(|error| {
                outcome = Err(error);
                None
            });
            leases.land(places, draws, grants.as_deref(), now);
        }
        self.counts
            .leases
            .store(leases.by_account.len() as u64, Ordering::Relaxed);
        outcome
    }

    async fn draw(&self, draws: &[QuotaDraw]) -> Result<Vec<QuotaGrant>, StoreError> {
        self.counts
            .draws
            .fetch_add(draws.len() as u64, Ordering::Relaxed);
        let outcome = self.store.draw(&self.node, draws.to_vec()).await;
        match &outcome {
            Ok(_) => self.link.met(),
            Err(error) => {
                if self.link.lost() {
                    tracing::warn!(%error, "the store grants nothing of quotas, going by what was last seen");
                }
            }
        }
        outcome
    }

    /// Settles what has gathered in a second: to be called so often.
    ///
    /// # Errors
    /// What the store returns; nothing is lost, it is settled the next time.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        let mut leases = self.leases.lock().await;
        let now = self.clock.read();
        self.charge_ended(&mut leases).await?;
        let mut draws = HashMap::new();
        let mut over = Vec::new();
        for (at, lease) in &mut leases.by_account {
            lease.note(at.0, &self.thresholds, now);
            let mut draw = lease.draw(at.0);
            let standing = lease.account().standing(lease.span.first_day);
            let spent = standing.spent();
            lease.idle_for = if spent == lease.spent_then {
                lease.idle_for + 1
            } else {
                0
            };
            lease.spent_then = spent;
            let is_over = !lease.span.contains(now.wall);
            let is_idle = lease.idle_for >= IDLE_SWEEPS;
            if is_idle && !is_over {
                draw.back = lease.account().withdraw(lease.span.first_day);
            }
            if draw.charge > 0 || draw.back > 0 || draw.reached > 0 {
                draws.insert(*at, draw);
            }
            if is_idle || is_over {
                over.push(*at);
            }
        }
        if draws.is_empty() && self.link.is_away() {
            // Nobody may be asking any more: look whether it is back.
            self.draw(&[]).await?;
        }
        self.settle(&mut leases, draws, now).await?;
        for at in over {
            if let Some(lease) = leases.by_account.remove(&at) {
                // Whoever comes next asks the store anew: others may have given back.
                lease.account().forget(lease.span.first_day);
            }
        }
        self.counts
            .leases
            .store(leases.by_account.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Charges what is owed of periods that have ended.
    async fn charge_ended(&self, leases: &mut Leases) -> Result<(), StoreError> {
        let ended = leases.ended_debts();
        for draws in ended.chunks(DRAWS_MAX) {
            let places: Vec<_> = draws.iter().map(|(at, _)| *at).collect();
            let draws: Vec<_> = draws.iter().map(|(_, draw)| draw.clone()).collect();
            let grants = self.draw(&draws).await?;
            leases.land(&places, &draws, Some(&grants), self.clock.read());
        }
        Ok(())
    }

    /// Tells of some thresholds that were noted, and has the store remember that with the next draws: to be
    /// called every second, by a task that nothing else waits for. Whether there were any.
    ///
    /// # Errors
    /// What the store returns; what was noted waits on.
    pub(crate) async fn tell(&self) -> Result<bool, ControlError> {
        // Without a lock: a change may take its time, and requests may wait for a draw.
        let told = self.thresholds.tell().await?;
        if told.is_empty() {
            return Ok(false);
        }
        let mut by_key: HashMap<KeyId, Vec<Reached>> = HashMap::new();
        for reached in told {
            by_key.entry(reached.place.key).or_default().push(reached);
        }
        for ((key, _), lease) in &mut self.leases.lock().await.by_account {
            for reached in by_key.get(key).into_iter().flatten() {
                if lease.is_of(reached) {
                    lease.told = lease.told.max(reached.percent);
                }
            }
        }
        Ok(true)
    }

    /// Gives everything unspent back and charges everything owed: the last thing, when no request comes any
    /// more.
    ///
    /// # Errors
    /// What the store returns: then what was held counts as spent.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        let now = self.clock.read();
        for ((key, _), lease) in &mut self.leases.lock().await.by_account {
            lease.note(*key, &self.thresholds, now);
        }
        let tell_all = async || -> Result<(), ControlError> {
            while self.tell().await? {}
            Ok(())
        };
        if let Err(error) = tell_all().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "thresholds are not told of until the next draw");
        }
        let mut leases = self.leases.lock().await;
        self.charge_ended(&mut leases).await?;
        let draws = leases.by_account.iter().map(|(at, lease)| {
            let mut draw = lease.draw(at.0);
            let account = lease.account();
            draw.back = account.withdraw(lease.span.first_day);
            (*at, draw)
        });
        let draws = draws.collect();
        self.settle(&mut leases, draws, now).await
    }

    /// How many accounts hold something, or did a moment ago.
    pub(crate) fn leases(&self) -> u64 {
        self.counts.leases.load(Ordering::Relaxed)
    }

    /// How many draws were made.
    pub(crate) fn draws(&self) -> u64 {
        self.counts.draws.load(Ordering::Relaxed)
    }

    /// How often this gate told of each threshold.
    pub(crate) fn reached(&self) -> impl Iterator<Item = (u8, u64)> {
        self.thresholds.counts()
    }

    /// Whether requests go by what was last seen, because the store does not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.link.is_away()
    }
}

/// After so many sweeps, a second each, without a request what is held is given back.
const IDLE_SWEEPS: u32 = 30;
/// How many draws go into one call: one transaction, which others wait for.
const DRAWS_MAX: usize = 1_000;
