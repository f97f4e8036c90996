//! A real `redis-server` of a test's own, on a port that was free a moment ago, gone when the test is.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::time::Instant;

use super::guard::Guard;
use super::venv;

/// A running server. What it has acknowledged survives [`RedisServer::kill`].
pub(crate) struct RedisServer {
    program: PathBuf,
    port: u16,
    dir: TempDir,
    settings: Vec<String>,
    process: Option<Child>,
}

/// One that ends with this process.
fn guarded(program: &Path) -> (RedisServer, Guard) {
    let server = RedisServer::start_program(program, &[]);
    let guard = Guard::over([server.remains()].into_iter());
    (server, guard)
}

impl RedisServer {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more settings, as on its command line: `["--maxmemory-policy", "allkeys-lru"]`.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        Self::start_program(Path::new("redis-server"), settings)
    }

    /// A Valkey that all tests of this process share, each under a prefix of its own.
    pub(crate) fn shared_valkey() -> &'static Self {
        static SHARED: OnceLock<(RedisServer, Guard)> = OnceLock::new();
        let (server, _) = SHARED.get_or_init(|| guarded(&venv::valkey_server()));
        server
    }

    /// The same, a Redis.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<(RedisServer, Guard)> = OnceLock::new();
        let (server, _) = SHARED.get_or_init(|| guarded(Path::new("redis-server")));
        server
    }

    /// Starts one of another make.
    pub(crate) fn start_program(program: &Path, settings: &[&str]) -> Self {
        for _ in 0..20 {
            let mut server = Self {
                program: program.to_owned(),
                port: free_port(),
                dir: tempfile::tempdir().expect("a temporary folder"),
                settings: settings.iter().map(ToString::to_string).collect(),
                process: None,
            };
            // Another process may have taken the port in between.
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server does not start on any port");
    }

    /// Its address, as the configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its address, as servers tell it each other.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process and its folder, for a [`Guard`].
    pub(crate) fn remains(&self) -> (u32, &Path) {
        let process = self.process.as_ref().expect("it runs");
        (process.id(), self.dir.path())
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash would: nothing is flushed, nothing is said.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("redis-server can be killed");
            process.wait().expect("redis-server ends");
        }
    }

    /// Starts it again, with what it had.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + STARTS_WITHIN;
        while !self.launch() {
            assert!(Instant::now() < deadline, "redis-server does not come back");
        }
    }

    /// Starts it again, with nothing.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        self.dir = tempfile::tempdir().expect("a temporary folder");
        self.restart();
    }

    /// What it holds now, for [`RedisServer::restore`].
    pub(crate) fn backup(&self) -> TempDir {
        let backup = tempfile::tempdir().expect("a temporary folder");
        copy_files(self.dir.path(), backup.path());
        backup
    }

    /// Starts it again, with what it held when `backup` was taken.
    pub(crate) fn restore(&mut self, backup: &TempDir) {
        self.kill();
        self.dir = tempfile::tempdir().expect("a temporary folder");
        copy_files(backup.path(), self.dir.path());
        self.restart();
    }

    /// Stops it from doing anything, connections left open: what a hung host looks like.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends it one command over a connection of its own.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = self
            .client()
            .get_connection_with_timeout(STARTS_WITHIN)
            .expect("redis-server answers");
        let (name, args) = command.split_first().expect("a command");
        redis::cmd(name)
            .arg(args)
            .query(&mut connection)
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Whether it says that it is a master; `None` while it lets go of everyone, as when that changes.
    pub(crate) fn is_master(&self) -> Option<bool> {
        let connection = self.client().get_connection_with_timeout(STARTS_WITHIN);
        let role: Vec<redis::Value> = redis::cmd("ROLE").query(&mut connection.ok()?).ok()?;
        Some(role.first() == Some(&redis::Value::BulkString(b"master".into())))
    }

    /// Lets itself in, where the settings ask for a password.
    fn client(&self) -> redis::Client {
        let mut words = self.settings.iter();
        let password = words
            .find(|word| *word == "--requirepass")
            .and(words.next());
        let address = match password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => self.url(),
        };
        redis::Client::open(address).expect("an address")
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let pid = Pid::from_child(process);
        rustix::process::kill_process(pid, signal).expect("it can be signalled");
    }

    /// Whether it came up.
    fn launch(&mut self) -> bool {
        let mut process = spawn(&self.program, self.port, self.dir.path(), &self.settings);
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            if process.try_wait().expect("its state is known").is_some() {
                return false;
            }
            if self.answers() {
                self.process = Some(process);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = process.kill();
        let _ = process.wait();
        false
    }

    /// Whether the server there is this one, and has loaded what it had.
    fn answers(&self) -> bool {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            return false;
        }
        let dir = self
            .client()
            .get_connection_with_timeout(Duration::from_secs(1));
        let dir: redis::RedisResult<(String, String)> = dir.and_then(|mut connection| {
            redis::cmd("CONFIG")
                .arg("GET")
                .arg("dir")
                .query(&mut connection)
        });
        dir.is_ok_and(|(_, dir)| {
            Path::new(&dir).canonicalize().ok() == self.dir.path().canonicalize().ok()
        })
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn spawn(program: &Path, port: u16, dir: &Path, settings: &[String]) -> Child {
    let started = Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .arg("--dir")
        .arg(dir)
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"])
        .args(["--daemonize", "no", "--logfile", "redis.log"])
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.unwrap_or_else(|error| {
        panic!("redis-server cannot be started ({error}); install Debian's package `redis-server`")
    })
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("its entries");
        let copy = to.join(entry.file_name());
        if entry.file_type().expect("its kind").is_dir() {
            fs::create_dir(&copy).expect("a folder");
            copy_files(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).expect("a copy");
        }
    }
}

/// A prefix that no other test of this process has, so that many may share a server.
pub(crate) fn own_prefix() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("pc{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

const STARTS_WITHIN: Duration = Duration::from_secs(30);
