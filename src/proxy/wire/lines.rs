//! Lines of a head or of a trailer section, one after the other, resumable between any two octets.
//!
//! A good line is taken as it is scanned. A line that does not scan is either not whole, then the
//! caller must wait, or bad. Waiting is cheap: until an LF arrives only the new octets are looked
//! at, so a head that drips in costs no more than twice what it costs in one piece.

use super::Fault;
use super::octets::{self, TOKEN};

/// What [`Lines::field`] found next.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A field line; the value is without the whitespace around it.
    Field { name: &'a [u8], value: &'a [u8] },
    /// The empty line at the end of the section.
    End,
    /// Nothing yet.
    Partial,
}

/// How far a section has been judged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// Where the first line not yet judged begins.
    judged: usize,
    /// How far that line is known to hold no LF.
    searched: usize,
}

impl Lines {
    /// The next field line of `section`, all of which may take `max` octets; `too_long` is said
    /// when it takes more.
    #[inline]
    pub(super) fn field<'a>(
        &mut self,
        section: &'a [u8],
        max: usize,
        too_long: Fault,
    ) -> Result<Line<'a>, Fault> {
        if self.is_waiting(section) {
            return self.wait(section, max, too_long).map(|()| Line::Partial);
        }
        let rest = section.get(self.judged..).unwrap_or_default();
        if let Some((name, value, len)) = field(rest) {
            self.take(len, max, too_long)?;
            return Ok(Line::Field {
                name,
                value: octets::trim(value),
            });
        }
        if rest.starts_with(b"\r\n") {
            self.take(2, max, too_long)?;
            return Ok(Line::End);
        }
        match self.whole(section, max, too_long)? {
            Some(line) => Err(fault(line)),
            None => Ok(Line::Partial),
        }
    }

    /// The line to be judged, with its LF, if all of it has come and it ends within `max`.
    pub(super) fn whole<'a>(
        &mut self,
        section: &'a [u8],
        max: usize,
        too_long: Fault,
    ) -> Result<Option<&'a [u8]>, Fault> {
        let rest = section.get(self.judged..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return self.wait(section, max, too_long).map(|()| None);
        };
        if self.judged.saturating_add(end) >= max {
            return Err(too_long);
        }
        Ok(rest.get(..=end))
    }

    /// Goes past a line of `len` octets.
    #[inline]
    pub(super) fn take(&mut self, len: usize, max: usize, too_long: Fault) -> Result<(), Fault> {
        self.judged += len;
        if self.judged > max {
            Err(too_long)
        } else {
            Ok(())
        }
    }

    /// The octets of the lines judged so far.
    pub(super) fn judged(&self) -> usize {
        self.judged
    }

    /// Whether the line was looked at before, and its LF is still to come.
    #[inline]
    pub(super) fn is_waiting(&self, section: &[u8]) -> bool {
        self.searched > self.judged
            && memchr::memchr(b'\n', section.get(self.searched..).unwrap_or_default()).is_none()
    }

    /// Remembers that all of `section` has been searched, unless it has outgrown `max`.
    pub(super) fn wait(
        &mut self,
        section: &[u8],
        max: usize,
        too_long: Fault,
    ) -> Result<(), Fault> {
        self.searched = section.len();
        if self.searched > max {
            Err(too_long)
        } else {
            Ok(())
        }
    }
}

/// The good field line at the front of `bytes`: name, value, and the octets of the whole line.
#[inline]
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let (name, rest) = bytes.split_at_checked(octets::run(bytes, TOKEN))?;
    let rest = rest.strip_prefix(b":")?;
    let (value, rest) = rest.split_at_checked(octets::value_run(rest))?;
    if name.is_empty() || !rest.starts_with(b"\r\n") {
        return None;
    }
    Some((name, value, name.len() + value.len() + b":\r\n".len()))
}

/// What is wrong with a whole line that is no field line (RFC 9112 §5).
#[cold]
fn fault(line: &[u8]) -> Fault {
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Fault::BadRequest("field line ends with a bare LF");
    };
    if let [b' ' | b'\t', ..] = line {
        return Fault::BadRequest("folded field line");
    }
    let (name, rest) = line
        .split_at_checked(octets::run(line, TOKEN))
        .unwrap_or_default();
    Fault::BadRequest(match (name, rest) {
        ([], _) => "field line without a name",
        (_, [b' ' | b'\t', ..]) => "whitespace between field name and colon",
        (_, [b':', ..]) => "control character in a field value",
        _ => "malformed field name",
    })
}
