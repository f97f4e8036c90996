//! Each page with commands, from its first to its last, in one shell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::page::{Block, blocks, pages, root};
use crate::process::gate::{Gate, Setup, TOKEN, Upstream};
use crate::support::patience::until;
use crate::support::redis::{RedisServer, free_port};

/// Why a block is not run, and how many there are that say so.
const NOT_RUN: &[(&str, usize)] = &[
    ("builds-everything", 1),
    ("does-not-return", 2),
    ("takes-minutes", 2),
    ("needs-an-emptied-redis", 1),
];

/// The pages that have commands, each told below.
const TOLD: &[&str] = &[
    "README.md",
    "docs/api.md",
    "docs/concepts.md",
    "docs/migrating-from-kong.md",
    "docs/migrating-from-nginx.md",
    "docs/operations.md",
];

#[test]
fn every_page_with_commands_is_told_and_what_is_not_run_says_why() {
    let mut told = Vec::new();
    let mut reasons = BTreeMap::<String, usize>::new();
    for page in pages() {
        let commands = blocks(&page).into_iter().filter(Block::is_commands);
        let (left, run): (Vec<_>, Vec<_>) = commands.partition(|it| it.says("norun").is_some());
        for block in &left {
            *reasons
                .entry(block.says("norun").unwrap().to_owned())
                .or_default() += 1;
        }
        if !run.is_empty() {
            told.push(page);
        }
    }
    told.sort();
    assert_eq!(told, TOLD);
    let known: BTreeMap<String, usize> = NOT_RUN
        .iter()
        .map(|(reason, count)| ((*reason).to_owned(), *count))
        .collect();
    assert_eq!(reasons, known);
}

#[test]
fn the_readme() {
    let story = Story::of("README.md", "");
    let (_, first) = story.gate().create_key("first");
    story.tell(&[
        ("pk_live_…", &first),
        (
            "PORTCULLIS_ADMIN_TOKEN=…",
            &format!("PORTCULLIS_ADMIN_TOKEN={TOKEN}"),
        ),
    ]);
}

#[test]
fn the_admin_api() {
    Story::of("docs/api.md", "").tell(&[]);
}

#[test]
fn concepts() {
    Story::of("docs/concepts.md", "").tell(&[]);
}

#[test]
fn from_kong() {
    Story::as_shown("docs/migrating-from-kong.md").tell(&[]);
}

#[test]
fn from_nginx() {
    let story = Story::as_shown("docs/migrating-from-nginx.md");
    let nginx = Nginx::start(story.folder.path(), story.upstream.address);
    story.tell(&[(&*shown(8081), &nginx.address.to_string())]);
}

#[test]
fn operations() {
    let redis = RedisServer::start();
    let keys = tempfile::tempdir().unwrap();
    let keys = keys.path().display().to_string();
    let sinks = blocks("docs/operations.md")
        .into_iter()
        .find(|block| block.text.starts_with("sinks:"))
        .unwrap();
    let story = Story::of(
        "docs/operations.md",
        &sinks.text.replace("/run/keys", &keys),
    );
    let folder = story.folder.path();
    let config = std::fs::read_to_string(story.setup.as_ref().unwrap().config()).unwrap();
    let elsewhere = |name: &str| config.replace("/data'", &format!("/{name}'"));
    let store = format!("redis: {{ urls: ['{}'] }}", redis.url());
    let data = folder.join("over-redis");
    let over_redis = config.lines().map(|line| match line.starts_with("store:") {
        true => format!("store: {{ {store} }}\ndata_dir: '{}'\n", data.display()),
        false => format!("{line}\n"),
    });
    std::fs::write(folder.join("gate.yaml"), &config).unwrap();
    std::fs::write(folder.join("new-gate.yaml"), elsewhere("new-data")).unwrap();
    std::fs::write(folder.join("redis.yaml"), over_redis.collect::<String>()).unwrap();
    let backup = folder.join("backup");
    std::fs::create_dir(&backup).unwrap();
    // The key that signed the snapshot; the folder of a gate is its user's alone.
    let place = story.setup.as_ref().unwrap().path();
    let new_data = place.join("new-data");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&new_data)
        .unwrap();
    std::fs::copy(place.join("data/node.key"), new_data.join("node.key")).unwrap();
    let (id, _) = story.gate().create_key("asked-for");
    story.tell(&[
        ("/backup", &backup.display().to_string()),
        ("/run/keys", &keys),
        ("key_3fXk29QmZa", &id),
    ]);
}

/// A page, a gate, and a folder in which its commands are run.
struct Story {
    page: &'static str,
    folder: tempfile::TempDir,
    upstream: Upstream,
    setup: Option<Setup>,
    gate: Option<Gate>,
}

impl Story {
    fn on(page: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["alerts.yml", "alerts.test.yml"] {
            let below = folder.path().join("config/observability");
            std::fs::create_dir_all(&below).unwrap();
            let from = root().join("config/observability").join(file);
            std::fs::copy(from, below.join(file)).unwrap();
        }
        Self {
            page,
            folder,
            upstream: Upstream::start(0),
            setup: None,
            gate: None,
        }
    }

    /// With a gate in front of an API; `more` is added to its configuration.
    fn of(page: &'static str, more: &str) -> Self {
        let mut story = Self::on(page);
        let setup = Setup::new(story.upstream.address, more);
        story.write_files();
        story.gate = Some(setup.start());
        story.setup = Some(setup);
        story
    }

    /// With a gate that is configured as the page shows.
    fn as_shown(page: &'static str) -> Self {
        let mut story = Self::on(page);
        story.write_files();
        let config = story.folder.path().join("portcullis.yaml");
        let text = std::fs::read_to_string(&config).unwrap();
        let data = story.folder.path().join("data");
        let text = format!(
            "{text}\nstore: {{ embedded: {{ path: '{}' }} }}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        story.gate = Some(Gate::start(&config));
        story
    }

    fn gate(&self) -> &Gate {
        self.gate.as_ref().unwrap()
    }

    /// Writes the files that the page shows by their names, with addresses of this machine that are free.
    fn write_files(&self) {
        for block in blocks(self.page) {
            if let Some(name) = block.says("file") {
                let text = block.text.replace(&shown(8080), &shown(0));
                let text = text.replace(&shown(9900), &shown(0));
                let text = text.replace(&shown(8000), &self.upstream.address.to_string());
                std::fs::write(self.folder.path().join(name), text).unwrap();
            }
        }
    }

    /// Runs the page's commands, one block after the other in one shell. A `curl -i` whose remark begins with a
    /// status must be answered with that.
    fn tell(&self, fillings: &[(&str, &str)]) {
        let (gate, admin) = (
            self.gate().address.to_string(),
            self.gate().admin.to_string(),
        );
        let mut script = String::from("set -euo pipefail\n");
        for block in blocks(self.page).iter().filter(|it| it.is_commands()) {
            if block.says("norun").is_some() {
                continue;
            }
            let mut text = block.text.clone();
            for (from, to) in [(shown(8080), &gate), (shown(9900), &admin)] {
                text = text.replace(&from, to);
            }
            for (from, to) in fillings {
                text = text.replace(from, to);
            }
            text.lines()
                .for_each(|line| script.push_str(&expecting(line)));
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_portcullis"))
            .parent()
            .unwrap();
        let path = format!("{}:/usr/sbin:/usr/bin:/bin", binary.display());
        let output = Command::new("bash")
            .args(["-x", "-c", &script])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("PORTCULLIS_ADMIN_URL", format!("http://{admin}"))
            .env("PORTCULLIS_ADMIN_TOKEN", TOKEN)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}\n{}{}",
            self.page,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// An address of this machine, as pages show it.
fn shown(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A line of commands; of a `curl -i` that says what it is answered, it fails if that is not so.
fn expecting(line: &str) -> String {
    let said = line
        .split_once("# ")
        .filter(|_| line.starts_with("curl -i "));
    let Some((call, remark)) = said else {
        return format!("{line}\n");
    };
    let status: String = remark.chars().take_while(char::is_ascii_digit).collect();
    let code = remark.split([' ', ':', ';', ',']).nth(1);
    let code = code.filter(|word| word.contains('_')).unwrap_or_default();
    if status.len() != 3 {
        return format!("{line}\n");
    }
    format!(
        "answer=$({}); printf '%s\\n' \"$answer\" | grep '^HTTP/1.1 {status}'; printf '%s' \"$answer\" | grep -c '{code}'\n",
        call.trim_end().replacen("curl -i", "curl -sS -i", 1)
    )
}

/// A real nginx as the page of it has it; stopped when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    fn start(folder: &Path, upstream: SocketAddr) -> Self {
        let page = std::fs::read_to_string(folder.join("nginx.conf")).unwrap();
        assert!(page.contains(&upstream.to_string()));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let page = page.replace(&shown(8081), &address.to_string());
        let at = folder.display();
        let text = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{page}}}\n"
        );
        let config = folder.join("whole-nginx.conf");
        std::fs::write(&config, text).unwrap();
        let child = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is there: apt-get install nginx");
        until("nginx listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self { child, address }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
