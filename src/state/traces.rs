//! Spans on their way to a collector: made where a request ends, sent by the control plane.
//!
//! Whether a request has a span is decided when it comes, before anything is made for it; most have none. The
//! queue is bounded, and what finds no place is counted and gone: no request waits for a collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::domain::id::{KeyId, OwnerId};
use crate::domain::permission::Method;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;

/// One request, as a collector is told of it. There is nothing in it that a client may choose, but its trace.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) context: Context,
    pub(crate) started_at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) method: Option<Method>,
    pub(crate) status: u16,
    /// Why it was refused.
    pub(crate) code: Option<RefusalCode>,
    pub(crate) key: Option<(KeyId, u16, OwnerId)>,
    pub(crate) request_id: String,
    pub(crate) route: Option<Arc<str>>,
    /// The upstream's name.
    pub(crate) upstream: Option<String>,
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) attempts: u8,
}

/// A request's place in a trace (W3C Trace Context §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: [u8; 16],
    /// The request's own span.
    pub(crate) span: [u8; 8],
    /// The span that it continues.
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) is_sampled: bool,
}

/// Where spans are left.
#[derive(Debug)]
pub(crate) struct Traces {
    queue: SyncSender<Span>,
    /// A trace that begins here is sampled if its last eight bytes are below.
    below: u128,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Traces {
    /// A queue for so large a share of the traces that begin here, and its other end.
    pub(crate) fn new(share: f64) -> (Arc<Self>, Receiver<Span>) {
        let (queue, spans) = sync_channel(QUEUE);
        let below = (share.clamp(0.0, 1.0) * 2.0_f64.powi(64)) as u128;
        let traces = Self {
            queue,
            below,
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        (Arc::new(traces), spans)
    }

    /// Whether a trace that begins here with this last half is sampled: all gates decide alike.
    pub(crate) fn samples(&self, low: u64) -> bool {
        u128::from(low) < self.below
    }

    /// Leaves a span, or counts that there was no place for it.
    pub(crate) fn leave(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.lost(1);
        }
    }

    /// Counts spans that a collector took.
    pub(crate) fn took(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts spans that no collector will see.
    pub(crate) fn lost(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many were sent, and how many are lost.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.sent), of(&self.dropped))
    }
}

/// How many spans wait at most: a second of a busy gate, at half a KiB each.
const QUEUE: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        Span {
            context: Context {
                trace: [1; 16],
                span: [2; 8],
                parent: None,
                is_sampled: true,
            },
            started_at: Timestamp::from_millis(0),
            took: Duration::ZERO,
            method: None,
            status: 200,
            code: None,
            key: None,
            request_id: String::new(),
            route: None,
            upstream: None,
            endpoint: None,
            attempts: 0,
        }
    }

    #[test]
    fn what_finds_no_place_is_counted() {
        let (traces, spans) = Traces::new(1.0);
        for _ in 0..QUEUE + 3 {
            traces.leave(span());
        }
        assert_eq!(traces.counts(), (0, 3));
        assert_eq!(spans.try_iter().count(), QUEUE);
        traces.leave(span());
        assert_eq!(traces.counts(), (0, 3));
    }

    #[test]
    fn a_share_of_nothing_is_nothing_and_of_all_is_all() {
        let samples = |share, low| Traces::new(share).0.samples(low);
        assert!(!samples(0.0, 0) && samples(1.0, u64::MAX));
        assert!(samples(0.5, (1 << 63) - 1) && !samples(0.5, 1 << 63));
    }
}
