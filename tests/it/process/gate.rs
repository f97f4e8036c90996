//! A gate in a process of its own, and just enough HTTP to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// The admin token that all of these gates are configured with.
pub(crate) const TOKEN: &str = "CANARY-admin-token-0123456789abcdef";

/// A gate in a process of its own; killed when dropped.
pub(crate) struct Gate {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// What it says on standard error, after the addresses.
    words: Option<JoinHandle<String>>,
}

/// What a gate is started with, again and again.
pub(crate) struct Setup {
    pub(crate) directory: tempfile::TempDir,
    config: PathBuf,
}

impl Setup {
    /// A gate in front of `upstream`; `more` is added to its configuration.
    pub(crate) fn new(upstream: SocketAddr, more: &str) -> Self {
        Self::embedded(tempfile::tempdir().unwrap(), upstream, more)
    }

    /// The same, on no disk, where the machine has memory to spare: a gate whose disk takes two seconds for a write,
    /// as one does that all tests write to at once, says so to whoever asked for the change.
    pub(crate) fn in_memory(upstream: SocketAddr, more: &str) -> Self {
        const MEMORY: &str = "/dev/shm";
        const ENOUGH: u64 = 1 << 30;
        let has_room = rustix::fs::statvfs(MEMORY)
            .is_ok_and(|memory| memory.f_bavail.saturating_mul(memory.f_frsize) >= ENOUGH);
        let directory = if has_room {
            tempfile::tempdir_in(MEMORY)
        } else {
            tempfile::tempdir()
        };
        Self::embedded(directory.unwrap(), upstream, more)
    }

    /// One of several gates over a Redis, by its name.
    pub(crate) fn over_redis(upstream: SocketAddr, url: &str, node: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let store = format!("redis: {{ urls: ['{url}'] }}");
        let more = format!("data_dir: '{}'\nnode: {node}\n{more}", data.display());
        Self::on(directory, &store, upstream, &more)
    }

    fn embedded(directory: tempfile::TempDir, upstream: SocketAddr, more: &str) -> Self {
        let store = format!(
            "embedded: {{ path: '{}/data' }}",
            directory.path().display()
        );
        Self::on(directory, &store, upstream, more)
    }

    fn on(directory: tempfile::TempDir, store: &str, upstream: SocketAddr, more: &str) -> Self {
        let config = directory.path().join("portcullis.yaml");
        let text = format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\n\
             admin: {{ address: '127.0.0.1:0', token: '${{PORTCULLIS_ADMIN_TOKEN}}' }}\n\
             store: {{ {store} }}\n\
             access_log: {{ to: '{0}/access.log' }}\n\
             upstreams: {{ api: {{ endpoints: ['http://{upstream}'] }} }}\n\
             routes: [{{ name: api, match: {{ path_prefix: / }}, upstream: api }}]\n{more}",
            directory.path().display()
        );
        std::fs::write(&config, text).unwrap();
        Self { directory, config }
    }

    /// Requests in the batches of usage that lie on its disk.
    pub(crate) fn spooled(&self) -> u64 {
        let files = std::fs::read_dir(self.path().join("data/usage")).unwrap();
        let names = files.filter_map(|file| file.unwrap().file_name().into_string().ok());
        let requests = names.filter_map(|name| {
            let (name, _) = name
                .strip_suffix(".unreadable")
                .unwrap_or(&name)
                .rsplit_once('.')?;
            name.rsplit_once('-')?.1.parse::<u64>().ok()
        });
        requests.sum()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn start(&self) -> Gate {
        Gate::start(&self.config)
    }

    /// What `serve` says when it cannot start, and its exit code.
    pub(crate) fn fails_to_start(&self) -> (i32, String) {
        let output = serve(&self.config).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), text)
    }

    pub(crate) fn config(&self) -> &Path {
        &self.config
    }
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["serve", "--config"])
        .arg(config)
        .env("PORTCULLIS_ADMIN_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Gate {
    pub(crate) fn start(config: &Path) -> Self {
        let mut child = serve(config).spawn().unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let (mut address, mut admin) = (None, None);
        let mut said = String::new();
        while address.is_none() || admin.is_none() {
            let start = said.len();
            assert!(
                words.read_line(&mut said).unwrap() > 0,
                "it does not start: {said}"
            );
            let line = said[start..].trim();
            if let Some(text) = line.strip_prefix("gate:") {
                address = Some(text.trim().parse().unwrap());
            } else if let Some(text) = line.strip_prefix("admin API: http://") {
                admin = Some(text.trim().parse().unwrap());
            }
        }
        let words = std::thread::spawn(move || {
            words.read_to_string(&mut said).unwrap();
            said
        });
        Self {
            child,
            address: address.unwrap(),
            admin: admin.unwrap(),
            words: Some(words),
        }
    }

    /// Kills it as the system would: nothing is flushed, nothing is closed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits until it has; what it said meanwhile.
    pub(crate) fn terminate(mut self) -> String {
        self.signal_to_stop();
        assert!(self.child.wait().unwrap().success());
        self.words.take().unwrap().join().unwrap()
    }

    /// What the system says of the process.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// Stops it from doing anything, connections left open.
    pub(crate) fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// The status of one request with this secret.
    pub(crate) fn status(&self, secret: &str) -> u16 {
        let mut client = Client::new(self.address, secret).unwrap();
        client.statuses(1)[0]
    }

    /// Whether it does a job that gates share.
    pub(crate) fn does(&self, job: &str) -> bool {
        let line = format!("portcullis_job_held{{name=\"{job}\"}} 1");
        metrics(self.admin).lines().any(|it| it == line)
    }

    /// Asks it to stop, and does not wait.
    pub(crate) fn signal_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// A key made over the admin API: its id and its secret.
    pub(crate) fn create_key(&self, name: &str) -> (String, String) {
        let body = format!(r#"{{"name":"{name}","owner":{{"name":"team","type":"team"}}}}"#);
        let (status, made) = self.admin_call("POST", "/admin/keys", &body);
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["key"]["id"]), text(&made["secret"]))
    }

    pub(crate) fn admin_call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        call(self.admin, method, path, body).unwrap()
    }

    /// Requests that the store counts for a key.
    pub(crate) fn counted(&self, key: &str) -> u64 {
        let (_, usage) = self.admin_call("GET", &format!("/admin/keys/{key}/usage"), "");
        usage["total"]["requests"].as_u64().unwrap()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Some(words) = self.words.take().and_then(|words| words.join().ok())
        {
            eprintln!("-- the gate at {} said:\n{words}--", self.address);
        }
    }
}

/// One call of the admin API on a connection of its own; `None` if it broke off.
pub(crate) fn call(
    admin: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// What a gate tells Prometheus, after the head of the answer.
pub(crate) fn metrics(admin: SocketAddr) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /metrics HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// A connection to the gate that sends the same request again and again.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(gate: SocketAddr, secret: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(gate)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let request = format!("GET /x HTTP/1.1\r\nhost: {gate}\r\nx-api-key: {secret}\r\n\r\n");
        Ok(Self {
            stream,
            request: request.into_bytes(),
            buffer: Vec::new(),
        })
    }

    /// Sends `count` requests at once and reads their answers; how many were 200 before the connection
    /// ended, if it did.
    pub(crate) fn send(&mut self, count: usize) -> Result<usize, usize> {
        if self.stream.write_all(&self.request.repeat(count)).is_err() {
            return Err(0);
        }
        for done in 0..count {
            match self.answer() {
                Some(200) => {}
                other => {
                    assert_eq!(other, None, "neither 200 nor an end");
                    return Err(done);
                }
            }
        }
        Ok(count)
    }

    /// Sends `count` requests at once; the statuses of their answers, until the connection ended.
    pub(crate) fn statuses(&mut self, count: usize) -> Vec<u16> {
        if self.stream.write_all(&self.request.repeat(count)).is_err() {
            return Vec::new();
        }
        (0..count).map_while(|_| self.answer()).collect()
    }

    /// The status of the next answer; its body must have a length.
    fn answer(&mut self) -> Option<u16> {
        loop {
            if let Some(end) = self
                .buffer
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                if self.buffer.len() >= end + 4 + length {
                    self.buffer.drain(..end + 4 + length);
                    return head.split(' ').nth(1).unwrap().parse().ok();
                }
            }
            let mut more = [0; 16 * 1_024];
            match self.stream.read(&mut more) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&more[..count]),
            }
        }
    }
}

/// An API that answers `ok` and remembers what it was asked, as bytes.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) seen: Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Upstream {
    /// `keeps` says how many bytes of what it is asked are remembered.
    pub(crate) fn start(keeps: usize) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let seen = Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let (counts, sees) = (Arc::clone(&requests), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let (counts, sees) = (Arc::clone(&counts), Arc::clone(&sees));
                std::thread::spawn(move || answer(stream, &counts, &sees, keeps));
            }
        });
        Self {
            address,
            requests,
            seen,
        }
    }
}

/// Answers requests without bodies until the other side has had enough.
fn answer(
    mut stream: TcpStream,
    counts: &AtomicU64,
    sees: &std::sync::Mutex<Vec<u8>>,
    keeps: usize,
) {
    let mut buffer = Vec::new();
    let mut more = [0; 16 * 1_024];
    while let Ok(count @ 1..) = stream.read(&mut more) {
        buffer.extend_from_slice(&more[..count]);
        {
            let mut seen = sees.lock().unwrap();
            let room = keeps.saturating_sub(seen.len()).min(count);
            seen.extend_from_slice(&more[..room]);
        }
        while let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            counts.fetch_add(1, Ordering::Relaxed);
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    }
}

/// How long anything is waited for before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
