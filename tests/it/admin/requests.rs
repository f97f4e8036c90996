//! Requests that are not as they should be, and what every answer carries.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::admin::harness::{Admin, bearer, request};

fn raw(
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> Request<Body> {
    let (name, value) = bearer();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header(name, value);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn a_body_that_is_no_good_is_refused_for_what_it_is() {
    let admin = Admin::start();
    let json = Some("application/json");
    let good = r#"{"name": "a", "type": "team"}"#;
    let large = format!(
        r#"{{"name": "{}", "type": "team"}}"#,
        "x".repeat(1024 * 1024)
    );
    for (content_type, body, problem) in [
        (json, "{", (400, "bad_request")),
        (json, "", (400, "bad_request")),
        (json, "{} {}", (422, "invalid")),
        (json, r#"["a"]"#, (422, "invalid")),
        (json, "\u{feff}{}", (400, "bad_request")),
        (json, large.as_str(), (413, "body_too_large")),
        (None, good, (415, "unsupported_media_type")),
        (Some("text/plain"), good, (415, "unsupported_media_type")),
        (
            Some("application/x-www-form-urlencoded"),
            good,
            (415, "unsupported_media_type"),
        ),
    ] {
        let asked = raw(Method::POST, "/admin/users", content_type, body.to_owned());
        let reply = admin.ask(asked).await;
        assert_eq!(reply.problem(), problem, "{content_type:?} {:.40}", body);
    }
    let utf8 = Some("Application/JSON; charset=utf-8");
    let asked = raw(Method::POST, "/admin/users", utf8, good);
    assert_eq!(admin.ask(asked).await.status, 201);
}

#[tokio::test]
async fn a_body_of_just_a_mebibyte_is_read() {
    let admin = Admin::start();
    let frame = r#"{"name": "", "type": "team"}"#.len();
    for (padding, problem) in [
        (1024 * 1024 - frame, (422, "invalid")),
        (1024 * 1024 - frame + 1, (413, "body_too_large")),
    ] {
        let body = format!(r#"{{"name": "{}", "type": "team"}}"#, "x".repeat(padding));
        let json = Some("application/json");
        let reply = admin
            .ask(raw(Method::POST, "/admin/users", json, body))
            .await;
        assert_eq!(reply.problem(), problem);
    }
}

#[tokio::test]
async fn an_optional_body_may_be_left_out_but_not_be_wrong() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = format!(
        "/admin/keys/{}/suspend",
        made["key"]["id"].as_str().unwrap()
    );
    let reply = admin.call(Method::POST, &path, json!({"why": "x"})).await;
    assert_eq!(reply.problem(), (422, "invalid"));
    assert_eq!(reply.pointers(), ["/why"]);
    let control = json!({"reason": "a\u{0}b"});
    let reply = admin.call(Method::POST, &path, control).await;
    assert_eq!(reply.problem(), (422, "invalid"));
    assert_eq!(reply.pointers(), ["/reason"]);
    let reply = admin.ask(raw(Method::POST, &path, None, "{}")).await;
    assert_eq!(reply.problem(), (415, "unsupported_media_type"));
    assert_eq!(admin.call(Method::POST, &path, None).await.status, 200);
}

#[tokio::test]
async fn a_parameter_that_nobody_knows_is_refused_by_its_name() {
    let admin = Admin::start();
    for (query, pointers) in [
        ("?colour=red", vec!["colour"]),
        ("?limit=0", vec!["limit"]),
        ("?limit=1001", vec!["limit"]),
        ("?limit=ten", vec!["limit"]),
        ("?status=asleep", vec!["status"]),
        ("?owner=me", vec!["owner"]),
        ("?stale=maybe", vec!["stale"]),
        ("?sort=age&x=1", vec!["sort", "x"]),
        ("?env=live&env=test", vec!["env"]),
    ] {
        let reply = admin.get(&format!("/admin/keys{query}")).await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{query}");
        assert_eq!(reply.pointers(), pointers, "{query}");
    }
    for limit in [1, 1_000] {
        let reply = admin.get(&format!("/admin/keys?limit={limit}")).await;
        assert_eq!(reply.status, 200);
    }
    for path in [
        "/admin/keys/key_0000000000",
        "/admin/status",
        "/admin/users/usr_0000000000",
    ] {
        let reply = admin.get(&format!("{path}?x=1")).await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{path}");
    }
}

#[tokio::test]
async fn a_cursor_of_no_list_is_refused() {
    let admin = Admin::start();
    for path in [
        "/admin/keys",
        "/admin/users",
        "/admin/tokens",
        "/admin/products",
    ] {
        let reply = admin.get(&format!("{path}?cursor=AAAA")).await;
        assert_eq!(reply.problem(), (400, "bad_cursor"), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem_document_too() {
    let admin = Admin::start();
    for path in [
        "/nothing",
        "/admin",
        "/admin/keys/",
        "/admin/nothing",
        "/favicon.ico",
    ] {
        assert_eq!(
            admin.get(path).await.problem(),
            (404, "not_found"),
            "{path}"
        );
    }
    let reply = admin.call(Method::PUT, "/admin/keys", None).await;
    assert_eq!(reply.problem(), (405, "method_not_allowed"));
    let allowed = reply.header("allow").unwrap();
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
}

#[tokio::test]
async fn a_page_elsewhere_cannot_reach_the_admin_api_by_a_name_of_its_own() {
    let admin = Admin::start();
    let ask = async |host: &str| {
        let request = Request::builder()
            .uri("/admin/keys")
            .header("host", host)
            .header(bearer().0, bearer().1)
            .body(Body::empty())
            .unwrap();
        admin.ask(request).await
    };
    let reply = ask("evil.example").await;
    assert_eq!(reply.problem(), (421, "misdirected"));
    for host in [
        "gate.example",
        "GATE.example:80",
        "localhost",
        "[::1]:0",
        "10.0.0.1",
    ] {
        assert_eq!(ask(host).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn every_answer_is_named_and_not_to_be_kept() {
    let admin = Admin::start();
    let asks = [
        request(Method::GET, "/healthz", &[], None),
        request(Method::GET, "/admin/keys", &[], None),
        request(Method::GET, "/admin/keys", &[bearer()], None),
        request(Method::GET, "/nowhere", &[], None),
    ];
    let mut ids = std::collections::HashSet::new();
    for ask in asks {
        let reply = admin.ask(ask).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        let id = reply.header("x-request-id").unwrap();
        assert!(id.starts_with("req_"));
        assert!(ids.insert(id.to_owned()));
    }
}
