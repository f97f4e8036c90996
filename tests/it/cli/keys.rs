//! `keys …`: what is asked of the admin API, and what is said of its answers.

use portcullis::domain::time::Timestamp;
use serde_json::json;

use super::canned::{Admin, TOKEN, command, json as answer};
use super::{KEY, OWNER, key};

const SECRET: &str = "pk_live_3fXk29QmZa_000000000000000000000000000000AbCdEf";

fn created() -> String {
    answer(
        201,
        &json!({"key": key("billing-worker"), "secret": SECRET, "previous": null}),
    )
}

pub(super) fn nobody() -> String {
    answer(200, &json!({"items": [], "next_cursor": null}))
}

/// S1-07, S0-14: the secret is shown once, alone, so that `"$(…)"` takes it without showing it.
#[test]
fn a_new_secret_is_the_only_thing_on_standard_output() {
    let admin = Admin::answering([nobody(), created()]);

    let run = admin
        .run(&[
            "keys",
            "create",
            "--name",
            "billing-worker",
            "--owner",
            "Billing",
        ])
        .ends(0);

    assert_eq!(run.stdout, format!("{SECRET}\n"));
    assert!(!run.stderr.contains(SECRET), "{}", run.stderr);
    assert!(
        run.stderr.contains("cannot be read again"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("went to standard output"),
        "where nothing is to be seen, it is not announced: {}",
        run.stderr
    );
    let request = admin.last();
    assert_eq!(request.line, "POST /admin/keys HTTP/1.1");
    assert_eq!(request.header("idempotency-key"), None);
    assert_eq!(
        request.json(),
        json!({"name": "billing-worker", "owner": {"name": "Billing", "type": "team"}})
    );
}

#[test]
fn all_that_can_be_said_of_a_new_key_is_sent() {
    let admin = Admin::answering([created()]);

    admin
        .run(&[
            "keys",
            "create",
            "--name",
            "k",
            "--owner",
            OWNER,
            "--env",
            "test",
            "--scope",
            "a:b",
            "--scope",
            "c",
            "--product",
            "starter",
            "--rate",
            "100/minute:20",
            "--rate",
            "5/second",
            "--allow-ip",
            "10.0.0.0/8",
            "--allow-path",
            "/v1",
            "--allow-method",
            "GET",
            "--expires-at",
            "2030-01-01T01:00:00+01:00",
            "--label",
            "team=billing",
            "--description",
            "why not",
            "--concurrency",
            "4",
            "--idempotency-key",
            "run-7",
        ])
        .ends(0);

    let request = admin.request();
    assert_eq!(request.header("idempotency-key"), Some("run-7"));
    assert_eq!(
        request.json(),
        json!({
            "name": "k", "owner_id": OWNER, "description": "why not", "env": "test",
            "products": ["starter"], "scopes": ["a:b", "c"], "allowed_methods": ["GET"],
            "allowed_paths": ["/v1"], "allowed_ips": ["10.0.0.0/8"], "concurrency": 4,
            "rate_limits": [{"rate": "100/minute", "burst": 20}, {"rate": "5/second"}],
            "expires_at": "2030-01-01T00:00:00.000Z", "labels": {"team": "billing"},
        })
    );
}

#[test]
fn a_span_until_expiry_counts_from_now() {
    let admin = Admin::answering([nobody(), created()]);
    let now_ms = || u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();

    let before = now_ms();
    admin
        .run(&[
            "keys",
            "create",
            "--name",
            "k",
            "--owner",
            "o",
            "--expires-in",
            "90d",
        ])
        .ends(0);
    let after = now_ms();

    let body = admin.last().json();
    let expires_at: Timestamp = body["expires_at"].as_str().unwrap().parse().unwrap();
    let span = 90 * 86_400_000;
    assert!(
        (before + span..=after + span).contains(&expires_at.as_millis()),
        "{body}"
    );
}

#[test]
fn json_is_the_answer_as_it_came_with_what_is_not_known_here() {
    let admin = Admin::answering([nobody(), created()]);

    let run = admin
        .run(&["keys", "create", "--name", "k", "--owner", "o", "--json"])
        .ends(0);

    assert_eq!(run.json()["key"], key("billing-worker"));
    assert_eq!(run.stdout.matches(SECRET).count(), 1);
    assert_eq!(run.stderr, "");
}

/// Whoever reads the secret and goes away before it came must not think that all is well.
#[test]
fn a_secret_that_nobody_can_read_any_more_is_a_failure() {
    for json in [None, Some("--json")] {
        let admin = Admin::answering([nobody(), created()]);
        let url = admin.url();
        let mut line = vec!["keys", "create", "--name", "k", "--owner", "o"];
        line.extend(json);

        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let environment = [
            ("PORTCULLIS_ADMIN_URL", url.as_str()),
            ("PORTCULLIS_ADMIN_TOKEN", TOKEN),
        ];
        let output = command(&line, &environment).stdout(full).output().unwrap();

        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("the new secret of {KEY} could not be printed")),
            "{said}"
        );
        assert!(!said.contains(SECRET), "{said}");
    }
}

/// A script that takes the secret from standard output must not go on with an empty one.
#[test]
fn a_repeated_creation_has_no_secret_to_give_and_fails() {
    let body = json!({"key": key("k"), "secret": null, "previous": null});
    let admin = Admin::answering([nobody(), answer(201, &body)]);

    let run = admin
        .run(&[
            "keys",
            "create",
            "--name",
            "k",
            "--owner",
            "o",
            "--idempotency-key",
            "again",
        ])
        .ends(1);

    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("shown then"), "{}", run.stderr);
}

#[test]
fn every_filter_reaches_the_list() {
    let page = json!({"items": [key("billing-worker")], "next_cursor": null});
    let admin = Admin::answering([answer(200, &page)]);

    let run = admin
        .run(&[
            "keys",
            "list",
            "--status",
            "active",
            "--name",
            "a b&c",
            "--owner",
            OWNER,
            "--env",
            "live",
            "--product",
            "starter",
            "--label",
            "team=billing",
            "--stale",
            "--sort",
            "-last_used_at",
            "--limit",
            "7",
            "--cursor",
            "c/+=",
        ])
        .ends(0);

    assert_eq!(
        admin.request().line,
        format!(
            "GET /admin/keys?status=active&name=a+b%26c&owner={OWNER}&env=live&product=starter\
             &label=team%3Dbilling&stale=true&sort=-last_used_at&limit=7&cursor=c%2F%2B%3D HTTP/1.1"
        )
    );
    assert_eq!(
        run.stdout,
        "ID              NAME            OWNER    ENV   STATUS  FINGERPRINT   CREATED     LAST USED\n\
         key_3fXk29QmZa  billing-worker  Billing  live  active  60303ae22b99  2026-01-31  never\n"
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn an_owner_is_found_by_its_whole_name_in_any_case() {
    let owner = |id: &str, name: &str, kind: &str| {
        json!({"id": id, "name": name, "type": kind, "created_at": "2026-01-31T12:00:00.000Z",
            "disabled_at": null})
    };
    let owners =
        |items: serde_json::Value| answer(200, &json!({"items": items, "next_cursor": null}));
    let nobody = answer(200, &json!({"items": [], "next_cursor": null}));
    let admin = Admin::answering([
        owners(json!([
            owner("usr_0000000xyz", "Billing EU", "team"),
            owner(OWNER, "Billing", "team")
        ])),
        nobody,
        owners(json!([owner("usr_0000000xyz", "Billing EU", "team")])),
        owners(json!([
            owner("usr_0000000xyz", "Billing", "user"),
            owner(OWNER, "Billing", "team")
        ])),
    ]);

    admin.run(&["keys", "list", "--owner", "billing"]).ends(0);
    let none = admin.run(&["keys", "list", "--owner", "Billing"]).ends(2);
    let two = admin.run(&["keys", "list", "--owner", "Billing"]).ends(2);

    let lines: Vec<String> = admin
        .requests()
        .into_iter()
        .map(|request| request.line)
        .collect();
    assert_eq!(
        lines[0],
        "GET /admin/users?name=billing&limit=1000 HTTP/1.1"
    );
    assert_eq!(lines[1], format!("GET /admin/keys?owner={OWNER} HTTP/1.1"));
    assert_eq!(lines.len(), 4);
    assert!(
        none.stderr.contains("no owner is called"),
        "{}",
        none.stderr
    );
    assert!(
        two.stderr.contains("usr_0000000xyz (user)"),
        "{}",
        two.stderr
    );
}

#[test]
fn a_list_without_conditions_asks_for_none_and_says_how_to_go_on() {
    let page = json!({"items": [key("k")], "next_cursor": "abc"});
    let admin = Admin::answering([answer(200, &page)]);

    let run = admin.run(&["keys", "list"]).ends(0);

    assert_eq!(admin.request().line, "GET /admin/keys HTTP/1.1");
    assert_eq!(run.stdout.lines().count(), 2);
    assert!(run.stderr.contains("--cursor abc"), "{}", run.stderr);
}

#[test]
fn all_follows_the_cursors_to_the_end() {
    let page = |name: &str, next: Option<&str>| {
        answer(200, &json!({"items": [key(name)], "next_cursor": next}))
    };
    let admin = Admin::answering([page("a", Some("1")), page("b", Some("2")), page("c", None)]);

    let run = admin
        .run(&["keys", "list", "--env", "live", "--all", "--json"])
        .ends(0);

    let lines: Vec<String> = admin
        .requests()
        .into_iter()
        .map(|request| request.line)
        .collect();
    assert_eq!(
        lines,
        [
            "GET /admin/keys?env=live&limit=1000 HTTP/1.1",
            "GET /admin/keys?env=live&limit=1000&cursor=1 HTTP/1.1",
            "GET /admin/keys?env=live&limit=1000&cursor=2 HTTP/1.1",
        ]
    );
    assert_eq!(
        run.json(),
        json!({"items": [key("a"), key("b"), key("c")], "next_cursor": null})
    );
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let page = json!({"items": [key("\u{1b}[2J\u{202e}gone")], "next_cursor": null});
    let admin = Admin::answering([answer(200, &page)]);

    let run = admin.run(&["keys", "list"]).ends(0);

    assert!(
        run.stdout.contains("\\u{1b}[2J\\u{202e}gone"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains('\u{1b}'));
}

#[test]
fn show_tells_all_that_is_known_of_a_key() {
    let admin = Admin::answering([answer(200, &key("billing-worker"))]);

    let run = admin.run(&["keys", "show", KEY]).ends(0);

    assert_eq!(
        admin.request().line,
        format!("GET /admin/keys/{KEY} HTTP/1.1")
    );
    assert_eq!(
        run.stdout,
        "id           key_3fXk29QmZa\n\
         name         billing-worker\n\
         description  nightly export\n\
         owner        Billing (team, usr_0000000abc)\n\
         status       active\n\
         env          live\n\
         products     starter\n\
         scopes       orders:read\n\
         addresses    10.0.0.0/8\n\
         rate limits  10/second burst 20 shadow\n\
         labels       team=billing\n\
         created      2026-01-31T12:00:00Z by tok_0000000xyz\n\
         last used    never\n\
         expires      never\n\
         fingerprint  60303ae22b99\n\
         \n\
         VERSION  STATE    FINGERPRINT   CREATED               RETIRES  LAST USED\n      \
         1  current  60303ae22b99  2026-01-31T12:00:00Z  -        never\n"
    );
}

#[test]
fn suspend_and_resume_say_the_standing_that_results() {
    for (verb, line, status, body) in [
        (
            "suspend",
            vec!["--reason", "audit"],
            "suspended",
            json!({"reason": "audit"}),
        ),
        ("resume", vec![], "active", json!({})),
    ] {
        let mut changed = key("k");
        changed["status"] = json!(status);
        let admin = Admin::answering([answer(200, &changed)]);

        let run = admin
            .run(&[&["keys", verb, KEY], line.as_slice()].concat())
            .ends(0);

        let request = admin.request();
        assert_eq!(
            request.line,
            format!("POST /admin/keys/{KEY}/{verb} HTTP/1.1")
        );
        assert_eq!(request.json(), body);
        assert_eq!(run.stdout, format!("{KEY} (k) is {status}\n"));
    }
}

/// S1-12: a confirmation is always asked; where nobody can be asked, it must have been given.
#[test]
fn nothing_is_revoked_unasked() {
    let admin = Admin::answering([]);

    let run = admin
        .run(&["keys", "revoke", KEY, "--reason", "left"])
        .ends(2);

    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(admin.requests().is_empty());
}

#[test]
fn a_revocation_says_where_it_is_in_force_and_where_not_yet() {
    let mut ended = key("k");
    ended["status"] = json!("revoked");
    let body = json!({"key": ended, "revocation": {"revision": 1812, "durable_on": ["store", "gate-1"],
        "applied_on": ["gate-1", "gate-2"], "pending": [{"node": "gate-3",
        "last_contact_at": "2026-01-31T12:00:00.000Z", "stops_by": "2026-02-01T12:00:00.000Z"}]}});
    let admin = Admin::answering([answer(202, &body)]);

    let run = admin
        .run(&[
            "keys",
            "revoke",
            KEY,
            "--reason",
            "left the company",
            "--wait",
            "--yes",
        ])
        .ends(1);

    let request = admin.request();
    assert_eq!(
        request.line,
        format!("DELETE /admin/keys/{KEY}?reason=left+the+company&wait=all HTTP/1.1")
    );
    assert!(request.is_empty());
    assert_eq!(
        run.stdout,
        format!("{KEY} (k) is revoked\nrefused by  gate-1, gate-2\ndurable on  store, gate-1\n")
    );
    assert_eq!(
        run.stderr,
        "warning: gate-3 does not have it yet; it stops serving by itself by 2026-02-01T12:00:00Z\n\
         error: it is revoked, but not in force everywhere yet: gate-3 may still admit it; revoke it there too, or stop that gate\n"
    );
}
