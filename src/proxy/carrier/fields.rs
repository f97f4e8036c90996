//! A section of fields, an answer's head or its trailers, line by line (RFC 9112 §5, RFC 9110 §5.5).

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use memchr::memchr;

/// The most fields a section may have.
pub(super) const FIELDS_MAX: usize = 256;

/// Looks for the empty line that ends a section, going on where it stopped.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// How far was looked.
    seen: usize,
    /// Where the line begins that is not complete.
    line: usize,
    /// How many lines are complete.
    lines: usize,
}

impl Section {
    /// Where the section ends that begins at the first byte; `None` if it is not complete.
    ///
    /// # Errors
    /// A line ends without CR, or the section is larger than `most` bytes or [`FIELDS_MAX`] and a status line.
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        most: usize,
    ) -> Result<Option<usize>, &'static str> {
        while let Some(rest) = bytes.get(self.seen..)
            && let Some(at) = memchr(b'\n', rest)
        {
            let after = self.seen + at + 1;
            if !bytes
                .get(self.line..after)
                .is_some_and(|line| line.ends_with(b"\r\n"))
            {
                return Err("a line ends without CR");
            }
            if after > most {
                return Err("its fields are too large");
            }
            if after - self.line == 2 {
                return Ok(Some(after));
            }
            self.seen = after;
            self.line = after;
            self.lines += 1;
            if self.lines > FIELDS_MAX + 1 {
                return Err("it has too many fields");
            }
        }
        self.seen = bytes.len();
        if bytes.len() >= most {
            return Err("its fields are too large");
        }
        Ok(None)
    }

    /// How many lines were seen, the empty one not counted.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }
}

/// Gives the fields of a complete section to `each`, beginning at the line at `start`. Values share `section`.
///
/// # Errors
/// A line that is no field: without colon, folded, with a name that is no token, or with a control
/// character in its value.
pub(super) fn read(
    section: &Bytes,
    start: usize,
    mut each: impl FnMut(HeaderName, HeaderValue) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let mut rest = section.get(start..).unwrap_or_default();
    while let Some(end) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let Some((b'\r', line)) = line.split_last() else {
            return Err("a line ends without CR");
        };
        if line.is_empty() {
            break;
        }
        let Some(colon) = memchr(b':', line) else {
            return Err("a field has no colon");
        };
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).map_err(|_| "a field's name is no token")?;
        let value = trim(value.get(1..).unwrap_or_default());
        let value = HeaderValue::from_maybe_shared(section.slice_ref(value))
            .map_err(|_| "a field's value has control characters")?;
        each(name, value)?;
    }
    Ok(())
}

/// Whether a field may come after a body: not what says how the message is delimited, routed, authenticated
/// or understood (RFC 9110 §6.5.1).
pub(super) fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 28] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::HOST,
        header::CONNECTION,
        header::TRAILER,
        header::TE,
        header::UPGRADE,
        header::EXPECT,
        header::MAX_FORWARDS,
        header::CACHE_CONTROL,
        header::PRAGMA,
        header::RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
        header::WWW_AUTHENTICATE,
        header::COOKIE,
        header::SET_COOKIE,
        header::CONTENT_ENCODING,
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
        header::LOCATION,
        header::FORWARDED,
    ];
    !NEVER.contains(name)
}

/// Takes optional whitespace off both ends: SP and HTAB, nothing else (RFC 9110 §5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
