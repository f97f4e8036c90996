//! Four gates over one bucket: real state and real book, a store that is the arithmetic itself, and a clock that
//! is turned.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::book::{Book, Planned};
use crate::domain::id::KeyId;
use crate::domain::lease::{Bucket, LeaseReply, LeaseTerms, LimitHolder, share};
use crate::domain::limit::{LimitMode, RateLimit};
use crate::state::leases::{LeaseAnswer, LeaseAsk, LeaseLink, Roster};
use crate::state::limiter::{LimitBook, NamedLimit, Slot, Taking};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) rate: &'static str,
    pub(super) burst: u32,
    pub(super) mode: LimitMode,
    /// How many times the rate is asked for, by all gates together, in per cent.
    pub(super) load: u64,
    pub(super) seconds: u64,
    /// Replies and calls that are lost, in per cent.
    pub(super) lost: u64,
    /// From which second to which the store is away.
    pub(super) away: Option<(u64, u64)>,
    pub(super) has_places: bool,
    /// For how many seconds the store is silent before shares are spent.
    pub(super) fallback_after: u64,
    pub(super) seed: u64,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            rate: "100/second",
            burst: 100,
            mode: LimitMode::Shared,
            load: 90,
            seconds: 20,
            lost: 0,
            away: None,
            has_places: false,
            fallback_after: 0,
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) asked: u64,
    pub(super) admitted: u64,
    pub(super) ideal: u64,
    /// By how many tokens one bucket would have been overdrawn at worst.
    pub(super) over: u64,
    pub(super) calls: u64,
    pub(super) waited: u64,
    pub(super) shared: u64,
}

impl Outcome {
    /// How much less was admitted than one bucket would have, in thousandths.
    pub(super) fn under(&self) -> u64 {
        self.ideal.saturating_sub(self.admitted) * 1_000 / self.ideal.max(1)
    }

    /// How many calls there were for a thousand that were admitted.
    pub(super) fn calls_for_1000(&self) -> u64 {
        self.calls * 1_000 / self.admitted.max(1)
    }
}

/// One gate: a slot, a book, and a way to the store.
struct Gate {
    node: Arc<str>,
    slot: Arc<Slot>,
    limit: NamedLimit,
    link: Arc<LeaseLink>,
    book: Book,
    waiting: Vec<(u64, oneshot::Receiver<LeaseAnswer>)>,
    /// What is left at the desk.
    desk: Vec<LeaseAsk>,
}

/// What happens at a time.
enum Event {
    Arrival,
    /// A batch reaches the store.
    Reaches(usize, Vec<Planned>),
    /// Its answers reach the gate.
    Lands(usize, Vec<(Planned, Option<LeaseReply>)>),
    Look(usize),
}

pub(super) struct World {
    run: Run,
    terms: LeaseTerms,
    gates: Vec<Gate>,
    bucket: Option<Bucket>,
    events: BTreeMap<(u64, u64), Event>,
    number: u64,
    random: u64,
    now: u64,
    /// When one bucket that is asked for every token is whole: with what the gates admitted, with what it
    /// admits itself.
    whole_at: u64,
    ideal_whole_at: u64,
    out: Outcome,
}

impl World {
    pub(super) fn new(run: Run) -> Self {
        let limit = RateLimit {
            burst: NonZeroU32::new(run.burst).unwrap(),
            mode: run.mode,
            ..RateLimit::new(run.rate.parse().unwrap())
        };
        let gates = (0..4).map(|index| {
            let fallback_after = Duration::from_secs(run.fallback_after);
            let link = LeaseLink::new(Duration::from_millis(25), fallback_after);
            let link = Arc::new(link);
            link.seat(Roster {
                live: 4,
                max_recent: 4,
                index: run.has_places.then_some(index),
                lost: 0,
            });
            let book = LimitBook::shared_over(Arc::clone(&link));
            Gate {
                node: format!("gate-{index}").into(),
                slot: Arc::default(),
                limit: book.named("key", &[limit]).remove(0),
                link,
                book: Book::new(u64::from(index) << 32),
                waiting: Vec::new(),
                desk: Vec::new(),
            }
        });
        Self {
            run,
            terms: LeaseTerms::of(&limit),
            gates: gates.collect(),
            bucket: None,
            events: BTreeMap::new(),
            number: 0,
            random: run.seed,
            now: SECOND,
            whole_at: 0,
            ideal_whole_at: 0,
            out: Outcome::default(),
        }
    }

    /// Splitmix64.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % below.max(1)
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    /// One to two milliseconds there and back, now and then twenty.
    fn half_trip(&mut self) -> u64 {
        if self.random(100) == 0 {
            return 10 * MS;
        }
        MS / 2 + self.random(MS / 2)
    }

    fn is_away(&self) -> bool {
        let second = self.now / SECOND - 1;
        self.run
            .away
            .is_some_and(|(from, to)| (from..to).contains(&second))
    }

    pub(super) fn go(mut self) -> Outcome {
        // Time between arrivals: even between none and twice the mean.
        let mean = self.terms.token_ns * 100 / self.run.load;
        let first = self.now + self.random(2 * mean);
        self.at(first, Event::Arrival);
        let end = self.now + self.run.seconds * SECOND;
        while let Some(((time, _), event)) = self.events.pop_first()
            && time <= end
        {
            self.now = time;
            match event {
                Event::Arrival => {
                    let gate = usize::try_from(self.random(4)).unwrap();
                    self.arrives(gate);
                    let next = self.now + 1 + self.random(2 * mean);
                    self.at(next, Event::Arrival);
                }
                Event::Reaches(gate, planned) => self.reaches(gate, planned),
                Event::Lands(gate, landed) => {
                    self.lands(gate, landed);
                    self.runs(gate);
                }
                Event::Look(gate) => self.runs(gate),
            }
        }
        self.out
    }

    fn arrives(&mut self, gate: usize) {
        let now = self.now;
        self.out.asked += 1;
        if !self.is_away() {
            // The control plane looks each second whether the store is there.
            self.gates[gate].link.met(now, 20 * MS);
        }
        if let Ok(next) = share::spend(self.ideal_whole_at, &self.terms, 1, 1, now) {
            self.ideal_whole_at = next;
            self.out.ideal += 1;
        }
        let it = &mut self.gates[gate];
        match it.limit.take(&it.slot, 1, now) {
            Taking::Taken { is_low, .. } => {
                if is_low {
                    it.leaves(None);
                }
                self.admit(now);
            }
            Taking::Spent(_) => {}
            Taking::Short if it.link.is_away() => {
                if it.slot.tokens(it.limit.id).claim_ask() {
                    it.leaves(None);
                }
                self.shares(gate);
            }
            Taking::Short => {
                let (answer, answered) = oneshot::channel();
                it.leaves(Some(answer));
                it.waiting.push((now + 25 * MS, answered));
                self.out.waited += 1;
                self.at(now + 25 * MS, Event::Look(gate));
            }
        }
        if !self.gates[gate].desk.is_empty() {
            self.runs(gate);
        }
    }

    fn shares(&mut self, gate: usize) {
        let it = &self.gates[gate];
        let tokens = it.slot.tokens(it.limit.id);
        if self.run.mode == LimitMode::Shared
            && it.link.may_share(self.now)
            && tokens.take_share(&self.terms, 4, 1, self.now).is_ok()
        {
            self.out.shared += 1;
            self.admit(self.now);
        }
    }

    fn admit(&mut self, at: u64) {
        self.out.admitted += 1;
        let next = self.whole_at.max(at) + self.terms.token_ns;
        // The store's clock counts microseconds.
        let over = (next - at).saturating_sub(self.terms.whole_ns() + 1_000);
        self.out.over = self.out.over.max(over.div_ceil(self.terms.token_ns));
        self.whole_at = next;
    }

    /// The control plane of a gate does what is to be done, and whoever waits looks whether that is over.
    fn runs(&mut self, gate: usize) {
        let now = self.now;
        let it = &mut self.gates[gate];
        for ask in it.desk.drain(..) {
            it.book.ask(ask, now);
        }
        it.book.due(now);
        let planned = it.book.plan(now);
        let waiting = std::mem::take(&mut it.waiting);
        let mut missed = 0;
        for (until, mut answered) in waiting {
            match answered.try_recv() {
                // Counted where the store gave it.
                Ok(LeaseAnswer::Taken | LeaseAnswer::Denied(_)) => {}
                Err(oneshot::error::TryRecvError::Closed) => missed += 1,
                Err(_) if until <= now => {
                    self.gates[gate].link.missed(now);
                    missed += 1;
                }
                Err(_) => self.gates[gate].waiting.push((until, answered)),
            }
        }
        for _ in 0..missed {
            self.shares(gate);
        }
        if !planned.is_empty() {
            self.out.calls += planned.len() as u64;
            let time = now + self.half_trip();
            self.at(time, Event::Reaches(gate, planned));
        }
        if let Some(due) = self.gates[gate].book.next_due_ns() {
            self.at(due.max(now + 1), Event::Look(gate));
        }
    }

    fn reaches(&mut self, gate: usize, planned: Vec<Planned>) {
        let (now, node) = (self.now, Arc::clone(&self.gates[gate].node));
        let is_away = self.is_away();
        let mut landed = Vec::new();
        for planned in planned {
            let is_lost = self.run.lost > 0 && self.random(100) < self.run.lost;
            let mut reply = None;
            if !is_away {
                reply = Bucket::settle(&mut self.bucket, &node, &planned.call, now / 1_000);
            }
            if is_away || is_lost {
                reply = None;
            }
            // What the store hands to those who wait is spent there and then, by those who still do.
            for _ in 0..reply.map_or(0, |reply| reply.granted.min(planned.call.need)) {
                self.admit(now);
            }
            landed.push((planned, reply));
        }
        // An answer that does not come is missed after the command's deadline.
        let any = landed.iter().any(|(_, reply)| reply.is_some());
        let takes = if any { self.half_trip() } else { 500 * MS };
        self.at(now + takes, Event::Lands(gate, landed));
    }

    fn lands(&mut self, gate: usize, landed: Vec<(Planned, Option<LeaseReply>)>) {
        let now = self.now;
        for (planned, reply) in landed {
            let it = &mut self.gates[gate];
            match reply {
                Some(_) => drop(it.link.met(now, 2 * MS)),
                None => drop(it.link.missed(now)),
            }
            it.book.land(&planned, reply, now);
        }
    }
}

impl Gate {
    fn leaves(&mut self, answer: Option<oneshot::Sender<LeaseAnswer>>) {
        self.desk.push(LeaseAsk {
            holder: LimitHolder::Key(KeyId::from_random([1; 10])),
            slot: Arc::clone(&self.slot),
            limit: self.limit.clone(),
            cost: 1,
            answer,
        });
    }
}
