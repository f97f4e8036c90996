//! What lies between a gate and its Redis: a relay that can be cut, held, slowed and pointed elsewhere.
//!
//! Bytes are never dropped out of the middle of a stream, since TCP does not: what is held is delivered
//! when the link heals, or its connection is reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a link behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// Connections are reset, new ones too.
    Refusing,
    /// Nothing passes in either direction; connections stay open.
    Silent,
    /// Commands arrive and are done; their answers do not come back.
    NoReplies,
    /// Each piece of either direction is late by so many milliseconds.
    Late(u32),
}

/// Whose weather it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// This gate's alone.
    Gate,
    /// The store's, and so every gate's.
    Store,
}

/// One gate's way to Redis. Ends when dropped.
pub(crate) struct Link {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: AtomicU16,
    /// The weather of each [`Layer`].
    weather: [AtomicU8; 2],
    late_ms: [AtomicU32; 2],
    is_over: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    open: AtomicUsize,
}

impl Link {
    pub(crate) fn to(target: u16) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            weather: [const { AtomicU8::new(FAIR) }; 2],
            late_ms: [const { AtomicU32::new(0) }; 2],
            is_over: AtomicBool::new(false),
            connections: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept(&socket));
        Self { port, shared }
    }

    /// Where new connections go.
    pub(crate) fn point_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::SeqCst);
    }

    /// The weather at one layer; what passes has to pass both.
    pub(crate) fn set(&self, layer: Layer, weather: Weather) {
        let (code, late) = match weather {
            Weather::Fair => (FAIR, 0),
            Weather::Refusing => (REFUSING, 0),
            Weather::Silent => (SILENT, 0),
            Weather::NoReplies => (NO_REPLIES, 0),
            Weather::Late(ms) => (FAIR, ms),
        };
        self.shared.late_ms[layer as usize].store(late, Ordering::SeqCst);
        self.shared.weather[layer as usize].store(code, Ordering::SeqCst);
        if weather == Weather::Refusing {
            self.reset();
        }
    }

    /// Ends all connections there are.
    pub(crate) fn reset(&self) {
        for stream in self.shared.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.reset();
        // Wakes who accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, socket: &TcpListener) {
        for inner in socket.incoming().map_while(Result::ok) {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            if self.has(REFUSING) {
                continue;
            }
            let target = self.target.load(Ordering::SeqCst);
            let Ok(outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
                continue;
            };
            for stream in [&inner, &outer] {
                let _ = stream.set_nodelay(true);
                let _ = stream.set_read_timeout(Some(TICK));
            }
            {
                let mut known = self.connections.lock().unwrap();
                if self.open.load(Ordering::SeqCst) == 0 {
                    known.clear();
                }
                known.extend([inner.try_clone().unwrap(), outer.try_clone().unwrap()]);
            }
            let ends = (inner.try_clone().unwrap(), outer.try_clone().unwrap());
            for (from, to, is_reply) in [(inner, outer, false), (ends.1, ends.0, true)] {
                let shared = Arc::clone(self);
                self.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    shared.carry(from, to, is_reply);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
    }

    /// Carries one direction of a connection until it ends.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, is_reply: bool) {
        let mut buffer = vec![0; 64 * 1_024];
        while !self.is_over.load(Ordering::SeqCst) {
            if self.holds(is_reply) {
                std::thread::sleep(HELD);
                continue;
            }
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    continue;
                }
                Err(_) => break,
            };
            let late = self.late_ms.iter().map(|it| it.load(Ordering::SeqCst));
            let late = late.max().unwrap_or_default();
            if late > 0 {
                std::thread::sleep(Duration::from_millis(u64::from(late)));
            }
            // What was read just before the link went silent does not arrive either.
            while self.holds(is_reply) && !self.is_over.load(Ordering::SeqCst) {
                std::thread::sleep(HELD);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn holds(&self, is_reply: bool) -> bool {
        self.has(SILENT) || (is_reply && self.has(NO_REPLIES))
    }

    fn has(&self, weather: u8) -> bool {
        let mut layers = self.weather.iter();
        layers.any(|it| it.load(Ordering::SeqCst) == weather)
    }
}

const FAIR: u8 = 0;
const REFUSING: u8 = 1;
const SILENT: u8 = 2;
const NO_REPLIES: u8 = 3;
/// How long a read waits before the weather is looked at again.
const TICK: Duration = Duration::from_millis(20);
/// How long what is held waits before the weather is looked at again.
const HELD: Duration = Duration::from_millis(2);
