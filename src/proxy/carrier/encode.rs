//! A request as bytes: its head (RFC 9112 §3, §5) and the framing of its body (§6, §7.1).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Body;

use super::fields::may_trail;
use crate::proxy::digits;

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

/// The fields of a request, as whoever sends it has them.
pub(crate) trait Fields {
    /// The Host, which every request has (RFC 9112 §3.2).
    fn host(&self) -> Option<&[u8]>;

    /// Writes the others, in their order. What is written of the connection or of framing is left out: that is
    /// the carrier's to say.
    fn write(&self, lines: &mut Lines<'_>);
}

/// Where fields are written: behind one another, in the form they have on the wire.
#[derive(Debug)]
pub(crate) struct Lines<'a>(&'a mut Vec<u8>);

impl Lines<'_> {
    /// A field as it came.
    #[inline]
    pub(crate) fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        if !is_the_carriers(name) {
            field(self.0, name.as_str(), value.as_bytes());
        }
    }

    /// A field of our own: the value is all `parts` in a row, in which no line may end.
    #[inline]
    pub(crate) fn say(&mut self, name: &'static str, parts: &[&[u8]]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        for part in parts {
            self.0.extend_from_slice(part);
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// A number of our own.
    pub(crate) fn say_number(&mut self, name: &'static str, number: u64) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        digits::write::<10>(self.0, number);
        self.0.extend_from_slice(b"\r\n");
    }

    /// Goes on with the line before, instead of beginning one.
    pub(crate) fn go_on(&mut self, parts: &[&[u8]]) {
        self.0.truncate(self.0.len().saturating_sub(2));
        for part in parts {
            self.0.extend_from_slice(part);
        }
        self.0.extend_from_slice(b"\r\n");
    }
}

/// Said anew for every connection, by the carrier itself.
fn is_the_carriers(name: &HeaderName) -> bool {
    *name == HOST || *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == CONNECTION
}

/// Writes a request's head.
///
/// # Errors
/// Writes nothing and says why, if it would be no valid request: the target is not visible ASCII or not in
/// origin or asterisk form (RFC 9112 §3.2), or there is no Host.
pub(super) fn head(
    out: &mut Vec<u8>,
    method: &Method,
    target: &str,
    fields: &impl Fields,
    framing: Framing,
) -> Result<(), &'static str> {
    if !target.starts_with('/') && target != "*" {
        return Err("its target is not in origin form");
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its target has bytes that no target has");
    }
    let host = fields.host().ok_or("it has no Host")?;
    out.reserve(USUAL_HEAD);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, "host", host);
    fields.write(&mut Lines(out));
    match framing {
        // RFC 9110 §8.6: said where a body is usual, left out where it is not.
        Framing::Length(0) if !has_usually_a_body(method) => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            digits::write::<10>(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes the line before a chunk of `length` bytes. Not for 0: that would end the body.
pub(super) fn chunk_size(out: &mut Vec<u8>, length: u64) {
    digits::write::<16>(out, length);
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

#[inline]
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn has_usually_a_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Room that is made at once for a head: most fit.
const USUAL_HEAD: usize = 1024;
