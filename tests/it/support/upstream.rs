//! An API behind the gate: a socket, a script, and a memory of the bytes that came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, SockRef, Socket as RawSocket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::clock::eventually;

/// An API behind the gate. Gone, with its connections, when dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    memory: Arc<Memory>,
    _tasks: JoinSet<()>,
    /// Bound and not listening: it keeps the port from others, and connections are refused.
    _closed: Option<RawSocket>,
}

#[derive(Default)]
struct Memory {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Request line and fields, as sent, with the empty line.
    pub head: String,
    /// What followed, as sent: chunk sizes and trailers included.
    pub body: Vec<u8>,
}

impl Seen {
    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        fields
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a field that stands there once at most.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} stands there twice: {}", self.head);
        values.first().copied()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Upstream {
    /// Like [`Self::serving`], by a script that waits for signs of the test.
    pub(crate) async fn signalled<F>(
        script: impl Fn(Socket, Arc<Notify>) -> F + Send + 'static,
    ) -> (Self, Arc<Notify>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let sign = Arc::<Notify>::default();
        let given = Arc::clone(&sign);
        let upstream = Self::serving(move |socket| script(socket, Arc::clone(&given)));
        (upstream.await, sign)
    }

    /// Serves each connection by `script`.
    pub(crate) async fn serving<F>(script: impl Fn(Socket) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::<Memory>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let memory = Arc::clone(&memory);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    memory.connections.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(script(Socket {
                        stream,
                        buffer: Vec::new(),
                        memory: Arc::clone(&memory),
                        place: None,
                    }));
                }
            }
        });
        Self {
            address,
            memory,
            _tasks: tasks,
            _closed: None,
        }
    }

    /// Answers every request with its own body.
    pub(crate) async fn echo() -> Self {
        Self::serving(|mut socket| async move {
            while let Some(seen) = socket.request().await {
                let body = content(&seen);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let body = if seen.line().starts_with("HEAD ") {
                    Vec::new()
                } else {
                    body
                };
                socket.write([head.into_bytes(), body].concat()).await;
            }
        })
        .await
    }

    /// Answers every request with these bytes.
    pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::serving(move |mut socket| {
            let bytes = bytes.clone();
            async move {
                while socket.request().await.is_some() {
                    socket.write(&bytes).await;
                }
            }
        })
        .await
    }

    /// Answers the first request of each connection with these bytes, and closes.
    pub(crate) async fn answering_once(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::serving(move |mut socket| {
            let bytes = bytes.clone();
            async move {
                if socket.request().await.is_some() {
                    socket.write(&bytes).await;
                }
            }
        })
        .await
    }

    /// Takes requests and never answers.
    pub(crate) async fn stalling() -> Self {
        Self::serving(|mut socket| async move {
            socket.request().await;
            socket.closed().await;
        })
        .await
    }

    /// Takes a request and resets the connection.
    pub(crate) async fn resetting() -> Self {
        Self::serving(|mut socket| async move {
            socket.request().await;
            socket.reset();
        })
        .await
    }

    /// Refuses connections.
    pub(crate) fn refusing() -> Self {
        let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        Self {
            address: socket.local_addr().unwrap().as_socket().unwrap(),
            memory: Arc::default(),
            _tasks: JoinSet::new(),
            _closed: Some(socket),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.memory.seen.lock().len()
    }

    /// How many connections came.
    pub(crate) fn connections(&self) -> usize {
        self.memory.connections.load(Ordering::SeqCst)
    }

    /// The last request.
    pub(crate) fn last(&self) -> Seen {
        self.memory.seen.lock().last().cloned().unwrap()
    }

    /// All requests.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.memory.seen.lock().clone()
    }

    /// Waits until so many requests came.
    pub(crate) async fn has_seen(&self, requests: usize) {
        eventually("requests at the upstream", async || {
            (self.requests() >= requests).then_some(())
        })
        .await;
    }
}

/// One connection, from the upstream's side.
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    memory: Arc<Memory>,
    /// Which of the requests is being read.
    place: Option<usize>,
}

impl Socket {
    /// The next request with its body; `None` if the gate closed.
    pub(crate) async fn request(&mut self) -> Option<Seen> {
        let head = self.head().await?;
        let body = self.body(&head).await;
        Some(Seen { body, ..head })
    }

    /// The next head; what the gate's probes ask for is not remembered as a request.
    pub(crate) async fn head(&mut self) -> Option<Seen> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let seen = Seen {
            head: String::from_utf8(head).unwrap(),
            body: Vec::new(),
        };
        self.place = None;
        if seen.header("user-agent") != Some("portcullis-health") {
            let mut all = self.memory.seen.lock();
            self.place = Some(all.len());
            all.push(seen.clone());
        }
        Some(seen)
    }

    /// The body that belongs to a head, as sent; what came of it, if the gate closes before its end.
    pub(crate) async fn body(&mut self, head: &Seen) -> Vec<u8> {
        let length = head
            .header("content-length")
            .map(|length| length.parse().unwrap());
        let is_chunked = head.header("transfer-encoding").is_some();
        let end = loop {
            let end = match length {
                Some(length) => (self.buffer.len() >= length).then_some(length),
                None if is_chunked => chunked_end(&self.buffer),
                None => Some(0),
            };
            if let Some(end) = end {
                break end;
            }
            if self.more().await.is_none() {
                break self.buffer.len();
            }
        };
        let body: Vec<u8> = self.buffer.drain(..end).collect();
        if let Some(place) = self.place {
            self.memory.seen.lock()[place].body.clone_from(&body);
        }
        body
    }

    /// Some bytes of a body, as they come; empty if the gate closed.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() && self.more().await.is_none() {
            return Vec::new();
        }
        std::mem::take(&mut self.buffer)
    }

    /// Sends bytes, as far as the gate takes them.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // A gate that left is what some tests are about.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Whether the gate still takes bytes; sends some.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Breaks the connection off.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Waits until the gate closes; throws away what comes before.
    pub(crate) async fn closed(&mut self) {
        while self.more().await.is_some() {
            self.buffer.clear();
        }
    }

    async fn more(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.buffer).await.unwrap_or(0);
        (count > 0).then_some(())
    }
}

/// The content of a request's body, without its chunks.
fn content(seen: &Seen) -> Vec<u8> {
    if seen.header("transfer-encoding").is_none() {
        return seen.body.clone();
    }
    let mut content = Vec::new();
    let mut rest = seen.body.as_slice();
    while let Some(at) = find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        content.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 2 + size + 2..];
    }
    content
}

/// Where a chunked body ends, trailers included.
fn chunked_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        at += line + 2;
        if size == 0 {
            let rest = bytes.get(at..)?;
            let end = if rest.starts_with(b"\r\n") {
                2
            } else {
                find(rest, b"\r\n\r\n")? + 4
            };
            return Some(at + end);
        }
        at += size + 2;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
