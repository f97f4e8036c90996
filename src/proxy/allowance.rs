//! Quotas on a request's way: spent from what the key holds, waited for only where it holds nothing.
//!
//! This is the one place where a request may wait for the store, and that it cannot see: it leaves what
//! it needs at the desk and is woken when the control plane has it. It waits once and no longer than it may;
//! after that nobody waits until the store has answered, and what was last seen decides.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::domain::period::Span;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::Timestamp;
use crate::proxy::admit;
use crate::proxy::record::Record;
use crate::state::desk::Desk;
use crate::state::keys::KeyEntry;
use crate::state::quotas::{Charge, NamedQuota, QuotaAsk, QuotaLink, charge, low, short};
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
    let mut has_waited = false;
    let outcome = desk.pay(&entry, cost.into(), now, &mut has_waited).await;
    if has_waited {
        record.waited();
    }
    match &outcome {
        Ok(Charge::Paid { nearest, over, .. }) => {
            record.shadowed(*over);
            if let Some(nearest) = nearest {
                record.drawn(nearest, false);
            }
            return Ok(());
        }
        Ok(Charge::Refused { nearest, .. }) => record.drawn(nearest, true),
        Ok(Charge::Short) | Err(_) => {}
    }
    let limits = entry.grants.limits.iter().chain(&route.limits);
    admit::give_back(entry.slot(), limits, cost, record.opened_at().mono_ns);
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
        has_waited: &mut bool,
    ) -> Result<Charge<'k>, Full> {
        let (slot, quotas) = (entry.slot(), &entry.grants.quotas);
        let mut until = None;
        loop {
            match charge(slot, quotas, cost, now, self.link.shares()) {
                Charge::Short => {}
                paid_or_refused => {
                    if let Charge::Paid { .. } = &paid_or_refused {
                        for (named, span) in low(slot, quotas, now) {
                            self.ask_ahead(entry, named, span);
                        }
                    }
                    return Ok(paid_or_refused);
                }
            }
            *has_waited = true;
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

    fn ask_ahead(&self, entry: &KeyEntry, named: &Arc<NamedQuota>, span: Span) {
        let ask = QuotaAsk {
            key: entry.id,
            slot: Arc::clone(entry.slot()),
            quota: Arc::clone(named),
            span,
            need: 0,
            answer: None,
        };
        if let Err(ask) = self.desk.quotas.leave(ask) {
            ask.slot.account(ask.quota.id).answered();
        }
    }
}
