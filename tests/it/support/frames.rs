//! A client that sends HTTP/2 frames, not requests (RFC 9113 §4.1).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clock::within;

/// A connection to write frames to and read frames from. It answers nothing by itself.
pub(crate) struct Frames {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The setting of a stream's first window.
pub(crate) const INITIAL_WINDOW_SIZE: u8 = 4;
/// What a connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Frames {
    /// Connects, and says nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Connects, and begins with these settings.
    pub(crate) async fn connect(address: SocketAddr, settings: &[(u8, u32)]) -> Self {
        let mut frames = Self::silent(address).await;
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&[0, *id][..], &value.to_be_bytes()].concat())
            .collect();
        let first = frame(SETTINGS, 0, 0, &settings);
        frames.write([PREFACE, &first].concat()).await;
        frames
    }

    /// Sends bytes, all of them.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.try_write(bytes).await, "the gate has closed");
    }

    /// Sends bytes as long as the gate takes them; whether it took all.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let writing = self.stream.write_all(bytes.as_ref());
        within("the gate takes bytes", writing).await.is_ok()
    }

    /// The next frame; `None` if the gate closes.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            loop {
                if let Some(frame) = self.take() {
                    return Some(frame);
                }
                // A reset is an end like another.
                let count = self.stream.read_buf(&mut self.buffer).await.unwrap_or(0);
                if count == 0 {
                    return None;
                }
            }
        };
        within("a frame, or the end", reading).await
    }

    /// The next frame of a type; what comes before is thrown away.
    pub(crate) async fn until(&mut self, kind: u8) -> Frame {
        while let Some(frame) = self.next().await {
            if frame.kind == kind {
                return frame;
            }
        }
        panic!("the gate closed before a frame of type {kind}")
    }

    /// All frames until the gate closes.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.buffer.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        self.buffer.get(..9 + length)?;
        let payload = self.buffer.drain(..9 + length).skip(9).collect();
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A header block (RFC 7541): `GET` or `POST` of `/` at `a`, and these fields, none of them indexed.
pub(crate) fn block(method: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let method = if method == "GET" { 0x82 } else { 0x83 };
    // :method, :scheme http, :path /, and :authority, a name of the static table with a value.
    let mut block = vec![method, 0x86, 0x84, 0x01, 1, b'a'];
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541 §5.1, with a prefix of seven bits.
fn length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    block.push(u8::try_from(length).unwrap());
}

/// A `GET` on a stream, whole.
pub(crate) fn get(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &block("GET", fields),
    )
}

/// The head of a `POST` on a stream.
pub(crate) fn post(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block("POST", fields))
}
