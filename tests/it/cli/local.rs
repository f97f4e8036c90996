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
