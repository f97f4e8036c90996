//! What the client makes of addresses, tokens and answers.

use super::*;

fn connection(url: &str) -> Connection {
    Connection {
        admin_url: url.to_owned(),
        token_file: None,
        allow_plaintext: false,
        json: false,
    }
}

#[test]
fn a_token_leaves_the_machine_unencrypted_only_when_asked() {
    for (url, plain, allowed) in [
        ("http://127.0.0.1:9900", true, true),
        ("http://[::1]:9900", true, true),
        ("http://[::ffff:127.0.0.1]:9900", true, true),
        ("http://localhost:9900", true, true),
        ("http://10.0.0.5:9900", false, true),
        ("http://localhost.example.com", false, true),
        ("https://gate.example.com/portcullis/", true, true),
        ("ftp://127.0.0.1", false, false),
        ("127.0.0.1:9900", false, false),
        ("http://user:word@127.0.0.1:9900", false, false),
        ("http://127.0.0.1:9900/?token=x", false, false),
    ] {
        let mut connection = connection(url);
        assert_eq!(read_address(&connection).is_ok(), plain, "{url}");
        connection.allow_plaintext = true;
        assert_eq!(read_address(&connection).is_ok(), allowed, "{url}");
    }
}

#[test]
fn the_token_is_trimmed_and_never_shown() {
    let connection = connection("http://127.0.0.1:9900");
    let token = read_token(&connection, Some(" pct_abc\n".into())).unwrap();
    assert_eq!(token, "Bearer pct_abc");
    assert!(!format!("{token:?}").contains("pct_abc"));
    let bad = read_token(&connection, Some("pct_canary\nX-Evil: 1".into())).unwrap_err();
    assert!(!bad.render().contains("pct_canary"), "{}", bad.render());
}

// S0-14
#[test]
fn a_token_in_the_place_of_its_file_is_not_repeated() {
    let mut connection = connection("http://127.0.0.1:9900");
    connection.token_file = Some("pct_admin_canary".into());
    let said = read_token(&connection, None).unwrap_err().render();
    assert!(said.contains(TOKEN_VARIABLE), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

/// A stopped process takes connections, and its kernel what is sent on them.
#[tokio::test]
async fn a_gate_that_takes_connections_and_says_nothing_is_not_waited_for_for_ever() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Client::of_this_process(silent.local_addr().unwrap(), "pct_abc").unwrap();
    assert_eq!(client.answer_within, ANSWER_WITHIN);
    client.answer_within = Duration::from_millis(20);
    let failure = client.stream(&["admin", "live"], &[]).await.unwrap_err();
    assert!(matches!(failure, Failure::Silent { .. }), "{failure:?}");
    let text = failure.render();
    assert!(text.starts_with("error: no answer from the admin API at http://127.0.0.1:"));
    assert!(text.contains("Is the gate running?"), "{text}");
}

#[test]
fn a_missing_or_empty_token_is_wrong_usage() {
    let connection = connection("http://127.0.0.1:9900");
    for variable in [None, Some(OsString::new()), Some("  \n".into())] {
        let failure = read_token(&connection, variable).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
    }
}
