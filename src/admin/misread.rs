//! What is wrong with a body, in the API's words: never the name of a type of ours, never what was given,
//! which may be a secret.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::admin::objects::Objects;
use crate::domain::lifecycle::FieldFault;

/// Everything that keeps `value` from being a `T`: what `first` says, and what is wrong with the other
/// fields of the body.
pub(crate) fn all<T: DeserializeOwned>(first: FieldFault, mut value: Value) -> Vec<FieldFault> {
    let mut faults = vec![first];
    while faults.len() < FAULTS_MAX {
        // What was told of is taken away, to see what is wrong besides.
        let told = faults.last().and_then(|fault| field(&fault.pointer));
        let (Some(told), Some(fields)) = (told, value.as_object_mut()) else {
            break;
        };
        if fields.remove(&told).is_none() {
            break;
        }
        match serde_path_to_error::deserialize::<_, T>(Objects(value.clone())) {
            Ok(_) => break,
            Err(error) => {
                let fault = one(error.path(), error.inner());
                // A field that was taken away is missed now, and it is no fault that it is.
                if faults
                    .iter()
                    .any(|known| known.pointer.starts_with(&fault.pointer))
                {
                    break;
                }
                faults.push(fault);
            }
        }
    }
    faults
}

/// One thing that is wrong.
pub(crate) fn one(path: &serde_path_to_error::Path, error: &serde_json::Error) -> FieldFault {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let at = pointer(path);
    if let Some(field) = between(text, "missing field `") {
        let detail = "this field is mandatory";
        return FieldFault::new(format!("{at}/{}", escaped(field)), "type", detail);
    }
    if let Some(field) = between(text, "duplicate field `") {
        let detail = format!("`{field}` is given twice");
        return FieldFault::new(at, "type", detail);
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let known = rest.split_once("expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ");
        let detail = match known {
            "" | "there are no fields" => "there is no such field".to_owned(),
            known => format!("there is no such field here; there are {known}"),
        };
        return FieldFault::new(at, "type", detail);
    }
    let expected = text
        .split_once("expected ")
        .map(|(_, expected)| wanted(expected));
    let given = text.split_once(": ").map(|(_, given)| given_kind(given));
    let detail = match (expected, given) {
        (Some(expected), Some(given)) => format!("{expected} is expected here, not {given}"),
        (Some(expected), None) => format!("{expected} is expected here"),
        (None, _) => "this cannot be read".to_owned(),
    };
    FieldFault::new(at, "type", detail)
}

/// What serde expects, as JSON calls it.
fn wanted(expected: &str) -> String {
    let expected = expected.trim();
    let number = |most: u64| format!("a whole number from 0 to {most}");
    match expected {
        "u8" => number(u8::MAX.into()),
        "u16" => number(u16::MAX.into()),
        "u32" => number(u32::MAX.into()),
        "u64" => "a whole number, not below 0".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if expected.starts_with("struct ") || expected.contains("map") => "an object".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// What was given, by its kind alone.
fn given_kind(given: &str) -> &'static str {
    match given.split([' ', ',']).next().unwrap_or_default() {
        "string" => "a text",
        "integer" | "floating" | "number" => "this number",
        "boolean" => "`true` or `false`",
        "null" | "unit" | "Option" => "`null`",
        "sequence" => "a list",
        "map" => "an object",
        _ => "this",
    }
}

fn between<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.split('`').next()
}

/// A path as a JSON pointer (RFC 6901 §3).
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escaped(key)),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The field of the body that a pointer leads into.
fn field(pointer: &str) -> Option<String> {
    let first = pointer.strip_prefix('/')?.split('/').next()?;
    Some(first.replace("~1", "/").replace("~0", "~"))
}

/// More than anyone mends at once.
const FAULTS_MAX: usize = 20;
