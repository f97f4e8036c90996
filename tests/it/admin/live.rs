//! Requests as they finish, over the admin API.

use axum::body::Body;
use futures_util::StreamExt;
use http::Method;
use http_body_util::BodyExt;
use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::state::tap::Finished;

use crate::admin::harness::{Admin, bearer, request};

fn finished(line: &str, owner: Option<OwnerId>, status: u16) -> Finished {
    Finished {
        line: line.to_owned(),
        key: Some(KeyId::from_random([1; 10])),
        owner,
        status,
    }
}

async fn listen(admin: &Admin, query: &str, token: (&str, &str)) -> Body {
    let asked = request(Method::GET, &format!("/admin/live{query}"), &[token], None);
    let response = admin.send(asked).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
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
    assert_eq!(event, "event: dropped\ndata: {\"count\":120}\n\n");
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
    let mut body = listen(&admin, "", ("authorization", &token)).await;
    admin.tap.show(finished("theirs", None, 200));
    let other = OwnerId::from_random([9; 10]);
    admin.tap.show(finished("theirs", Some(other), 200));
    admin
        .tap
        .show(finished("mine", Some(owner.parse().unwrap()), 200));
    assert_eq!(
        next(&mut body).await.unwrap(),
        "event: request\ndata: mine\n\n"
    );
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
    for _ in 0..64 {
        listeners.push(listen(&admin, "", bearer()).await);
    }
    let reply = admin.get("/admin/live").await;
    assert_eq!(reply.problem(), (429, "too_many_requests"));
    listeners.pop();
    listeners.push(listen(&admin, "", bearer()).await);
}
