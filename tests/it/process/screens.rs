//! `top` and `tail` on a real terminal, in front of real gates that are under load.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use super::gate::{Gate, Setup, TOKEN, Upstream};
use crate::support::patience::{PATIENCE, becomes_so, until};
use crate::support::redis::RedisServer;

/// A terminal with a shell in it; ended when dropped.
struct Terminal {
    directory: TempDir,
}

impl Terminal {
    /// A shell on a terminal of so many columns and lines, which knows where `gate` is.
    fn start(gate: &Gate, (width, height): (u16, u16), more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let this = Self { directory };
        let mut command = this.tmux();
        let url = format!("http://{}", gate.admin);
        command
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("LANG", "C.UTF-8"),
                ("TERM", "xterm-256color"),
                ("PORTCULLIS_ADMIN_URL", &url),
                ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
                ("PORTCULLIS", env!("CARGO_BIN_EXE_portcullis")),
            ])
            .envs(more.iter().copied())
            .args(["new-session", "-d", "-x", &width.to_string()])
            .args(["-y", &height.to_string(), "sh"]);
        let made = command.status();
        let made = made.expect("`tmux` is missing: install the package tmux");
        assert!(made.success());
        this.enter("PS1='ready$ '; clear");
        this.until("a prompt", |screen| screen.starts_with("ready$"));
        this
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        let socket = self.directory.path().join("socket");
        command
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(socket)
            .stderr(Stdio::null());
        command
    }

    fn ask(&self, line: &[&str]) -> String {
        let output = self.tmux().args(line).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What stands on it.
    fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// The same, with the sequences that colour it.
    fn colored(&self) -> String {
        self.ask(&["capture-pane", "-p", "-e"])
    }

    /// Presses keys, by their names or as text.
    fn press(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    /// Types a line of the shell.
    fn enter(&self, line: &str) {
        self.ask(&["send-keys", "-l", line]);
        self.press(&["Enter"]);
    }

    /// Waits until a screen is as it is wanted, and gives it.
    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let is_there = becomes_so(PATIENCE, || {
            screen = self.screen();
            is_so(&screen)
        });
        assert!(is_there, "never {what}:\n{screen}");
        screen
    }

    #[track_caller]
    fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// The process that runs in front, besides the shell.
    fn command_pid(&self) -> rustix::process::Pid {
        let shell = self.ask(&["display-message", "-p", "#{pane_pid}"]);
        let path = format!("/proc/{0}/task/{0}/children", shell.trim());
        let child = std::fs::read_to_string(path).unwrap();
        rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap()
    }

    /// Remembers how the terminal is set.
    fn note_settings(&self, name: &str) {
        let file = self.directory.path().join(name);
        self.enter(&format!("stty -g > {}; clear; echo noted", file.display()));
        self.until("noted", |screen| screen.starts_with("noted"));
    }

    /// That the shell has its terminal back as it was when that was noted, `how` the command ended.
    #[track_caller]
    fn is_as_it_was(&self, how: &str) {
        self.shows(how);
        let state = self.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(state.trim(), "0 1", "the other screen, or no cursor");
        self.note_settings("after");
        let read = |name| std::fs::read_to_string(self.directory.path().join(name)).unwrap();
        assert_eq!(read("after"), read("before"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}

/// Requests as fast as the gates answer them, until dropped or ended.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    done: Arc<AtomicU64>,
}

impl Load {
    /// Each gate is asked with each of these secrets over connections of their own.
    fn on(gates: &[&Gate], secrets: &[&str]) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut clients = Vec::new();
        for gate in gates {
            for secret in secrets {
                let (address, secret) = (gate.address, (*secret).to_owned());
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                clients.push(std::thread::spawn(move || {
                    let mut client = super::gate::Client::new(address, &secret).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let answered = client.statuses(AT_ONCE).len() as u64;
                        done.fetch_add(answered, Ordering::Relaxed);
                        if answered < AT_ONCE as u64 {
                            return;
                        }
                    }
                }));
            }
        }
        Self {
            stop,
            clients,
            done,
        }
    }

    /// Ends it; how many requests were answered.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// How many requests a client has under way.
const AT_ONCE: usize = 32;

/// One gate, a key that is called `shop` and one that is called `billing`.
fn gate_and_keys() -> (Upstream, Setup, Gate, [String; 2]) {
    let upstream = Upstream::start(0);
    let setup = Setup::new(upstream.address, "");
    let gate = setup.start();
    let secrets = ["shop", "billing"].map(|name| gate.create_key(name).1);
    (upstream, setup, gate, secrets)
}

/// The requests a second that the second line of `top` says.
fn rate(screen: &str) -> f64 {
    let line = screen.lines().nth(1).unwrap_or_default();
    let (rate, _) = line.split_once(" requests/s").unwrap_or_default();
    rate.replace(',', "").parse().unwrap_or_default()
}

#[test]
fn top_shows_what_passes_under_load_and_obeys_each_key_and_leaves_the_terminal_as_it_was() {
    let (_upstream, _setup, gate, [shop, billing]) = gate_and_keys();
    let terminal = Terminal::start(&gate, (80, 24), &[]);
    terminal.note_settings("before");
    let load = Load::on(&[&gate], &[&shop, &billing, "pk_live_nobodys"]);
    terminal.enter("clear; $PORTCULLIS top; echo \"ended with $?\"");

    // Counts, by the names of keys, in 24 lines of 80 columns.
    let screen = terminal.until("a rate and names", |screen| {
        rate(screen) > 100.0 && screen.contains("shop (key_") && screen.contains("billing (key_")
    });
    assert!(screen.contains("1 gate: "), "{screen}");
    assert!(screen.contains("▼Req/s"), "{screen}");
    assert!(screen.contains("q quit"), "{screen}");
    let nobody = screen.lines().find(|line| line.starts_with("(none)"));
    assert!(
        nobody.is_some_and(|line| line.contains("100 %")),
        "{screen}"
    );

    // Each key does what it says, at once, however much passes.
    terminal.press(&["o"]);
    terminal.shows("team (usr_");
    terminal.press(&["t"]);
    terminal.until("routes", |screen| {
        screen.contains("top: routes") && screen.lines().any(|line| line.starts_with("api "))
    });
    terminal.press(&["k"]);
    terminal.press(&["Right", "Right"]);
    terminal.shows("▼5xx");
    terminal.press(&["r"]);
    terminal.shows("▲5xx");
    terminal.press(&["/"]);
    terminal.shows("filter:");
    terminal.press(&["s", "h", "o", "p", "Enter"]);
    terminal.until("only shop", |screen| {
        screen.contains(" shop  Esc all")
            && screen.contains("shop (key_")
            && !screen.contains("billing (")
    });
    terminal.press(&["Escape"]);
    terminal.shows("billing (key_");
    terminal.press(&["?"]);
    terminal.shows("any key closes this");
    terminal.press(&["x", "p"]);
    let still = terminal.shows("PAUSED");
    let figures = |screen: &str| screen.lines().nth(1).map(str::to_owned);
    assert!(rate(&still) > 100.0);

    // Everything ends while it stands still, and it goes on with that.
    load.end();
    assert_eq!(figures(&terminal.screen()), figures(&still));
    terminal.press(&["p"]);
    terminal.until("nothing passing", |screen| {
        !screen.contains("PAUSED") && screen.contains("0 requests/s") && rate(screen) == 0.0
    });
    // A key that is quiet keeps its row.
    terminal.shows("shop (key_");

    // Another size is another picture.
    terminal.ask(&["resize-window", "-x", "130", "-y", "40"]);
    terminal.until("the wider picture", |screen| {
        screen
            .lines()
            .next()
            .is_some_and(|line| line.trim_end().ends_with('/') && line.contains("http://"))
    });
    terminal.ask(&["resize-window", "-x", "30", "-y", "8"]);
    terminal.until("the narrow one", |screen| !screen.contains("Gates"));
    terminal.ask(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.shows("Gates");
    terminal.press(&["q"]);
    terminal.is_as_it_was("ended with 0");
}

#[test]
fn however_top_ends_the_terminal_is_as_it_was() {
    let (_upstream, setup, gate, _) = gate_and_keys();
    let terminal = Terminal::start(&gate, (80, 24), &[]);
    terminal.note_settings("before");
    let begin = || {
        terminal.enter("clear; $PORTCULLIS top; echo \"ended with $?\"");
        terminal.shows("1 gate: ");
    };
    begin();
    terminal.press(&["C-c"]);
    terminal.is_as_it_was("ended with 0");
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        begin();
        rustix::process::kill_process(terminal.command_pid(), signal).unwrap();
        terminal.is_as_it_was("ended with 0");
    }

    // A gate that goes away is told of, and the keyboard is heard all the same.
    begin();
    gate.kill();
    terminal.shows("connecting again…");
    terminal.press(&["o"]);
    terminal.shows("top: owners");
    terminal.press(&["q"]);
    terminal.is_as_it_was("ended with 0");

    // Without a gate it never takes the screen.
    terminal.enter("clear; $PORTCULLIS top; echo \"ended with $?\"");
    terminal.shows("Is the gate running?");
    terminal.is_as_it_was("ended with 1");
    drop(setup);
}

/// Where nobody wants colours there are none, and what is said is the same.
#[test]
fn colours_are_for_those_who_want_them() {
    let (_upstream, _setup, gate, [shop, _]) = gate_and_keys();
    // A colour of the text: 30 to 37, 90 to 97, or of many.
    let is_colored = |screen: &str| {
        let sequences = screen.split('\u{1b}').skip(1);
        let codes = sequences.filter_map(|rest| rest.strip_prefix('[')?.split_once('m'));
        let mut codes = codes.flat_map(|(codes, _)| codes.split(';'));
        codes.any(|code| matches!(code.parse(), Ok(30..=38 | 90..=97)))
    };
    for (more, wanted) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let terminal = Terminal::start(&gate, (100, 24), more);
        terminal.enter("clear; $PORTCULLIS tail");
        terminal.until("a request", |screen| {
            assert_eq!(gate.status(&shop), 200);
            screen.contains(" 200 GET ")
        });
        let tailing = terminal.command_pid();
        assert_eq!(is_colored(&terminal.colored()), wanted, "tail {more:?}");
        rustix::process::kill_process(tailing, rustix::process::Signal::INT).unwrap();
        terminal.shows("ready$");

        let load = Load::on(&[&gate], &[&shop, "pk_live_nobodys"]);
        terminal.enter("clear; $PORTCULLIS top");
        terminal.until("refusals", |screen| screen.contains("100 %"));
        assert_eq!(is_colored(&terminal.colored()), wanted, "top {more:?}");
        terminal.press(&["q"]);
        load.end();
    }
}

/// S4-04, S4-10: two gates under load, watched at one: nothing is left out of the counts, and what the table that is printed
/// once says is the rate at which requests were answered.
#[test]
fn counts_of_gates_under_load_are_exact_to_the_last_request() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start(0));
    let setup = |name| Setup::over_redis(upstream.address, &redis.url(), name, "");
    let setups = [setup("gate-1"), setup("gate-2")];
    let gates: Vec<Gate> = setups.iter().map(Setup::start).collect();
    let (key, secret) = gates[0].create_key("shop");
    until("the other gate has the key", || {
        gates[1].status(&secret) == 200
    });

    let counts = Counts::of(&gates[0]);
    counts.until("both gates count", |seen| seen.gates.len() == 2);
    let before = counts.seen().requests;
    assert_eq!(before, 0);
    let load = Load::on(&[&gates[0], &gates[1]], &[&secret, &secret]);
    counts.until("much was counted", |seen| seen.requests > 20_000);

    // For programs, and where this is no terminal.
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["top", "--json"])
        .env("PORTCULLIS_ADMIN_URL", format!("http://{}", gates[0].admin))
        .env("PORTCULLIS_ADMIN_TOKEN", TOKEN)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &told["items"][0];
    assert_eq!(
        (&row["id"], &row["name"]),
        (&key.clone().into(), &"shop".into())
    );
    assert_eq!(row["gates"], 2, "{told}");
    assert!(
        row["requests_per_second"].as_f64().unwrap() > 200.0,
        "{told}"
    );
    assert_eq!(told["dropped"], 0);

    let answered = load.end();
    counts.until("all is counted", |seen| seen.requests >= answered);
    let seen = counts.seen();
    assert_eq!((seen.requests, seen.dropped), (answered, 0));
    println!("{answered} requests were counted");
}

/// Counts as they are told at one gate.
struct Counts {
    seen: Arc<std::sync::Mutex<Seen>>,
    stream: TcpStream,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    gates: std::collections::BTreeSet<String>,
    requests: u64,
    dropped: u64,
}

impl Counts {
    fn of(gate: &Gate) -> Self {
        use std::io::Write as _;
        let mut stream = TcpStream::connect(gate.admin).unwrap();
        let ask = format!(
            "GET /admin/live?summary=1s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).unwrap();
        let seen = Arc::<std::sync::Mutex<Seen>>::default();
        let (noted, reader) = (
            Arc::clone(&seen),
            BufReader::new(stream.try_clone().unwrap()),
        );
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let Some(data) = line.strip_prefix("data: ") else {
                    continue;
                };
                let data: Value = serde_json::from_str(data).unwrap();
                let mut seen = noted.lock().unwrap();
                if let Some(count) = data["count"].as_u64() {
                    seen.dropped += count;
                } else if let Some(requests) = data["total"]["requests"].as_u64() {
                    seen.gates.insert(data["node"].as_str().unwrap().to_owned());
                    seen.requests += requests;
                }
            }
        });
        Self { seen, stream }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let is_there = becomes_so(PATIENCE, || is_so(&self.seen()));
        assert!(is_there, "never {what}: {:?}", self.seen());
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
