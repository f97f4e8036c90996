//! The document of the API says what there is, and nothing else. That every answer which a test of the API sees
//! is one of the document, the [harness](super::harness) holds.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use portcullis::admin::{Needs, Reach, calls};
use serde_json::{Value, json};

use crate::admin::harness::{Admin, request};
use crate::support::document::{DOCUMENT, Exchange, faults, read};

/// Each call of the document: its method in upper case, its path, what is said of it.
fn documented() -> Vec<(String, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let calls = paths.iter().flat_map(|(path, calls)| {
        let calls = calls.as_object().unwrap().iter();
        calls.map(move |(method, call)| (method.to_ascii_uppercase(), path.clone(), call))
    });
    calls.collect()
}

// S4-07
#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let shown = documented();
    let shown: BTreeSet<(&str, &str)> = shown
        .iter()
        .map(|(method, path, _)| (method.as_str(), path.as_str()))
        .collect();
    let calls = calls();
    let meant = calls.iter().map(|call| (call.method.as_str(), call.path));
    assert_eq!(shown, meant.collect());
    assert_eq!(DOCUMENT["openapi"], "3.1.1");
}

#[test]
fn every_call_has_a_name_of_its_own_a_tag_and_words() {
    let tags = DOCUMENT["tags"].as_array().unwrap();
    let tags: BTreeSet<&str> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut names = BTreeMap::new();
    let mut used = BTreeSet::new();
    for (method, path, call) in documented() {
        let what = format!("{method} {path}");
        let before = names.insert(call["operationId"].as_str().unwrap(), what.clone());
        assert_eq!(before, None, "{what}");
        let tag = call["tags"][0].as_str().unwrap();
        assert!(tags.contains(tag), "{what}");
        used.insert(tag);
        assert!(!call["summary"].as_str().unwrap().is_empty(), "{what}");
    }
    assert_eq!(used, tags);
}

#[test]
fn every_call_says_the_role_that_the_router_asks_for() {
    for call in calls() {
        let told = &DOCUMENT["paths"][call.path][call.method.as_str().to_ascii_lowercase()];
        let meant = match call.needs {
            Needs::Nothing => Value::Null,
            Needs::Metrics => json!({"role": "viewer", "bound": false}),
            Needs::Role(role, reach) => {
                json!({"role": role.as_str(), "bound": reach == Reach::Owned})
            }
        };
        let what = format!("{} {}", call.method, call.path);
        assert_eq!(told["x-portcullis-role"], meant, "{what}");
        let opens = |scheme: &str| {
            let ways = told["security"].as_array().unwrap().iter();
            ways.clone().any(|way| !way[scheme].is_null())
        };
        if meant.is_object() {
            assert!(opens("token") && opens("session"), "{what}");
            for status in ["401", "403"] {
                assert!(told["responses"][status].is_object(), "{what}: {status}");
            }
        }
    }
}

#[test]
fn every_example_is_what_its_schema_asks_for() {
    let mut count = 0;
    let mut check = |what: &str, at: &Value| {
        assert!(!at["example"].is_null(), "{what} has no example");
        let found = faults(&at["schema"], &at["example"]);
        assert!(found.is_empty(), "{what}: {found:#?}");
        count += 1;
    };
    for (method, path, call) in documented() {
        let what = format!("{method} {path}");
        for param in call["parameters"].as_array().unwrap() {
            let name = param["name"].as_str().unwrap();
            // What it is, only an answer of the gate can say.
            if !["cursor", "If-Match", "Idempotency-Key"].contains(&name) {
                check(&format!("{what} {name}"), param);
            }
        }
        let bodies = call["requestBody"]["content"].as_object();
        for (media, body) in bodies.into_iter().flatten() {
            check(&format!("{what} {media}"), body);
        }
        for (status, answer) in call["responses"].as_object().unwrap() {
            let text = answer["description"].as_str().unwrap();
            assert!(!text.is_empty(), "{what} {status}");
            for (media, told) in answer["content"].as_object().unwrap() {
                check(&format!("{what} {status} {media}"), told);
            }
        }
    }
    assert!(count > 500, "{count}");
}

/// A parameter that a call does not take is refused by its name, so each can be asked for.
#[tokio::test]
async fn every_parameter_of_the_document_is_taken() {
    let admin = Admin::start();
    for (method, path, call) in documented() {
        // An open stream answers no more than its head.
        if path == "/admin/live" {
            continue;
        }
        for param in call["parameters"].as_array().unwrap() {
            if param["in"] != "query" || param["example"].is_null() {
                continue;
            }
            let name = param["name"].as_str().unwrap();
            let example = &param["example"];
            let text = example.as_str().map_or(example.to_string(), str::to_owned);
            let asked = format!("{}?{name}={}", filled(&path), text.replace(' ', "%20"));
            let method: Method = method.parse().unwrap();
            let reply = admin.call(method, &asked, None).await;
            // One that makes no sense beside what is not given is known all the same.
            for code in ["unknown_parameter", "form"] {
                assert!(!reply.text.contains(code), "{path} {name}: {}", reply.text);
            }
            assert!(faults(&param["schema"], &read(&param["schema"], &text)).is_empty());
        }
    }
}

/// A path with the examples of what stands in it.
fn filled(path: &str) -> String {
    [
        ("{key_id}", "key_0000000000"),
        ("{user_id}", "usr_0000000000"),
        ("{token_id}", "tok_0000000000"),
        ("{policy_id}", "pol_0000000000"),
        ("{product}", "none"),
        ("{node}", "gate-9"),
        ("{number}", "1"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (name, value)| {
        path.replace(name, value)
    })
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let admin = Admin::start();
    let reply = admin
        .ask(request(Method::GET, "/openapi.json", &[], None))
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.json, *DOCUMENT);
    // It is put together of parts, and none of them leads nowhere.
    let text = reply.text;
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(DOCUMENT.pointer(pointer).is_some(), "{pointer}");
    }
}

/// What the harness holds of every answer, it would also find.
#[test]
fn what_the_document_does_not_say_is_found() {
    let told = json!({"session": null});
    let problem = |code: &str| {
        json!({
            "type": "x", "title": "x", "status": 401, "code": code, "detail": "x", "request_id": "x",
        })
    };
    let json_type = "application/json";
    let problem_type = "application/problem+json";
    for (method, path, sent, status, content_type, told, found) in [
        (
            "GET",
            "/admin/session",
            None,
            200,
            json_type,
            told.clone(),
            0,
        ),
        (
            "GET",
            "/admin/session?x=1",
            None,
            200,
            json_type,
            told.clone(),
            1,
        ),
        (
            "GET",
            "/admin/session",
            None,
            200,
            "text/plain",
            told.clone(),
            1,
        ),
        ("GET", "/admin/session", None, 200, json_type, json!({}), 1),
        (
            "GET",
            "/admin/session",
            None,
            204,
            json_type,
            told.clone(),
            1,
        ),
        (
            "PUT",
            "/admin/session",
            None,
            200,
            json_type,
            told.clone(),
            1,
        ),
        (
            "POST",
            "/admin/session",
            Some(json!({"token": "x"})),
            200,
            json_type,
            told.clone(),
            0,
        ),
        (
            "POST",
            "/admin/session",
            Some(json!({"tokem": "x"})),
            200,
            json_type,
            told,
            1,
        ),
        (
            "GET",
            "/admin/keys",
            None,
            401,
            problem_type,
            problem("unauthenticated"),
            0,
        ),
        (
            "GET",
            "/admin/keys",
            None,
            401,
            problem_type,
            problem("conflict"),
            1,
        ),
    ] {
        let exchange = Exchange {
            method: &method.parse().unwrap(),
            uri: &path.parse().unwrap(),
            sent,
            status: StatusCode::from_u16(status).unwrap(),
            content_type: Some(content_type),
            told: &told,
        };
        let differences = exchange.differences();
        assert_eq!(
            differences.len(),
            found,
            "{method} {path} {status}: {differences:?}"
        );
    }
}
