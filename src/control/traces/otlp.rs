//! Spans as OTLP has them: opentelemetry/proto/trace/v1/trace.proto, version 1.
//!
//! Of protobuf only what these messages need is written: varints, eight bytes as they are, and what has a length.
//! A test has the official library read it.

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
}
