//! Every way to say no: its status, its code, its fields, and that nothing was forwarded.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::gateway::Builder;
use crate::support::raw::status;
use crate::support::{Ask, Gateway, Upstream};

/// Routes that refuse for each reason a route can have; nothing serves `/`.
fn guarded(upstream: &Upstream) -> Builder {
    Gateway::routing("/v1", upstream)
        .route("{ match: { path_prefix: /reads, methods: [GET, HEAD] }, upstream: api }")
        .route("{ match: { path_prefix: /orders }, upstream: api, scopes: [orders:read] }")
        .route("{ match: { path_prefix: /sandbox }, upstream: api, envs: [test] }")
        .route("{ match: { path_prefix: /small }, upstream: api, body_max: 4B }")
}

#[tokio::test]
async fn each_refusal_has_its_status_and_code_and_nothing_is_forwarded() {
    let upstream = Upstream::echo().await;
    let gateway = guarded(&upstream).start().await;
    let key = gateway.create_key().await;
    let revoked = gateway.create_key().await;
    gateway.revoke(&revoked).await;
    let suspended = gateway.create_key().await;
    gateway.pause(&suspended, "suspend").await;
    let ending = json!({"expires_at": "2026-01-01T01:00:00Z"});
    let expired = gateway.create_key_with(ending).await;
    gateway.clock.turn(Duration::from_secs(3_600));
    let reading = json!({"allowed_methods": ["GET"]});
    let reading = gateway.create_key_with(reading).await;
    let inside = json!({"allowed_paths": ["/v1/inside"]});
    let inside = gateway.create_key_with(inside).await;
    let elsewhere = json!({"allowed_ips": ["10.0.0.0/8"]});
    let elsewhere = gateway.create_key_with(elsewhere).await;

    let get = |path: &str| gateway.get(path);
    let rows: Vec<(Ask, u16, &str)> = vec![
        (get("/v1"), 401, "missing_key"),
        (
            get("/v1").header("x-api-key", "pk_live_x"),
            401,
            "unknown_key",
        ),
        (get("/v1").with(&expired), 401, "key_expired"),
        (get("/v1").with(&revoked), 401, "key_revoked"),
        (get("/v1").with(&suspended), 403, "key_suspended"),
        (get("/orders").with(&key), 403, "scope_missing"),
        (
            gateway.post("/v1").with(&reading),
            403,
            "method_not_allowed_for_key",
        ),
        (get("/v1/insider").with(&inside), 403, "path_not_allowed"),
        (get("/v1").with(&elsewhere), 403, "ip_not_allowed"),
        (get("/sandbox").with(&key), 403, "env_not_allowed"),
        (get("/nowhere").with(&key), 404, "no_route"),
        (get("/v10").with(&key), 404, "no_route"),
        (gateway.post("/reads").with(&key), 405, "method_not_allowed"),
        (
            get("/v1").with(&key).with(&key),
            400,
            "ambiguous_credential",
        ),
        (get("/v1/../x").with(&key), 400, "bad_request"),
        (
            gateway.post("/small").with(&key).body("12345"),
            413,
            "body_too_large",
        ),
    ];
    for (ask, status, code) in rows {
        let reply = ask.await;
        assert_eq!((reply.status, &*reply.refusal()), (status, code));
    }
    assert_eq!(upstream.connections(), 0);
}

/// S1-13: also at every later request, and for good.
#[tokio::test]
async fn a_revoked_key_is_refused_and_attributed() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    assert_eq!(gateway.get("/").with(&key).await.status, 200);

    gateway.revoke(&key).await;

    for _ in 0..3 {
        assert_eq!(gateway.get("/").with(&key).await.refusal(), "key_revoked");
    }
    assert_eq!(upstream.requests(), 1);
    let lines = gateway.log_lines(4).await;
    assert_eq!(lines[3]["key_id"], *key.id);
    let path = format!("/admin/keys/{}/resume", key.id);
    assert_eq!(gateway.admin(Method::POST, &path, None).await.status, 409);
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "key_revoked");
}

#[tokio::test]
async fn a_method_that_is_not_served_is_told_which_are() {
    let upstream = Upstream::echo().await;
    let gateway = guarded(&upstream).start().await;
    let reply = gateway.ask(Method::DELETE, "/reads/1").await;
    assert_eq!(reply.refusal(), "method_not_allowed");
    assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    assert_eq!(gateway.get("/reads/1").await.refusal(), "missing_key");
}

/// What is decided first is what is told, so that nobody learns of a route or a limit what they may not.
#[tokio::test]
async fn reasons_are_given_in_the_order_of_the_decision() {
    let upstream = Upstream::echo().await;
    let gateway = guarded(&upstream).start().await;
    let limits = json!({"rate_limits": [{"rate": "1/hour"}], "allowed_methods": ["GET"]});
    let key = gateway.create_key_with(limits).await;
    let unknown = |path: &str| gateway.get(path).header("x-api-key", "nobody");

    assert_eq!(unknown("/..").await.refusal(), "bad_request");
    assert_eq!(unknown("/nowhere").await.refusal(), "no_route");
    assert_eq!(unknown("/orders").await.refusal(), "unknown_key");
    assert_eq!(
        gateway.get("/orders").with(&key).await.refusal(),
        "scope_missing"
    );
    for _ in 0..3 {
        // A request that may not be made spends nothing.
        let reply = gateway.post("/v1").with(&key).await;
        assert_eq!(reply.refusal(), "method_not_allowed_for_key");
    }
    assert_eq!(gateway.get("/v1").with(&key).await.status, 200);
    assert_eq!(
        gateway.get("/v1").with(&key).await.refusal(),
        "rate_limited"
    );
    gateway.pause(&key, "suspend").await;
    assert_eq!(
        gateway.get("/v1").with(&key).await.refusal(),
        "key_suspended"
    );
}

/// Whatever is shown, an outsider learns nothing from the answer but that it was wrong.
#[tokio::test]
async fn all_unknown_credentials_get_the_same_bytes_but_for_the_request_id() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let mut mistyped = key.secret.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == 'a' { 'b' } else { 'a' });
    let same_id = format!("{}{}", &key.secret[.."pk_live_".len() + 10], "_x");
    let long = "x".repeat(513);
    let shown = ["x", "pk_live_x", &mistyped, &same_id, &long, "\u{7e}", "pk"];

    let mut answers = Vec::new();
    for secret in shown {
        for field in ["X-API-Key: ", "Authorization: Bearer "] {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}{secret}\r\n\r\n");
            let mut raw = gateway.raw().await;
            raw.write(request).await;
            let reply = raw.reply().await;
            let id = reply.split("x-request-id: ").nth(1).unwrap();
            let id = &id[..id.find('\r').unwrap()];
            let reply = reply.replace(id, "the id");
            let is_date = |line: &&str| !line.starts_with("date: ");
            answers.push(reply.lines().filter(is_date).collect::<Vec<_>>().join("\n"));
        }
    }

    assert_eq!(status(&answers[0]), 401);
    assert!(
        answers[0].contains("\"code\":\"unknown_key\""),
        "{}",
        answers[0]
    );
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn many_wrong_credentials_are_answered_429_and_right_ones_pass_beside_them() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("bounds: { failures_per_minute: 3 }")
        .start()
        .await;
    let key = gateway.create_key().await;
    let wrong = || gateway.get("/").header("x-api-key", "guess");
    for _ in 0..3 {
        assert_eq!(wrong().await.refusal(), "unknown_key");
    }

    let reply = wrong().await;
    assert_eq!(
        (reply.status, &*reply.refusal()),
        (429, "too_many_failures")
    );
    assert_eq!(reply.retry_after(), Some(20));
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    assert_eq!(gateway.get("/").await.refusal(), "missing_key");

    gateway.clock.turn_ms(19_999);
    assert_eq!(wrong().await.refusal(), "too_many_failures");
    gateway.clock.turn_ms(1);
    assert_eq!(wrong().await.refusal(), "unknown_key");
}

/// A reply to HEAD has no body, though it says how long it would be (RFC 9110 §9.3.2).
#[tokio::test]
async fn a_refused_head_request_gets_a_head_and_the_connection_goes_on() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let mut raw = gateway.raw().await;
    raw.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = raw.until_text("\r\n\r\n").await;
    assert_eq!(status(&head), 401);
    raw.write(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\n\r\n",
        key.secret
    ))
    .await;
    assert_eq!(status(&raw.reply().await), 200);
}

#[tokio::test]
async fn a_grpc_caller_is_refused_in_trailers_alone() {
    let upstream = Upstream::echo().await;
    let gateway = guarded(&upstream).h2c().start().await;
    let key = gateway.create_key().await;
    let limited = json!({"rate_limits": [{"rate": "1/hour"}]});
    let limited = gateway.create_key_with(limited).await;
    assert_eq!(gateway.get("/v1").with(&limited).await.status, 200);
    let grpc = |path: &str| {
        gateway
            .post(path)
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
    };
    let mut connection = gateway.http2().await;
    for (ask, grpc_status, code) in [
        (grpc("/v1/a.B/C"), "16", "missing_key"),
        (grpc("/orders/a.B/C").with(&key), "7", "scope_missing"),
        (grpc("/a.B/C").with(&key), "12", "no_route"),
        (grpc("/v1/a.B/C").with(&limited), "8", "rate_limited"),
        (grpc("/v1/../C").with(&key), "13", "bad_request"),
    ] {
        let reply = connection.send(ask).await;
        assert_eq!(reply.status, 200, "{code}");
        assert_eq!(reply.header("content-type"), Some("application/grpc"));
        assert_eq!(reply.header("grpc-status"), Some(grpc_status), "{code}");
        assert_eq!(reply.header("grpc-message"), Some(code));
        assert!(reply.header("x-request-id").is_some());
        assert!(reply.body.is_empty() && reply.trailers.is_none());
    }
    assert_eq!(upstream.requests(), 1);
    let lines = gateway.log_lines(6).await;
    assert_eq!(
        (&lines[1]["status"], &lines[1]["code"]),
        (&json!(401), &json!("missing_key"))
    );
}
