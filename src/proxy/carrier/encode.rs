//! A request as bytes: its head (RFC 9112 §3, §5) and the framing of its body (§6, §7.1).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use http_body::Body;

use super::fields::may_trail;

/// How an endpoint will know where a request's body ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes from here.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

impl Framing {
    /// A body that knows its length is not sent in chunks.
    pub(super) fn of<B: Body>(body: &B) -> Self {
        if body.is_end_stream() {
            return Self::Length(0);
        }
        body.size_hint().exact().map_or(Self::Chunked, Self::Length)
    }
}

/// Writes a request's head. Fields that speak of the connection or of framing are left out and said anew.
///
/// # Errors
/// Writes nothing and says why, if it would be no valid request: the target is not visible ASCII or not in
/// origin or asterisk form (RFC 9112 §3.2), or there is no Host.
pub(super) fn head(
    out: &mut Vec<u8>,
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    framing: Framing,
) -> Result<(), &'static str> {
    if !target.starts_with('/') && target != "*" {
        return Err("its target is not in origin form");
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its target has bytes that no target has");
    }
    let host = headers.get(HOST).ok_or("it has no Host")?;
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if *name != HOST
            && *name != CONTENT_LENGTH
            && *name != TRANSFER_ENCODING
            && *name != CONNECTION
        {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    match framing {
        // RFC 9110 §8.6: said where a body is usual, left out where it is not.
        Framing::Length(0) if !has_usually_a_body(method) => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            digits::<10>(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes the line before a chunk of `length` bytes. Not for 0: that would end the body.
pub(super) fn chunk_size(out: &mut Vec<u8>, length: u64) {
    digits::<16>(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, and the trailers that may be there (RFC 9110 §6.5.1).
pub(super) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if may_trail(name) {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn has_usually_a_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn digits<const BASE: u64>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0; 20];
    let mut length = 0;
    for place in text.iter_mut().rev() {
        let digit = u8::try_from(number % BASE).unwrap_or_default();
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        length += 1;
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(text.len() - length..).unwrap_or_default());
}
