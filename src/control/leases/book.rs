//! All leases of this gate: who asked, what is due, what is under way.

use std::collections::{BTreeSet, HashMap};

use super::lease::{Lease, Next};
use crate::domain::lease::{LeaseCall, LeaseReply, LimitHolder};
use crate::state::leases::LeaseAsk;
use crate::state::limiter::LimitId;

/// All leases of this gate. It does nothing by itself.
#[derive(Debug)]
pub(super) struct Book {
    /// By the number of their run.
    leases: HashMap<u64, Lease>,
    runs: HashMap<(LimitHolder, LimitId), u64>,
    /// When each is to be looked at, by time.
    due: BTreeSet<(u64, u64)>,
    /// Those that are to call.
    ready: Vec<u64>,
    next_run: u64,
}

/// A call that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    run: u64,
    pub(super) call: LeaseCall,
}

impl Book {
    pub(super) fn new(first_run: u64) -> Self {
        Self {
            leases: HashMap::new(),
            runs: HashMap::new(),
            due: BTreeSet::new(),
            ready: Vec::new(),
            next_run: first_run,
        }
    }

    /// Takes an ask in.
    pub(super) fn ask(&mut self, ask: LeaseAsk, now_ns: u64) {
        let place = (ask.holder.clone(), ask.limit.id);
        let run = *self.runs.entry(place).or_insert_with(|| {
            self.next_run += 1;
            self.next_run
        });
        let lease = self
            .leases
            .entry(run)
            .or_insert_with(|| Lease::new(&ask, run, now_ns));
        if lease.ask(ask) {
            self.ready.push(run);
        }
    }

    /// Looks after those whose time has come.
    pub(super) fn due(&mut self, now_ns: u64) {
        while let Some((due_ns, run)) = self.due.first().copied()
            && due_ns <= now_ns
        {
            self.due.pop_first();
            let Some(lease) = self.leases.get_mut(&run) else {
                continue;
            };
            lease.due_ns = None;
            match lease.look(now_ns) {
                Next::Call => self.ready.push(run),
                Next::Look(due_ns) => self.put_off(run, due_ns),
                Next::End => {
                    if let Some(lease) = self.leases.remove(&run) {
                        self.runs.remove(&lease.place());
                    }
                }
                Next::Wait => {}
            }
        }
    }

    /// The calls that are to be made now.
    pub(super) fn plan(&mut self, now_ns: u64) -> Vec<Planned> {
        let ready = std::mem::take(&mut self.ready);
        let planned = ready.into_iter().filter_map(|run| {
            let call = self.leases.get_mut(&run)?.call(now_ns)?;
            Some(Planned { run, call })
        });
        planned.collect()
    }

    /// Takes in what came of a call: `None` if nobody knows.
    pub(super) fn land(&mut self, planned: &Planned, reply: Option<LeaseReply>, now_ns: u64) {
        let run = planned.run;
        let Some(lease) = self.leases.get_mut(&run) else {
            return;
        };
        match lease.land(&planned.call, reply, now_ns) {
            Next::Call => self.ready.push(run),
            Next::Look(due_ns) => self.put_off(run, due_ns),
            Next::Wait | Next::End => {}
        }
    }

    /// Gives back what every lease has that is not calling.
    pub(super) fn release(&mut self, now_ns: u64) -> Vec<Planned> {
        let all = self.leases.iter_mut();
        let planned = all.filter_map(|(run, lease)| {
            let call = lease.give_back(now_ns)?;
            Some(Planned { run: *run, call })
        });
        planned.collect()
    }

    /// When something is due next: at once, if calls are ready.
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        if !self.ready.is_empty() {
            return Some(0);
        }
        self.due.first().map(|(due_ns, _)| *due_ns)
    }

    /// How many leases there are.
    pub(super) fn len(&self) -> u64 {
        self.leases.len() as u64
    }

    fn put_off(&mut self, run: u64, due_ns: u64) {
        let Some(lease) = self.leases.get_mut(&run) else {
            return;
        };
        if let Some(before) = lease.due_ns.replace(due_ns) {
            self.due.remove(&(before, run));
        }
        self.due.insert((due_ns, run));
    }
}
