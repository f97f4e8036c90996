//! What is told of requests afterwards: the access log, the live view, usage, metrics.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Gateway, Upstream, within};

/// The names of a line's fields, in their order (SPEC §9).
const FIELDS: [&str; 22] = [
    "time",
    "request_id",
    "node",
    "client",
    "protocol",
    "method",
    "host",
    "path",
    "route",
    "status",
    "code",
    "key_id",
    "key_version",
    "fingerprint",
    "owner_id",
    "upstream",
    "endpoint",
    "attempts",
    "duration_ms",
    "upstream_ms",
    "bytes_in",
    "bytes_out",
];

#[tokio::test]
async fn the_access_log_has_a_line_for_what_passed() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    gateway.clock.turn_ms(1_234);
    let ask = gateway.post("/v1/orders?secret=1").host("API.example:80");
    let reply = ask.with(&key).body("hello").await;
    let line = gateway.log_lines(1).await.remove(0);
    assert_eq!(
        line,
        json!({
            "time": "2026-01-01T00:00:01.234Z",
            "request_id": reply.header("x-request-id").unwrap(),
            "node": "gate-1", "client": "127.0.0.1", "protocol": "http/1.1", "method": "POST",
            "host": "api.example", "path": "/v1/orders", "route": "api", "status": 200, "code": null,
            "key_id": key.id, "key_version": 1, "fingerprint": key.fingerprint,
            "owner_id": key.owner, "upstream": "api", "endpoint": upstream.address().to_string(),
            "attempts": 1, "duration_ms": 0.0, "upstream_ms": 0.0, "bytes_in": 5, "bytes_out": 5,
        })
    );
    let raw = gateway.log_text();
    let mut rest = raw.as_str();
    for name in FIELDS {
        let at = rest.find(&format!("\"{name}\":")).unwrap();
        rest = &rest[at..];
    }
}

#[tokio::test]
async fn the_access_log_has_a_line_for_what_was_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/v1", &upstream).start().await;
    let key = gateway.create_key().await;
    gateway.revoke(&key).await;
    for ask in [
        gateway.get("/v1").with(&key),
        gateway.get("/v1").header("x-api-key", "pk_nobody"),
        gateway.get("/other").with(&key),
    ] {
        ask.await;
    }
    gateway.send_raw("BREW /secret HTTP/1.1\r\n\r\n").await;
    let lines = gateway.log_lines(4).await;
    let of = |at: usize, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| lines[at][*name].clone()).collect()
    };
    let names = ["status", "code", "route", "key_id", "path"];
    assert_eq!(
        of(0, &names),
        [
            json!(401),
            json!("key_revoked"),
            json!("api"),
            json!(key.id),
            json!("/v1")
        ]
    );
    assert_eq!(
        of(1, &names),
        [
            json!(401),
            json!("unknown_key"),
            json!("api"),
            Value::Null,
            json!("/v1")
        ]
    );
    assert_eq!(
        of(2, &names),
        [
            json!(404),
            json!("no_route"),
            Value::Null,
            Value::Null,
            json!("/other")
        ]
    );
    assert_eq!(
        of(3, &names),
        [
            json!(501),
            json!("method_unknown"),
            Value::Null,
            Value::Null,
            json!("")
        ]
    );
    for line in &lines {
        assert_eq!(
            (&line["upstream"], &line["endpoint"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(
            (&line["attempts"], &line["upstream_ms"]),
            (&json!(0), &Value::Null)
        );
    }
    assert!(!gateway.log_text().contains("nobody"));
}

#[tokio::test]
async fn a_line_says_how_long_it_took_and_how_much_of_that_the_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .on_system_clock()
        .start()
        .await;
    assert_eq!(gateway.get("/").await.status, 200);
    let line = gateway.log_lines(1).await.remove(0);
    let [took, upstream_took] = ["duration_ms", "upstream_ms"].map(|it| line[it].as_f64().unwrap());
    assert!(0.0 < upstream_took && upstream_took <= took, "{line}");
}

/// Whatever a client sends, a line of the log is one JSON object and has no secret in it.
#[tokio::test]
async fn no_client_can_write_a_line_of_its_own() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    for path in ["/a%22,%22status%22:200", "/a\"b", "/%0a%0d{}", "/\u{fc}"] {
        gateway
            .send_raw(format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-API-Key: {}\r\n\r\n",
                key.secret
            ))
            .await;
    }
    assert_eq!(gateway.log_lines(4).await.len(), 4);
    assert!(!gateway.log_text().contains(&key.secret));
}

#[tokio::test]
async fn whoever_watches_sees_requests_as_they_finish() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let (key, other) = (gateway.create_key().await, gateway.create_key().await);
    let mut admin = crate::support::Connection::to(gateway.admin_address()).await;
    let path = format!("/admin/live?key_id={}", key.id);
    let mut live = admin.open(gateway.ask_admin(Method::GET, &path)).await;
    assert_eq!(
        (live.status, &live.headers["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );

    gateway.get("/").with(&other).await;
    gateway.get("/one").with(&key).await;
    gateway.revoke(&key).await;
    gateway.get("/two").with(&key).await;

    let mut text = String::new();
    let seen = async {
        // Whose requests are seen, and two of them.
        while text.matches("\n\n").count() < 3 {
            text.push_str(std::str::from_utf8(&live.some().await.unwrap()).unwrap());
        }
    };
    within("three events", seen).await;
    let events: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("event: request\ndata: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let lines = gateway.log_lines(3).await;
    assert_eq!(events, lines[1..]);
    assert_eq!(events[1]["code"], "key_revoked");
}

#[tokio::test]
async fn usage_counts_what_passed_and_what_was_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .route("{ name: dear, match: { path_prefix: /dear }, upstream: api, cost: 5 }")
        .start()
        .await;
    let limits = json!({"rate_limits": [{"rate": "8/hour"}]});
    let key = gateway.create_key_with(limits).await;
    for path in ["/dear", "/", "/dear", "/nowhere"] {
        gateway.post(path).with(&key).body("abc").await;
    }
    let path = format!("/admin/keys/{}/usage", key.id);
    let usage = crate::support::eventually("the counts are in", async || {
        let usage = gateway.admin(Method::GET, &path, None).await.json();
        (usage["total"]["requests"] == 3).then_some(usage)
    })
    .await;
    let total = &usage["total"];
    assert_eq!(total["cost"], 7, "{usage}");
    assert_eq!(total["refused"], json!({"rate_limited": 1}), "{usage}");
    assert_eq!(
        (&total["bytes_in"], &total["bytes_out"]),
        (&json!(9), &json!(9))
    );
    assert_eq!(usage["last_used_at"], "2026-01-01T00:00:00.000Z");
    assert_eq!(
        gateway
            .metric("portcullis_refused_total{code=\"rate_limited\"}")
            .await,
        1.0
    );
    let by_route = "portcullis_requests_total{route=\"dear\",status=\"2xx\"}";
    assert_eq!(gateway.metric(by_route).await, 1.0);
}

#[tokio::test]
async fn ready_is_told_without_a_key_and_is_no_route() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/v1", &upstream).h2c().start().await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let reply = connection.send(gateway.get("/.portcullis/ready")).await;
        assert_eq!((reply.status, reply.text()), (200, "{\"ready\":true}"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    assert_eq!(upstream.connections(), 0);
}
