//! `METHOD SP target SP HTTP/1.1 CRLF` (RFC 9112 §3).
//!
//! [`RequestLine::parse`] knows only good lines and is quick. [`fault`] is asked about the others
//! and takes its time to say what is wrong; the first alone decides whether.

use super::authority::Authority;
use super::octets::{self, PATH, QUERY, TOKEN};
use super::{Fault, Limits};

/// What the rest of the head is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine {
    /// HTTP/1.1 rather than 1.0.
    pub is_1_1: bool,
    /// Where an absolute form put its authority.
    pub absolute: Option<Absolute>,
    /// The octets of the line, its CRLF with them.
    pub len: usize,
}

/// The authority of an absolute form: where it stands in the head, and the port its scheme implies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absolute {
    start: usize,
    end: usize,
    default_port: u16,
}

impl RequestLine {
    /// The good request line at the front of `bytes`; `None` if it is not whole or not good.
    #[inline]
    pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Option<Self> {
        let (method, rest) = bytes.split_at_checked(octets::run(bytes, TOKEN))?;
        let rest = rest.strip_prefix(b" ")?;
        let path = octets::run(rest, PATH);
        let query = match rest.get(path..)? {
            [b'?', query @ ..] => 1 + octets::run(query, QUERY),
            _ => 0,
        };
        let (target, rest) = rest.split_at_checked(path + query)?;
        let is_1_1 = match rest.strip_prefix(b" HTTP/1.")? {
            [b'1', b'\r', b'\n', ..] => true,
            [b'0', b'\r', b'\n', ..] => false,
            _ => return None,
        };
        if !is_served(method) || target.len() > limits.target_max {
            return None;
        }
        let absolute = match target {
            [b'/', ..] => None,
            b"*" if method == b"OPTIONS" => None,
            _ => Some(absolute(target, method.len() + 1)?),
        };
        Some(Self {
            is_1_1,
            absolute,
            len: method.len() + target.len() + AROUND,
        })
    }
}

impl Absolute {
    /// Whether the target in `head` names `host`.
    #[cold]
    pub(super) fn is_at(self, host: Authority<'_>, head: &[u8]) -> bool {
        let target = head.get(self.start..self.end).and_then(Authority::parse);
        target.is_some_and(|target| target.is_same(host, self.default_port))
    }
}

/// The longest request line that is looked at, whatever it holds: room for the target, and some for
/// the rest.
pub(super) fn line_max(limits: &Limits) -> usize {
    limits
        .target_max
        .saturating_add(LINE_REST)
        .min(limits.head_max)
}

/// What is wrong with a whole line that [`RequestLine::parse`] would not have: first its form, then
/// its version, method and target.
#[cold]
pub(super) fn fault(line: &[u8], limits: &Limits) -> Fault {
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Fault::BadRequest("request line ends with a bare LF");
    };
    if line.iter().any(u8::is_ascii_control) {
        return Fault::BadRequest("control character in the request line");
    }
    let mut parts = line.split(|&octet| octet == b' ');
    let (method, target, version) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(version), None) => (method, target, version),
        // HTTP/0.9 had no version: `GET /` was all of it.
        (Some(method), Some([b'/', ..]), None, _) if is_known(method) => {
            return Fault::VersionNotSupported;
        }
        _ => return Fault::BadRequest("request line is not three words with one space between"),
    };
    if method.is_empty() || octets::run(method, TOKEN) < method.len() {
        return Fault::BadRequest("method is not a token");
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => {}
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Fault::VersionNotSupported;
        }
        _ => return Fault::BadRequest("malformed HTTP version"),
    }
    if !is_known(method) {
        return Fault::MethodUnknown;
    }
    if !is_served(method) {
        return Fault::MethodNotAllowed;
    }
    if target.len() > limits.target_max {
        return Fault::TargetTooLong;
    }
    Fault::BadRequest("malformed request target")
}

/// `http://authority[/…][?…]`, the scheme in any case (RFC 9112 §3.2.2). `offset` is where `target`
/// stands in the head.
#[cold]
fn absolute(target: &[u8], offset: usize) -> Option<Absolute> {
    let colon = memchr::memchr(b':', target)?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let default_port = match scheme {
        _ if scheme.eq_ignore_ascii_case(b"http") => 80,
        _ if scheme.eq_ignore_ascii_case(b"https") => 443,
        _ => return None,
    };
    let rest = rest.strip_prefix(b"://")?;
    let authority = rest.get(..memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len()))?;
    Authority::parse(authority)?;
    let start = offset + scheme.len() + b"://".len();
    Some(Absolute {
        start,
        end: start + authority.len(),
        default_port,
    })
}

/// Methods are case-sensitive (RFC 9110 §9.1).
#[inline]
fn is_served(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"POST" | b"PUT" | b"HEAD" | b"PATCH" | b"DELETE" | b"OPTIONS"
    )
}

fn is_known(method: &[u8]) -> bool {
    is_served(method) || matches!(method, b"TRACE" | b"CONNECT")
}

/// What stands around method and target.
const AROUND: usize = b"  HTTP/1.1\r\n".len();

/// The longest method we know, and what stands around; with slack, so that a word too long is seen
/// for what it is.
const LINE_REST: usize = 64;
