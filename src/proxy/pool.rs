//! Idle connections to endpoints, last used first; each core has its own.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::proxy::carrier::Carrier;
use crate::proxy::deadlines::Tick;
use crate::proxy::stream::Stream;

/// Idle connections, by endpoint.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    by_endpoint: RefCell<Vec<VecDeque<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    carrier: Carrier<Stream>,
    /// When it has been idle for too long.
    due: Tick,
}

impl Pool {
    /// Takes the connection that was used last, of those that are still good.
    pub(crate) fn take(&self, endpoint: usize) -> Option<Carrier<Stream>> {
        let mut pool = self.by_endpoint.borrow_mut();
        let idle = pool.get_mut(endpoint)?;
        while let Some(mut last) = idle.pop_back() {
            if last.carrier.is_quiet() {
                return Some(last.carrier);
            }
        }
        None
    }

    /// Keeps a connection until `due`, unless `most` are kept already.
    pub(crate) fn put(&self, endpoint: usize, carrier: Carrier<Stream>, due: Tick, most: usize) {
        let mut pool = self.by_endpoint.borrow_mut();
        while pool.len() <= endpoint {
            pool.push(VecDeque::new());
        }
        if let Some(idle) = pool.get_mut(endpoint).filter(|idle| idle.len() < most) {
            idle.push_back(Idle { carrier, due });
        }
    }

    /// Closes what has been idle for too long, and what the other side has closed.
    pub(crate) fn sweep(&self, now: Tick) {
        for idle in self.by_endpoint.borrow_mut().iter_mut() {
            while idle.front().is_some_and(|first| first.due <= now) {
                idle.pop_front();
            }
            idle.retain_mut(|kept| kept.carrier.is_quiet());
        }
    }
}
