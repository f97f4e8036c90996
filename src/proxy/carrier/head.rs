//! An answer's head, and what it says about where the answer ends (RFC 9112 §4, §6.3, §9.3).

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::body::Decoder;
use super::fields::{self, Section, trim};
use super::inbox::Inbox;

/// The most bytes a head may have.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// The most interim answers (1xx) an endpoint may send before its answer.
pub(super) const INTERIM_MAX: u32 = 8;

/// The head of a final answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Without what concerns this connection alone: `Transfer-Encoding`, and a `Connection` that names no field.
    pub(super) headers: HeaderMap,
    pub(super) decoder: Decoder,
    /// Whether the endpoint means to go on after this answer.
    pub(super) is_persistent: bool,
}

/// Reads heads until the final one.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    section: Section,
    interim: u32,
}

impl HeadReader {
    /// Reads the final answer's head from what came; `None` if it is not complete.
    ///
    /// # Errors
    /// What came is no head, or one that may be read in two ways.
    pub(super) fn read(
        &mut self,
        inbox: &mut Inbox,
        is_to_head: bool,
    ) -> Result<Option<Head>, &'static str> {
        loop {
            ensure_http(inbox.bytes())?;
            let Some(end) = self.section.find_end(inbox.bytes(), HEAD_MAX)? else {
                return Ok(None);
            };
            let lines = self.section.lines();
            self.section = Section::default();
            let head = parse(&inbox.take(end), lines, is_to_head)?;
            if !head.status.is_informational() {
                return Ok(Some(head));
            }
            self.interim += 1;
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err("it switches protocols unasked");
            }
            if self.interim > INTERIM_MAX {
                return Err("it has too many interim answers");
            }
        }
    }

    /// Whether anything came of an answer.
    pub(super) fn is_begun(&self, inbox: &Inbox) -> bool {
        self.interim > 0 || !inbox.is_empty()
    }
}

/// What speaks another protocol is known by its first bytes; it may never send an empty line.
fn ensure_http(bytes: &[u8]) -> Result<(), &'static str> {
    let length = bytes.len().min(VERSION.len());
    if bytes.get(..length) == VERSION.get(..length) {
        Ok(())
    } else {
        Err("it is not HTTP/1")
    }
}

fn parse(head: &Bytes, lines: usize, is_to_head: bool) -> Result<Head, &'static str> {
    let (minor, status, start) = status_line(head)?;
    let mut headers = HeaderMap::with_capacity(lines + ROOM);
    let mut said = Said::default();
    fields::read(head, start, |name, value| {
        let is_delivered = if name == CONTENT_LENGTH {
            said.length(&value)?
        } else if name == TRANSFER_ENCODING {
            said.transfer_encoding(&value)?
        } else if name == CONNECTION {
            said.connection(&value)
        } else {
            true
        };
        if is_delivered {
            headers.append(name, value);
        }
        Ok(())
    })?;
    let decoder = said.decoder(minor, status, is_to_head)?;
    let is_persistent = !said.closes && (minor == b'1' || said.keeps);
    Ok(Head {
        status,
        headers,
        is_persistent: is_persistent && !matches!(decoder, Decoder::Close),
        decoder,
    })
}

/// The minor version, the status, and where the next line begins.
///
/// The space before an absent reason may be absent too: many servers leave it out, and it cannot be read
/// in two ways.
fn status_line(head: &[u8]) -> Result<(u8, StatusCode, usize), &'static str> {
    const INVALID: &str = "its status line is malformed";
    let end = memchr::memchr(b'\n', head).ok_or(INVALID)?;
    let line = head.get(..end).ok_or(INVALID)?;
    let line = line.strip_suffix(b"\r").ok_or(INVALID)?;
    let [minor @ (b'0' | b'1'), b' ', a, b, c, reason @ ..] =
        line.strip_prefix(VERSION).ok_or(INVALID)?
    else {
        return Err(INVALID);
    };
    let status = StatusCode::from_bytes(&[*a, *b, *c]).map_err(|_| INVALID)?;
    let is_reason = match reason {
        [] => true,
        [b' ', text @ ..] => text.iter().all(|byte| is_text(*byte)),
        _ => false,
    };
    if is_reason {
        Ok((*minor, status, end + 1))
    } else {
        Err(INVALID)
    }
}

/// HTAB, SP, VCHAR and obs-text (RFC 9110 §5.5).
pub(super) fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// What a head says about its message's end and its connection's.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps: bool,
}

impl Said {
    fn length(&mut self, value: &HeaderValue) -> Result<bool, &'static str> {
        if self.length.is_some() {
            return Err("its length is said twice");
        }
        self.length = Some(decimal(value.as_bytes()).ok_or("its length is no number")?);
        Ok(true)
    }

    fn transfer_encoding(&mut self, value: &HeaderValue) -> Result<bool, &'static str> {
        if self.is_chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("its transfer coding is not chunked alone");
        }
        self.is_chunked = true;
        Ok(false)
    }

    /// Whether the line names a field, and so must reach whoever takes such fields out.
    fn connection(&mut self, value: &HeaderValue) -> bool {
        let mut names_a_field = false;
        for option in value.as_bytes().split(|byte| *byte == b',').map(trim) {
            if option.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps = true;
            } else {
                names_a_field |= !option.is_empty();
            }
        }
        names_a_field
    }

    /// RFC 9112 §6.3, in its order; what the RFC would repair is refused.
    fn decoder(
        &self,
        minor: u8,
        status: StatusCode,
        is_to_head: bool,
    ) -> Result<Decoder, &'static str> {
        if self.is_chunked && self.length.is_some() {
            return Err("it has a length and chunks");
        }
        if self.is_chunked && minor == b'0' {
            return Err("it has chunks in HTTP/1.0");
        }
        let is_never_a_body = status.is_informational() || status == StatusCode::NO_CONTENT;
        if is_never_a_body && (self.is_chunked || self.length.is_some_and(|length| length > 0)) {
            return Err("it has a body where none may be");
        }
        if is_never_a_body || is_to_head || status == StatusCode::NOT_MODIFIED {
            return Ok(Decoder::Done);
        }
        Ok(match self.length {
            _ if self.is_chunked => Decoder::chunked(),
            Some(0) => Decoder::Done,
            Some(length) => Decoder::Length(length),
            None => Decoder::Close,
        })
    }
}

/// Digits and nothing else, below 2^63.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })?;
    i64::try_from(number).is_ok().then_some(number)
}

/// Room in an answer's fields for those that are added on the way to the client.
const ROOM: usize = 5;
const VERSION: &[u8] = b"HTTP/1.";
