//! Just enough HTTP to use a gate and to administer it.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// The admin token of all gates of a campaign.
pub(crate) const TOKEN: &str = "campaign-admin-token-0123456789";

/// An answer: its status and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    is_last: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a problem, if it is one.
    pub(crate) fn code(&self) -> Option<String> {
        self.json()["code"].as_str().map(str::to_owned)
    }
}

/// A client of one gate, over a connection that it keeps.
pub(crate) struct Client {
    gate: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub(crate) fn new(gate: SocketAddr) -> Self {
        Self { gate, stream: None }
    }

    pub(crate) fn gate(&self) -> SocketAddr {
        self.gate
    }

    /// Sends one request and reads its answer. As any client does, it opens another connection where the
    /// one it kept was closed before a byte of the answer.
    pub(crate) fn ask(&mut self, secret: &str, tag: u64) -> Result<Answer> {
        let gate = self.gate;
        let request = format!(
            "GET /x HTTP/1.1\r\nhost: {gate}\r\nx-api-key: {secret}\r\nx-campaign: {tag}\r\n\r\n"
        );
        if let Some(mut stream) = self.stream.take() {
            match exchange(&mut stream, request.as_bytes()) {
                Ok(answer) => {
                    self.stream = (!answer.is_last).then_some(stream);
                    return Ok(answer);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        let mut stream = TcpStream::connect_timeout(&gate, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let answer = exchange(&mut stream, request.as_bytes())?;
        self.stream = (!answer.is_last).then_some(stream);
        Ok(answer)
    }
}

/// One call of the admin API, on a connection of its own.
pub(crate) fn admin(gate: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&gate, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let kind = if path.ends_with("/import") {
        "application/x-ndjson"
    } else {
        "application/json"
    };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {gate}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    exchange(&mut stream, request.as_bytes())
}

/// [`ErrorKind::ConnectionAborted`] when the connection ended before the first byte of an answer.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<Answer> {
    let aborted = |error: Error| match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Error::from(ErrorKind::ConnectionAborted)
        }
        _ => error,
    };
    stream.write_all(request).map_err(aborted)?;
    let mut bytes = Vec::new();
    let mut more = vec![0; 64 * 1_024];
    loop {
        if let Some(answer) = answer_of(&bytes)? {
            return Ok(answer);
        }
        let count = match stream.read(&mut more) {
            Ok(count) => count,
            Err(error) if bytes.is_empty() => return Err(aborted(error)),
            Err(error) => return Err(error),
        };
        if count == 0 {
            return match Framed::of(&bytes)? {
                // Its end is its length.
                Some(framed) if framed.length.is_none() && !framed.is_chunked => Ok(Answer {
                    status: framed.status,
                    body: bytes[framed.head..].to_vec(),
                    is_last: true,
                }),
                _ if bytes.is_empty() => Err(ErrorKind::ConnectionAborted.into()),
                _ => Err(ErrorKind::UnexpectedEof.into()),
            };
        }
        bytes.extend_from_slice(&more[..count]);
    }
}

/// The answer, once all of it is there.
fn answer_of(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some(framed) = Framed::of(bytes)? else {
        return Ok(None);
    };
    let rest = &bytes[framed.head..];
    let body = if framed.is_chunked {
        unchunked(rest)
    } else {
        framed
            .length
            .and_then(|length| rest.get(..length))
            .map(<[u8]>::to_vec)
    };
    Ok(body.map(|body| Answer {
        status: framed.status,
        body,
        is_last: framed.is_last,
    }))
}

/// What the head of an answer says of it.
struct Framed {
    head: usize,
    status: u16,
    length: Option<usize>,
    is_chunked: bool,
    is_last: bool,
}

impl Framed {
    fn of(bytes: &[u8]) -> Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head
            .parse(bytes)
            .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let field = |name: &str| {
            let mut found = head.headers.iter();
            let field = found.find(|it| it.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(field.value).ok()
        };
        Ok(Some(Self {
            head: length,
            status: head.code.unwrap_or_default(),
            length: field("content-length").and_then(|it| it.parse().ok()),
            is_chunked: field("transfer-encoding").is_some(),
            is_last: field("connection") == Some("close"),
        }))
    }
}

/// A chunked body, once its last chunk is there.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|it| it == b"\r\n")?;
        let length = std::str::from_utf8(&rest[..end]).ok()?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 4 + length..)?;
    }
}

/// How long anything is waited for: longer than any fault lasts, so that none looks like a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
