//! One core's data plane: its sockets, its connections, its upstream connections, its time.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use http::HeaderValue;
use rustls::ServerConfig;
use slab::Slab;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::task::spawn_local;

use crate::domain::id::BASE62;
use crate::proxy::access_log::LogBuffer;
use crate::proxy::connection;
use crate::proxy::deadlines::{Deadlines, TICK};
use crate::proxy::plane::{Plane, Stage};
use crate::proxy::pool::Pool;
use crate::proxy::tls::CertificateNames;
use crate::proxy::watch::{self, Watch};
use crate::state::counters::CoreCounters;
use crate::state::requests::Notebook;

/// One core's data plane.
pub(crate) struct Worker {
    /// Which core, counted from 0.
    pub(crate) index: usize,
    pub(crate) plane: Arc<Plane>,
    pub(crate) counters: Arc<CoreCounters>,
    pub(crate) deadlines: Deadlines,
    pub(crate) pool: Pool,
    pub(crate) log: LogBuffer,
    /// Requests on their way into the audit log.
    pub(crate) notes: Notebook,
    pub(crate) connections: RefCell<Slab<Rc<Watch>>>,
    /// How many ends of keys this core has acted upon.
    pub(crate) ends: Cell<u64>,
    random: Cell<u64>,
    next_request: Cell<u64>,
    names: RefCell<BytesMut>,
}

/// A socket a worker accepts from, and what it speaks there.
pub(crate) struct Door {
    pub(crate) socket: StdListener,
    pub(crate) tls: Option<(Arc<ServerConfig>, CertificateNames)>,
    pub(crate) h2c: bool,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker({})", self.index)
    }
}

impl Worker {
    /// A draw that is good enough to spread load; nothing secret is made of it.
    pub(crate) fn draw(&self) -> u32 {
        (self.draw_wide() >> 32) as u32
    }

    /// A wider one, never 0.
    pub(crate) fn draw_wide(&self) -> u64 {
        // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016.
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A name that no other request of any gate has, as far as chance allows: `req_` and 18 characters,
    /// of which the first ten are this worker's own.
    pub(crate) fn next_request_id(&self) -> HeaderValue {
        let number = self.next_request.get();
        self.next_request.set(number.wrapping_add(1));
        // Cut from one buffer, which is used again when the names that were cut from it are gone.
        let mut names = self.names.borrow_mut();
        names.extend_from_slice(&request_id(self.seed(), number));
        HeaderValue::from_maybe_shared(names.split().freeze())
            .unwrap_or(HeaderValue::from_static("req_"))
    }

    /// Ends what goes on with keys that were revoked since the last tick.
    fn end_revoked(&self) {
        let ends = self.plane.keys.ends();
        if self.ends.replace(ends) != ends {
            self.deadlines.wake_all();
        }
    }

    fn seed(&self) -> u64 {
        self.plane.boot.wrapping_add(self.index as u64)
    }
}

/// The name of a worker's `number`th request; workers differ by `seed`.
fn request_id(seed: u64, number: u64) -> [u8; 22] {
    let mut text = *b"req_000000000000000000";
    let (mut rest, mut count) = (seed, number);
    for (at, byte) in text.iter_mut().enumerate().skip(4).rev() {
        let source = if at >= 14 { &mut count } else { &mut rest };
        *byte = BASE62.get((*source % 62) as usize).copied().unwrap_or(b'0');
        *source /= 62;
    }
    text
}

/// Serves on `doors` until told to stop, then lets what is in flight finish.
///
/// # Errors
/// If the runtime cannot be had, or a socket cannot be served from.
pub(crate) fn run(
    index: usize,
    plane: Arc<Plane>,
    counters: Arc<CoreCounters>,
    doors: Vec<Door>,
    stage: Receiver<Stage>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let random = plane
        .boot
        .wrapping_mul(2)
        .wrapping_add(index as u64 * 2 + 1);
    let worker = Rc::new(Worker {
        index,
        log: LogBuffer::new(plane.log.clone()),
        notes: Notebook::new(plane.notes.clone()),
        counters,
        deadlines: Deadlines::default(),
        pool: Pool::default(),
        connections: RefCell::default(),
        ends: Cell::default(),
        random: Cell::new(random | 1),
        next_request: Cell::new(0),
        names: RefCell::new(BytesMut::with_capacity(NAMES_BYTES)),
        plane,
    });
    let served = runtime.block_on(serve(Rc::clone(&worker), doors, stage));
    // What was cut by the end of the drain time is dropped with the runtime, and leaves its lines only then.
    drop(runtime);
    worker.log.flush(&worker.counters);
    worker.notes.close(&worker.counters);
    served
}

async fn serve(worker: Rc<Worker>, doors: Vec<Door>, mut stage: Receiver<Stage>) -> io::Result<()> {
    for door in doors {
        let socket = TcpListener::from_std(door.socket)?;
        let tls = door.tls.map(Rc::new);
        spawn_local(accept(
            Rc::clone(&worker),
            socket,
            tls,
            door.h2c,
            stage.clone(),
        ));
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut now = Stage::Running;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                worker.deadlines.advance();
                worker.end_revoked();
                worker.pool.sweep(worker.deadlines.now());
                watch::sweep(&worker, now);
                worker.log.flush(&worker.counters);
                worker.notes.flush(&worker.counters, worker.plane.clock.now());
            }
            // The sender is gone only when the whole gate is.
            changed = stage.changed(), if now != Stage::Stopped => {
                now = if changed.is_ok() { *stage.borrow_and_update() } else { Stage::Stopped };
                watch::sweep(&worker, now);
            }
        }
        let is_empty = worker.connections.borrow().is_empty();
        if now == Stage::Stopped || now == Stage::Draining && is_empty {
            worker.log.flush(&worker.counters);
            return Ok(());
        }
    }
}

async fn accept(
    worker: Rc<Worker>,
    socket: TcpListener,
    tls: Option<Rc<(Arc<ServerConfig>, CertificateNames)>>,
    h2c: bool,
    mut stage: Receiver<Stage>,
) {
    let local = socket.local_addr().ok();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            // Dropping the socket refuses whoever comes next; there is another gate, or there is none.
            _ = stage.wait_for(|stage| *stage != Stage::Running) => return,
        };
        match accepted {
            Ok((stream, address)) => greet(&worker, stream, address, tls.clone(), h2c),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // No descriptors are left, say: waiting lets some come back, spinning would not.
                tracing::warn!(?local, %error, "cannot accept connections, waiting a moment");
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

fn greet(
    worker: &Rc<Worker>,
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Rc<(Arc<ServerConfig>, CertificateNames)>>,
    h2c: bool,
) {
    worker.counters.accepted.add(1);
    if !worker.plane.connections.enter(address.ip()) {
        worker.counters.turned_away.add(1);
        return;
    }
    worker.counters.open.add(1);
    let worker = Rc::clone(worker);
    spawn_local(async move {
        let _counted = Counted {
            worker: Rc::clone(&worker),
            address,
        };
        connection::serve(worker, stream, address, tls, h2c).await;
    });
}

/// A connection counted in; out again when dropped, also by a panic.
struct Counted {
    worker: Rc<Worker>,
    address: SocketAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.worker.counters.open.sub(1);
        self.worker.plane.connections.leave(self.address.ip());
    }
}

/// Whether accepting failed for the connection's own sake (accept(2) lists these), not for ours.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut
    )
}

/// The size of the buffer that requests' names are cut from.
const NAMES_BYTES: usize = 4 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_of_a_gate_share_a_name() {
        for boot in [0, 1, 6, 7, 61, u64::MAX] {
            let mut seen = std::collections::HashSet::new();
            for index in 0..64 {
                for number in [0, 1, 61, 62, 1 << 20] {
                    assert!(seen.insert(request_id(u64::wrapping_add(boot, index), number)));
                }
            }
        }
    }
}
