//! Which trace a request belongs to, and what the upstream is told of it (W3C Trace Context).
//!
//! Without a collector all of it is the client's and the upstream's business: `traceparent` passes as it came.
//! With one, a sampled trace is continued, so that the upstream's spans hang below the gate's; one that is not
//! sampled passes as it came; and what is no `traceparent` begins a trace of its own, its `tracestate` dropped
//! (§4.2). Nothing else is ever decided by what a client says here.

use http::{HeaderMap, HeaderValue};

use crate::proxy::digits;
use crate::proxy::worker::Worker;
use crate::state::traces::Context;

/// What becomes of a request's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// What came passes; the upstream is told of a trace of its own where nothing came.
    Passes,
    /// The one that came goes on by way of this gate's span.
    Continues(Context),
    /// One begins here; what came was none, and goes no further.
    Begins(Context),
}

impl Trace {
    /// What becomes of the trace of a request with these fields.
    pub(crate) fn of(headers: &HeaderMap, worker: &Worker) -> Self {
        let Some(traces) = &worker.plane.traces else {
            return Self::Passes;
        };
        let mut lines = headers.get_all("traceparent").iter();
        // Two of them are none.
        let only = lines.next().filter(|_| lines.next().is_none());
        match only.and_then(parent) {
            Some((_, _, false)) => Self::Passes,
            Some((trace, parent, true)) => Self::Continues(Context {
                trace,
                span: worker.draw_wide().to_be_bytes(),
                parent: Some(parent),
                is_sampled: true,
            }),
            None => {
                let (high, low) = (worker.draw_wide(), worker.draw_wide());
                let trace = u128::from(high) << 64 | u128::from(low);
                Self::Begins(Context {
                    trace: trace.to_be_bytes(),
                    span: worker.draw_wide().to_be_bytes(),
                    parent: None,
                    is_sampled: traces.samples(low),
                })
            }
        }
    }

    /// The place in the trace that is this gate's to tell of.
    pub(crate) const fn context(&self) -> Option<&Context> {
        match self {
            Self::Passes => None,
            Self::Continues(context) | Self::Begins(context) => Some(context),
        }
    }

    /// Whether a field of the trace's goes on as it came.
    pub(crate) fn passes(&self, name: &str) -> bool {
        match self {
            Self::Passes => true,
            Self::Continues(_) => name != "traceparent",
            Self::Begins(_) => !matches!(name, "traceparent" | "tracestate"),
        }
    }
}

/// The `traceparent` that names a span as the parent of what comes after it.
pub(crate) fn text(context: &Context) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let bytes = context.trace.iter().chain(&context.span);
    let places = (3..35).step_by(2).chain((36..52).step_by(2));
    for (place, byte) in places.zip(bytes) {
        if let Some(two) = text.get_mut(place..place + 2) {
            two.copy_from_slice(&digits::pair(*byte));
        }
    }
    if let Some(flag) = text.last_mut() {
        *flag += u8::from(context.is_sampled);
    }
    text
}

/// Trace, span and whether it is sampled, of a `traceparent` (§3.2); of a later version as much as is known.
fn parent(value: &HeaderValue) -> Option<([u8; 16], [u8; 8], bool)> {
    let (known, rest) = value.as_bytes().split_at_checked(55)?;
    let [
        v0,
        v1,
        b'-',
        trace @ ..,
        b'-',
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        b'-',
        f0,
        f1,
    ] = known
    else {
        return None;
    };
    let version = byte(*v0, *v1)?;
    let is_whole = if version == 0 {
        rest.is_empty()
    } else {
        rest.is_empty() || rest.starts_with(b"-")
    };
    let trace: [u8; 16] = bytes(trace)?;
    let span: [u8; 8] = bytes(known.get(36..52)?)?;
    let flags = byte(*f0, *f1)?;
    let is_one = version != 0xff && is_whole && trace != [0; 16] && span != [0; 8];
    is_one.then_some((trace, span, flags & 1 == 1))
}

fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (place, [high, low]) in bytes.iter_mut().zip(pairs) {
        *place = byte(*high, *low)?;
    }
    Some(bytes)
}

/// Of two digits; capital ones are none (§3.2.2).
fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |it| match it {
        b'0'..=b'9' => Some(it - b'0'),
        b'a'..=b'f' => Some(it - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
        parent(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let (trace, span, is_sampled) = read(WHOLE).unwrap();
        assert!(is_sampled);
        let context = Context {
            trace,
            span,
            parent: None,
            is_sampled,
        };
        assert_eq!(text(&context), WHOLE.as_bytes());
        let unsampled = Context {
            is_sampled: false,
            ..context
        };
        assert!(text(&unsampled).ends_with(b"-00"));
    }

    #[test]
    fn flags_but_the_first_and_what_a_later_version_adds_are_looked_past() {
        for (from, to, meant) in [
            ("-01", "-00", Some(false)),
            ("-01", "-03", Some(true)),
            ("-01", "-fe", Some(false)),
            ("00-0", "01-0", Some(true)),
            ("00-0", "cc-0", Some(true)),
        ] {
            let sampled = read(&WHOLE.replace(from, to)).map(|(_, _, sampled)| sampled);
            assert_eq!(sampled, meant, "{from} {to}");
        }
        let later = format!("{}-what-else", WHOLE.replacen("00", "01", 1));
        assert!(read(&later).is_some());
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zeros = |from: &str, count| WHOLE.replace(from, &"0".repeat(count));
        for text in [
            String::new(),
            WHOLE.to_uppercase(),
            WHOLE.replacen("00", "ff", 1),
            format!("{WHOLE}-more"),
            format!("{WHOLE}0"),
            format!("{}.", WHOLE.replacen("00", "01", 1)),
            format!("{WHOLE},{WHOLE}"),
            format!(" {WHOLE}"),
            WHOLE.replace('-', "_"),
            WHOLE.replace("0af", "0ag"),
            WHOLE.replace("-01", "-0x"),
            zeros("0af7651916cd43dd8448eb211c80319c", 32),
            zeros("b7ad6b7169203331", 16),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
        for length in 0..WHOLE.len() {
            assert_eq!(read(&WHOLE[..length]), None);
        }
    }
}
