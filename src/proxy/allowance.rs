//! Quotas on a request's way: spent from what the key holds, waited for only where it holds nothing.
//!
//! This is the one place where a request may wait for the store, and that it cannot see: it leaves what
//! it needs at the desk and is woken when the control plane has it. It waits once and no longer than it may;
//! after that nobody waits until the store has answered, and what was last seen decides.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::domain::limit::Quota;
use crate::domain::period::Span;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Timestamp;
use crate::proxy::admit;
use crate::proxy::record::Record;
use crate::state::desk::Desk;
use crate::state::keys::KeyEntry;
use crate::state::quotas::{Charge, NamedQuota, QuotaAsk, QuotaLink, charge, short};
use crate::state::routes::RouteState;

/// Takes what a request costs from each of its key's quotas, or refuses it and gives back what it took of its
/// limits.
///
/// # Errors
/// `quota_exhausted`; `limits_unavailable` if more wait for the store than can.
pub(crate) async fn spend(route: &RouteState, record: &mut Record) -> Result<(), Refusal> {
    let Some((entry, _)) = &record.key else {
        return Ok(());
    };
    let entry = Arc::clone(entry);
    let plane = Arc::clone(&record.worker().plane);
    let cost = route.route.cost;
    let now = record.opened_at().wall;
    let desk = Way {
        desk: &plane.desk,
        link: &plane.quota_link,
        wait: plane.lease_wait,
    };
    let outcome = desk.pay(&entry, cost.into(), now).await;
    match &outcome {
        Ok(Charge::Paid { nearest, over, .. }) => {
            record.shadowed(*over);
            if let Some(nearest) = nearest {
                record.drawn(nearest);
            }
            return Ok(());
        }
        Ok(Charge::Refused { nearest, .. }) => record.drawn(nearest),
        Ok(Charge::Short) | Err(_) => {}
    }
    let limits = entry.grants.limits.iter().chain(&route.limits);
    admit::give_back(entry.slot(), limits, cost);
    Err(match outcome {
        Ok(Charge::Refused { refusal, .. }) => refusal,
        _ => RefusalCode::LimitsUnavailable.into(),
    })
}

/// The way to what is granted.
struct Way<'a> {
    desk: &'a Desk,
    link: &'a QuotaLink,
    wait: Duration,
}

/// The desk is full.
struct Full;

impl Way<'_> {
    /// Charges a key's quotas, after waiting for more where too little is held.
    async fn pay<'k>(
        &self,
        entry: &'k KeyEntry,
        cost: u64,
        now: Timestamp,
    ) -> Result<Charge<'k>, Full> {
        let (slot, quotas) = (entry.slot(), &entry.grants.quotas);
        let mut until = None;
        loop {
            match charge(slot, quotas, cost, now, self.link.is_away()) {
                Charge::Short => {}
                paid_or_refused => {
                    if let Charge::Paid { low: Some(low), .. } = &paid_or_refused {
                        self.ask_ahead(entry, low, now);
                    }
                    return Ok(paid_or_refused);
                }
            }
            let until = *until.get_or_insert_with(|| Instant::now() + self.wait);
            let answers = short(slot, quotas, cost, now)
                .map(|(named, span)| self.ask(entry, named, span, cost))
                .collect::<Result<Vec<_>, Full>>()?;
            for answered in answers {
                // Without an answer the store is away, which the link then says.
                if !matches!(timeout_at(until, answered).await, Ok(Ok(()))) {
                    self.link.lost();
                }
            }
        }
    }

    fn ask(
        &self,
        entry: &KeyEntry,
        named: &Arc<NamedQuota>,
        span: Span,
        need: u64,
    ) -> Result<oneshot::Receiver<()>, Full> {
        let (answer, answered) = oneshot::channel();
        let ask = QuotaAsk {
            key: entry.id,
            slot: Arc::clone(entry.slot()),
            quota: Arc::clone(named),
            span,
            need,
            answer: Some(answer),
        };
        let left = self.desk.quotas.leave(ask);
        left.map(|()| answered).map_err(|_| Full)
    }

    fn ask_ahead(&self, entry: &KeyEntry, named: &Arc<NamedQuota>, now: Timestamp) {
        let ask = QuotaAsk {
            key: entry.id,
            slot: Arc::clone(entry.slot()),
            quota: Arc::clone(named),
            span: named.span(now),
            need: 0,
            answer: None,
        };
        if let Err(ask) = self.desk.quotas.leave(ask) {
            ask.slot.account(ask.quota.id).answered();
        }
    }
}

/// Where one of a key's quotas stands, as its holder is told.
#[derive(Debug, Clone)]
pub struct QuotaState {
    /// What it is called.
    pub name: Arc<str>,
    /// What it is.
    pub quota: Quota,
    /// How much of it is spent; `None` while the store has not said.
    pub used: Option<u64>,
    /// When it renews; `None`: never.
    pub renews_at: Option<Timestamp>,
}

/// Where each of a key's quotas stands, its products' included. Spends nothing; of what was not used for a
/// while the store is asked, for at most `wait`.
pub async fn states(
    desk: &Desk,
    link: &QuotaLink,
    wait: Duration,
    entry: &KeyEntry,
    now: Timestamp,
) -> Vec<QuotaState> {
    let way = Way { desk, link, wait };
    let until = Instant::now() + wait;
    let mut states = Vec::with_capacity(entry.grants.quotas.len());
    for named in &entry.grants.quotas {
        let span = named.span(now);
        let account = entry.slot().account(named.id);
        let is_known = || account.standing(span.first_day).granted.is_some();
        if !is_known()
            && !link.is_away()
            && let Ok(answered) = way.ask(entry, named, span, 0)
        {
            // Without an answer it stays unknown.
            let _ = timeout_at(until, answered).await;
        }
        states.push(QuotaState {
            name: Arc::clone(&named.name),
            quota: named.quota,
            used: is_known().then(|| account.standing(span.first_day).spent()),
            renews_at: span.end(),
        });
    }
    states
}
