//! Gates in processes of their own, which can be killed, paused, cut off, and come back.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::clock_step::{self, ClockHand};
use super::link::Link;
use super::watch::{At, Watch};
use super::wire;

/// A gate's place: what stays when its process ends.
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) link: Arc<Link>,
    pub(crate) clock: ClockHand,
    folder: TempDir,
    process: Option<Child>,
    /// Where it listens, while it runs: its own address and that of its admin API.
    pub(crate) listens: Option<(SocketAddr, SocketAddr)>,
}

impl Site {
    /// A place for a gate in front of `upstream`, with its way to the Redis at `port`; `fleet` and `rest` are of its
    /// configuration.
    pub(crate) fn new(name: &str, upstream: SocketAddr, port: u16, fleet: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("portcullis-{name}-"))
            .tempdir()
            .unwrap();
        let link = Arc::new(Link::to(port));
        let text = format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\n\
             admin: {{ address: '127.0.0.1:0', token: '${{PORTCULLIS_ADMIN_TOKEN}}' }}\n\
             store: {{ redis: {{ urls: ['redis://127.0.0.1:{port}'] }} }}\n\
             node: {name}\n\
             data_dir: '{data}'\n\
             access_log: {{ to: none }}\n\
             fleet: {{ {fleet} }}\n\
             bounds: {{ failures_per_minute: 1000000 }}\n\
             upstreams: {{ api: {{ endpoints: ['http://{upstream}'] }} }}\n\
             routes: [{{ name: api, match: {{ path_prefix: / }}, upstream: api }}]\n",
            port = link.port,
            data = folder.path().join("data").display()
        );
        fs::write(folder.path().join("portcullis.yaml"), text).unwrap();
        Self {
            name: name.to_owned(),
            clock: ClockHand::new(folder.path()),
            link,
            folder,
            process: None,
            listens: None,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves its folder where it is, for whoever asks why.
    pub(crate) fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// What its gates said.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(self.folder().join("stderr")).unwrap_or_default()
    }

    /// Starts its gate; whether it came up within `patience` and takes traffic.
    pub(crate) fn start(&mut self, watch: Watch, patience: At) -> bool {
        let log = self.folder().join("stderr");
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file: File = file.unwrap();
        let said = file.metadata().unwrap().len() as usize;
        let child = Command::new(program())
            .args(["serve", "--config"])
            .arg(self.folder().join("portcullis.yaml"))
            .env("PORTCULLIS_ADMIN_TOKEN", wire::TOKEN)
            .env("PORTCULLIS_CAMPAIGN_CLOCK", &self.clock.path)
            .env("LD_PRELOAD", clock_step::library())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn();
        self.process = Some(child.unwrap());
        watch.wait_for(patience, || {
            if self.listens.is_none() {
                let words = fs::read_to_string(&log).unwrap_or_default();
                self.listens = addresses(words.get(said..).unwrap_or_default());
            }
            self.is_ready()
        })
    }

    /// Whether it takes traffic.
    pub(crate) fn is_ready(&self) -> bool {
        self.listens.is_some_and(|(_, admin)| {
            wire::admin(admin, "GET", "/readyz", "").is_ok_and(|it| it.status == 200)
        })
    }

    /// Kills it as the system would: nothing is flushed, nothing is said.
    pub(crate) fn kill(&mut self) {
        self.listens = None;
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it from doing anything, its connections left open.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            rustix::process::kill_process(Pid::from_child(process), signal).unwrap();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The binary under test: `PORTCULLIS_BIN`, or the one that was built with the tests.
#[expect(
    clippy::disallowed_methods,
    reason = "a campaign of the optimised binary is the same campaign"
)]
pub(crate) fn program() -> PathBuf {
    std::env::var_os("PORTCULLIS_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_portcullis").into(), PathBuf::from)
}

/// Where a gate says that it listens.
fn addresses(words: &str) -> Option<(SocketAddr, SocketAddr)> {
    let said = |prefix: &str| {
        let mut lines = words.lines();
        let text = lines.find_map(|line| line.trim().strip_prefix(prefix))?;
        text.trim().parse().ok()
    };
    Some((said("gate:")?, said("admin API: http://")?))
}
