//! The files that people read say what the reader does.

use std::path::{Path, PathBuf};

use portcullis::config;
use serde_json::Value;

use super::{SAMPLE, load, sample_with_certificates};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn examples() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root("config"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let text = read(&format!("config/{name}"));
            (name, text)
        })
        .collect()
}

#[test]
fn every_example_loads_without_a_warning() {
    let (_, folder) = sample_with_certificates();
    for (name, text) in examples() {
        let tls = format!("{}/api.", folder.path().display());
        let text = text
            .replace("config/tls/api.", &tls)
            .replace("config/tls/partner.", &tls);
        let config = load(&text).unwrap_or_else(|faults| panic!("{name}\n{faults}"));
        assert_eq!(config.warnings, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_accepts_the_examples_and_the_sample() {
    let schema = config::schema();
    let sample = ("the sample".to_owned(), SAMPLE.to_owned());
    for (name, text) in examples().into_iter().chain([sample]) {
        let value = yaml(&text);
        assert_eq!(wrong(&schema, &schema, &value, ""), None, "{name}");
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema = config::schema();
    let text = read("config/example-quick.yaml");
    for (from, to) in [
        ("listeners:", "listener:"),
        ("path_prefix: /", "path_prefix: /, x: 1"),
        ("upstream: api", "upstreem: api"),
        ("- name: api", "- cost: 0"),
        ("- name: api", "- key: { header: a, cookie: b }"),
        ("- name: api", "- key: some"),
    ] {
        let text = text.replace(from, to);
        assert!(load(&text).is_err(), "{to}");
        let value = yaml(&text);
        assert!(wrong(&schema, &schema, &value, "").is_some(), "{to}");
    }
}

/// Every field of the schema stands in the file that shows them all, with its default.
#[test]
fn the_full_example_shows_every_field_and_its_default() {
    let text = read("config/portcullis.yaml").replace("#:", "  ");
    let schema = config::schema();
    let tables = schema["$defs"]
        .as_object()
        .expect("definitions")
        .values()
        .chain([&schema]);
    for table in tables {
        for (name, field) in table["properties"].as_object().into_iter().flatten() {
            assert!(
                text.contains(&format!("{name}: ")) || text.contains(&format!("{name}:\n")),
                "{name}"
            );
            let default = match &field["default"] {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Array(items) => {
                    let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    format!("[{}]", items.join(", "))
                }
                other => other.to_string(),
            };
            assert!(
                text.contains(&format!("{name}: {default}")),
                "{name}: {default}"
            );
        }
    }
}

#[test]
fn the_reference_is_what_the_reader_does() {
    assert!(
        read("docs/configuration.md") == config::reference_markdown(),
        "docs/configuration.md is stale; `the_reference_is_written_anew` writes it"
    );
}

#[test]
#[ignore = "writes docs/configuration.md"]
fn the_reference_is_written_anew() {
    std::fs::write(root("docs/configuration.md"), config::reference_markdown()).expect("the page");
}

/// The text as another reader sees it.
fn yaml(text: &str) -> Value {
    let options = serde_yaml::options! { strict_booleans: true };
    serde_yaml::from_str_with_options(text, options).unwrap_or_else(|error| panic!("{error}"))
}

/// Where a value breaks a schema, as far as our schemas go; patterns are left to the reader's tests.
fn wrong(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let target = root
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{reference}"));
        return wrong(root, target, value, path);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let faults: Vec<Option<String>> = any
            .iter()
            .map(|schema| wrong(root, schema, value, path))
            .collect();
        let none_fits = faults.iter().all(Option::is_some);
        return none_fits.then(|| faults.into_iter().flatten().collect::<Vec<_>>().join(" / "));
    }
    if let Some(words) = schema["enum"].as_array() {
        return (!words.contains(value)).then(|| format!("{path}: not one of {words:?}"));
    }
    // The only pattern that matters here is what tells a variable from a word.
    if schema["pattern"]
        .as_str()
        .is_some_and(|pattern| pattern.starts_with("\\$\\{"))
        && !value.as_str().is_some_and(|text| text.contains("${"))
    {
        return Some(format!("{path}: no variable"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect::<Vec<_>>(),
    };
    let is_allowed = allowed.contains(&kind) || kind == "integer" && allowed.contains(&"number");
    if !is_allowed {
        return Some(format!("{path}: {kind}, not {allowed:?}"));
    }
    match value {
        Value::Number(number) => {
            let number = number.as_u64();
            let low = schema["minimum"]
                .as_u64()
                .is_some_and(|min| number < Some(min));
            let high = schema["maximum"]
                .as_u64()
                .is_some_and(|max| number > Some(max));
            (low || high).then(|| format!("{path}: out of bounds"))
        }
        Value::Array(items) => items
            .iter()
            .find_map(|item| wrong(root, &schema["items"], item, &format!("{path}[]"))),
        Value::Object(fields) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let missing = required
                .filter_map(Value::as_str)
                .find(|name| !fields.contains_key(*name));
            if let Some(name) = missing {
                return Some(format!("{path}.{name}: missing"));
            }
            if schema["maxProperties"]
                .as_u64()
                .is_some_and(|max| fields.len() as u64 > max)
            {
                return Some(format!("{path}: too many fields"));
            }
            fields.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Bool(false)) => Some(format!("{path}: unknown")),
                    (Value::Null, other) => wrong(root, other, value, &path),
                    (known, _) => wrong(root, known, value, &path),
                }
            })
        }
        _ => None,
    }
}
