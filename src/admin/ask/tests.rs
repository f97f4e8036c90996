//! What is read, and what is said of what cannot be.

use super::*;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read matters here")]
struct Outer {
    name: String,
    #[serde(default)]
    items: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read matters here")]
struct Inner {
    count: u32,
}

fn told(json: &str) -> (u16, String) {
    let problem = parse::<Outer>(json.as_bytes()).unwrap_err();
    let problem = format!("{problem:?}");
    let status = if problem.contains("code: BadRequest") {
        400
    } else {
        422
    };
    let pointer = problem.split("pointer: \"").nth(1).unwrap_or_default();
    (
        status,
        pointer.split('"').next().unwrap_or_default().to_owned(),
    )
}

#[test]
fn a_fault_is_told_where_it_is() {
    for (json, status, pointer) in [
        (r#"{"name": 1}"#, 422, "/name"),
        (
            r#"{"name": "a", "items": [{"count": 1}, {"count": -1}]}"#,
            422,
            "/items/1/count",
        ),
        (
            r#"{"name": "a", "items": [{"count": 1, "colour": 2}]}"#,
            422,
            "/items/0/colour",
        ),
        (r#"{"name": "a", "colour": 2}"#, 422, "/colour"),
        (r#"{"name": "a", "items": null}"#, 422, "/items"),
        (r#"{}"#, 422, ""),
        (r#"[]"#, 422, ""),
        (r#"{"name": "a","#, 400, ""),
        (r#"{"name": "a"} {}"#, 400, ""),
        ("", 400, ""),
    ] {
        assert_eq!(told(json), (status, pointer.to_owned()), "{json}");
    }
}
