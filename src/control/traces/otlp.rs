//! Spans as OTLP has them: opentelemetry/proto/trace/v1/trace.proto, version 1.
//!
//! Of protobuf only what these messages need is written: varints, eight bytes as they are, and what has a length.
//! A test has the official library read it. Of answers one number is read: how many spans are refused.

use crate::domain::time::Timestamp;
use crate::state::traces::Span;

/// Whose spans they are.
pub(super) struct Resource {
    /// `service.name`.
    pub(super) service: String,
    /// `service.instance.id`.
    pub(super) node: String,
}

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    // resource_spans
    request.message(1, |of_resource| {
        of_resource.message(1, |it| {
            it.text_attribute(1, "service.name", &resource.service);
            it.text_attribute(1, "service.version", env!("CARGO_PKG_VERSION"));
            it.text_attribute(1, "service.instance.id", &resource.node);
        });
        // scope_spans
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.bytes(1, b"portcullis");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                of_scope.message(2, |message| write(message, span));
            }
        });
    });
    request.0
}

fn write(message: &mut Message, span: &Span) {
    let context = &span.context;
    message.bytes(1, &context.trace);
    message.bytes(2, &context.span);
    if let Some(parent) = &context.parent {
        message.bytes(4, parent);
    }
    let method = span.method.map_or("HTTP", |method| method.as_str());
    // Few names, known beforehand: never a path.
    match &span.route {
        Some(route) => message.bytes(5, format!("{method} {route}").as_bytes()),
        None => message.bytes(5, method.as_bytes()),
    }
    message.number(6, SPAN_KIND_SERVER);
    let start = nanoseconds(span.started_at);
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    message.fixed(7, start);
    message.fixed(8, start.saturating_add(took));
    if let Some(method) = span.method {
        message.text_attribute(9, "http.request.method", method.as_str());
    }
    message.number_attribute(9, "http.response.status_code", span.status.into());
    message.text_attribute(9, "portcullis.request.id", &span.request_id);
    if let Some((key, version, owner)) = &span.key {
        message.text_attribute(9, "portcullis.key.id", &key.to_string());
        message.number_attribute(9, "portcullis.key.version", (*version).into());
        message.text_attribute(9, "portcullis.owner.id", &owner.to_string());
    }
    let texts = [
        ("portcullis.route", span.route.as_deref()),
        (
            "portcullis.refusal.code",
            span.code.map(|code| code.as_str()),
        ),
        ("portcullis.upstream", span.upstream.as_deref()),
        ("portcullis.endpoint", span.endpoint.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            message.text_attribute(9, name, text);
        }
    }
    if span.attempts > 0 {
        message.number_attribute(9, "portcullis.upstream.attempts", span.attempts.into());
    }
    if span.status >= 500 {
        message.message(15, |status| status.number(3, STATUS_CODE_ERROR));
    }
    // Trace flags: sampled.
    message.fixed_short(16, 1);
}

/// How many spans an `ExportTraceServiceResponse` says were refused; none, if it cannot be read.
pub(super) fn rejected(response: &[u8]) -> u64 {
    let partial_success = fields(response).filter_map(|field| match field {
        (1, Content::Bytes(bytes)) => Some(bytes),
        _ => None,
    });
    let counts = partial_success.flat_map(fields).map(|field| match field {
        // A signed number: one below nothing is nothing.
        (1, Content::Number(count)) => u64::try_from(count.cast_signed()).unwrap_or(0),
        _ => 0,
    });
    // Of fields that should stand once the last counts; there is one, or they are no answer of a collector.
    counts.max().unwrap_or(0)
}

/// What a field holds, as far as anything is read here.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// The fields of a message with their numbers, as far as it can be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Content<'_>)> {
    std::iter::from_fn(move || {
        let tag = varint(&mut message)?;
        let content = match (tag & 7) as u32 {
            VARINT => Content::Number(varint(&mut message)?),
            WITH_LENGTH => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Content::Bytes(message.split_off(..length)?)
            }
            EIGHT_BYTES => message.split_off(..8).map(|_| Content::Skipped)?,
            FOUR_BYTES => message.split_off(..4).map(|_| Content::Skipped)?,
            _ => return None,
        };
        Some((tag >> 3, content))
    })
}

/// Reads a number of at most ten bytes off the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn nanoseconds(at: Timestamp) -> u64 {
    at.as_millis().saturating_mul(1_000_000)
}

/// A message as it is written: fields by their numbers (protobuf encoding).
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u32, number: u64) {
        self.tag(field, VARINT);
        self.varint(number);
    }

    fn fixed(&mut self, field: u32, number: u64) {
        self.tag(field, EIGHT_BYTES);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed_short(&mut self, field: u32, number: u32) {
        self.tag(field, FOUR_BYTES);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, WITH_LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// A `KeyValue` whose `AnyValue` is a string.
    fn text_attribute(&mut self, field: u32, name: &str, text: &str) {
        self.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, |value| value.bytes(1, text.as_bytes()));
        });
    }

    /// A `KeyValue` whose `AnyValue` is a whole number.
    fn number_attribute(&mut self, field: u32, name: &str, number: u64) {
        self.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, |value| value.number(3, number));
        });
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint((field << 3 | kind).into());
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const WITH_LENGTH: u32 = 2;
const FOUR_BYTES: u32 = 5;
const SPAN_KIND_SERVER: u64 = 2;
const STATUS_CODE_ERROR: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_written_as_protobuf_has_them() {
        let mut message = Message::default();
        message.number(1, 150);
        message.bytes(2, b"testing");
        message.message(3, |inner| inner.number(1, 150));
        message.number(16, 0);
        // The examples of the protobuf documentation, and a field number of two bytes.
        assert_eq!(
            message.0,
            b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x80\x01\x00"
        );
    }

    #[test]
    fn an_answer_says_how_many_spans_are_refused() {
        for (said, count) in [
            (&b""[..], 0),
            // Taken, with a warning: `error_message` alone.
            (b"\x0a\x05\x12\x03odd", 0),
            (b"\x0a\x02\x08\x03", 3),
            (b"\x0a\x08\x08\x96\x01\x12\x03odd", 150),
            (b"\x0a\x08\x12\x03odd\x08\x96\x01", 150),
            // Fields of a later version, of every kind.
            (b"\x10\x07\x19abcdefgh\x25abcd\x2a\x01x\x0a\x02\x08\x03", 3),
            // Below nothing.
            (b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0),
            // Cut, endless, not protobuf.
            (b"\x0a\x03\x08\x03", 0),
            (b"\x0a\x02\x08\x83", 0),
            (
                b"\x0a\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                0,
            ),
            (br#"{"partialSuccess":{"rejectedSpans":"3"}}"#, 0),
        ] {
            assert_eq!(rejected(said), count, "{said:x?}");
        }
    }
}
