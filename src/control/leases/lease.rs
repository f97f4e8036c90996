//! One lease: what this gate has of one shared limit, and what it asks for next.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::lease::size::{self, Sight};
use crate::domain::lease::{LeaseCall, LeaseReply, LeaseTerms, Level, LimitHolder};
use crate::state::leases::{LeaseAnswer, LeaseAsk, LeaseLink, Roster, Tokens};
use crate::state::limiter::{LimitId, NamedLimit, Slot};

/// One lease.
#[derive(Debug)]
pub(super) struct Lease {
    holder: LimitHolder,
    slot: Arc<Slot>,
    limit: NamedLimit,
    run: u64,
    seq: u64,
    received: u64,
    handed: u64,
    /// Those who wait, in the order they came: what each needs.
    waiting: VecDeque<Waiting>,
    is_calling: bool,
    /// When it is to be looked at; kept by the book.
    pub(super) due_ns: Option<u64>,
    /// Where the present window of demand began: when, and after how many tokens.
    window: (u64, u64),
    /// What was asked for in a horizon, in the last whole window.
    demand: u64,
    /// How many were asked for when it was last looked at.
    asked_then: u64,
    level: Level,
    /// What was given last, and when.
    last: (u64, u64),
    is_scarce: bool,
    pause_ns: u64,
    /// When the call was sent that was answered last.
    answered_ns: Option<u64>,
    sent: Sent,
}

#[derive(Debug)]
struct Waiting {
    cost: u64,
    answer: oneshot::Sender<LeaseAnswer>,
}

/// The call under way.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    at_ns: u64,
    /// For how many of those who wait.
    waiting: usize,
}

/// What is to happen with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It asks the store.
    Call,
    /// It is looked at then.
    Look(u64),
    /// It is nothing any more.
    End,
    /// Its call is under way.
    Wait,
}

impl Lease {
    pub(super) fn new(ask: &LeaseAsk, run: u64, now_ns: u64) -> Self {
        let tokens = ask.slot.tokens(ask.limit.id);
        // Whoever asked is counted already.
        let asked = tokens.asked().saturating_sub(ask.cost.into());
        Self {
            holder: ask.holder.clone(),
            slot: Arc::clone(&ask.slot),
            limit: ask.limit.clone(),
            run,
            seq: 0,
            received: 0,
            handed: 0,
            waiting: VecDeque::new(),
            is_calling: false,
            due_ns: None,
            window: (now_ns, asked),
            demand: 0,
            asked_then: asked,
            level: Level::whole(0),
            last: (0, now_ns),
            is_scarce: false,
            pause_ns: 0,
            answered_ns: None,
            sent: Sent::default(),
        }
    }

    pub(super) fn place(&self) -> (LimitHolder, LimitId) {
        (self.holder.clone(), self.limit.id)
    }

    /// Takes an ask in; whether it is to call.
    pub(super) fn ask(&mut self, ask: LeaseAsk) -> bool {
        // A key that was loaded anew has the same slot; a limit that was changed has other terms.
        (self.slot, self.limit) = (ask.slot, ask.limit);
        if let Some(answer) = ask.answer {
            self.waiting.push_back(Waiting {
                cost: ask.cost.into(),
                answer,
            });
        }
        !self.is_calling
    }

    /// What to ask the store; `None` if that is being asked already.
    pub(super) fn call(&mut self, now_ns: u64) -> Option<LeaseCall> {
        if self.is_calling {
            return None;
        }
        let (terms, roster) = self.terms()?;
        let patience = self.link()?.wait;
        let demand = self.measure(&terms, now_ns);
        let sight = Sight {
            demand,
            level: self.level,
            nodes: roster.live.into(),
            last: self.last.0,
            lasted_ns: now_ns.saturating_sub(self.last.1),
            is_scarce: self.is_scarce,
        };
        // Whoever has gone meanwhile is not asked for.
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let need: u64 = self.waiting.iter().map(|waiting| waiting.cost).sum();
        let is_strict = self.is_strict();
        let held = u64::from(self.tokens().standing(now_ns));
        let ahead = if is_strict || !self.is_fed(&sight, &terms) {
            0
        } else {
            sight.size(&terms).saturating_sub(held)
        };
        let call = self.plain_call(terms, held, now_ns);
        let call = LeaseCall {
            least: self.waiting.front().map_or(0, |waiting| waiting.cost),
            need,
            // One who waits takes the first of what is fetched.
            want: need.max(ahead),
            demand: if is_strict { 0 } else { demand },
            was_away: self.tokens().take_shared(),
            ..call
        };
        if self.is_scarce && !is_strict {
            // Until the answer is here, what was said last stands.
            let wait_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
            let tokens = self.tokens();
            tokens.deny(tokens.denied_until_ns().max(now_ns.saturating_add(wait_ns)));
        }
        self.sent.waiting = self.waiting.len();
        self.asked_then = self.tokens().asked();
        Some(call)
    }

    /// Gives back what there is, for good; `None` if there is nothing, or a call is under way.
    pub(super) fn give_back(&mut self, now_ns: u64) -> Option<LeaseCall> {
        if self.is_calling {
            return None;
        }
        let (terms, _) = self.terms()?;
        let back = u64::from(self.tokens().withdraw(now_ns));
        self.received = self.received.saturating_sub(back);
        (back > 0).then(|| {
            self.sent.waiting = 0;
            self.plain_call(terms, 0, now_ns)
        })
    }

    /// Its time has come: what now?
    pub(super) fn look(&mut self, now_ns: u64) -> Next {
        if self.is_calling {
            return Next::Wait;
        }
        let Some((terms, _)) = self.terms() else {
            return Next::End;
        };
        let asked = self.tokens().asked();
        let is_used = std::mem::replace(&mut self.asked_then, asked) != asked;
        let (held, ends_ns) = (self.tokens().standing(now_ns), self.tokens().ends_ns());
        let idle_ns = now_ns + terms.horizon_ns() * 2;
        if self.is_scarce && !self.is_strict() {
            if is_used {
                return Next::Call;
            }
            self.is_scarce = false;
            return Next::Look(idle_ns);
        }
        let renews_ns = ends_ns.saturating_sub(terms.life_ns() / 4);
        match (held, is_used) {
            (0, false) if self.waiting.is_empty() => Next::End,
            (0, _) => Next::Look(now_ns + terms.life_ns()),
            (_, true) if now_ns >= renews_ns => Next::Call,
            (_, true) => Next::Look(idle_ns.min(renews_ns)),
            (_, false) => {
                let level = terms.level(self.tokens().missing_ns(now_ns));
                let sight = Sight {
                    demand: 0,
                    level,
                    nodes: 1,
                    last: 0,
                    lasted_ns: 0,
                    is_scarce: false,
                };
                if !sight.is_missed(&terms) {
                    return Next::Look(ends_ns.max(now_ns + 1));
                }
                let back = u64::from(self.tokens().withdraw(now_ns));
                self.received = self.received.saturating_sub(back);
                // What is asked for then is nothing, as long as nobody asks.
                self.demand = 0;
                self.window = (now_ns, asked);
                Next::Call
            }
        }
    }

    /// Takes in what came of a call.
    pub(super) fn land(
        &mut self,
        call: &LeaseCall,
        reply: Option<LeaseReply>,
        now_ns: u64,
    ) -> Next {
        self.is_calling = false;
        let Some((terms, roster)) = self.terms() else {
            return Next::Look(now_ns);
        };
        let ends_ns = self.sent.at_ns + terms.life_ns();
        let asked_for: Vec<Waiting> = self
            .waiting
            .drain(..self.sent.waiting.min(self.waiting.len()))
            .collect();
        let Some(reply) = reply.filter(|_| now_ns < ends_ns) else {
            // Nobody knows: those who waited for it decide by what else they have.
            self.waiting.clear();
            if call.was_away {
                self.tokens().set_shared();
            }
            self.tokens().answered();
            return Next::Look(now_ns + terms.horizon_ns() * 2);
        };
        let mut pool = reply.granted.min(call.need);
        let kept = reply.granted - pool;
        self.received += kept;
        self.handed += pool;
        (self.level, self.answered_ns) = (reply.level, Some(self.sent.at_ns));
        let missing_ns = terms.missing_ns(reply.level, terms.burst);
        self.tokens()
            .set_whole_at(now_ns.saturating_add(missing_ns));

        let denied = |cost| LeaseAnswer::Denied(terms.missing_ns(reply.level, cost).max(1));
        for Waiting { cost, answer } in asked_for {
            let outcome = match pool.checked_sub(cost) {
                Some(rest) => {
                    pool = rest;
                    LeaseAnswer::Taken
                }
                None => denied(cost),
            };
            // Whoever has gone has spent it: it may have been refilled since.
            let _ = answer.send(outcome);
        }
        if self.is_strict() {
            self.tokens().answered();
            return if self.waiting.is_empty() {
                Next::Look(now_ns + terms.life_ns())
            } else {
                Next::Call
            };
        }
        let next = self.keep(kept, ends_ns, call, &reply, (&terms, roster), now_ns);
        // Those who came meanwhile take of what there is now.
        while let Some(waiting) = self.waiting.front() {
            let cost = u32::try_from(waiting.cost).unwrap_or(u32::MAX);
            if !self.tokens().spare(cost, now_ns) {
                break;
            }
            if let Some(waiting) = self.waiting.pop_front()
                && waiting.answer.send(LeaseAnswer::Taken).is_err()
            {
                self.tokens().put(cost, ends_ns, false);
            }
        }
        if self.is_scarce {
            let until_ns = self.tokens().denied_until_ns();
            let wait_ns = until_ns.saturating_sub(now_ns).max(1);
            for waiting in self.waiting.drain(..) {
                let _ = waiting.answer.send(LeaseAnswer::Denied(wait_ns));
            }
        }
        self.tokens().answered();
        if self.waiting.is_empty() {
            next
        } else {
            Next::Call
        }
    }

    /// Puts what was granted where requests find it, and says when to look after it.
    fn keep(
        &mut self,
        kept: u64,
        ends_ns: u64,
        call: &LeaseCall,
        reply: &LeaseReply,
        (terms, roster): (&LeaseTerms, Roster),
        now_ns: u64,
    ) -> Next {
        let owns_aside = self
            .link()
            .is_some_and(|link| link.owns_one_of(terms.aside));
        let kept_here = u32::try_from(kept).unwrap_or(u32::MAX);
        self.tokens().put(kept_here, ends_ns, owns_aside);
        if call.want > 0 {
            self.last = (reply.granted, now_ns);
        }
        let is_slow = call.demand < 16;
        let got_none = call.want > 0 && reply.granted == 0;
        let got_less = reply.granted < call.want && call.demand >= 32;
        if got_none || got_less {
            let first_ns = size::pause_ns(terms);
            let most_ns = size::pause_most_ns(terms, roster.live.into());
            self.pause_ns = if self.is_scarce {
                (self.pause_ns * 2).min(most_ns)
            } else {
                first_ns
            };
            self.is_scarce = true;
            let next_ns = now_ns + self.pause_ns;
            let retry_ns = terms.missing_ns(reply.level, 1);
            let until_ns = now_ns.saturating_add(retry_ns);
            // What is slow is asked for anew by whoever comes when there should be some.
            let until_ns = if is_slow {
                until_ns
            } else {
                until_ns.max(next_ns + first_ns)
            };
            self.tokens().deny(until_ns);
            self.tokens().set_low(0);
            return Next::Look(next_ns);
        }
        if call.want > 0 {
            self.is_scarce = false;
            self.tokens().deny(0);
        }
        let sight = Sight {
            demand: call.demand,
            level: reply.level,
            nodes: roster.live.into(),
            last: self.last.0,
            lasted_ns: 0,
            is_scarce: false,
        };
        let held = self.tokens().held(now_ns);
        let low = if sight.may_fetch_ahead(terms) && held > 0 {
            held / 2 + 1
        } else {
            0
        };
        self.tokens().set_low(low);
        let idle_ns = now_ns + terms.horizon_ns() * 2;
        Next::Look(if held > 0 {
            idle_ns
        } else {
            now_ns + terms.life_ns()
        })
    }

    /// What is asked of this gate in a horizon: of the last whole window, or of this one if that is more already.
    fn measure(&mut self, terms: &LeaseTerms, now_ns: u64) -> u64 {
        let asked = self.tokens().asked();
        let (since_ns, before) = self.window;
        let span_ns = now_ns.saturating_sub(since_ns);
        let here = asked.saturating_sub(before);
        let horizon_ns = terms.horizon_ns();
        if span_ns >= horizon_ns {
            self.demand = size::demand(terms, here, span_ns);
            self.window = (now_ns, asked);
            return self.demand;
        }
        self.demand.max(size::demand(terms, here, horizon_ns))
    }

    /// Whether more is fetched than is waited for.
    fn is_fed(&self, sight: &Sight, terms: &LeaseTerms) -> bool {
        // The first call knows nothing of the bucket yet.
        sight.demand > 0 && (self.answered_ns.is_none() || sight.may_fetch_ahead(terms))
    }

    fn plain_call(&mut self, terms: LeaseTerms, held: u64, now_ns: u64) -> LeaseCall {
        self.is_calling = true;
        self.seq += 1;
        self.sent.at_ns = now_ns;
        LeaseCall {
            holder: self.holder.clone(),
            limit: Arc::clone(&self.limit.name),
            terms,
            run: self.run,
            seq: self.seq,
            held,
            received: self.received,
            handed: self.handed,
            least: 0,
            need: 0,
            want: 0,
            demand: 0,
            estimate: terms.level(self.tokens().missing_ns(now_ns)),
            elapsed_us: self
                .answered_ns
                .map(|sent_ns| now_ns.saturating_sub(sent_ns) / 1_000),
            was_away: false,
        }
    }

    fn tokens(&self) -> &Tokens {
        self.slot.tokens(self.limit.id)
    }

    fn link(&self) -> Option<&Arc<LeaseLink>> {
        self.limit.sharing.as_ref().map(|sharing| &sharing.link)
    }

    fn is_strict(&self) -> bool {
        let sharing = self.limit.sharing.as_ref();
        sharing.is_some_and(|sharing| sharing.is_strict)
    }

    /// What the limit allows all gates together, and which gates those are.
    fn terms(&self) -> Option<(LeaseTerms, Roster)> {
        let sharing = self.limit.sharing.as_ref()?;
        let roster = sharing.link.roster();
        // What is set aside is for those who hold tokens ahead of need, and nobody does of a strict limit.
        let terms = if sharing.link.has_places() && !sharing.is_strict {
            sharing.terms.with_tokens_set_aside()
        } else {
            sharing.terms
        };
        let terms = terms.without(roster.lost.into(), roster.max_recent.into());
        Some((terms, roster))
    }
}
