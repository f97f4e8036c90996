//! What the gate lets through, and what hyper makes of it.
mod bodies;
mod differential;
mod heads;
mod owner;
mod stream;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBuf};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Fault, Gate, Limits, Phase, WireState};

/// A client that has sent its pieces and waits for nothing.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    /// Whether the client hangs up behind its last piece, rather than waiting.
    hangs_up: bool,
    written: Vec<u8>,
}

impl Script {
    /// `input`, cut into pieces of the sizes given, over and over.
    fn cut(input: &[u8], sizes: &[usize]) -> Self {
        let mut pieces = VecDeque::new();
        let mut rest = input;
        for &size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at(size.clamp(1, rest.len()));
            pieces.push_back(piece.to_vec());
            rest = tail;
        }
        Self {
            pieces,
            hangs_up: true,
            written: Vec::new(),
        }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let script = self.get_mut();
        let Some(piece) = script.pieces.front_mut() else {
            return if script.hangs_up {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        };
        let tail = piece.split_off(piece.len().min(room.remaining()));
        room.put_slice(piece);
        if tail.is_empty() {
            script.pieces.pop_front();
        } else {
            *piece = tail;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One message as the gate delimits it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    /// Everything that was handed on of it.
    bytes: Vec<u8>,
    /// The octets of content among them.
    content: u64,
    /// Whether its end was reached.
    whole: bool,
}

/// What became of a stream of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Message>,
    fault: Option<Fault>,
}

/// Reads once into `room` octets; `None` when the gate waits.
fn read<S: AsyncRead + AsyncWrite + Unpin>(gate: &mut Gate<S>, room: usize) -> Option<Vec<u8>> {
    let mut memory = vec![0; room];
    let mut buffer = ReadBuf::new(&mut memory);
    match Pin::new(gate).poll_read(&mut Context::from_waker(Waker::noop()), buffer.unfilled()) {
        Poll::Ready(outcome) => {
            outcome.unwrap();
            Some(buffer.filled().to_vec())
        }
        Poll::Pending => None,
    }
}

/// Reads a whole stream through a gate.
fn pass(input: &[u8], sizes: &[usize], room: usize, limits: Limits) -> Outcome {
    let (mut gate, wire) = Gate::new(Script::cut(input, sizes), b"", limits);
    let mut messages = Vec::<Message>::new();
    while let Some(bytes) = read(&mut gate, room).filter(|bytes| !bytes.is_empty()) {
        messages.resize(
            usize::try_from(wire.requests()).unwrap(),
            Message::default(),
        );
        let message = messages.last_mut().unwrap();
        message.bytes.extend(bytes);
        message.content = wire.body_bytes();
        message.whole = wire.phase() != Phase::Body;
    }
    Outcome {
        messages,
        fault: wire.fault(),
    }
}

/// The outcome of `input`, which is the same however it is cut.
fn outcome(input: &[u8]) -> Outcome {
    let whole = pass(input, &[input.len()], 8192, Limits::default());
    for (sizes, room) in [
        (&[1][..], 8192),
        (&[1], 1),
        (&[2], 3),
        (&[3, 5], 7),
        (&[7], 64),
        (&[8191, 1], 8192),
    ] {
        let cut = pass(input, sizes, room, Limits::default());
        assert_eq!(whole, cut, "cut into {sizes:?}: {}", input.escape_ascii());
    }
    whole
}

/// The fault of `input`, of which nothing reaches hyper.
fn refusal(input: impl AsRef<[u8]>) -> Fault {
    let outcome = outcome(input.as_ref());
    assert_eq!(outcome.messages, [], "{}", input.as_ref().escape_ascii());
    outcome
        .fault
        .unwrap_or_else(|| panic!("let through: {}", input.as_ref().escape_ascii()))
}

/// Asserts that `input` is one request with `content` octets of content, handed on octet by octet.
fn admits_with(input: impl AsRef<[u8]>, content: u64) {
    let bytes = input.as_ref().to_vec();
    let expected = Outcome {
        messages: vec![Message {
            bytes,
            content,
            whole: true,
        }],
        fault: None,
    };
    assert_eq!(
        outcome(input.as_ref()),
        expected,
        "{}",
        input.as_ref().escape_ascii()
    );
}

fn admits(input: impl AsRef<[u8]>) {
    admits_with(input, 0);
}

/// A request for `/` with these lines behind its Host.
fn with_fields(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

fn waits(input: &[u8]) -> (Gate<Script>, Arc<WireState>) {
    let mut script = Script::cut(input, &[input.len()]);
    script.hangs_up = false;
    Gate::new(script, b"", Limits::default())
}
