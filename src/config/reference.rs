//! The configuration reference (docs/configuration.md), made from the table the reader uses.

use std::fmt::Write as _;

use super::resolve::CONFIGURATION;
use super::table::{Absent, Form, Shape, Table};
use super::units::Unit;

/// The reference in Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for table in CONFIGURATION.all() {
        section(&mut page, table);
    }
    page
}

fn section(page: &mut String, table: &Table) {
    let mut rows = String::new();
    for field in table.fields {
        let absent = match field.absent() {
            Absent::Fault => "**required**".to_owned(),
            Absent::Default(text) if matches!(field.shape(), Shape::Values(_)) => {
                format!("`[{text}]`")
            }
            Absent::Default(text) => format!("`{text}`"),
            Absent::Means(words) => words.to_owned(),
        };
        let cells = [
            format!("`{}`", field.name()),
            value(&field.shape()),
            absent,
            field.says().to_owned(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        // Writing to a String cannot fail.
        let _ = writeln!(rows, "| {} |", cells.join(" | "));
    }
    let only = if table.exactly_one {
        "Exactly one of these is given.\n\n"
    } else {
        ""
    };
    let _ = write!(
        page,
        "\n## {}\n\n{}\n\n{only}| Field | Value | If left out | What it does |\n|---|---|---|---|\n{rows}",
        table.name, table.says,
    );
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::Value(form) => single(form),
        Shape::Values(form) => format!("list: {}", single(form)),
        Shape::Section(table) => link(table),
        Shape::Sections(table) => format!("list: {}", link(table)),
        Shape::Named(table) => format!("name → {}", link(table)),
        Shape::Either(form, table) => format!("{}, or {}", single(form), link(table)),
    }
}

fn single(form: &Form) -> String {
    match form {
        Form::Number { unit, min, max } => {
            let kind = match unit {
                Unit::Count => "number",
                Unit::Duration => "duration",
                Unit::Size => "size",
            };
            format!("{kind}, {} to {}", unit.show(*min), unit.show(*max))
        }
        Form::Words(_) | Form::Text { .. } => form.what(),
    }
}

fn link(table: &Table) -> String {
    format!("[{}](#{})", table.name, table.name.replace(' ', "-"))
}

const INTRODUCTION: &str = "\
# Configuration reference

One YAML file. `portcullis check --config FILE` says everything that is wrong with it, each with file,
line and column; `serve` starts only with a file that has no fault. `portcullis config schema` prints the
JSON Schema of it, for editors. Every field with its default stands in
[`config/portcullis.yaml`](../config/portcullis.yaml); the other files beside it are examples to begin with.

<!-- Made from src/config: `cargo test --test it the_reference_is_written_anew -- --ignored`; a test compares. -->

- **Unknown fields are refused**, and so is a field that is given twice. A field that is empty or `null` is
  as if it were left out.
- **The environment**: `${NAME}` anywhere in a value is read from the environment, and a variable that is not
  there is a fault; `${NAME:-default}` takes the default where it is missing or empty; `$${` is `${` itself.
  Between braces it is quoted: `{ to: \"${LOG}\" }`, because YAML would read its own braces as more of them.
  It happens after the file was parsed, so a value can never become more than a value, and nothing from the
  environment is ever shown in a message.
- **`PORTCULLIS_NODE_KEY`**, which no field names, is the key a gate signs the audit log with: 32 bytes, as 64 hex
  digits or in base64 (`openssl rand -hex 32`). Where it is not set, `node.key` in `data_dir` is, made at the first start.
- **Durations** are one number and `ms`, `s`, `m`, `h` or `d`; **sizes** one number and `B`, `KiB`, `MiB` or
  `GiB`; **rates** `100/minute`, with `second`, `minute`, `hour` or `day`; switches are `true` or `false` and no
  other word.
- **Paths** of files are relative to the folder the process is started in.
- Anchors and aliases may be used; tags, merge keys (`<<`) and a second document may not.
";
