//! House rules, held by a test: who may import whom, and how files look.
//!
//! The source is read as text and cut into code, comments and literals; no crate, no build. What the
//! compiler or clippy can say is left to them (`Cargo.toml`, `.clippy.toml`). Each rule is a function
//! from a [`Source`] to faults; `planted` shows that each catches what it is there for.
#![cfg(test)]

#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use source::{Source, root, sources};

/// Who may import whom, from the ground up: a room may name only rooms that stand above it here.
/// The reasons are in docs/ARCHITECTURE.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &["domain"]),
    ("config", &["domain"]),
    ("api", &["domain"]),
    ("state", &["domain", "telemetry"]),
    ("store", &["domain", "config", "telemetry"]),
    ("proxy", &["domain", "config", "state", "telemetry"]),
    (
        "control",
        &["domain", "config", "state", "store", "telemetry"],
    ),
    (
        "admin",
        &["api", "config", "control", "domain", "state", "telemetry"],
    ),
    ("dashboard", &[]),
    (
        "app",
        &[
            "admin",
            "config",
            "control",
            "dashboard",
            "domain",
            "proxy",
            "state",
            "store",
            "telemetry",
        ],
    ),
    ("cli", &["api", "app", "config", "domain"]),
    ("main", &["cli"]),
];

/// Names that say nothing of what is inside.
const DRAWERS: &[&str] = &[
    "utils", "common", "helpers", "misc", "core", "types", "models",
];

/// Crates that must not be built in: second TLS providers, and what nobody maintains.
const BANNED_CRATES: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "ring",
    "rustls-pemfile",
    "serde_yml",
    "libyml",
];

/// A file shall be shorter than this.
const LINES_MAX: usize = 500;

#[test]
fn every_file_keeps_the_house_rules() {
    let sources = sources();
    assert!(
        sources.len() > 20,
        "only {} files found: is this the right folder?",
        sources.len()
    );
    let faults: Vec<String> = sources.iter().flat_map(faults_of).collect();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn the_table_points_downward() {
    for (at, (room, below)) in MAY_IMPORT.iter().enumerate() {
        for other in *below {
            let stands_at = MAY_IMPORT.iter().position(|(name, _)| name == other);
            assert!(
                stands_at.is_some_and(|stands| stands < at),
                "`{room}` imports `{other}` upward"
            );
        }
    }
}

#[test]
fn the_architecture_page_shows_this_table() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for (room, below) in MAY_IMPORT.iter().filter(|(room, _)| *room != "main") {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{room}` |")))
            .unwrap_or_else(|| panic!("docs/ARCHITECTURE.md has no row for `{room}`"));
        let cell = row.split('|').nth(2).unwrap();
        let shown: BTreeSet<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert_eq!(
            shown,
            below.iter().copied().collect(),
            "the row of `{room}`"
        );
    }
}

#[test]
fn no_banned_crate_is_built_in() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&tree.stdout);
    assert!(
        tree.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains("hyper"), "cargo tree names no hyper: {text}");
    let banned: Vec<_> = BANNED_CRATES
        .iter()
        .filter(|name| names.contains(*name))
        .collect();
    assert!(
        banned.is_empty(),
        "built in, but banned: {banned:?} (`cargo tree -i NAME` says by whom)"
    );
}

/// Everything that is wrong with a file, as `path:line: what`.
fn faults_of(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let mut say = |line: usize, what: &str| faults.push(format!("{}:{line}: {what}", source.path));
    let lines = source.text.lines().count();
    if lines >= LINES_MAX {
        say(
            lines,
            &format!("{lines} lines; below {LINES_MAX} it can be read at once"),
        );
    }
    if !source.text.starts_with("//! ") {
        say(1, "does not open with a `//!` sentence");
    }
    for part in source
        .path
        .split(['/', '.'])
        .filter(|part| DRAWERS.contains(part))
    {
        say(1, &format!("`{part}` is a drawer, not a name"));
    }
    for (number, line) in source.comments.lines().enumerate() {
        if has_bare_todo(line) {
            say(number + 1, "a to-do without the number of its issue");
        }
    }
    code_faults(source, &mut say);
    import_faults(source, &mut say);
    if source.is_under("tests/") && !source.path.contains("/support/") {
        test_faults(source, &mut say);
    }
    faults
}

/// What must not stand in the code of a file.
fn code_faults(source: &Source, say: &mut dyn FnMut(usize, &str)) {
    let tokens = &source.tokens;
    let tests_begin = source.tests_begin();
    let decides = "the front of a folder decides nothing: move it to a file named after it";
    let is_front = source.is_front();
    for (at, token) in tokens.iter().enumerate() {
        let line = token.line;
        let follows = |next: &[&str]| source.has_at(at, next);
        let is_shipped = source.is_under("src/") && at < tests_begin;
        match token.text.as_str() {
            "todo" | "unimplemented" if source.is_at(at + 1, "!") => say(line, "unfinished"),
            "[" if follows(&["[", "allow", "("]) => {
                say(
                    line,
                    "`allow` hides the day it is no longer needed: `expect`, with a reason",
                );
            }
            "tokio" | "task"
                if is_shipped
                    && follows(&[&token.text, "::", "spawn"])
                    && source.path != "src/app/tasks.rs" =>
            {
                say(line, "a task without a name: only app/tasks.rs spawns");
            }
            "park_timeout" if source.path != "tests/it/support/patience.rs" => {
                say(
                    line,
                    "a sleep by another name: `until` in tests/it/support/patience.rs waits",
                );
            }
            "yield_now" if source.has_at(at.wrapping_sub(2), &["thread", "::", "yield_now"]) => {
                say(
                    line,
                    "who spins takes the core from what it waits for: await a condition",
                );
            }
            "spawn_local" if is_shipped && !source.is_under("src/proxy/") => {
                say(line, "`spawn_local` belongs to the proxy's own cores");
            }
            "Serialize" if source.is_under("src/domain/") => {
                say(
                    line,
                    "a domain type has no wire form: see `api` and `store::record`",
                );
            }
            "if" | "match" | "while" | "loop" if is_shipped && is_front => {
                say(line, decides);
            }
            "in" if is_shipped && is_front && !source.is_at(at.wrapping_sub(1), "(") => {
                say(line, decides);
            }
            "sleep" | "sleep_until"
                if source.is_at(at + 1, "(") && source.is_under("src/") && at >= tests_begin =>
            {
                say(
                    line,
                    "a test that sleeps is slow or wrong: await a condition",
                );
            }
            _ => {}
        }
    }
}

/// Edges that the table does not have, and `super` that leaves its room.
fn import_faults(source: &Source, say: &mut dyn FnMut(usize, &str)) {
    let Some(room) = source.room() else { return };
    if room == "lib" {
        for token in source.tokens.iter().filter(|token| token.text == "use") {
            say(
                token.line,
                "no re-export at the crate's root: it hides who needs whom",
            );
        }
        return;
    }
    let Some((_, may)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
        say(1, &format!("`{room}` is not in the table of rooms"));
        return;
    };
    for (line, other) in source.imports() {
        if other != room && !may.contains(&other.as_str()) {
            say(line, &format!("`{room}` must not import `{other}`"));
        }
    }
    for line in source.supers_that_leave() {
        say(
            line,
            &format!("`super` leaves `{room}`: write `crate::…`, so that the edge is seen"),
        );
    }
}

/// What a test outside `support/` must not do.
fn test_faults(source: &Source, say: &mut dyn FnMut(usize, &str)) {
    for (at, token) in source.tokens.iter().enumerate() {
        let follows = |next: &[&str]| source.has_at(at, next);
        match token.text.as_str() {
            "sleep" | "sleep_until" if source.is_at(at + 1, "(") => {
                say(
                    token.line,
                    "a test that sleeps is slow or wrong: await a condition",
                );
            }
            "[" if follows(&["[", "ignore", "]"]) => say(token.line, "ignored without a reason"),
            "[" if follows(&["[", "serial"]) => say(token.line, "tests do not wait for each other"),
            _ => {}
        }
    }
    // What these suites are about is the text of configurations: they listen nowhere.
    let listens_nowhere = source.is_under("tests/it/config/");
    for (number, line) in source.literals.lines().enumerate() {
        if names_a_port(line) && !listens_nowhere {
            say(number + 1, "a port of this machine: bind port 0 and ask");
        }
    }
}

/// Whether a comment holds a to-do that names no issue.
fn has_bare_todo(comment: &str) -> bool {
    let word = concat!("TO", "DO");
    comment.split(word).skip(1).any(|rest| {
        let number = rest
            .strip_prefix("(#")
            .and_then(|rest| rest.split_once(')'));
        !number.is_some_and(|(digits, _)| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// Whether a literal names a port on an address of this machine. 0 asks for a free one, and one below
/// 1024 is there to be read: nobody listens on it.
fn names_a_port(literals: &str) -> bool {
    const HOSTS: [&str; 5] = ["127.0.0.1:", "localhost:", "0.0.0.0:", "[::1]:", "[::]:"];
    HOSTS.iter().any(|host| {
        literals.split(host).skip(1).any(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit());
            let (port, _) = rest.split_at(digits.unwrap_or(rest.len()));
            port.parse().is_ok_and(|port: u32| port >= 1024)
        })
    })
}
