//! What the command does without a gate: help, completions, configurations.

use super::canned::{TOKEN, run};

/// S0-14, S3-20: help shows which variables are read, never what is in them.
#[test]
fn help_and_usage_errors_show_no_value_of_the_environment() {
    let environment = [
        ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ("PORTCULLIS_ADMIN_URL", "http://CANARY:CANARY@[::1]"),
    ];
    let help = run(&["keys", "list", "--help"], &environment).ends(0);
    assert!(
        help.stdout.contains("PORTCULLIS_ADMIN_TOKEN"),
        "{}",
        help.stdout
    );
    assert!(
        help.stdout.contains("PORTCULLIS_ADMIN_URL"),
        "{}",
        help.stdout
    );
    run(&["keys", "list"], &environment).ends(2);
    run(&["keys", "list", "--nonsense"], &environment).ends(2);
    run(&["keys"], &environment).ends(2);
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell], &[]).ends(0).stdout;
        for word in ["quickstart", "revoke", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_version_is_told() {
    let version = run(&["--version"], &[]).ends(0).stdout;
    assert_eq!(
        version,
        format!("portcullis {}\n", env!("CARGO_PKG_VERSION"))
    );
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

const GOOD: &str = "\
listeners:
  - address: 127.0.0.1:0
admin: { token: \"${ADMIN_TOKEN}\" }
upstreams: { orders: { endpoints: [\"http://${BACKEND:-10.0.0.5:8000}\"] } }
routes:
  - { name: orders, match: { path_prefix: /v1 }, upstream: orders }
  - { name: public, match: { path_prefix: /public }, upstream: orders, key: none }
";

#[test]
fn a_right_configuration_is_summed_up() {
    let file = file(GOOD);
    let path = file.path().to_str().unwrap();

    let run = run(&["check", "--config", path], &[("ADMIN_TOKEN", TOKEN)]).ends(0);

    assert_eq!(
        run.stdout,
        format!("{path}: OK (1 listener, 2 routes, 1 upstream, 0 products, embedded store)\n")
    );
}

/// Every fault at once, each with file, line, column and the line itself; nothing of the environment.
#[test]
fn a_wrong_configuration_is_told_all_its_faults_with_their_places() {
    let wrong = GOOD
        .replace("path_prefix: /public", "path_prefix: public")
        .replace("name: orders, match", "nam: orders, match");
    let file = file(&wrong);
    let path = file.path().to_str().unwrap();

    for command in ["check", "serve"] {
        let run = run(&[command, "--config", path], &[("ADMIN_TOKEN", TOKEN)]).ends(1);

        assert_eq!(run.stdout, "");
        for (place, line) in [
            (":6:7: ", "match: { path_prefix: /v1 }, upstream: orders }"),
            (
                ":7:43: ",
                "match: { path_prefix: public }, upstream: orders, key: none }",
            ),
        ] {
            let place = format!("{path}{place}");
            assert!(run.stderr.contains(&place), "{place} in {}", run.stderr);
            assert!(run.stderr.contains(line), "{}", run.stderr);
        }
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    for command in ["check", "serve"] {
        let run = run(&[command, "--config", "/nowhere/gate.yaml"], &[]).ends(1);
        assert!(run.stderr.contains("/nowhere/gate.yaml"), "{}", run.stderr);
    }
}

#[test]
fn the_document_of_the_api_is_printed_without_a_gate() {
    let document = run(&["openapi"], &[]).ends(0).json();
    assert_eq!(document, *crate::support::document::DOCUMENT);
}

#[test]
fn the_schema_is_a_json_schema_of_the_file() {
    let schema = run(&["config", "schema"], &[]).ends(0).json();
    assert!(schema["$schema"].is_string(), "{schema}");
    for section in [
        "listeners",
        "admin",
        "store",
        "upstreams",
        "routes",
        "products",
    ] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}
