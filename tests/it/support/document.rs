//! Holds what goes over the wire against the document of the admin API.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, Uri};
use jsonschema::Validator;
use portcullis::admin::document;
use serde_json::{Value, json};

/// The document, read once.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// A request that was answered.
pub(crate) struct Exchange<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    /// What was sent, where it was JSON.
    pub sent: Option<Value>,
    pub status: StatusCode,
    pub content_type: Option<&'a str>,
    pub told: &'a Value,
}

impl Exchange<'_> {
    /// Everything in which this call differs from what the document says of it.
    pub(crate) fn differences(&self) -> Vec<String> {
        let path = self.uri.path();
        let Some(template) = template(path) else {
            return Vec::new();
        };
        let method = self.method.as_str().to_ascii_lowercase();
        let call = &DOCUMENT["paths"][template][&method];
        let what = format!("{} {template}: {}", self.method, self.status);
        if call.is_null() {
            let is_refused = [404, 405, 421].contains(&self.status.as_u16());
            let is_head = self.method == Method::HEAD;
            return if is_refused || is_head {
                Vec::new()
            } else {
                vec![format!("{what}, and it is no call of the document")]
            };
        }
        let mut found = self.answer(call);
        if self.status.is_success() {
            found.extend(self.asked(call));
        }
        found.iter().map(|it| format!("{what}: {it}")).collect()
    }

    fn answer(&self, call: &Value) -> Vec<String> {
        let answer = &call["responses"][self.status.as_str()];
        if answer.is_null() {
            return vec![format!("no such answer is documented: {}", self.told)];
        }
        let media = self.content_type.unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default();
        let told = &answer["content"][media];
        if told.is_null() {
            return vec![format!("`{media}` is no documented form of it")];
        }
        if media != "application/json" && !media.ends_with("+json") {
            return Vec::new();
        }
        faults(&told["schema"], self.told)
    }

    /// What was asked and done, and the document does not know or would not allow.
    fn asked(&self, call: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for (name, value) in pairs(self.uri.query().unwrap_or_default()) {
            let params = call["parameters"].as_array().unwrap();
            let param = params
                .iter()
                .find(|it| it["in"] == "query" && it["name"] == *name);
            match param {
                None => found.push(format!("`{name}` is no documented parameter")),
                Some(param) if !value.is_empty() => {
                    found.extend(faults(&param["schema"], &read(&param["schema"], &value)));
                }
                Some(_) => {}
            }
        }
        let schema = &call["requestBody"]["content"]["application/json"]["schema"];
        match &self.sent {
            Some(sent) if schema.is_null() => found.push(format!("a body was read: {sent}")),
            Some(sent) => found.extend(faults(schema, sent)),
            None => {}
        }
        found
    }
}

/// A text as what its schema has it.
pub(crate) fn read(schema: &Value, text: &str) -> Value {
    match (schema["type"].as_str(), text.parse::<u64>()) {
        (Some("integer"), Ok(number)) => json!(number),
        _ => json!(text),
    }
}

/// The path of the document that this one is of: the one with the most segments that are said.
pub(crate) fn template(path: &str) -> Option<&'static str> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let given: Vec<&str> = path.split('/').collect();
    let fits = |template: &&String| {
        let segments: Vec<&str> = template.split('/').collect();
        segments.len() == given.len()
            && segments.iter().zip(&given).all(|(segment, given)| {
                segment == given || segment.starts_with('{') && !given.is_empty()
            })
    };
    let found = paths.keys().filter(fits);
    found
        .min_by_key(|it| it.matches('{').count())
        .map(String::as_str)
}

/// Everything in which `value` is not what `schema` asks for.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    static KNOWN: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
        LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap();
    let validator = known.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": {"schemas": DOCUMENT["components"]["schemas"]},
        });
        let built = jsonschema::options()
            .should_validate_formats(true)
            .build(&whole);
        Box::leak(Box::new(built.unwrap()))
    });
    let found = validator.iter_errors(value);
    found
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

/// The parameters of a query, as text.
fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescaped(name), unescaped(value))
        })
        .collect()
}

/// A text of a query without its escapes.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|it| char::from(it.unwrap_or(b'0')));
                u8::from_str_radix(&String::from_iter(digits), 16).unwrap_or(b'%')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request, and the JSON that is sent with it; a body that is not there yet is left as it is.
pub(crate) async fn looked_at(request: Request<Body>) -> (Request<Body>, Option<Value>) {
    let (parts, body) = request.into_parts();
    if http_body::Body::size_hint(&body).exact().is_none() {
        return (Request::from_parts(parts, body), None);
    }
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let content_type = parts.headers.get("content-type");
    let is_json = content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
    let sent = serde_json::from_slice(&bytes).ok().filter(|_| is_json);
    (Request::from_parts(parts, Body::from(bytes)), sent)
}
