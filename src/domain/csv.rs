//! Things as lines of CSV (RFC 4180): the names of their JSON form, nested ones dotted.

use serde_json::Value;

/// The first line of these columns, without its end.
#[must_use]
pub fn head(columns: &[&str]) -> String {
    columns.join(",")
}

/// A thing as a line, without its end. What a spreadsheet would take for a formula begins with `'`.
#[must_use]
pub fn line(columns: &[&str], form: &Value) -> String {
    let cells = columns.iter().map(|name| {
        let found = name.split('.').try_fold(form, |form, name| form.get(name));
        match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => cell(text),
            Some(Value::Array(list)) if list.is_empty() => String::new(),
            Some(other) => cell(&other.to_string()),
        }
    });
    cells.collect::<Vec<_>>().join(",")
}

fn cell(text: &str) -> String {
    let guard = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => "'",
        _ => "",
    };
    // `;` and tab part cells where a spreadsheet is set up to read them so.
    if guard.is_empty() && !text.contains(['"', ',', ';', '\t', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}
