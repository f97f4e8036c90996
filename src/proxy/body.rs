//! Bodies in both directions: counted, bounded, never held whole.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::proxy::deadlines::Tick;
use crate::proxy::flow::Piece;
use crate::proxy::forward::Download;
use crate::proxy::headers;
use crate::proxy::pace::Pace;
use crate::proxy::record::Record;
use crate::proxy::warrant::Warrant;
use crate::proxy::worker::Worker;

/// How a request's body is doing, as seen from outside it.
#[derive(Debug)]
pub(crate) struct UploadMeter {
    bytes: Cell<u64>,
    /// When the client had sent what was wanted of it, last.
    moved_at: Cell<Tick>,
    is_awaited: Cell<bool>,
    is_answered: Cell<bool>,
    has_ended: Cell<bool>,
    is_too_large: Cell<bool>,
    has_stalled: Cell<bool>,
    has_failed: Cell<bool>,
    /// What lets it go on.
    warrant: Option<Warrant>,
    was_revoked: Cell<bool>,
}

impl UploadMeter {
    pub(crate) fn new(now: Tick, warrant: Option<Warrant>) -> Self {
        Self {
            bytes: Cell::default(),
            moved_at: Cell::new(now),
            is_awaited: Cell::default(),
            is_answered: Cell::default(),
            has_ended: Cell::default(),
            is_too_large: Cell::default(),
            has_stalled: Cell::default(),
            has_failed: Cell::default(),
            warrant,
            was_revoked: Cell::default(),
        }
    }

    /// Since when the upstream, not the client, is what is waited for; `now` while it is the client.
    pub(crate) fn upstream_since(&self, now: Tick) -> Tick {
        if self.is_awaited.get() {
            now
        } else {
            self.moved_at.get()
        }
    }

    /// The answer has begun: from here on the two may be talking, and silence is no sloth.
    pub(crate) fn answered(&self) {
        self.is_answered.set(true);
    }

    fn moved(&self, now: Tick) {
        self.moved_at.set(now);
        self.is_awaited.set(false);
    }

    /// Bytes that went through.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Whether all of it was taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// Whether it grew beyond what its route allows.
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large.get()
    }

    /// Whether the client sent no more of it for too long, or all of it too slowly.
    pub(crate) fn has_stalled(&self) -> bool {
        self.has_stalled.get()
    }

    /// Whether the key it came with was revoked meanwhile.
    pub(crate) fn was_revoked(&self) -> bool {
        self.was_revoked.get()
    }

    fn is_void(&self, worker: &Worker) -> bool {
        let is_void = self.warrant.as_ref().is_some_and(|it| it.is_void(worker));
        if is_void {
            self.was_revoked.set(true);
        }
        is_void
    }

    /// Whether the client broke off.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }
}

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub(crate) enum Upload {
    /// There is none.
    Empty,
    /// It streams through.
    Stream {
        /// The client's.
        incoming: Incoming,
        /// Where it is counted.
        meter: Rc<UploadMeter>,
        /// The most it may have.
        most: u64,
        /// How long the client may be silent.
        pace: Pace,
        /// What was taken from it already and is to be sent before the rest; counted when it was taken.
        first: Bytes,
    },
}

impl Upload {
    /// The same body, with what was taken from it put back in front.
    pub(crate) fn preceded_by(mut self, taken: Bytes) -> Self {
        if let Self::Stream { first, .. } = &mut self {
            *first = taken;
        }
        self
    }
}

/// Why a request's body does not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The client broke off, or sent what is no body.
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
    /// The client fell silent.
    #[error("the request's body does not come")]
    Silent,
    /// The key it came with was revoked.
    #[error("the key of the request was revoked")]
    Revoked,
    /// It has more bytes than its route allows.
    #[error("the request's body is too large")]
    TooLarge,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self::Stream {
            incoming,
            meter,
            most,
            pace,
            first,
        } = &mut *self
        else {
            return Poll::Ready(None);
        };
        if meter.is_void(pace.worker()) {
            return Poll::Ready(Some(Err(UploadError::Revoked)));
        }
        if !first.is_empty() {
            meter.moved(pace.now());
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(first)))));
        }
        let polled = Pin::new(&mut *incoming).poll_frame(cx);
        if polled.is_pending() {
            meter.is_awaited.set(true);
            if pace.is_over(meter.is_answered.get(), cx) {
                meter.has_stalled.set(true);
                return Poll::Ready(Some(Err(UploadError::Silent)));
            }
        }
        let frame = ready!(polled);
        meter.moved(pace.now());
        match frame {
            None => {
                meter.has_ended.set(true);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                meter.has_failed.set(true);
                Poll::Ready(Some(Err(UploadError::Broken(error))))
            }
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::for_upstream_trailers(trailers);
                }
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                pace.came(length);
                // Whoever knows the length does not ask again when it has all.
                meter.has_ended.set(incoming.is_end_stream());
                meter.bytes.set(meter.bytes.get() + length);
                if meter.bytes.get() > *most {
                    meter.is_too_large.set(true);
                    return Poll::Ready(Some(Err(UploadError::TooLarge)));
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream {
                incoming, first, ..
            } => first.is_empty() && incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream {
                incoming, first, ..
            } => match incoming.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + first.len() as u64),
                None => SizeHint::default(),
            },
        }
    }
}

/// What a client is sent, with the record of the request it answers: whatever ends the body closes the
/// record.
#[derive(Debug)]
pub(crate) struct Outgoing {
    content: Content,
    record: Box<Record>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and an answer is not worth an allocation more"
)]
enum Content {
    /// Nothing, or nothing more.
    Empty,
    /// A reply of our own.
    Whole(Bytes),
    /// An upstream's answer.
    Download {
        download: Download,
        idle: Duration,
        place: Option<usize>,
        due: Tick,
    },
    /// An answer that broke off, which the client has yet to be shown.
    Broken(OutgoingError),
}

/// Why an answer's body does not end well. The client sees it cut, never completed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum OutgoingError {
    /// The upstream broke off.
    #[error("the upstream's answer broke off")]
    Broken,
    /// The upstream fell silent.
    #[error("the upstream fell silent in the middle of its answer")]
    Silent,
    /// The key it was asked with was revoked.
    #[error("the key of the request was revoked in the middle of its answer")]
    Revoked,
}

impl Outgoing {
    /// A reply of our own.
    pub(crate) fn whole(bytes: Bytes, record: Box<Record>) -> Self {
        Self {
            content: Content::Whole(bytes),
            record,
        }
    }

    /// An upstream's answer, which may be silent for as long as `idle`.
    pub(crate) fn download(download: Download, idle: Duration, record: Box<Record>) -> Self {
        let due = record.worker().deadlines.now().after(idle);
        let content = if download.is_end_stream() {
            drop(download);
            Content::Empty
        } else {
            Content::Download {
                download,
                idle,
                place: None,
                due,
            }
        };
        Self { content, record }
    }

    /// Ends the answer in the middle, a turn later: whoever writes it would throw away what it has not
    /// written yet, the head perhaps, and a connection that closes without a word invites a client to
    /// send its request again.
    fn break_off<T>(&mut self, error: OutgoingError, cx: &Context<'_>) -> Poll<T> {
        self.record.cut();
        self.finish();
        self.content = Content::Broken(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn finish(&mut self) {
        if let Content::Download { place, .. } = &mut self.content {
            self.record.worker().deadlines.leave(place.take());
        }
        self.content = Content::Empty;
    }
}

impl Body for Outgoing {
    type Data = Piece;
    type Error = OutgoingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, OutgoingError>>> {
        let this = &mut *self;
        if matches!(this.content, Content::Download { .. }) && this.record.is_void() {
            return this.break_off(OutgoingError::Revoked, cx);
        }
        match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Broken(error) => {
                let error = *error;
                this.content = Content::Empty;
                Poll::Ready(Some(Err(error)))
            }
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(this.record.piece(bytes)))))
            }
            Content::Download {
                download,
                idle,
                place,
                due,
            } => {
                let deadlines = &this.record.worker().deadlines;
                match download.poll_frame(cx) {
                    Poll::Pending if deadlines.now() >= *due => {
                        this.break_off(OutgoingError::Silent, cx)
                    }
                    Poll::Pending => {
                        *place = Some(deadlines.wait(*place, *due, cx));
                        Poll::Pending
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        *due = deadlines.now().after(*idle);
                        if download.is_end_stream() {
                            this.finish();
                        }
                        let frame = frame.map_data(|bytes| this.record.piece(bytes));
                        Poll::Ready(Some(Ok(frame)))
                    }
                    Poll::Ready(Some(Err(_))) => this.break_off(OutgoingError::Broken, cx),
                    Poll::Ready(None) => {
                        this.finish();
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Download { .. } | Content::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Download { download, .. } => download.size_hint(),
            Content::Broken(_) => SizeHint::default(),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if matches!(self.content, Content::Download { .. }) {
            self.record.abandon();
        }
        self.finish();
    }
}
