//! Requests as they finish, over the admin API.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use http::Method;
use http_body_util::BodyExt;
use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::domain::permission;
use portcullis::domain::summary::Passed;
use portcullis::state::tap::{Finished, Second};
use serde_json::{Value, json};

use crate::admin::harness::{Admin, bearer, request};

fn finished(line: &str, owner: Option<OwnerId>, status: u16) -> Finished {
    Finished {
        line: line.to_owned(),
        key: Some(KeyId::from_random([1; 10])),
        owner,
        status,
        route: Some("orders".into()),
        method: Some(permission::Method::Get),
    }
}

async fn listen(admin: &Admin, query: &str, token: (&str, &str)) -> Body {
    listen_to("gate-1", admin, query, token).await
}

/// To the one gate there is, which is told of as `gate`.
async fn listen_to(gate: &str, admin: &Admin, query: &str, token: (&str, &str)) -> Body {
    let asked = request(Method::GET, &format!("/admin/live{query}"), &[token], None);
    let response = admin.send(asked).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    // What is said first is whose requests are seen; here there is one gate.
    // Who asks for this one alone needs no store that others share.
    let is_own = admin.store.kind() == "embedded" || query.contains("node=");
    let store = if is_own { "own" } else { "up" };
    let gates = format!(r#"{{"gates":["{gate}"],"missing":[],"store":"{store}"}}"#);
    let event = next(&mut body).await.unwrap();
    assert_eq!(event, format!("event: gates\ndata: {gates}\n\n"));
    body
}

async fn next(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    let data = frame.into_data().unwrap();
    Some(String::from_utf8(data.to_vec()).unwrap())
}

#[tokio::test]
async fn a_listener_sees_what_it_asked_for() {
    let admin = Admin::start();
    let mut body = listen(&admin, "?status=4xx", bearer()).await;
    admin.tap.show(finished(r#"{"status":200}"#, None, 200));
    admin.tap.show(finished(r#"{"status":404}"#, None, 404));
    let event = next(&mut body).await.unwrap();
    assert_eq!(event, "event: request\ndata: {\"status\":404}\n\n");
}

#[tokio::test]
async fn a_listener_that_is_too_slow_is_told_what_it_missed() {
    let admin = Admin::start();
    let mut body = listen(&admin, "", bearer()).await;
    for _ in 0..1_024 + 120 {
        admin.tap.show(finished("{}", None, 200));
    }
    let event = next(&mut body).await.unwrap();
    assert_eq!(
        event,
        "event: dropped\ndata: {\"count\":120,\"node\":\"gate-1\"}\n\n"
    );
    assert_eq!(
        next(&mut body).await.unwrap(),
        "event: request\ndata: {}\n\n"
    );
}

#[tokio::test]
async fn a_bound_token_sees_its_owners_requests_only() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let owner = made["key"]["owner"]["id"].as_str().unwrap();
    let token = format!("Bearer {}", admin.make_token("viewer", Some(owner)).await);
    let mut body = listen_to("1", &admin, "", ("authorization", &token)).await;
    let own: Option<OwnerId> = Some(owner.parse().unwrap());
    let theirs = r#"{"path":"/theirs"}"#;
    admin.tap.show(finished(theirs, None, 200));
    let other = OwnerId::from_random([9; 10]);
    admin.tap.show(finished(theirs, Some(other), 200));
    admin.tap.show(finished(r#"{"path":"/mine"}"#, own, 200));
    assert_eq!(
        next(&mut body).await.unwrap(),
        "event: request\ndata: {\"path\":\"/mine\"}\n\n"
    );
}

/// What gates and upstreams are called, and where they are, is the operators' business.
#[tokio::test]
async fn a_bound_token_is_not_told_how_the_gates_are_built() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let owner = made["key"]["owner"]["id"].as_str().unwrap();
    let token = format!("Bearer {}", admin.make_token("viewer", Some(owner)).await);
    let token = ("authorization", token.as_str());
    let own: Option<OwnerId> = Some(owner.parse().unwrap());
    let line = |node: &str| {
        json!({"node": node, "path": "/x", "route": "orders", "upstream": "billing-db",
            "endpoint": "10.0.0.5:8000", "attempts": 1})
    };
    let mut bound = listen_to("1", &admin, "", token).await;
    let mut unbound = listen(&admin, "", bearer()).await;
    // One that cannot be read is not told on: nobody knows what is in it.
    admin.tap.show(finished("10.0.0.5:8000", own, 200));
    for node in ["gate-1", "gate-2", "gate-1"] {
        admin.tap.show(finished(&line(node).to_string(), own, 200));
    }
    for number in ["1", "2", "1"] {
        let event = next(&mut bound).await.unwrap();
        let data = event.strip_prefix("event: request\ndata: ").unwrap();
        let mut expected = line(number);
        expected["upstream"] = Value::Null;
        expected["endpoint"] = Value::Null;
        assert_eq!(serde_json::from_str::<Value>(data).unwrap(), expected);
    }
    next(&mut unbound).await.unwrap();
    let event = next(&mut unbound).await.unwrap();
    let whole = format!("event: request\ndata: {}\n\n", line("gate-1"));
    assert_eq!(event, whole, "others are told all");

    for node in ["gate-1", "gate-9"] {
        let path = format!("/admin/live?node={node}");
        let reply = admin.ask(request(Method::GET, &path, &[token], None)).await;
        assert_eq!(reply.problem(), (404, "not_found"), "{node}");
    }
}

#[tokio::test]
async fn listeners_leave_when_the_gate_closes() {
    let admin = Admin::start();
    let body = listen(&admin, "", bearer()).await;
    assert!(admin.tap.is_watched());
    admin.closing.send(true).unwrap();
    let rest: Vec<_> = StreamExt::collect(body.into_data_stream()).await;
    assert!(rest.is_empty());
    assert!(!admin.tap.is_watched());
}

#[tokio::test]
async fn a_listener_whose_token_was_revoked_is_sent_away() {
    let admin = Admin::start();
    let token = admin.make_token("viewer", None).await;
    let field = format!("Bearer {token}");
    let body = listen(&admin, "", ("authorization", &field)).await;
    let tokens = admin.get("/admin/tokens").await.json;
    let id = tokens["items"][0]["id"].as_str().unwrap();
    admin
        .call(Method::DELETE, &format!("/admin/tokens/{id}"), None)
        .await;
    let rest: Vec<_> = StreamExt::collect(body.into_data_stream()).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn no_more_may_listen_than_there_is_room_for() {
    let admin = Admin::start();
    let mut listeners = Vec::new();
    for _ in 0..4 {
        let token = format!("Bearer {}", admin.make_token("viewer", None).await);
        let token = ("authorization", token.as_str());
        for _ in 0..16 {
            listeners.push(listen(&admin, "", token).await);
        }
        let asked = request(Method::GET, "/admin/live", &[token], None);
        let reply = admin.ask(asked).await;
        assert_eq!(reply.problem(), (429, "too_many_requests"));
        assert_eq!(reply.header("retry-after"), Some("10"));
    }
    let reply = admin.get("/admin/live").await;
    assert_eq!(reply.problem(), (429, "too_many_requests"));
    listeners.pop();
    listeners.push(listen(&admin, "", bearer()).await);
}

/// Nor by all owners together; and who gives a seat back may take one again.
#[tokio::test]
async fn no_owner_can_take_the_seats_of_those_who_run_the_gate() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let owner = made["key"]["owner"]["id"].as_str();
    let mut listeners = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..5 {
        let token = admin.make_token("viewer", owner).await;
        tokens.push(format!("Bearer {token}"));
    }
    let refused = async |token: &str| {
        let fields = [("authorization", token)];
        let asked = request(Method::GET, "/admin/live", &fields, None);
        let reply = admin.ask(asked).await;
        assert_eq!(reply.problem(), (429, "too_many_requests"));
    };
    for token in &tokens[..4] {
        for _ in 0..4 {
            let seat = listen_to("1", &admin, "", ("authorization", token)).await;
            listeners.push(seat);
        }
        refused(token).await;
    }
    refused(&tokens[4]).await;
    for _ in 0..16 {
        listeners.push(listen(&admin, "", bearer()).await);
    }
    drop(listeners.remove(0));
    refused(&tokens[1]).await;
    listeners.push(listen_to("1", &admin, "", ("authorization", &tokens[0])).await);
}

#[tokio::test]
async fn every_condition_of_a_listener_must_hold() {
    let admin = Admin::start();
    let key = KeyId::from_random([1; 10]);
    for (query, is_shown) in [
        (
            format!("?key_id={key}&route=orders&method=GET&status=404"),
            true,
        ),
        ("?route=users".to_owned(), false),
        ("?method=POST".to_owned(), false),
        (format!("?key_id={}", KeyId::from_random([2; 10])), false),
        ("?node=gate-1".to_owned(), true),
    ] {
        let mut body = listen(&admin, &query, bearer()).await;
        admin.tap.show(finished("asked", None, 404));
        // Who closes tells that nothing else was to come.
        admin.tap.show(finished("last", None, 404));
        if is_shown {
            let event = next(&mut body).await.unwrap();
            assert_eq!(event, "event: request\ndata: asked\n\n", "{query}");
        } else {
            admin.closing.send(true).unwrap();
            assert_eq!(next(&mut body).await, None, "{query}");
            admin.closing.send(false).unwrap();
        }
    }
}

/// Nothing is counted while nobody watches, and what is told adds up.
#[tokio::test]
async fn counts_are_told_by_key_owner_and_route() {
    let admin = Admin::start();
    assert!(!admin.tap.is_counting());
    let mut body = listen(&admin, "?summary=1s", bearer()).await;
    assert!(admin.tap.is_counting() && !admin.tap.is_watched());
    let (key, owner) = (KeyId::from_random([1; 10]), OwnerId::from_random([2; 10]));
    let passed = |status, is_refused| Passed {
        status,
        is_refused,
        bytes_in: 1,
        bytes_out: 10,
        took: Duration::from_micros(100),
    };
    admin
        .tap
        .count(0, Some((key, owner)), Some(0), &passed(200, false));
    admin
        .tap
        .count(0, Some((key, owner)), Some(0), &passed(429, true));
    admin.tap.count(0, None, None, &passed(503, false));
    admin.tap.show_counts(Second {
        span: Duration::from_millis(1_004),
        before: 0,
        counted: admin.tap.take_counts(),
    });
    let event = next(&mut body).await.unwrap();
    let data = event.strip_prefix("event: summary\ndata: ").unwrap();
    let told: Value = serde_json::from_str(data).unwrap();
    let counts = |id: Value, requests: u64, refused: u64, errors: u64| {
        json!({"id": id, "requests": requests, "refused": refused, "errors": errors, "bytes_in": requests,
            "bytes_out": requests * 10, "took_us": [[103, requests]]})
    };
    let mut of_key = counts(json!(key.to_string()), 2, 1, 0);
    of_key["owner_id"] = json!(owner.to_string());
    let nobodys = counts(Value::Null, 1, 0, 1);
    assert_eq!(told["node"], "gate-1");
    assert_eq!(told["span_ms"], 1_004.0);
    assert_eq!(told["total"]["requests"], 3);
    assert_eq!(told["keys"], json!([of_key, nobodys]));
    let of_owner = counts(json!(owner.to_string()), 2, 1, 0);
    assert_eq!(told["owners"], json!([of_owner, nobodys]));
    let of_route = counts(json!("orders"), 2, 1, 0);
    assert_eq!(told["routes"], json!([of_route, nobodys]));

    // A second that was missed is not passed over.
    admin.tap.show_counts(Second {
        before: 10,
        ..Second::default()
    });
    let event = next(&mut body).await.unwrap();
    assert_eq!(
        event,
        "event: dropped\ndata: {\"count\":7,\"node\":\"gate-1\"}\n\n"
    );
    drop(body);
    assert!(!admin.tap.is_counting());
}

#[tokio::test]
async fn a_bound_token_is_counted_its_owners_requests_only() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let owner = made["key"]["owner"]["id"].as_str().unwrap();
    let token = format!("Bearer {}", admin.make_token("viewer", Some(owner)).await);
    let token = ("authorization", token.as_str());
    let mut body = listen_to("1", &admin, "?summary=1s", token).await;
    let (key, other) = (KeyId::from_random([1; 10]), OwnerId::from_random([9; 10]));
    let of = |owner| Some((key, owner));
    let passed = Passed::default();
    admin
        .tap
        .count(0, of(owner.parse().unwrap()), Some(0), &passed);
    admin.tap.count(0, of(other), Some(0), &passed);
    admin.tap.count(0, None, None, &passed);
    admin.tap.show_counts(Second {
        counted: admin.tap.take_counts(),
        ..Second::default()
    });
    let event = next(&mut body).await.unwrap();
    let data = event.strip_prefix("event: summary\ndata: ").unwrap();
    let told: Value = serde_json::from_str(data).unwrap();
    assert_eq!(told["node"], "1");
    assert_eq!(told["total"]["requests"], 1);
    assert_eq!(told["owners"].as_array().unwrap().len(), 1);
    assert_eq!(told["owners"][0]["id"], owner);

    let path = format!("/admin/live?owner={other}");
    let reply = admin.ask(request(Method::GET, &path, &[token], None)).await;
    assert_eq!(reply.problem(), (404, "not_found"));
}

#[tokio::test]
async fn what_cannot_be_listened_to_is_refused_by_its_name() {
    let admin = Admin::start();
    for (query, pointers) in [
        ("?summary=2s", vec!["summary"]),
        ("?summary=1s&status=4xx", vec!["summary"]),
        ("?summary=1s&method=GET", vec!["summary"]),
        ("?method=got", vec!["method"]),
        ("?weather=rain", vec!["weather"]),
    ] {
        let reply = admin.get(&format!("/admin/live{query}")).await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{query}");
        assert_eq!(reply.pointers(), pointers, "{query}");
    }
    assert!(!admin.tap.is_watched() && !admin.tap.is_counting());
}

/// A gate that has its store for itself knows of no other.
#[tokio::test]
async fn a_gate_that_is_not_there_is_named() {
    let (admin, _file) = Admin::in_file();
    let asked = request(Method::GET, "/admin/live?node=gate-9", &[bearer()], None);
    let mut body = admin.send(asked).await.into_body();
    let gates = r#"{"gates":[],"missing":["gate-9"],"store":"own"}"#;
    let event = next(&mut body).await.unwrap();
    assert_eq!(event, format!("event: gates\ndata: {gates}\n\n"));
    assert!(!admin.tap.is_watched());
}
