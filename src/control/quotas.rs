//! Draws on quotas for the requests of this gate: ahead of need, many in one call to the store.
//!
//! What lies at the desk is taken together and drawn together; while one call is under way the next
//! gathers. A grant is about what a key spends in two seconds, at most a quarter of what is left and at least
//! what is waited for: so the store is called a few times a second for a busy key, and what a kill loses is
//! small. Every second the rest is settled: what was spent without a grant, what idle keys still hold,
//! which thresholds were reached. At the end everything unspent is given back.
//!
//! **Invariant:** of one account there is never more than one draw under way, so what it has *received* is
//! known whenever the store is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::domain::draw::{QuotaDraw, QuotaGrant, THRESHOLDS, threshold, thresholds};
use crate::domain::id::KeyId;
use crate::domain::period::Span;
use crate::domain::time::{Clock, Reading};
use crate::state::desk::Desk;
use crate::state::limiter::Slot;
use crate::state::quotas::{Account, NamedQuota, QuotaAsk, QuotaId, QuotaLink};
use crate::store::{Store, StoreError};

/// Draws on quotas.
pub(crate) struct Quotas {
    store: Arc<dyn Store>,
    desk: Arc<Desk>,
    link: Arc<QuotaLink>,
    clock: Arc<dyn Clock>,
    node: Arc<str>,
    leases: Mutex<Leases>,
    counts: Counts,
}

/// What there is to measure.
#[derive(Debug, Default)]
struct Counts {
    leases: AtomicU64,
    draws: AtomicU64,
    reached: [AtomicU64; THRESHOLDS.len()],
}

#[derive(Debug, Default)]
struct Leases {
    by_account: HashMap<(KeyId, QuotaId), Lease>,
    /// The number of the next lease of this run of the gate.
    next_run: u64,
}

/// What this gate has drawn of one quota of one key, in one period.
#[derive(Debug)]
struct Lease {
    slot: Arc<Slot>,
    quota: Arc<NamedQuota>,
    span: Span,
    run: u64,
    received: u64,
    /// What was held after the last draw, and when that was.
    held_then: u64,
    drawn_at: Reading,
    /// For how many sweeps nothing has been spent, and what had been then.
    idle_for: u32,
    spent_then: u64,
    reached: u8,
}

impl Lease {
    fn account(&self) -> &Account {
        self.slot.account(self.quota.id)
    }

    fn draw(&self, key: KeyId) -> QuotaDraw {
        QuotaDraw {
            key,
            quota: Arc::clone(&self.quota.name),
            span: self.span,
            limit: self.quota.quota.limit,
            need: 0,
            want: 0,
            charge: self.account().debt(self.span.first_day),
            back: 0,
            run: self.run,
            received: self.received,
            reached: 0,
        }
    }

    /// What is missing of about what is spent in two seconds, going by what was spent since the last draw.
    fn wanted(&self, now: Reading) -> u64 {
        let held = self.account().standing(self.span.first_day).held;
        let spent = self.held_then.saturating_sub(held);
        let since_ms = u64::try_from(now.since(self.drawn_at).as_millis()).unwrap_or(u64::MAX);
        let ahead = if since_ms < TOO_SOON_MS {
            // Too short to know a rate by, and too short a grant.
            self.held_then.saturating_mul(2)
        } else {
            spent.saturating_mul(AHEAD_MS) / since_ms
        };
        ahead.saturating_sub(held).max(1)
    }

    /// Takes in what the store has said.
    fn take_in(&mut self, draw: &QuotaDraw, grant: &QuotaGrant, now: Reading) {
        let day = self.span.first_day;
        let account = self.account();
        account.deposit(day, grant.units, grant.granted);
        account.forgive(day, draw.charge);
        let held = account.standing(day).held;
        self.received = (self.received + grant.units + draw.charge).saturating_sub(draw.back);
        if draw.want > 0 || draw.need > 0 {
            self.held_then = held;
            self.drawn_at = now;
        }
        self.reached = self.reached.max(draw.reached).max(grant.reached_before);
    }
}

impl Quotas {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        desk: Arc<Desk>,
        link: Arc<QuotaLink>,
        clock: Arc<dyn Clock>,
        node: Arc<str>,
        boot: u64,
    ) -> Self {
        Self {
            store,
            desk,
            link,
            clock,
            node,
            leases: Mutex::new(Leases {
                by_account: HashMap::new(),
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
        for ask in asks.iter() {
            let at = (ask.key, ask.quota.id);
            let lease = leases.of(ask, now);
            if lease.span != ask.span {
                // Of a period that has ended: there is nothing more to be had of it.
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

    /// Has draws on leases settled, and takes in what comes of them.
    async fn settle(
        &self,
        leases: &mut Leases,
        draws: HashMap<(KeyId, QuotaId), QuotaDraw>,
        now: Reading,
    ) -> Result<(), StoreError> {
        let (places, draws): (Vec<_>, Vec<_>) = draws.into_iter().unzip();
        for (places, draws) in places.chunks(DRAWS_MAX).zip(draws.chunks(DRAWS_MAX)) {
            let grants = self.draw(draws).await?;
            for ((at, draw), grant) in places.iter().zip(draws).zip(grants) {
                if let Some(lease) = leases.by_account.get_mut(at) {
                    lease.take_in(draw, &grant, now);
                }
                self.tell(draw, &grant);
            }
        }
        self.counts
            .leases
            .store(leases.by_account.len() as u64, Ordering::Relaxed);
        Ok(())
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
            let mut draw = lease.draw(at.0);
            let standing = lease.account().standing(lease.span.first_day);
            let spent = standing.spent();
            lease.idle_for = if spent == lease.spent_then {
                lease.idle_for + 1
            } else {
                0
            };
            lease.spent_then = spent;
            draw.reached = threshold(spent, draw.limit);
            let is_over = !lease.span.contains(now.wall);
            let is_idle = lease.idle_for >= IDLE_SWEEPS;
            if is_idle && !is_over {
                draw.back = lease.account().withdraw(lease.span.first_day);
            }
            if draw.charge > 0 || draw.back > 0 || draw.reached > lease.reached {
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
        self.settle_or_take_back(&mut leases, draws, now).await?;
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
        let mut ended = Vec::new();
        for ((key, _), lease) in &leases.by_account {
            for (day, units) in lease.account().debts() {
                if day == lease.span.first_day {
                    continue;
                }
                let start = Span {
                    first_day: day,
                    end_day: day + 1,
                }
                .start();
                ended.push((
                    Arc::clone(&lease.slot),
                    Arc::clone(&lease.quota),
                    QuotaDraw {
                        span: lease.quota.quota.span(start),
                        charge: units,
                        run: 0,
                        received: 0,
                        ..lease.draw(*key)
                    },
                ));
            }
        }
        for (slot, quota, mut draw) in ended {
            draw.run = leases.run();
            let grants = self.draw(std::slice::from_ref(&draw)).await?;
            slot.account(quota.id)
                .forgive(draw.span.first_day, draw.charge);
            for grant in grants {
                self.tell(&draw, &grant);
            }
        }
        Ok(())
    }

    /// As `settle`; what was to be given back is held again if the store does not take it.
    async fn settle_or_take_back(
        &self,
        leases: &mut Leases,
        draws: HashMap<(KeyId, QuotaId), QuotaDraw>,
        now: Reading,
    ) -> Result<(), StoreError> {
        if draws.is_empty() {
            return Ok(());
        }
        let back: Vec<_> = draws.iter().map(|(at, draw)| (*at, draw.back)).collect();
        let outcome = self.settle(leases, draws, now).await;
        if outcome.is_err() {
            for (at, units) in back.into_iter().filter(|(_, units)| *units > 0) {
                if let Some(lease) = leases.by_account.get(&at) {
                    let day = lease.span.first_day;
                    let granted = lease.account().standing(day).granted.unwrap_or(0);
                    lease.account().deposit(day, units, granted + units);
                }
            }
        }
        outcome
    }

    /// Gives everything unspent back and charges everything owed: the last thing, when no request comes any
    /// more.
    ///
    /// # Errors
    /// What the store returns: then what was held counts as spent.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        let mut leases = self.leases.lock().await;
        let now = self.clock.read();
        self.charge_ended(&mut leases).await?;
        let draws = leases.by_account.iter().map(|(at, lease)| {
            let mut draw = lease.draw(at.0);
            let account = lease.account();
            draw.reached = threshold(account.standing(lease.span.first_day).spent(), draw.limit);
            draw.back = account.withdraw(lease.span.first_day);
            (*at, draw)
        });
        let draws = draws.collect();
        self.settle_or_take_back(&mut leases, draws, now).await
    }

    /// Tells of the thresholds that a draw has reached and that had not been told of, each once in a
    /// period, as the store remembers.
    fn tell(&self, draw: &QuotaDraw, grant: &QuotaGrant) {
        for percent in thresholds(grant.reached_before, draw.reached) {
            let at = THRESHOLDS.iter().position(|it| *it == percent);
            if let Some(count) = at.and_then(|at| self.counts.reached.get(at)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            tracing::info!(
                key.id = %draw.key,
                quota = &*draw.quota,
                percent,
                limit = draw.limit,
                "{percent} % of the quota `{}` of {} are spent",
                draw.quota,
                draw.key,
            );
        }
    }

    /// How many accounts hold something, or did a moment ago.
    pub(crate) fn leases(&self) -> u64 {
        self.counts.leases.load(Ordering::Relaxed)
    }

    /// How many draws were made.
    pub(crate) fn draws(&self) -> u64 {
        self.counts.draws.load(Ordering::Relaxed)
    }

    /// How often each threshold was reached.
    pub(crate) fn reached(&self) -> impl Iterator<Item = (u8, u64)> {
        let counts = self
            .counts
            .reached
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        THRESHOLDS.into_iter().zip(counts)
    }

    /// Whether requests go by what was last seen, because the store does not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.link.is_away()
    }
}

impl Leases {
    /// The lease that an ask is about; begun if there is none, or none of this period.
    fn of(&mut self, ask: &QuotaAsk, now: Reading) -> &mut Lease {
        let run = self.run();
        let begin = || Lease {
            slot: Arc::clone(&ask.slot),
            quota: Arc::clone(&ask.quota),
            span: ask.span,
            run,
            received: 0,
            held_then: 0,
            drawn_at: now,
            idle_for: 0,
            spent_then: 0,
            reached: 0,
        };
        let lease = self
            .by_account
            .entry((ask.key, ask.quota.id))
            .or_insert_with(begin);
        if lease.span.first_day < ask.span.first_day {
            *lease = begin();
        }
        // The limit may have changed since.
        lease.quota = Arc::clone(&ask.quota);
        lease.idle_for = 0;
        lease
    }

    fn run(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run
    }
}

/// Below this a rate is not known.
const TOO_SOON_MS: u64 = 250;
/// What a grant is to last for.
const AHEAD_MS: u64 = 2_000;
/// After so many sweeps, a second each, without a request what is held is given back.
const IDLE_SWEEPS: u32 = 30;
/// How many draws go into one call: one transaction, which others wait for.
const DRAWS_MAX: usize = 1_000;
