//! HTTP/2's frames as they come (RFC 9113 §4.1): what a client is in the middle of, and how much of what
//! it sends is noise. Only frame headers are looked at; payloads pass unseen.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::deadlines::Tick;
use crate::proxy::stream::{Outflow, Watched};
use crate::proxy::worker::Worker;

/// What a client is in the middle of sending, for whoever holds it to its deadlines.
#[derive(Debug, Default)]
pub(crate) struct Inflow {
    is_open: Cell<bool>,
    blocks: Cell<u64>,
    is_mid_block: Cell<bool>,
}

impl Inflow {
    /// Whether the preface and the settings that belong to it (RFC 9113 §3.4) have come whole.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Which of its header blocks the client has begun and not ended.
    pub(crate) fn unfinished_block(&self) -> Option<u64> {
        self.is_mid_block.get().then(|| self.blocks.get())
    }
}

/// Follows frames from header to header.
#[derive(Debug)]
struct Follower {
    inflow: Rc<Inflow>,
    place: Place,
    noise: Noise,
}

/// Where in the stream the next byte stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Preface { left: usize },
    Header { bytes: [u8; HEADER], count: usize },
    Payload { left: usize, ends_block: bool },
}

impl Follower {
    /// Goes past `bytes`. `now` and `written` are for the measure of noise.
    fn follow(&mut self, mut bytes: &[u8], now: Tick, written: u64) -> Result<(), TooNoisy> {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Preface { left } => {
                    let count = bytes.len().min(*left);
                    bytes = bytes.get(count..).unwrap_or_default();
                    *left -= count;
                    if *left == 0 {
                        self.place = Place::HEADER;
                    }
                }
                Place::Header { bytes: head, count } => {
                    let (some, rest) = bytes.split_at(bytes.len().min(HEADER - *count));
                    for (to, from) in head.iter_mut().skip(*count).zip(some) {
                        *to = *from;
                    }
                    *count += some.len();
                    bytes = rest;
                    if *count == HEADER {
                        let head = *head;
                        self.begin(head, now, written)?;
                    }
                }
                Place::Payload { left, ends_block } => {
                    let count = bytes.len().min(*left);
                    bytes = bytes.get(count..).unwrap_or_default();
                    *left -= count;
                    if *left == 0 {
                        let ends_block = *ends_block;
                        self.end(ends_block);
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: [u8; HEADER], now: Tick, written: u64) -> Result<(), TooNoisy> {
        let [a, b, c, kind, flags, ..] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let has = |flag: u8| flags & flag != 0;
        let is_noise = match kind {
            DATA => length == 0 && !has(END_STREAM),
            HEADERS | GOAWAY => false,
            // The first settings belong to the preface, and answers to ours are none of the client's own.
            SETTINGS => self.inflow.is_open() && !has(ACK),
            PING => !has(ACK),
            // RST_STREAM, WINDOW_UPDATE, CONTINUATION, PRIORITY, and what nobody knows.
            _ => true,
        };
        if is_noise {
            self.noise.add(now, written)?;
        }
        if kind == HEADERS {
            self.inflow.blocks.set(self.inflow.blocks.get() + 1);
            self.inflow.is_mid_block.set(true);
        }
        let ends_block = matches!(kind, HEADERS | CONTINUATION) && has(END_HEADERS);
        if length == 0 {
            self.end(ends_block);
        } else {
            self.place = Place::Payload {
                left: length,
                ends_block,
            };
        }
        Ok(())
    }

    fn end(&mut self, ends_block: bool) {
        self.place = Place::HEADER;
        self.inflow.is_open.set(true);
        if ends_block {
            self.inflow.is_mid_block.set(false);
        }
    }
}

impl Place {
    const HEADER: Self = Self::Header {
        bytes: [0; HEADER],
        count: 0,
    };
}

/// How many frames came that carry nothing, less what time and answers have made up for: a download
/// needs window updates, a page that is left needs resets.
#[derive(Debug, Default)]
struct Noise {
    level: u32,
    at: Tick,
    paid: u64,
}

impl Noise {
    fn add(&mut self, now: Tick, written: u64) -> Result<(), TooNoisy> {
        let answered = written.saturating_sub(self.paid) / BYTES_PER_FRAME;
        self.paid += answered * BYTES_PER_FRAME;
        let made_up = u64::from(now.since(self.at)) * FRAMES_PER_TICK + answered;
        self.at = now;
        let made_up = u32::try_from(made_up).unwrap_or(u32::MAX);
        self.level = self.level.saturating_sub(made_up) + 1;
        if self.level > NOISE_MAX {
            return Err(TooNoisy);
        }
        Ok(())
    }
}

/// The client sends more than it says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client sends too many frames that carry nothing")]
struct TooNoisy;

/// A client's HTTP/2 stream, its frames followed. Ends with an error when there is too much noise.
#[derive(Debug)]
pub(crate) struct Followed {
    stream: Watched,
    /// What was read before it was known to be HTTP/2.
    first: Vec<u8>,
    follower: Follower,
    outflow: Arc<Outflow>,
    worker: Rc<Worker>,
}

impl Followed {
    pub(crate) fn new(
        stream: Watched,
        first: Vec<u8>,
        outflow: &Arc<Outflow>,
        worker: &Rc<Worker>,
    ) -> (Self, Rc<Inflow>) {
        let inflow = Rc::<Inflow>::default();
        let follower = Follower {
            inflow: Rc::clone(&inflow),
            place: Place::Preface { left: PREFACE },
            noise: Noise::default(),
        };
        let followed = Self {
            stream,
            first,
            follower,
            outflow: Arc::clone(outflow),
            worker: Rc::clone(worker),
        };
        (followed, inflow)
    }
}

impl AsyncRead for Followed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.first.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        } else {
            let count = this.first.len().min(buf.remaining());
            let first: Vec<u8> = this.first.drain(..count).collect();
            buf.put_slice(&first);
        }
        let came = buf.filled().get(before..).unwrap_or_default();
        let (now, written) = (this.worker.deadlines.now(), this.outflow.written());
        let followed = this.follower.follow(came, now, written);
        Poll::Ready(followed.map_err(io::Error::other))
    }
}

impl AsyncWrite for Followed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Octets of the preface: `PRI * HTTP/2.0`, two empty lines, `SM`, another.
const PREFACE: usize = 24;
/// Octets of a frame's header.
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// So many frames of noise a client may be ahead.
const NOISE_MAX: u32 = 1_000;
/// So many a tick are made up for by time: a hundred a second.
const FRAMES_PER_TICK: u64 = 10;
/// So many bytes that were answered make up for one.
const BYTES_PER_FRAME: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn follower() -> Follower {
        Follower {
            inflow: Rc::default(),
            place: Place::Preface { left: PREFACE },
            noise: Noise::default(),
        }
    }

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![
            0,
            0,
            u8::try_from(payload).unwrap(),
            kind,
            flags,
            0,
            0,
            0,
            1,
        ];
        frame.resize(HEADER + payload, 0);
        frame
    }

    #[test]
    fn however_the_bytes_are_cut_the_same_is_seen() {
        let open = [vec![b'x'; PREFACE], frame(SETTINGS, 0, 12)].concat();
        let block = [frame(HEADERS, 0, 7), frame(CONTINUATION, 0, 0)].concat();
        let end = frame(CONTINUATION, END_HEADERS, 3);
        for cut in [1, 2, 5, 9, 100] {
            let mut follower = follower();
            let mut follow = |bytes: &[u8]| {
                for piece in bytes.chunks(cut) {
                    follower.follow(piece, Tick::default(), 0).unwrap();
                }
                let inflow = &follower.inflow;
                (inflow.is_open(), inflow.unfinished_block())
            };
            assert_eq!(follow(&open[..open.len() - 1]), (false, None));
            assert_eq!(follow(&open[open.len() - 1..]), (true, None));
            assert_eq!(follow(&block), (true, Some(1)));
            assert_eq!(follow(&end[..end.len() - 1]), (true, Some(1)));
            assert_eq!(follow(&end[end.len() - 1..]), (true, None));
            assert_eq!(follow(&frame(HEADERS, END_HEADERS, 0)), (true, None));
        }
    }

    #[test]
    fn noise_is_borne_as_far_as_time_and_answers_make_up_for_it() {
        for (kind, flags, is_noise) in [
            (PING, 0, true),
            (PING, ACK, false),
            (SETTINGS, 0, true),
            (SETTINGS, ACK, false),
            (3, 0, true),
            (8, 0, true),
            (CONTINUATION, 0, true),
            (DATA, 0, true),
            (DATA, END_STREAM, false),
            (HEADERS, END_HEADERS, false),
        ] {
            let mut follower = follower();
            let open = [vec![b'x'; PREFACE], frame(SETTINGS, 0, 0)].concat();
            follower.follow(&open, Tick::default(), 0).unwrap();
            let frame = frame(kind, flags, 0);
            for _ in 0..NOISE_MAX {
                follower.follow(&frame, Tick::default(), 0).unwrap();
            }
            let one_more = follower.follow(&frame, Tick::default(), 0);
            assert_eq!(one_more.is_err(), is_noise, "{kind} {flags}");
        }
        let mut noise = Noise::default();
        for n in 0..10_000 {
            noise.add(Tick::default(), n * BYTES_PER_FRAME).unwrap();
        }
    }
}
