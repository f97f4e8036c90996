//! How the admin API is reached, and what is said when it is not.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use super::canned::{Admin, TOKEN, answer, command, json as json_answer, run};
use super::{KEY, key, problem};

fn empty_page() -> String {
    json_answer(200, &json!({"items": [], "next_cursor": null}))
}

#[test]
fn without_a_token_nothing_is_asked() {
    let admin = Admin::answering([]);
    let url = admin.url();

    for token in [None, Some(""), Some(" ")] {
        let mut environment = vec![("PORTCULLIS_ADMIN_URL", url.as_str())];
        environment.extend(token.map(|token| ("PORTCULLIS_ADMIN_TOKEN", token)));
        let run = run(&["keys", "list"], &environment).ends(2);
        assert!(
            run.stderr.contains("PORTCULLIS_ADMIN_TOKEN"),
            "{}",
            run.stderr
        );
    }
    assert!(admin.requests().is_empty());
}

#[test]
fn a_token_file_goes_before_the_environment() {
    let admin = Admin::answering([empty_page()]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let path = file.path().to_str().unwrap();

    let run = run(
        &[
            "keys",
            "list",
            "--admin-url",
            &admin.url(),
            "--token-file",
            path,
        ],
        &[("PORTCULLIS_ADMIN_TOKEN", "pct_of_somebody_else")],
    )
    .ends(0);

    assert_eq!(admin.requests().len(), 1);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("", "No keys.\n")
    );
}

#[test]
fn a_token_file_that_is_not_there_is_wrong_usage() {
    let run = run(&["keys", "list", "--token-file", "/nowhere/token"], &[]).ends(2);
    assert!(run.stderr.contains("/nowhere/token"), "{}", run.stderr);
}

#[test]
fn a_token_is_not_sent_unencrypted_to_another_machine() {
    let run = run(
        &["keys", "list"],
        &[
            ("PORTCULLIS_ADMIN_URL", "http://192.0.2.1:9900"),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ],
    )
    .ends(2);
    assert!(run.stderr.contains("without TLS"), "{}", run.stderr);
}

#[test]
fn the_proxy_of_the_environment_never_sees_the_token() {
    let (admin, proxy) = (Admin::answering([empty_page()]), Admin::answering([]));
    let (url, through) = (admin.url(), proxy.url());

    run(
        &["keys", "list"],
        &[
            ("PORTCULLIS_ADMIN_URL", &url),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
            ("HTTP_PROXY", &through),
            ("http_proxy", &through),
            ("ALL_PROXY", &through),
        ],
    )
    .ends(0);

    assert_eq!((admin.requests().len(), proxy.requests().len()), (1, 0));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Admin::answering([]);
    let redirect = format!(
        "HTTP/1.1 307 Elsewhere\r\nlocation: {}/admin/keys\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        elsewhere.url()
    );
    let admin = Admin::answering([redirect]);

    let run = admin.run(&["keys", "list"]).ends(1);

    assert!(run.stderr.contains("answered 307"), "{}", run.stderr);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn something_else_at_that_address_is_named_as_such() {
    let page = answer(502, "text/html", "<h1>Bad Gateway</h1>");
    let admin = Admin::answering([page]);

    let run = admin.run(&["keys", "show", KEY]).ends(1);

    let said = format!(
        "error: {}/ answered 502, which is no answer of the admin API\n  Is that the port of the gate",
        admin.url()
    );
    assert!(run.stderr.starts_with(&said), "{}", run.stderr);
}

#[test]
fn an_address_that_has_the_path_of_the_calls_is_said_to_have_it() {
    let nothing = problem(
        404,
        "not_found",
        "Not found",
        "there is nothing here",
        json!(null),
    );
    let admin = Admin::answering([json_answer(404, &nothing), json_answer(404, &nothing)]);
    let at = |url: &str| {
        let line = ["keys", "list", "--admin-url", url];
        run(&line, &[("PORTCULLIS_ADMIN_TOKEN", TOKEN)])
            .ends(1)
            .stderr
    };
    let with_path = at(&format!("{}/admin", admin.url()));
    assert!(with_path.contains("ends in /admin"), "{with_path}");
    let without = at(&admin.url());
    assert!(!without.contains("ends in /admin"), "{without}");
}

#[test]
fn a_gate_that_is_asked_for_tls_is_said_to_speak_none() {
    let admin = Admin::answering([empty_page()]);
    let url = admin.url().replace("http://", "https://");
    let line = ["keys", "list", "--admin-url", &url];
    let said = run(&line, &[("PORTCULLIS_ADMIN_TOKEN", TOKEN)])
        .ends(1)
        .stderr;
    assert!(
        said.contains("The admin API itself speaks no TLS"),
        "{said}"
    );
}

#[test]
fn an_answer_of_another_shape_is_a_failure() {
    for body in ["{}", "[]", "<html>", ""] {
        let admin = Admin::answering([answer(200, "application/json", body)]);
        let run = admin.run(&["keys", "show", KEY]).ends(1);
        assert!(
            run.stderr.contains("cannot be read"),
            "{body}: {}",
            run.stderr
        );
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_gate_that_does_not_run_is_said_to_be_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);

    let run = run(
        &["keys", "list"],
        &[
            ("PORTCULLIS_ADMIN_URL", &url),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ],
    )
    .ends(1);

    assert!(run.stderr.contains(&url), "{}", run.stderr);
    assert!(
        run.stderr.contains("Is the gate running?"),
        "{}",
        run.stderr
    );
}

/// `portcullis keys list --all | head` is not an error.
#[test]
fn a_reader_that_has_enough_ends_the_command_in_silence() {
    let keys: Vec<_> = (0..2000).map(|number| key(&format!("k{number}"))).collect();
    let page = json_answer(200, &json!({"items": keys, "next_cursor": null}));
    let admin = Admin::answering([page]);
    let url = admin.url();

    let mut child = command(
        &["keys", "list"],
        &[
            ("PORTCULLIS_ADMIN_URL", &url),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut first = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();

    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((&first, said.as_str()), (b"ID", ""));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
