//! Where an answer's body ends, and what is in it (RFC 9112 §6.3, §7.1).

use bytes::Bytes;
use http::HeaderMap;
use http_body::SizeHint;
use memchr::memchr;

use super::fault::Fault;
use super::fields::{self, Section, may_trail, trim};
use super::head::is_text;
use super::inbox::Inbox;

/// What is left of an answer's body.
#[derive(Debug)]
pub(super) enum Decoder {
    /// So many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// All until the endpoint closes the connection.
    Close,
    /// Nothing.
    Done,
    /// Nothing that could be believed.
    Failed,
}

/// What a body has next.
#[derive(Debug)]
pub(super) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// About so many bytes are to be read first.
    More(usize),
}

impl Decoder {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunks::default())
    }

    /// Takes the next piece of the body from what came. Once it failed it is over.
    ///
    /// # Errors
    /// The chunks are malformed.
    pub(super) fn step(&mut self, inbox: &mut Inbox) -> Result<Step, Fault> {
        match self {
            Self::Done | Self::Failed => Ok(Step::End),
            // One more than is to come: a read that leaves room tells the socket is empty.
            Self::Length(left) if inbox.is_empty() => Ok(Step::More(count(left.saturating_add(1)))),
            Self::Length(left) => {
                let data = inbox.take(count(*left));
                *left = left.saturating_sub(data.len() as u64);
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(Step::Data(data))
            }
            Self::Close if inbox.is_empty() => Ok(Step::More(inbox.usual())),
            Self::Close => Ok(Step::Data(inbox.take(usize::MAX))),
            Self::Chunked(chunks) => match chunks.step(inbox) {
                Ok(step) => {
                    if matches!(step, Step::Trailers(_) | Step::End) || chunks.is_over() {
                        *self = Self::Done;
                    }
                    Ok(step)
                }
                Err(why) => {
                    *self = Self::Failed;
                    Err(Fault::Invalid(why))
                }
            },
        }
    }

    /// Takes note that the endpoint closed the connection.
    ///
    /// # Errors
    /// [`Fault::Cut`], if that is not how this body ends.
    pub(super) fn close(&mut self) -> Result<(), Fault> {
        match self {
            Self::Done => Ok(()),
            Self::Close => {
                *self = Self::Done;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) | Self::Failed => Err(self.fail(Fault::Cut)),
        }
    }

    /// Ends the body badly.
    pub(super) fn fail(&mut self, fault: Fault) -> Fault {
        *self = Self::Failed;
        fault
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Done => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::Close | Self::Failed => SizeHint::default(),
        }
    }
}

/// Chunks and the trailers after them.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes of extensions seen: nobody needs them, and an answer of nothing else must end.
    extensions: usize,
    section: Section,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a line with a chunk's size.
    #[default]
    Size,
    /// In a chunk, so many bytes before its end, at least one.
    Data(u64),
    /// Before the line end after a chunk.
    End,
    /// After the last chunk.
    Trailers,
    /// After it all, and there was no trailer.
    Over,
}

impl Chunks {
    fn step(&mut self, inbox: &mut Inbox) -> Result<Step, &'static str> {
        self.advance(inbox)?;
        match self.place {
            Place::Over => Ok(Step::End),
            Place::Data(left) if inbox.is_empty() => {
                Ok(Step::More(count(left.saturating_add(USUAL_END))))
            }
            Place::Data(left) => {
                let data = inbox.take(count(left));
                self.place = match left.saturating_sub(data.len() as u64) {
                    0 => Place::End,
                    left => Place::Data(left),
                };
                // Looks for the end now, so that the last piece is known to be the last. What is wrong after
                // this piece is found again when the next is asked for.
                let _ = self.advance(inbox);
                Ok(Step::Data(data))
            }
            Place::Trailers => match self.section.find_end(inbox.bytes(), TRAILERS_MAX)? {
                None => Ok(Step::More(inbox.usual())),
                Some(end) => Ok(Step::Trailers(trailers(&inbox.take(end))?)),
            },
            Place::Size | Place::End => Ok(Step::More(inbox.usual())),
        }
    }

    fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Passes over framing to where the next data or trailers are, or are to come. A place that is
    /// malformed is not passed.
    fn advance(&mut self, inbox: &mut Inbox) -> Result<(), &'static str> {
        loop {
            let bytes = inbox.bytes();
            match self.place {
                Place::Size => {
                    let Some(end) = memchr(b'\n', bytes) else {
                        ensure_size_may_come(bytes)?;
                        return Ok(());
                    };
                    let (size, extension) = chunk_size(bytes.get(..end).unwrap_or_default())?;
                    self.extensions += extension;
                    if self.extensions > EXTENSIONS_MAX {
                        return Err("its chunk extensions are too large");
                    }
                    inbox.skip(end + 1);
                    self.place = match size {
                        0 => Place::Trailers,
                        size => Place::Data(size),
                    };
                }
                Place::End => match bytes {
                    [b'\r', b'\n', ..] => {
                        inbox.skip(2);
                        self.place = Place::Size;
                    }
                    [] | [b'\r'] => return Ok(()),
                    _ => return Err("a chunk is longer than its size"),
                },
                Place::Trailers if bytes.starts_with(b"\r\n") => {
                    inbox.skip(2);
                    self.place = Place::Over;
                }
                Place::Data(_) | Place::Trailers | Place::Over => return Ok(()),
            }
        }
    }
}

/// The size a line says, and how long its extensions are (RFC 9112 §7.1, §7.1.1).
fn chunk_size(line: &[u8]) -> Result<(u64, usize), &'static str> {
    const MALFORMED: &str = "a chunk's size is malformed";
    let line = line.strip_suffix(b"\r").ok_or(MALFORMED)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    if digits.is_empty() || line.len() > LINE_MAX {
        return Err(MALFORMED);
    }
    // Whitespace is allowed before an extension, not instead of one.
    let is_rest = rest.is_empty() || trim(rest).starts_with(b";");
    if !is_rest || !rest.iter().all(|byte| is_text(*byte)) {
        return Err(MALFORMED);
    }
    let size = digits.iter().try_fold(0_u64, |size, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        size.checked_mul(16)?.checked_add(digit.into())
    });
    let size = size.filter(|size| i64::try_from(*size).is_ok());
    Ok((size.ok_or(MALFORMED)?, rest.len()))
}

/// Whether the beginning of a line may become a chunk's size.
fn ensure_size_may_come(bytes: &[u8]) -> Result<(), &'static str> {
    let is_hex = bytes.first().is_none_or(u8::is_ascii_hexdigit);
    if is_hex && bytes.len() <= LINE_MAX + 1 {
        Ok(())
    } else {
        Err("a chunk's size is malformed")
    }
}

fn trailers(section: &Bytes) -> Result<HeaderMap, &'static str> {
    let mut trailers = HeaderMap::new();
    fields::read(section, 0, |name, value| {
        if may_trail(&name) {
            trailers.append(name, value);
        }
        Ok(())
    })?;
    Ok(trailers)
}

fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The most a line with a chunk's size may have, CR and LF not counted.
const LINE_MAX: usize = 1024;
/// The most chunk extensions an answer may have.
const EXTENSIONS_MAX: usize = 16 * 1024;
/// The most bytes trailers may have.
const TRAILERS_MAX: usize = 16 * 1024;
/// Room for the end of a chunk and the last chunk, and one byte more.
const USUAL_END: u64 = 8;
