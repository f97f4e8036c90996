//! `tail`: live requests, as they come over the wire.

use serde_json::{Value, json};

use super::canned::{Admin, answer, json as json_answer};
use super::{KEY, OWNER, problem};

/// What ends a command that would else connect again and again.
fn no_more() -> String {
    let body = problem(
        401,
        "unauthenticated",
        "Not signed in",
        "the token is gone",
        Value::Null,
    );
    json_answer(401, &body)
}

fn finished(status: u16, path: &str) -> Value {
    json!({"time": "2026-01-31T12:00:00.120Z", "request_id": "req_1", "node": "gate-1",
        "client": "203.0.113.7", "protocol": "h2", "method": "GET", "host": "api.example.com",
        "path": path, "route": "orders", "status": status, "code": null, "key_id": KEY,
        "key_version": 2, "fingerprint": "60303ae22b99", "owner_id": OWNER, "upstream": "orders",
        "endpoint": "10.0.0.5:8000", "attempts": 1, "duration_ms": 3.41, "upstream_ms": 3.1,
        "bytes_in": 0, "bytes_out": 512, "from_the_future": 1})
}

fn stream() -> String {
    let (first, second) = (finished(200, "/v1/orders"), finished(503, "/v1/\u{9b}2J"));
    let events = format!(
        ": warm\n\nevent: request\ndata: {first}\n\nevent: dropped\ndata: {{\"count\": 120}}\n\n\
         event: request\ndata: {second}\n\n"
    );
    answer(200, "text/event-stream", &events)
}

#[test]
fn each_request_is_a_line_and_a_stream_that_ends_is_opened_again() {
    let admin = Admin::answering([stream(), stream(), no_more()]);

    let run = admin
        .run(&[
            "tail", "--key", KEY, "--owner", OWNER, "--status", "5xx", "--route", "orders",
            "--gate", "gate-1", "--method", "GET",
        ])
        .ends(1);

    let requests = admin.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(
            request.line,
            format!(
                "GET /admin/live?key_id={KEY}&owner={OWNER}&route=orders&node=gate-1&status=5xx&method=GET HTTP/1.1"
            )
        );
        assert_eq!(request.header("accept"), Some("text/event-stream"));
    }
    let shown = "2026-01-31T12:00:00.120Z 200 GET     api.example.com/v1/orders key_3fXk29QmZa v2 3.4 ms, \
         from 203.0.113.7, by 10.0.0.5:8000\n\
         2026-01-31T12:00:00.120Z 503 GET     api.example.com/v1/\\u{9b}2J key_3fXk29QmZa v2 3.4 ms, \
         from 203.0.113.7, by 10.0.0.5:8000\n";
    assert_eq!(run.stdout, shown.repeat(2));
    let dropped = "120 requests are not shown: they finished faster than they could be told\n";
    let lost =
        "the gate ended the stream; connecting again, and what finishes meanwhile is not shown\n";
    assert_eq!(
        run.stderr,
        format!(
            "{dropped}{lost}connected again\n{dropped}{lost}\
             error: Not signed in (401 unauthenticated): the token is gone\n  request req_0000000001\n"
        )
    );
}

#[test]
fn json_lines_are_the_access_log_lines_as_they_came() {
    let admin = Admin::answering([stream(), no_more()]);

    let run = admin.run(&["tail", "--json"]).ends(1);

    assert_eq!(admin.last().line, "GET /admin/live HTTP/1.1");
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines,
        [finished(200, "/v1/orders"), finished(503, "/v1/\u{9b}2J")]
    );
}

#[test]
fn a_stream_that_is_refused_is_told_like_any_refusal() {
    let body = problem(
        403,
        "forbidden",
        "Forbidden",
        "this token may not watch",
        Value::Null,
    );
    let admin = Admin::answering([json_answer(403, &body)]);

    let run = admin.run(&["tail"]).ends(1);

    assert_eq!(
        run.stderr,
        "error: Forbidden (403 forbidden): this token may not watch\n  request req_0000000001\n"
    );
}
