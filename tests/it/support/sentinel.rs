//! A master, its replica, and three sentinels that watch them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::guard::Guard;
use super::redis::{RedisServer, free_port};

/// A master that has a successor.
pub(crate) struct Watched {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: u16,
    dir: TempDir,
    process: Child,
}

impl Watched {
    /// What the sentinels call the master.
    pub(crate) const MASTER: &'static str = "portcullis";

    /// Starts them, and waits until all know of each other. `settings` are of both servers.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let settings = [settings, &quick].concat();
        let master = RedisServer::start_with(&settings);
        let port = master.port().to_string();
        let following = [&settings[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let replica = RedisServer::start_with(&following);
        let sentinels = (0..3).map(|_| Sentinel::start(&master)).collect();
        let watched = Self {
            master,
            replica,
            sentinels,
        };
        watched.wait_for("the replica follows", || {
            let role: Vec<redis::Value> = watched.replica.ask(&["ROLE"]);
            role.get(3) == Some(&redis::Value::BulkString(b"connected".into()))
        });
        for at in 0..watched.sentinels.len() {
            watched.wait_for("the sentinels know of each other", || {
                let fields = watched.what_is_known(at);
                let has = |name: &str, value: &str| {
                    fields
                        .chunks(2)
                        .any(|it| it == [name.to_owned(), value.to_owned()])
                };
                has("num-slaves", "1") && has("num-other-sentinels", "2")
            });
        }
        watched
    }

    /// One that all tests of this process share, each under a prefix of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<(Watched, Guard)> = OnceLock::new();
        let (watched, _) = SHARED.get_or_init(|| {
            let watched = Self::start_with(&[]);
            let servers = [watched.master.remains(), watched.replica.remains()];
            let sentinels = watched.sentinels.iter();
            let sentinels = sentinels.map(|it| (it.process.id(), it.dir.path()));
            let guard = Guard::over(servers.into_iter().chain(sentinels));
            (watched, guard)
        });
        watched
    }

    /// The sentinels' addresses, as the configuration has them.
    pub(crate) fn urls(&self) -> Vec<String> {
        let ports = self.sentinels.iter().map(|it| it.port);
        ports
            .map(|port| format!("redis://127.0.0.1:{port}"))
            .collect()
    }

    /// Has the sentinels make the replica the master, while the master lives.
    pub(crate) fn fail_over(&self) {
        let answer: redis::RedisResult<()> =
            self.sentinels[0].ask(&["SENTINEL", "FAILOVER", Self::MASTER]);
        answer.expect("a failover");
    }

    /// Tells all sentinels something.
    pub(crate) fn tell(&self, command: &[&str]) {
        for sentinel in &self.sentinels {
            let answer: redis::RedisResult<()> = sentinel.ask(command);
            answer.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        }
    }

    /// What a sentinel says of the master: names and values.
    fn what_is_known(&self, at: usize) -> Vec<String> {
        let answer = self.sentinels[at].ask(&["SENTINEL", "MASTER", Self::MASTER]);
        answer.unwrap_or_default()
    }

    fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + STARTS_WITHIN;
        while !condition() {
            assert!(
                Instant::now() < deadline,
                "not within {STARTS_WITHIN:?}: {what}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Sentinel {
    fn start(master: &RedisServer) -> Self {
        for _ in 0..20 {
            let (port, dir) = (
                free_port(),
                tempfile::tempdir().expect("a temporary folder"),
            );
            let process = spawn(port, dir.path(), master.port());
            let mut sentinel = Self { port, dir, process };
            // Another process may have taken the port in between.
            if sentinel.comes_up() {
                return sentinel;
            }
        }
        panic!("no sentinel starts on any port");
    }

    fn comes_up(&mut self) -> bool {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            if self
                .process
                .try_wait()
                .expect("its state is known")
                .is_some()
            {
                return false;
            }
            let known: redis::RedisResult<Vec<String>> =
                self.ask(&["SENTINEL", "MASTER", Watched::MASTER]);
            if known.is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_connection_with_timeout(STARTS_WITHIN)?;
        let (name, args) = command.split_first().expect("a command");
        redis::cmd(name).arg(args).query(&mut connection)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, dir: &Path, master: u16) -> Child {
    let name = Watched::MASTER;
    let settings = format!(
        "port {port}\nbind 127.0.0.1\ndir {place}\nlogfile sentinel.log\n\
         sentinel monitor {name} 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds {name} 500\n\
         sentinel failover-timeout {name} 4000\n",
        place = dir.display()
    );
    let file = dir.join("sentinel.conf");
    fs::write(&file, settings).expect("a file");
    Command::new("redis-server")
        .arg(file)
        .arg("--sentinel")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts as a sentinel; install Debian's package `redis-server`")
}

const STARTS_WITHIN: Duration = Duration::from_secs(20);
