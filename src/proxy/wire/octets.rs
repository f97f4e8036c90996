//! Which octets may stand where, as one table of classes, and the scans over it.
//!
//! Short runs (names, methods, most values) go octet by octet through the table: it is four cache
//! lines and never cold. Long values go by `memchr` to their end and by a fold without branches
//! over what lies before it, which the compiler vectorises.

/// `tchar`: methods and field names (RFC 9110 §5.6.2).
pub(super) const TOKEN: u8 = 1;
/// `field-vchar`, SP and HTAB: field values (RFC 9110 §5.5). Includes obs-text, the octets above
/// ASCII.
pub(super) const VALUE: u8 = 1 << 1;
/// A path, an absolute form up to its query, or `*`: `pchar` and `/` (RFC 3986 §3.3), and `[` `]`,
/// which browsers leave as they are.
pub(super) const PATH: u8 = 1 << 2;
/// A query: [`PATH`], `?` (RFC 3986 §3.4) and what browsers and curl send raw: `^` `` ` `` `{` `|`
/// `}`. Not `"` `<` `>`, which `http::Uri` refuses.
pub(super) const QUERY: u8 = 1 << 3;
/// A name or an IPv4 address in an authority: `unreserved` (RFC 3986 §2.3). The grammar of
/// `reg-name` also has escapes and `sub-delims`; no name in DNS needs them, and a comma there is
/// two hosts to a list parser.
pub(super) const HOST: u8 = 1 << 4;

static CLASSES: [u8; 256] = classes();

/// Whether `octet` is in `class`.
#[inline]
pub(super) fn is(octet: u8, class: u8) -> bool {
    CLASSES
        .get(usize::from(octet))
        .is_some_and(|classes| classes & class != 0)
}

/// How many octets of `class` stand at the front of `bytes`.
#[inline]
pub(super) fn run(bytes: &[u8], class: u8) -> usize {
    bytes
        .iter()
        .position(|&octet| !is(octet, class))
        .unwrap_or(bytes.len())
}

/// How many octets of [`VALUE`] stand at the front of `bytes`: [`run`], but quick on long values.
#[inline]
pub(super) fn value_run(bytes: &[u8]) -> usize {
    let Some((front, rest)) = bytes.split_first_chunk::<SHORT>() else {
        return run(bytes, VALUE);
    };
    let front = run(front, VALUE);
    if front < SHORT {
        return front;
    }
    let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
    let clean = rest.get(..end).is_some_and(|rest| {
        !rest
            .iter()
            .fold(false, |bad, &octet| bad | is_control(octet))
    });
    SHORT + if clean { end } else { run(rest, VALUE) }
}

/// The bytes without the optional whitespace around them: `OWS`, RFC 9110 §5.6.3.
#[inline]
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The octets no field value holds; kept free of the table so that the fold vectorises.
#[inline]
fn is_control(octet: u8) -> bool {
    (octet < b' ') & (octet != b'\t') | (octet == 0x7f)
}

/// From here `memchr` is ahead of the table.
const SHORT: usize = 24;

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut rest: &mut [u8] = &mut classes;
    let mut octet: u8 = 0;
    while let [class, tail @ ..] = rest {
        *class = classes_of(octet);
        octet = octet.wrapping_add(1);
        rest = tail;
    }
    classes
}

const fn classes_of(octet: u8) -> u8 {
    match octet {
        b'\t' | b' ' | 0x80.. => VALUE,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => {
            TOKEN | VALUE | PATH | QUERY | HOST
        }
        b'!' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' => TOKEN | VALUE | PATH | QUERY,
        b'(' | b')' | b',' | b'/' | b':' | b';' | b'=' | b'@' | b'[' | b']' => VALUE | PATH | QUERY,
        b'^' | b'`' | b'|' => TOKEN | VALUE | QUERY,
        b'{' | b'}' | b'?' => VALUE | QUERY,
        b'#' => TOKEN | VALUE,
        b'"' | b'<' | b'>' | b'\\' => VALUE,
        0x00..=0x08 | 0x0a..=0x1f | 0x7f => 0,
    }
}
