//! A client that sends bytes, not requests.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clock::within;

/// A connection to write bytes to and read bytes from.
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends bytes, all of them.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let writing = self.stream.write_all(bytes.as_ref());
        within("the gate takes bytes", writing).await.unwrap();
    }

    /// Sends bytes as long as the gate takes them; whether it took all.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        let writing = self.stream.write_all(bytes);
        within("the gate takes bytes, or does not", writing)
            .await
            .is_ok()
    }

    /// The next reply: its head, and as much of a body as its Content-Length says.
    pub(crate) async fn reply(&mut self) -> String {
        let reply = within("a reply", async {
            let head = self.until(|bytes| find(bytes, "\r\n\r\n")).await;
            let length = field(&head, "content-length").map_or(0, |it| it.parse().unwrap());
            let body = self
                .until(|bytes| (bytes.len() >= length).then_some(length))
                .await;
            head + &body
        });
        reply.await
    }

    /// What comes until a text does, that text included.
    pub(crate) async fn until_text(&mut self, text: &str) -> String {
        within(text, self.until(|bytes| find(bytes, text))).await
    }

    /// Whether nothing has come that was not read.
    pub(crate) fn is_silent(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        self.buffer.is_empty()
            && nothing.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Everything until the gate closes; a reset counts as that.
    pub(crate) async fn rest(&mut self) -> String {
        within("the gate closes", async {
            while matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {}
        })
        .await;
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    /// Everything until the gate closes, which it must do in good order.
    pub(crate) async fn rest_in_order(&mut self) -> String {
        let reading = self.stream.read_to_end(&mut self.buffer);
        within("the gate closes", reading).await.unwrap();
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    async fn until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> String {
        loop {
            if let Some(end) = end(&self.buffer) {
                let taken = self.buffer.drain(..end).collect();
                return String::from_utf8(taken).unwrap();
            }
            let count = self.stream.read_buf(&mut self.buffer).await.unwrap();
            let so_far = String::from_utf8_lossy(&self.buffer);
            assert!(count > 0, "closed in the middle of a reply: {so_far}");
        }
    }
}

/// The value of a field of a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": "));
    fields
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The status of a reply.
pub(crate) fn status(reply: &str) -> u16 {
    let digits = reply
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    digits.unwrap_or("0").parse().unwrap()
}

/// The code of a problem.
pub(crate) fn code(reply: &str) -> String {
    let body = reply.split_once("\r\n\r\n").unwrap().1;
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

/// Where a text ends.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    memchr::memmem::find(bytes, text.as_bytes()).map(|at| at + text.len())
}
