//! What the owner of a connection sees and says while hyper has the gate.
//!
//! Everything here is a hint for deadlines, read now and then by a sweep, and `Relaxed`; but for
//! the few words that gate and owner exchange about the end, which are not lost because the gate
//! leaves its waker before it looks.

use std::fmt;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::Fault;

/// A connection as seen from outside.
#[derive(Default)]
pub(crate) struct WireState {
    phase: AtomicU8,
    starved: AtomicBool,
    requests: AtomicU64,
    body_bytes: AtomicU64,
    /// Set when hyper has been told, not before: a fault behind the last request that counts is
    /// none.
    fault: OnceLock<Fault>,
    /// Requests whose response is not yet written.
    exchanges: AtomicUsize,
    resume: AtomicU8,
    /// Whether `waker` is worth a look.
    waiting: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// What the client is in the middle of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing: the last message is whole and no octet of another has come.
    Idle,
    /// A head, of which a part has come.
    Head,
    /// A body, or the trailers after it.
    Body,
}

/// How to go on after a head that asked for an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// The upgrade was declined: what follows is the next request.
    Http,
    /// Our 101 is on its way: what follows is not ours to judge.
    Raw,
}

/// Held from the moment the service is called until the response body has ended, by the service's
/// future and then by that body. While one is held, the gate does not end the stream under a
/// response.
#[derive(Debug)]
#[must_use = "dropped at once it protects nothing"]
pub(crate) struct Exchange(Arc<WireState>);

impl WireState {
    /// Marks a response as owed; see [`Exchange`].
    pub(crate) fn exchange(self: &Arc<Self>) -> Exchange {
        self.exchanges.fetch_add(1, SeqCst);
        Exchange(Arc::clone(self))
    }

    /// Says how to go on after an upgrade request; only of use where `Limits::hold_upgrades` is
    /// set. For [`Resume::Raw`] the time is when the 101 is handed to hyper.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "upgrades are stripped until WebSocket is carried")
    )]
    pub(crate) fn resume(&self, how: Resume) {
        self.resume.store(
            match how {
                Resume::Http => RESUME_HTTP,
                Resume::Raw => RESUME_RAW,
            },
            SeqCst,
        );
        self.wake();
    }

    /// Why the gate closed, if it did.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    /// The fault of a head that hyper never saw: when the connection has ended well, the owner must
    /// answer it. A fault inside a body reached the service as an error of that body, and is the
    /// service's to answer.
    pub(crate) fn unanswered(&self) -> Option<Fault> {
        self.fault().filter(|_| self.phase() != Phase::Body)
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            PHASE_HEAD => Phase::Head,
            PHASE_BODY => Phase::Body,
            _ => Phase::Idle,
        }
    }

    /// Whether a part of a head has come: past its deadline that is 408, while an idle connection
    /// is just closed.
    pub(crate) fn is_mid_head(&self) -> bool {
        self.phase() == Phase::Head
    }

    /// Whether the gate waits for the client. If not, the client is ahead of us, and a body that
    /// does not move is not its fault.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Relaxed)
    }

    /// Whether a response is owed or under way: then a connection that is [`Phase::Idle`] is not
    /// idle.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "the connection counts its own requests; tests ask the gate"
        )
    )]
    pub(crate) fn is_answering(&self) -> bool {
        self.exchanges.load(Relaxed) > 0
    }

    /// Heads handed to hyper so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Octets of content of the latest request so far; chunk sizes and trailers are not content.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Relaxed)
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        let phase = match phase {
            Phase::Idle => PHASE_IDLE,
            Phase::Head => PHASE_HEAD,
            Phase::Body => PHASE_BODY,
        };
        self.phase.store(phase, Relaxed);
    }

    pub(super) fn set_starved(&self, starved: bool) {
        self.starved.store(starved, Relaxed);
    }

    /// Only the gate writes these two, so that a load and a store are enough.
    pub(super) fn begin_request(&self) {
        self.requests
            .store(self.requests().wrapping_add(1), Relaxed);
        self.body_bytes.store(0, Relaxed);
    }

    pub(super) fn count_body(&self, bytes: u64) {
        self.body_bytes
            .store(self.body_bytes().wrapping_add(bytes), Relaxed);
    }

    pub(super) fn close(&self, fault: Fault) {
        let _ = self.fault.set(fault);
    }

    /// Whether every response has been written; if not, the task of `cx` is woken when that may
    /// have changed.
    pub(super) fn is_answered(&self, cx: &Context<'_>) -> bool {
        self.exchanges.load(SeqCst) == 0 || {
            self.leave_waker(cx);
            self.exchanges.load(SeqCst) == 0
        }
    }

    /// What was said about an earlier request does not hold for the next.
    pub(super) fn forget_resume(&self) {
        self.resume.store(RESUME_UNSAID, SeqCst);
    }

    /// What the owner said about the upgrade, once; if nothing, the task of `cx` is woken when it
    /// does.
    pub(super) fn take_resume(&self, cx: &Context<'_>) -> Option<Resume> {
        self.leave_waker(cx);
        match self.resume.swap(RESUME_UNSAID, SeqCst) {
            RESUME_HTTP => Some(Resume::Http),
            RESUME_RAW => Some(Resume::Raw),
            _ => None,
        }
    }

    fn leave_waker(&self, cx: &Context<'_>) {
        *self.waker.lock() = Some(cx.waker().clone());
        self.waiting.store(true, SeqCst);
    }

    fn wake(&self) {
        if self.waiting.swap(false, SeqCst)
            && let Some(waker) = self.waker.lock().take()
        {
            waker.wake();
        }
    }
}

impl fmt::Debug for WireState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireState")
            .field("phase", &self.phase())
            .field("requests", &self.requests())
            .field("body_bytes", &self.body_bytes())
            .field("fault", &self.fault())
            .finish_non_exhaustive()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, SeqCst);
        if self.0.waiting.load(SeqCst) {
            self.0.wake();
        }
    }
}

const PHASE_IDLE: u8 = 0;
const PHASE_HEAD: u8 = 1;
const PHASE_BODY: u8 = 2;

const RESUME_UNSAID: u8 = 0;
const RESUME_HTTP: u8 = 1;
const RESUME_RAW: u8 = 2;
