//! docs/api.md: every call there is, and examples that do what they say.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request};
use portcullis::admin::calls;
use serde_json::Value;

use crate::admin::harness::{Admin, CONFIGURED};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_call_stands_in_the_page_and_nothing_else() {
    let page = page();
    let headings = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let shown: BTreeSet<String> = headings.map(str::to_owned).collect();
    let calls = calls();
    let meant = calls
        .iter()
        .map(|call| format!("{} {}", call.method, call.path));
    assert_eq!(shown, meant.collect());
    for call in &shown {
        let example = format!("### `{call}`\n");
        let (_, after) = page.split_once(&example).unwrap();
        let own = after.split("\n### ").next().unwrap();
        assert!(own.contains("```http\n"), "{call} has no example");
    }
}

/// From top to bottom, as someone who tries them would: each is answered as the page says.
#[tokio::test]
async fn every_example_of_the_page_is_answered_as_it_says() {
    let (admin, _file) = Admin::in_file();
    let mut known = BTreeMap::<&str, String>::new();
    let page = page();
    for example in page.split("```http\n").skip(1) {
        let example = example.split("```").next().unwrap();
        let (request, status) = example.trim().rsplit_once("→ ").unwrap();
        let (line, body) = request.split_once('\n').unwrap();
        let mut line = line.to_owned();
        for (name, value) in &known {
            line = line.replace(name, value);
        }
        let body = body.replace("{admin_token}", CONFIGURED);
        let (method, target) = line.split_once(' ').unwrap();
        let kind = if target.contains("/import") {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(target)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {CONFIGURED}"));
        let request = if body.trim().is_empty() {
            request.body(Body::empty())
        } else {
            let request = request.header("content-type", kind);
            request.body(Body::from(body.trim().to_owned()))
        };
        let response = admin.send(request.unwrap()).await;
        assert_eq!(response.status().as_str(), status.trim(), "{line}");
        if response.headers()["content-type"] == "text/event-stream" {
            continue;
        }
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        for (name, place, prefix) in [
            ("{key_id}", "/key/id", "key_"),
            ("{user_id}", "/id", "usr_"),
            ("{policy_id}", "/id", "pol_"),
            ("{token_id}", "/token/id", "tok_"),
        ] {
            let id = answer.pointer(place).and_then(Value::as_str);
            if let Some(id) = id.filter(|id| id.starts_with(prefix)) {
                known.insert(name, id.to_owned());
            }
        }
    }
    assert_eq!(known.len(), 4, "{known:?}");
}
