//! A collector of spans: answers what it is told to, keeps what it is sent, and has the official library read it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::clock::eventually;
use super::venv;

/// A collector.
pub(crate) struct Collector {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// What it answers.
    status: AtomicU16,
    /// What it says beside that.
    body: Mutex<Vec<u8>>,
    calls: Mutex<Vec<Call>>,
}

/// What it was sent at once.
#[derive(Clone)]
pub(crate) struct Call {
    /// Path and fields, in small letters.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// What it was answered.
    pub(crate) status: u16,
}

impl Collector {
    /// One that answers with this status.
    pub(crate) fn answering(status: u16) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::<State>::default();
        state.status.store(status, Ordering::Relaxed);
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                // A gate that stops hangs up.
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.state.status.store(status, Ordering::Relaxed);
    }

    /// What its answers say from now on, as protobuf.
    pub(crate) fn say(&self, body: &[u8]) {
        *self.state.body.lock().unwrap() = body.to_vec();
    }

    /// The section of a gate's configuration that sends spans here.
    pub(crate) fn setting(&self, sample: &str) -> String {
        format!(
            "traces: {{ endpoint: \"http://{}/v1/traces\", sample: \"{sample}\", authorization: \"Bearer CANARY-of-collector\" }}",
            self.address
        )
    }

    /// What it was sent so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// The spans it took, when there are so many.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Value> {
        eventually("spans at the collector", async || {
            let taken = self.calls().into_iter().filter(|call| call.status == 200);
            let spans: Vec<Value> = taken.flat_map(|call| read(&call.body)).collect();
            (spans.len() >= count).then_some(spans)
        })
        .await
    }
}

fn serve(stream: TcpStream, state: &State) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if requests.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)?
            .split("\r\n")
            .next()?;
        let mut body = vec![0; length.parse().ok()?];
        requests.read_exact(&mut body).ok()?;
        let status = state.status.load(Ordering::Relaxed);
        let mut calls = state.calls.lock().unwrap();
        calls.push(Call { head, body, status });
        drop(calls);
        let said = state.body.lock().unwrap().clone();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            said.len()
        );
        answers
            .write_all(&[head.into_bytes(), said].concat())
            .ok()?;
    }
}

/// The spans of an `ExportTraceServiceRequest`, each with whose they are.
fn read(body: &[u8]) -> Vec<Value> {
    let mut python = Command::new(venv::python())
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(body).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "what was sent cannot be read");
    serde_json::from_slice(&output.stdout).unwrap()
}

const READ: &str = r#"
import json, sys
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

def value(any):
    kind = any.WhichOneof("value")
    return getattr(any, kind) if kind in ("string_value", "int_value") else None

def known(message):
    assert len(UnknownFieldSet(message)) == 0, message
    for field, inner in message.ListFields():
        if field.message_type is not None:
            for it in (inner if field.is_repeated else [inner]):
                known(it)

request = ExportTraceServiceRequest.FromString(sys.stdin.buffer.read())
known(request)
spans = []
for of_resource in request.resource_spans:
    resource = {it.key: value(it.value) for it in of_resource.resource.attributes}
    for of_scope in of_resource.scope_spans:
        for it in of_scope.spans:
            spans.append({
                "trace": it.trace_id.hex(), "span": it.span_id.hex(), "parent": it.parent_span_id.hex(),
                "name": it.name, "kind": it.kind, "flags": it.flags, "status": it.status.code,
                "start": it.start_time_unix_nano, "end": it.end_time_unix_nano, "resource": resource,
                "attributes": {it.key: value(it.value) for it in it.attributes},
            })
json.dump(spans, sys.stdout)
"#;
