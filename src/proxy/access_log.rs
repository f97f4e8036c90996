//! A line per request, formatted where the request was served and written elsewhere.
//!
//! Each core fills a buffer of its own and hands it over whole; one thread writes. When that thread is
//! behind, the batch is dropped and counted: a disk never slows a request. Every byte that a client may
//! choose is escaped, so a line is one JSON object whatever was sent; there is never a query, a header
//! or a secret in it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use http::HeaderValue;

use crate::domain::permission::Method;
use crate::domain::refusal::RefusalCode;
use crate::domain::time::Timestamp;
use crate::proxy::digits;
use crate::state::counters::CoreCounters;
use crate::state::keys::{CachedVersion, KeyEntry};

/// What a line says (SPEC §9).
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) time: Timestamp,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) node: &'a str,
    /// The client's address.
    pub(crate) client: &'a [u8],
    pub(crate) protocol: &'static str,
    pub(crate) method: Option<Method>,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) code: Option<RefusalCode>,
    pub(crate) key: Option<&'a (Arc<KeyEntry>, CachedVersion)>,
    pub(crate) upstream: Option<&'a str>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) attempts: u8,
    pub(crate) took: Duration,
    pub(crate) upstream_took: Option<Duration>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Whether the answer's body was not brought to its end.
    pub(crate) is_cut: bool,
}

impl Line<'_> {
    /// Writes the line as one JSON object, without a line end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        write_time(out, self.time);
        out.extend_from_slice(b"\",\"request_id\":");
        text(out, Some(self.request_id.as_bytes()));
        field(out, b",\"node\":", Some(self.node.as_bytes()));
        out.extend_from_slice(b",\"client\":\"");
        out.extend_from_slice(self.client);
        out.extend_from_slice(b"\",\"protocol\":\"");
        out.extend_from_slice(self.protocol.as_bytes());
        out.push(b'"');
        field(
            out,
            b",\"method\":",
            self.method.map(|method| method.as_str().as_bytes()),
        );
        field(out, b",\"host\":", Some(self.host.as_bytes()));
        field(out, b",\"path\":", Some(self.path.as_bytes()));
        field(out, b",\"route\":", self.route.map(str::as_bytes));
        number(out, b",\"status\":", u64::from(self.status));
        field(
            out,
            b",\"code\":",
            self.code.map(|code| code.as_str().as_bytes()),
        );
        match self.key {
            Some((entry, version)) => {
                out.extend_from_slice(b",\"key_id\":\"key_");
                out.extend_from_slice(entry.id.as_bytes());
                out.push(b'"');
                number(out, b",\"key_version\":", u64::from(version.number));
                out.extend_from_slice(b",\"fingerprint\":\"");
                hex(out, version.fingerprint.as_bytes());
                out.extend_from_slice(b"\",\"owner_id\":\"usr_");
                out.extend_from_slice(entry.owner.as_bytes());
                out.push(b'"');
            }
            None => out.extend_from_slice(
                b",\"key_id\":null,\"key_version\":null,\"fingerprint\":null,\"owner_id\":null",
            ),
        }
        field(out, b",\"upstream\":", self.upstream.map(str::as_bytes));
        field(out, b",\"endpoint\":", self.endpoint.map(str::as_bytes));
        number(out, b",\"attempts\":", u64::from(self.attempts));
        out.extend_from_slice(b",\"duration_ms\":");
        millis(out, self.took);
        out.extend_from_slice(b",\"upstream_ms\":");
        match self.upstream_took {
            Some(took) => millis(out, took),
            None => out.extend_from_slice(b"null"),
        }
        number(out, b",\"bytes_in\":", self.bytes_in);
        number(out, b",\"bytes_out\":", self.bytes_out);
        if self.is_cut {
            out.extend_from_slice(b",\"cut\":true");
        }
        out.push(b'}');
    }
}

/// A name of ours, as it stands in the line, and a text of theirs.
fn field(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    out.extend_from_slice(name);
    text(out, value);
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    digits::write::<10>(out, value);
}

/// A JSON string (RFC 8259 §7); bytes that are no ASCII text are written as escapes.
fn text(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        return out.extend_from_slice(b"null");
    };
    out.push(b'"');
    // Without a way out in the middle, so that many bytes are looked at at once.
    let is_plain = value.iter().fold(true, |is_plain, byte| {
        is_plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\')
    });
    if is_plain {
        out.extend_from_slice(value);
    } else {
        for byte in value {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                b' '..=b'~' => out.push(*byte),
                _ => {
                    out.extend_from_slice(b"\\u00");
                    hex(out, &[*byte]);
                }
            }
        }
    }
    out.push(b'"');
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&digits::pair(*byte));
    }
}

/// Milliseconds with two decimals.
fn millis(out: &mut Vec<u8>, span: Duration) {
    let hundredths = u64::try_from(span.as_micros()).unwrap_or(u64::MAX) / 10;
    digits::write::<10>(out, hundredths / 100);
    let rest = (hundredths % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
}

/// RFC 3339; the part above the second is worked out once a second.
fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let ms = time.as_millis();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != ms / 1_000 {
            *second = ms / 1_000;
            *text = time.to_string();
            text.truncate("2026-01-01T00:00:00.".len());
        }
        out.extend_from_slice(text.as_bytes());
    });
    let rest = (ms % 1_000) as u16;
    for digit in [rest / 100, rest / 10 % 10, rest % 10] {
        out.push(b'0' + digit as u8);
    }
    out.push(b'Z');
}

/// One core's lines that were not handed over yet.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    writer: LogWriter,
    lines: RefCell<Vec<u8>>,
}

impl LogBuffer {
    pub(crate) fn new(writer: LogWriter) -> Self {
        Self {
            writer,
            lines: RefCell::default(),
        }
    }

    /// Whether lines are kept at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.writer.queue.is_some()
    }

    /// Adds a line.
    pub(crate) fn write(&self, counters: &CoreCounters, line: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_wanted() {
            return;
        }
        let mut lines = self.lines.borrow_mut();
        line(&mut lines);
        lines.push(b'\n');
        if lines.len() >= BATCH_BYTES {
            self.writer.hand_over(&mut lines, counters);
        }
    }

    /// Hands over whatever there is.
    pub(crate) fn flush(&self, counters: &CoreCounters) {
        let mut lines = self.lines.borrow_mut();
        if !lines.is_empty() {
            self.writer.hand_over(&mut lines, counters);
        }
    }
}

/// The way to the thread that writes.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter {
    queue: Option<SyncSender<Vec<u8>>>,
}

impl LogWriter {
    /// Keeps no lines.
    pub(crate) fn none() -> Self {
        Self { queue: None }
    }

    /// Lines go to whoever runs the [`LogSink`].
    pub(crate) fn new() -> (Self, LogSink) {
        let (queue, batches) = sync_channel(BATCHES_MAX);
        (Self { queue: Some(queue) }, LogSink { batches })
    }

    fn hand_over(&self, lines: &mut Vec<u8>, counters: &CoreCounters) {
        let Some(queue) = &self.queue else {
            return lines.clear();
        };
        let batch = std::mem::replace(lines, Vec::with_capacity(BATCH_BYTES + 1_024));
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
            queue.try_send(batch)
        {
            counters
                .log_dropped
                .add(batch.iter().filter(|byte| **byte == b'\n').count() as u64);
            // The buffer itself is used again.
            *lines = batch;
            lines.clear();
        }
    }
}

/// Where lines arrive, in batches.
#[derive(Debug)]
pub(crate) struct LogSink {
    batches: Receiver<Vec<u8>>,
}

impl LogSink {
    /// Writes batches until every [`LogWriter`] is gone.
    ///
    /// # Errors
    /// If `out` fails; what came after is lost to it, and counted as dropped by those who send it.
    pub(crate) fn run(self, mut out: impl Write) -> io::Result<()> {
        for batch in self.batches {
            out.write_all(&batch)?;
            out.flush()?;
        }
        Ok(())
    }
}

/// How many bytes of lines a core gathers before it hands them over.
const BATCH_BYTES: usize = 64 * 1_024;
/// How many batches may wait: 16 MiB of lines.
const BATCHES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn line<'a>(path: &'a str, host: &'a str, id: &'a HeaderValue) -> Line<'a> {
        Line {
            time: Timestamp::from_millis(1_767_225_600_007),
            request_id: id,
            node: "gate-1",
            client: b"203.0.113.7",
            protocol: "http/1.1",
            method: Some(Method::Get),
            host,
            path,
            route: Some("orders"),
            status: 200,
            code: None,
            key: None,
            upstream: Some("orders"),
            endpoint: Some("10.0.0.5:8000"),
            attempts: 1,
            took: Duration::from_micros(3_414),
            upstream_took: Some(Duration::from_micros(3_100)),
            bytes_in: 0,
            bytes_out: 18_446_744_073_709_551_615,
            is_cut: false,
        }
    }

    #[test]
    fn a_line_is_the_documented_object() {
        let id = HeaderValue::from_static("req_x");
        let mut out = Vec::new();
        line("/v1/orders", "api.example.com", &id).write(&mut out);
        let expected = r#"{"time":"2026-01-01T00:00:00.007Z","request_id":"req_x","node":"gate-1","client":"203.0.113.7","protocol":"http/1.1","method":"GET","host":"api.example.com","path":"/v1/orders","route":"orders","status":200,"code":null,"key_id":null,"key_version":null,"fingerprint":null,"owner_id":null,"upstream":"orders","endpoint":"10.0.0.5:8000","attempts":1,"duration_ms":3.41,"upstream_ms":3.10,"bytes_in":0,"bytes_out":18446744073709551615}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn whatever_a_client_sends_a_line_is_one_json_object() {
        let id = HeaderValue::from_static("req_x");
        for odd in [
            "\"",
            "\\",
            "a\nb",
            "\r\n{\"x\":1}",
            "\u{7f}",
            "\u{e9}",
            "\0",
        ] {
            let mut out = Vec::new();
            line(odd, odd, &id).write(&mut out);
            let read: Value = serde_json::from_slice(&out).unwrap();
            assert!(read["path"].is_string() && !out.contains(&b'\n'), "{odd:?}");
        }
    }

    #[test]
    fn what_the_writer_cannot_take_is_dropped_and_counted() {
        let (writer, sink) = LogWriter::new();
        let counters = crate::state::counters::Counters::new(1, 0).core(0).unwrap();
        let buffer = LogBuffer::new(writer);
        let lines = |count: usize| {
            for _ in 0..count {
                buffer.write(&counters, |out| out.extend_from_slice(b"x"));
                buffer.flush(&counters);
            }
        };
        lines(BATCHES_MAX);
        assert_eq!(counters.log_dropped.get(), 0);
        lines(3);
        assert_eq!(counters.log_dropped.get(), 3);
        drop(buffer);
        let mut written = Vec::new();
        sink.run(&mut written).unwrap();
        assert_eq!(written.len(), BATCHES_MAX * 2);
    }
}
