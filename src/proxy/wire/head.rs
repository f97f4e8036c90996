//! A request head: judged whole, with the facts that say how its body is framed.
//!
//! RFC 9112 §6.3 lets a recipient repair some ambiguous lengths. Here ambiguity is refused: one
//! Host, one length or one `chunked`, never both, and nothing that asks a later hop to drop them.

use super::authority::Authority;
use super::lines::{Line, Lines};
use super::octets;
use super::request_line::{self, RequestLine};
use super::{Fault, Limits};

/// A good head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub len: usize,
    pub framing: Framing,
    /// Whether it asks to leave HTTP (RFC 9110 §7.8).
    pub upgrade: bool,
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many octets; none is a length of zero.
    Length(u64),
    Chunked,
}

/// A head on its way in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    lines: Lines,
    request_line: Option<RequestLine>,
    fields: usize,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    expect: bool,
    upgrade: bool,
}

impl HeadScan {
    /// Judges what has come. `head` begins at the method and is longer each time, until the head is
    /// whole or bad.
    pub(super) fn advance(&mut self, head: &[u8], limits: &Limits) -> Result<Option<Head>, Fault> {
        let request_line = match self.request_line {
            Some(line) => line,
            None => match self.request_line(head, limits)? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        loop {
            match self
                .lines
                .field(head, limits.head_max, Fault::HeadTooLarge)?
            {
                Line::Field { name, value } => {
                    self.fields += 1;
                    if self.fields > limits.fields_max {
                        return Err(Fault::HeadTooLarge);
                    }
                    self.field(name, value, head)?;
                }
                Line::End => return self.finish(request_line).map(Some),
                Line::Partial => return Ok(None),
            }
        }
    }

    fn request_line(&mut self, head: &[u8], limits: &Limits) -> Result<Option<RequestLine>, Fault> {
        let max = request_line::line_max(limits);
        if self.lines.is_waiting(head) {
            return self
                .lines
                .wait(head, max, Fault::TargetTooLong)
                .map(|()| None);
        }
        if let Some(line) = RequestLine::parse(head, limits) {
            self.lines.take(line.len, max, Fault::TargetTooLong)?;
            self.request_line = Some(line);
            return Ok(self.request_line);
        }
        match self.lines.whole(head, max, Fault::TargetTooLong)? {
            Some(line) => Err(request_line::fault(line, limits)),
            None => Ok(None),
        }
    }

    /// Takes note of a field that frames the message or changes who reads it. Lengths first: most
    /// names differ there.
    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8], head: &[u8]) -> Result<(), Fault> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value, head),
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// RFC 9112 §3.2: more than one, or one that is no host, is 400. Beside an absolute form it
    /// would be ignored (§3.2.2), so it must say the same.
    fn host(&mut self, value: &[u8], head: &[u8]) -> Result<(), Fault> {
        if self.host {
            return Err(Fault::BadRequest("more than one Host"));
        }
        let host = Authority::parse(value).ok_or(Fault::BadRequest("malformed Host"))?;
        if let Some(absolute) = self.request_line.and_then(|line| line.absolute)
            && !absolute.is_at(host, head)
        {
            return Err(Fault::BadRequest("Host differs from the request target"));
        }
        self.host = true;
        Ok(())
    }

    /// RFC 9110 §8.6, without its leave to accept the same length twice.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() {
            return Err(Fault::BadRequest("more than one Content-Length"));
        }
        if self.chunked {
            return Err(BOTH_LENGTHS);
        }
        self.length = Some(decimal(value).ok_or(Fault::BadRequest("malformed Content-Length"))?);
        Ok(())
    }

    /// RFC 9112 §6.1: of all codings only `chunked`, and once; it was not in HTTP/1.0.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.chunked {
            return Err(Fault::BadRequest("more than one Transfer-Encoding"));
        }
        if self.length.is_some() {
            return Err(BOTH_LENGTHS);
        }
        if self.request_line.is_some_and(|line| !line.is_1_1) {
            return Err(Fault::BadRequest("Transfer-Encoding on HTTP/1.0"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::BadRequest("Transfer-Encoding other than chunked"));
        }
        self.chunked = true;
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.expect {
            return Err(Fault::BadRequest("more than one Expect"));
        }
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Fault::ExpectationFailed);
        }
        self.expect = true;
        Ok(())
    }

    fn finish(&self, request_line: RequestLine) -> Result<Head, Fault> {
        if request_line.is_1_1 && !self.host {
            return Err(Fault::BadRequest("no Host"));
        }
        let framing = if self.chunked {
            Framing::Chunked
        } else {
            Framing::Length(self.length.unwrap_or(0))
        };
        Ok(Head {
            len: self.lines.judged(),
            framing,
            upgrade: self.upgrade && request_line.is_1_1,
        })
    }
}

/// Whether a field may not stand in a trailer section, because it would frame or route what is long
/// under way (RFC 9110 §6.5.1).
pub(super) fn frames_message(name: &[u8]) -> bool {
    FRAMING_FIELDS
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing))
}

/// Connection may name fields for the next hop to drop (RFC 9110 §7.6.1), but not those that say
/// what is meant.
fn connection(value: &[u8]) -> Result<(), Fault> {
    if value
        .split(|&octet| octet == b',')
        .any(|option| frames_message(octets::trim(option)))
    {
        return Err(Fault::BadRequest("Connection nominates a framing field"));
    }
    Ok(())
}

/// `1*DIGIT`, as far as a body can reach.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, &octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    (value <= LENGTH_MAX).then_some(value)
}

/// A length that a signed 64-bit reader further on still reads the same; also below what hyper
/// keeps for itself.
const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();

const FRAMING_FIELDS: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];

const BOTH_LENGTHS: Fault = Fault::BadRequest("both Content-Length and Transfer-Encoding");
