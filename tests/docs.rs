//! The pages, held against what they speak of: codes, promises, links, files for containers.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use http::StatusCode;
use portcullis::cli::CommandLine;
use portcullis::config;
use portcullis::domain::refusal::RefusalCode;
use serde_json::Value;

#[test]
fn the_page_of_refusals_is_the_gates_own_table() {
    let page = read("docs/errors.md");
    let shown: Vec<Vec<&str>> = rows(&page)
        .filter(|cells| cells.len() == 5 && cells[0].starts_with('`'))
        .map(|cells| cells[..4].to_vec())
        .collect();
    let meant: Vec<Vec<String>> = RefusalCode::ALL
        .iter()
        .map(|code| {
            vec![
                format!("`{code}`"),
                code.status().to_string(),
                code.grpc_status().to_string(),
                code.title().to_owned(),
            ]
        })
        .collect();
    let codes = |rows: usize| format!("{rows} rows, {} codes", meant.len());
    assert_eq!(shown.len(), meant.len(), "{}", codes(shown.len()));
    for (shown, meant) in shown.iter().zip(&meant) {
        assert_eq!(shown, meant);
    }
}

#[test]
fn the_page_of_problems_is_the_admin_apis_own_table() {
    let source = read("src/admin/problem.rs");
    let meant: BTreeSet<(String, u16)> = source
        .lines()
        .filter_map(|line| {
            let (code, rest) = line.split_once(" = \"")?.1.split_once("\" ")?;
            let constant = rest.split(' ').next()?;
            Some((format!("`{code}`"), status_named(constant)?))
        })
        .collect();
    let page = read("docs/errors.md");
    let shown: BTreeSet<(String, u16)> = rows(&page)
        .filter(|cells| cells.len() == 3 && cells[0].starts_with('`'))
        .map(|cells| (cells[0].to_owned(), cells[1].parse().unwrap()))
        .collect();
    assert!(meant.len() > 15, "{meant:?}");
    assert_eq!(shown, meant);
}

/// The status that a constant of [`http::StatusCode`] stands for.
fn status_named(constant: &str) -> Option<u16> {
    (400..600).find(|code| {
        let status = StatusCode::from_u16(*code).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        reason.is_some_and(|reason| reason.replace(' ', "_").to_uppercase() == constant)
    })
}

#[test]
fn every_promise_is_in_the_table_once() {
    let page = read("docs/requirements.md");
    let mut seen: Vec<String> = rows(&page).flat_map(|cells| ids_in(cells[0])).collect();
    let made = [16, 17, 16, 20, 17].iter().enumerate();
    let mut promised: Vec<String> = made
        .flat_map(|(part, last)| (1..=*last).map(move |n| format!("S{part}-{n:02}")))
        .collect();
    seen.sort();
    promised.sort();
    assert_eq!(seen, promised);
}

/// A row that says *held* or *part* names its tests as `path.rs::name`, or the file of a suite in a browser; they
/// must exist, and what a test says it proves must be claimed.
#[test]
fn every_promise_that_is_held_names_a_test_that_exists() {
    let page = read("docs/requirements.md");
    let tests = tests_by_file();
    let mut claimed = BTreeSet::new();
    for cells in rows(&page).filter(|cells| cells.len() == 4 && cells[0].starts_with('S')) {
        let (ids, state, by) = (cells[0], cells[2], cells[3]);
        assert!(["held", "part", "–"].contains(&state), "{ids}: `{state}`");
        if state != "–" {
            claimed.extend(ids_in(ids));
        }
        assert!(
            state != "held" || by.contains("::") || by.contains(".test.mjs`"),
            "{ids}: held, but by no test"
        );
    }
    for (file, text) in &tests {
        let comments = text
            .lines()
            .filter(|line| line.trim_start().starts_with("//"));
        for id in comments.filter(|line| line.contains(" S")).flat_map(ids_in) {
            assert!(
                claimed.contains(&id),
                "{file} proves {id}, docs/requirements.md says otherwise"
            );
        }
    }
}

#[test]
fn every_file_and_test_that_a_page_names_exists() {
    let tests = tests_by_file();
    let pages = files_below("docs", "md")
        .into_iter()
        .chain([root().join("README.md")]);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let named = text.split('`').skip(1).step_by(2);
        for name in named.filter(|name| name.starts_with("src/") || name.starts_with("tests/")) {
            let (file, test) = name.split_once("::").unwrap_or((name, ""));
            let found = root().join(file).exists()
                && (test.is_empty() || tests[file].contains(&format!("fn {test}(")));
            assert!(found, "{}: there is no {name}", page.display());
        }
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for page in files_below("docs", "md")
        .into_iter()
        .chain([root().join("README.md")])
    {
        let text = fs::read_to_string(&page).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            let is_here = !target.contains("://") && !file.is_empty();
            let there = page.parent().unwrap().join(file);
            assert!(
                !is_here || there.exists(),
                "{}: no {target}",
                page.display()
            );
        }
    }
}

/// The configuration on the first page is one. Those in `config/` are held by the suite.
#[test]
fn the_configuration_shown_first_is_right() {
    let front = read("README.md");
    let shown = front
        .split("```yaml file=portcullis.yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let loaded = config::load_text(shown, "README.md", &|_| None);
    assert!(loaded.is_ok(), "{}", loaded.err().unwrap());
}

/// Each line that calls the command, in the pages, is one that the command line takes.
#[test]
fn the_commands_shown_are_commands() {
    let pages = [read("README.md"), read("docs/operations.md")];
    let lines = pages.iter().flat_map(|page| page.lines());
    let calls = lines.filter_map(|line| {
        let (_, call) = line.split('#').next()?.split_once("portcullis ")?;
        let begins = line.starts_with("portcullis ") || line.contains("$(portcullis ");
        begins.then(|| {
            call.split([')', '|', '>', '&'])
                .next()
                .unwrap_or(call)
                .replace('…', "3fXk29QmZa")
        })
    });
    let mut count = 0;
    for call in calls {
        let words = ["portcullis"].into_iter().chain(call.split_whitespace());
        let parsed = CommandLine::try_parse_from(words);
        assert!(
            parsed.is_ok(),
            "`portcullis {call}`: {}",
            parsed.err().unwrap()
        );
        count += 1;
    }
    assert!(count >= 5, "only {count} calls found");
}

/// No engine runs here, so what can be seen without one is checked: names, references, exposure.
#[test]
fn the_compose_file_fits_together() {
    let compose: Value = serde_yaml::from_str(&read("docker-compose.yml")).unwrap();
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        names(&compose),
        ["services", "volumes"].map(str::to_owned).into()
    );
    let volumes = names(&compose["volumes"]);
    for (name, service) in compose["services"].as_object().unwrap() {
        for key in service.as_object().unwrap().keys() {
            assert!(
                SERVICE_KEYS.contains(&key.as_str()),
                "{name}: `{key}` is no key of a service"
            );
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let is_known = volumes.contains(source) || root().join(source).is_file();
            assert!(is_known, "{name}: there is no volume or file {source}");
        }
        for other in service["depends_on"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(other, _)| other)
        {
            assert!(
                compose["services"][other]["healthcheck"].is_object(),
                "{other}: no health check"
            );
        }
    }
    let gate = &compose["services"]["gate"];
    assert_eq!(
        gate["ports"],
        serde_json::json!(["8080:8080"]),
        "the gate, and not its admin API"
    );
    assert!(
        compose["services"]["redis"]["ports"].is_null(),
        "Redis must not be published"
    );
    let token = gate["environment"]["PORTCULLIS_ADMIN_TOKEN"]
        .as_str()
        .unwrap();
    assert!(
        token.starts_with("${PORTCULLIS_ADMIN_TOKEN:?"),
        "no default credential"
    );
}

#[test]
fn the_image_is_built_from_files_that_are_sent_to_it() {
    let ignore = read(".dockerignore");
    let sent: BTreeSet<&str> = ignore
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let recipe = read("Dockerfile");
    let copies = recipe
        .lines()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from="));
    for copy in copies {
        let words: Vec<&str> = copy.split_whitespace().collect();
        for source in &words[1..words.len() - 1] {
            assert!(sent.contains(source), "{source} is not sent: .dockerignore");
            assert!(root().join(source).exists(), "there is no {source}");
        }
    }
    assert!(
        recipe.contains("\nUSER portcullis\n"),
        "the image must not run as root"
    );
}

/// The keys of a service that docker-compose.yml uses, as the Compose Specification names them.
const SERVICE_KEYS: &[&str] = &[
    "build",
    "cap_drop",
    "command",
    "depends_on",
    "environment",
    "extra_hosts",
    "healthcheck",
    "image",
    "ports",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
    "volumes",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The cells of each line that is a row of a table.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    page.lines().filter_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(row.split(" | ").map(str::trim).collect())
    })
}

/// The ids of promises in a text: `S1-13`.
fn ids_in(text: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        matches!(word.as_bytes(), [b'S', b'0'..=b'4', b'-', tens, ones]
            if tens.is_ascii_digit() && ones.is_ascii_digit())
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(is_id).map(str::to_owned).collect()
}

/// The text of every Rust file that may hold tests, by its path.
fn tests_by_file() -> BTreeMap<String, String> {
    let files = files_below("src", "rs")
        .into_iter()
        .chain(files_below("tests", "rs"));
    files
        .map(|path| {
            let name = path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn files_below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}
