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
        (r#"{}"#, 422, "/name"),
        (r#"[]"#, 422, ""),
        // Fields in their order are no object, at any depth.
        (r#"["a", []]"#, 422, ""),
        (r#"{"name": "a", "items": [[1]]}"#, 422, "/items/0"),
        (r#"{"name": "a","#, 400, ""),
        (r#"{"name": "a"} {}"#, 400, ""),
        ("", 400, ""),
    ] {
        assert_eq!(told(json), (status, pointer.to_owned()), "{json}");
    }
}

/// All of it at once, in words that name no type of ours and repeat nothing that was given.
#[test]
fn every_field_that_is_wrong_is_told_in_the_words_of_the_api() {
    let asked = br#"{"name": 7, "items": ["canary"], "colour": 1}"#;
    let (_, _, faults) = parse::<Outer>(asked).unwrap_err().into_parts();
    let told: Vec<(&str, &str)> = faults
        .iter()
        .map(|fault| (fault.pointer.as_str(), fault.detail.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("/name", "a text is expected here, not this number"),
            (
                "/colour",
                "there is no such field here; there are `name` or `items`"
            ),
            ("/items/0", "an object is expected here, not a text"),
        ]
    );
    let (_, _, faults) = parse::<Outer>(br#"{"items": [{"count": -1}]}"#)
        .unwrap_err()
        .into_parts();
    assert_eq!(
        faults[0].detail,
        "a whole number from 0 to 4294967295 is expected here, not this number"
    );
    assert_eq!(faults[1].pointer, "/name");
}
