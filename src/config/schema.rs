//! The JSON Schema of the file (draft 2020-12), for editors and for `config schema`.
//!
//! It is made from the table the reader uses. It is a little narrower than the reader where that helps
//! whoever types (numbers are numbers), and lets `${NAME}` stand for any value.

use serde_json::{Map, Value, json};

use super::resolve::CONFIGURATION;
use super::table::{Absent, Described, Form, Shape, Table};
use super::units::Unit;

/// The schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut definitions: Map<String, Value> = CONFIGURATION
        .all()
        .into_iter()
        .skip(1)
        .map(|table| (key(table), section(table)))
        .collect();
    definitions.insert(
        VARIABLE.to_owned(),
        json!({
            "description": "A value, or a part of one, from the environment.",
            "type": "string",
            "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
        }),
    );
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Portcullis configuration",
    });
    if let (Some(root), Value::Object(section)) = (root.as_object_mut(), section(&CONFIGURATION)) {
        root.extend(section);
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

fn section(table: &Table) -> Value {
    let properties: Map<String, Value> = table
        .fields
        .iter()
        .map(|field| (field.name().to_owned(), property(*field)))
        .collect();
    let required: Vec<&str> = table
        .fields
        .iter()
        .filter(|field| field.absent() == Absent::Fault)
        .map(|field| field.name())
        .collect();
    let mut section = json!({
        "description": table.says,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if table.exactly_one
        && let Some(section) = section.as_object_mut()
    {
        section.insert("minProperties".to_owned(), json!(1));
        section.insert("maxProperties".to_owned(), json!(1));
    }
    section
}

fn property(field: &dyn Described) -> Value {
    let mut allowed = match field.shape() {
        Shape::Value(form) => value(&form),
        Shape::Values(form) => vec![json!({ "type": "array", "items": one_of(value(&form)) })],
        Shape::Section(table) => vec![reference(table)],
        Shape::Sections(table) => vec![json!({ "type": "array", "items": reference(table) })],
        Shape::Named(table) => {
            vec![json!({ "type": "object", "additionalProperties": reference(table) })]
        }
        Shape::Either(form, table) => {
            let mut either = value(&form);
            either.push(reference(table));
            either
        }
    };
    if field.absent() != Absent::Fault {
        allowed.push(json!({ "type": "null" }));
    }
    let mut property = one_of(allowed);
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), json!(field.says()));
        if let Absent::Default(text) = field.absent() {
            property.insert("default".to_owned(), default(&field.shape(), text));
        }
    }
    property
}

/// What a single value may be; each is enough.
fn value(form: &Form) -> Vec<Value> {
    let typed = match form {
        Form::Number {
            unit: Unit::Count,
            min,
            max,
        } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Form::Number { unit, .. } => json!({ "type": "string", "pattern": unit.pattern() }),
        Form::Words(words) if is_switch(words) => json!({ "type": "boolean" }),
        Form::Words(words) => json!({ "enum": words }),
        Form::Text {
            pattern: Some(pattern),
            ..
        } => json!({ "type": "string", "pattern": pattern }),
        // A number is a text too, where a text is wanted: `node: 7`.
        Form::Text { pattern: None, .. } => return vec![json!({ "type": ["string", "number"] })],
    };
    vec![typed, json!({ "$ref": format!("#/$defs/{VARIABLE}") })]
}

fn one_of(mut allowed: Vec<Value>) -> Value {
    if allowed.len() == 1 {
        return allowed.remove(0);
    }
    json!({ "anyOf": allowed })
}

fn reference(table: &Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", key(table)) })
}

fn key(table: &Table) -> String {
    table.name.replace(' ', "_")
}

fn default(shape: &Shape, text: &str) -> Value {
    match shape {
        Shape::Values(_) => text.split(", ").collect(),
        Shape::Value(Form::Number {
            unit: Unit::Count, ..
        }) => text.parse::<u64>().map_or(Value::Null, Value::from),
        Shape::Value(Form::Words(words)) if is_switch(words) => json!(text == "true"),
        _ => json!(text),
    }
}

fn is_switch(words: &[&str]) -> bool {
    words == ["true", "false"]
}

const VARIABLE: &str = "variable";
