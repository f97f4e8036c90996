//! Where a body ends: a countdown, or the chunked coding (RFC 9112 §7.1), octet by octet.
//!
//! Data is passed as it comes. What lies between (chunk sizes, trailers) is passed a line at a time
//! and the trailer section whole, so that hyper never reads a line that turns out bad.

use super::head::{Framing, frames_message};
use super::lines::{Line, Lines};
use super::{Fault, Limits};

/// A body on its way in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// So many octets to come.
    Length(u64),
    Chunked(Chunked),
}

/// What [`Body::advance`] made of the octets it was shown.
#[derive(Debug)]
pub(super) struct Passage {
    /// So many of them are good and may go on.
    pub cleared: usize,
    /// So many of those are content.
    pub data: usize,
    pub then: Then,
}

/// How it goes on after the cleared octets.
#[derive(Debug)]
pub(super) enum Then {
    /// More is needed to tell.
    More,
    /// The body has ended.
    Done,
    /// What follows is refused.
    Bad(Fault),
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
        }
    }

    /// Judges `bytes`, which begin with the first octet not cleared before.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Passage {
        match self {
            Self::Length(left) => {
                let cleared = count_down(left, bytes.len());
                let then = if *left == 0 { Then::Done } else { Then::More };
                Passage {
                    cleared,
                    data: cleared,
                    then,
                }
            }
            Self::Chunked(chunked) => chunked.advance(bytes, limits),
        }
    }

    /// Goes past `count` octets of content that were passed unseen, no more than [`Self::ahead`];
    /// `true` if the body has ended with them.
    pub(super) fn go_past(&mut self, count: usize) -> bool {
        match self {
            Self::Length(left) => {
                count_down(left, count);
                *left == 0
            }
            Self::Chunked(chunked) => {
                chunked.go_past(count);
                false
            }
        }
    }

    /// How much content is certain to come next, with nothing between.
    pub(super) fn ahead(&self) -> u64 {
        match self {
            Self::Length(left)
            | Self::Chunked(Chunked {
                state: State::Data(left),
                ..
            }) => *left,
            Self::Chunked(_) => 0,
        }
    }
}

/// Takes as much of `left` as `available` covers.
fn count_down(left: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*left).map_or(available, |left| left.min(available));
    *left = left.saturating_sub(taken as u64);
    taken
}

/// Where in the chunked coding the next octet stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    /// The size of the chunk whose line is being read.
    size: u64,
    /// Octets looked at and not cleared: the line that is not whole.
    held: usize,
    /// Octets of extensions in the lines before this one.
    extensions: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { digits: u8 },
    Extension { len: usize },
    SizeLf,
    Data(u64),
    DataCr,
    DataLf,
    Trailers { lines: Lines, fields: usize },
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::Size { digits: 0 },
            size: 0,
            held: 0,
            extensions: 0,
        }
    }
}

impl Chunked {
    fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Passage {
        let mut passage = Passage {
            cleared: 0,
            data: 0,
            then: Then::More,
        };
        let mut at = self.held;
        while let Some(rest @ [octet, ..]) = bytes.get(at..) {
            if let State::Data(_) = self.state {
                let taken = self.go_past(rest.len());
                at += taken;
                passage.cleared = at;
                passage.data += taken;
                continue;
            }
            if let State::Trailers { lines, fields } = &mut self.state {
                let section = bytes.get(passage.cleared..).unwrap_or_default();
                passage.then = trailers(lines, fields, section, limits);
                if let Then::Done = passage.then {
                    passage.cleared += lines.judged();
                }
                break;
            }
            at += 1;
            match self.step(*octet) {
                Ok(false) => {}
                Ok(true) => passage.cleared = at,
                Err(reason) => {
                    passage.then = Then::Bad(Fault::BadRequest(reason));
                    break;
                }
            }
        }
        self.held = bytes.len() - passage.cleared;
        passage
    }

    fn go_past(&mut self, count: usize) -> usize {
        let State::Data(left) = &mut self.state else {
            return 0;
        };
        let taken = count_down(left, count);
        if *left == 0 {
            self.state = State::DataCr;
        }
        taken
    }

    /// Goes past one octet outside the data; `true` if it ended a line.
    fn step(&mut self, octet: u8) -> Result<bool, &'static str> {
        self.state = match (self.state, octet) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == SIZE_DIGITS_MAX {
                    return Err("chunk size of more than 16 digits");
                }
                let digit = char::from(octet).to_digit(16).unwrap_or_default();
                self.size = self.size << 4 | u64::from(digit);
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 0 }, _) => return Err("chunk without a size"),
            (State::Size { .. }, b';') => State::Extension { len: 1 },
            (State::Size { .. } | State::Extension { .. }, b'\r') => State::SizeLf,
            (State::Extension { len }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if len == EXTENSION_MAX || self.extensions > EXTENSIONS_MAX {
                    return Err("chunk extensions beyond their bound");
                }
                State::Extension { len: len + 1 }
            }
            (State::Size { .. } | State::Extension { .. }, _) => {
                return Err("malformed chunk size line");
            }
            (State::SizeLf, b'\n') => {
                self.state = match std::mem::take(&mut self.size) {
                    0 => State::Trailers {
                        lines: Lines::default(),
                        fields: 0,
                    },
                    size => State::Data(size),
                };
                return Ok(true);
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.state = State::Size { digits: 0 };
                return Ok(true);
            }
            (State::SizeLf, _) => return Err("bare CR in a chunk size line"),
            (State::DataCr | State::DataLf, _) => return Err("chunk data not followed by CRLF"),
            (state @ (State::Data(_) | State::Trailers { .. }), _) => state,
        };
        Ok(false)
    }
}

/// The trailer section: field lines as strict as in a head (RFC 9112 §7.1.2).
fn trailers(lines: &mut Lines, fields: &mut usize, section: &[u8], limits: &Limits) -> Then {
    loop {
        match lines.field(section, TRAILERS_MAX, Fault::HeadTooLarge) {
            Ok(Line::Field { name, .. }) => {
                *fields += 1;
                if *fields > limits.fields_max {
                    return Then::Bad(Fault::HeadTooLarge);
                }
                if frames_message(name) {
                    return Then::Bad(Fault::BadRequest("framing field in the trailers"));
                }
            }
            Ok(Line::End) => return Then::Done,
            Ok(Line::Partial) => return Then::More,
            Err(fault) => return Then::Bad(fault),
        }
    }
}

/// As many hexadecimal digits as 64 bits hold, leading zeros among them.
const SIZE_DIGITS_MAX: u8 = 16;

/// The longest extension of one chunk. Nobody uses them; RFC 9112 §7.1.1 asks for a bound.
const EXTENSION_MAX: usize = 1024;

/// All extensions of one body; hyper gives up at 16 KiB.
const EXTENSIONS_MAX: usize = 8 * 1024;

/// The longest trailer section; hyper gives up at 16 KiB.
const TRAILERS_MAX: usize = 8 * 1024;
