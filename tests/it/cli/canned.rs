//! An admin API that answers what it was told to, and remembers what it was asked.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// The admin token every run is given; no output may hold it.
pub(super) const TOKEN: &str = "pct_live_CANARYCANARYCANARY";

/// One request, as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "`{name}` came twice");
        value
    }

    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// A server on a free port of its own.
pub(super) struct Admin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Admin {
    /// Answers one request after the other with these, then closes each connection at once.
    pub(super) fn answering(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<String> = answers.into_iter().collect();
        let requests = Arc::clone(&seen);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let Some(answer) = answers.pop_front() else {
                    continue;
                };
                let mut socket = socket.unwrap();
                let request = read(&socket);
                requests.lock().unwrap().push(request);
                // The other end may have had enough before all of it is written.
                let _ = socket.write_all(answer.as_bytes());
            }
        });
        Self { address, seen }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, each line with the credential it came with checked.
    pub(super) fn requests(&self) -> Vec<Request> {
        let requests = self.seen.lock().unwrap().clone();
        for request in &requests {
            let bearer = format!("Bearer {TOKEN}");
            assert_eq!(request.header("authorization"), Some(bearer.as_str()));
        }
        requests
    }

    /// The one request there was.
    pub(super) fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }

    /// The last request there was.
    pub(super) fn last(&self) -> Request {
        self.requests().into_iter().next_back().unwrap()
    }

    /// Runs the command against this server, with the token in its environment.
    pub(super) fn run(&self, line: &[&str]) -> Run {
        let url = self.url();
        run(
            line,
            &[
                ("PORTCULLIS_ADMIN_URL", &url),
                ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
            ],
        )
    }
}

fn read(socket: &TcpStream) -> Request {
    let mut reader = BufReader::new(socket);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let line = lines.next().unwrap_or_default();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Request {
        line,
        headers,
        body,
    }
}

/// An answer with a JSON body.
pub(super) fn json(status: u16, body: &Value) -> String {
    answer(status, "application/json", &body.to_string())
}

/// An answer of any kind.
pub(super) fn answer(status: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Canned\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What a run of the command said, and how it ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Run {
    /// Asserts the exit code, showing what was said otherwise.
    #[track_caller]
    pub(super) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs the command with this environment and no other, without a terminal.
pub(super) fn run(line: &[&str], environment: &[(&str, &str)]) -> Run {
    let output = command(line, environment).output().unwrap();
    let run = Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(
        !run.stdout.contains("CANARY"),
        "the token is shown: {run:?}"
    );
    assert!(
        !run.stderr.contains("CANARY"),
        "the token is shown: {run:?}"
    );
    run
}

/// The command, not yet started.
pub(super) fn command(line: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(line)
        .env_clear()
        .envs(
            environment
                .iter()
                .map(|(name, value)| (name, OsString::from(value))),
        )
        .stdin(Stdio::null());
    command
}
