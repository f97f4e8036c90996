//! Reads a file of keys, has them made, and reports on each.
//!
//! The file is read whole before anything is sent, so that what is wrong with its form is told of all of
//! it and nothing is done. No secret of it is ever printed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{csv, kong};
use crate::api::keys::ImportLine;
use crate::app::SystemClock;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::owners::OwnerType;
use crate::cli::render::{Cell, Table, Tone, visible};
use crate::domain::time::Clock as _;

/// Keys to be made of secrets there are.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    /// What it is; default: by its name
    #[arg(long, value_name = "FORM")]
    form: Option<Form>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The environment of keys that name none; default: the gate's first
    #[arg(long)]
    env: Option<String>,
    /// What the owners are that are given by name alone
    #[arg(long, value_name = "TYPE", default_value = "team")]
    owner_type: OwnerType,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A table with a header line: secret or sha256, name, owner, and any of owner_type, owner_id, env,
    /// description, scopes, products, labels, expires_at, risk
    Csv,
    /// Kong's declarative configuration (YAML or JSON): consumers with keyauth_credentials
    Kong,
    /// What the admin API takes: a JSON object on each line
    Ndjson,
}

/// A key to be made, as the admin API takes it, and where in the file it stands.
pub(super) struct Row {
    /// For people: `line 3`, `consumer billing, key 1`.
    pub(super) place: String,
    pub(super) fields: Map<String, Value>,
}

impl Import {
    pub(in crate::cli::keys) async fn run(
        self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let rows = self.rows()?;
        let mut told: Vec<(&Row, ImportLine)> = Vec::with_capacity(rows.len());
        // What was done is told whatever comes after it: nobody can ask the gate for it later.
        let sent = self.send_all(client, &rows, &mut told).await;
        let refused = told.iter().filter(|(_, line)| line.outcome != DONE).count();
        if json {
            for (row, line) in &told {
                let mut line = serde_json::to_value(line).map_err(Failure::Unreadable)?;
                if let Some(line) = line.as_object_mut() {
                    line.insert("place".to_owned(), json!(row.place));
                }
                output.line(&line.to_string())?;
            }
        } else if sent.is_ok() || !told.is_empty() {
            report(&told, self.dry_run, output)?;
            let verb = if self.dry_run {
                "would be taken over"
            } else {
                "taken over"
            };
            output.note(&format!(
                "{} {verb}, {refused} refused.",
                told.len() - refused
            ))?;
        }
        sent?;
        if refused == 0 && told.len() == rows.len() {
            Ok(())
        } else {
            let (refused, of) = (rows.len() - (told.len() - refused), rows.len());
            Err(if self.dry_run {
                Failure::SomeWouldBe { refused, of }
            } else {
                Failure::SomeRefused { refused, of }
            })
        }
    }

    /// Sends all rows, some at once, and takes down what became of each.
    async fn send_all<'a>(
        &self,
        client: &Client,
        rows: &'a [Row],
        told: &mut Vec<(&'a Row, ImportLine)>,
    ) -> Result<(), Failure> {
        let query = [("dry_run", self.dry_run.to_string())];
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let body = Zeroizing::new(rows.iter().fold(String::new(), |text, row| {
                text + &Value::Object(row.fields.clone()).to_string() + "\n"
            }));
            let path = ["admin", "keys", "import"];
            let lines = client.post_lines(&path, &query, &body).await?;
            for line in lines {
                let line: ImportLine = serde_json::from_value(line).map_err(Failure::Unreadable)?;
                if line.outcome == STOPPED {
                    return Err(Failure::Stopped {
                        code: line.code.unwrap_or_default(),
                        detail: line.detail.unwrap_or_default(),
                    });
                }
                let at = usize::try_from(line.line).unwrap_or_default();
                if let Some(row) = at.checked_sub(1).and_then(|at| rows.get(at)) {
                    told.push((row, line));
                }
            }
        }
        Ok(())
    }

    /// What the file asks for.
    fn rows(&self) -> Result<Vec<Row>, Failure> {
        let wrong = |why: String| Failure::Usage(format!("{}: {why}", self.file.display()));
        let text = std::fs::read_to_string(&self.file).map_err(|error| wrong(error.to_string()))?;
        let text = Zeroizing::new(text);
        let extension = self
            .file
            .extension()
            .and_then(|extension| extension.to_str());
        let form = self.form.or(match extension {
            Some("csv") => Some(Form::Csv),
            Some("yaml" | "yml" | "json") => Some(Form::Kong),
            Some("ndjson" | "jsonl") => Some(Form::Ndjson),
            _ => None,
        });
        let form = form.ok_or_else(|| {
            wrong("its name does not say what it is; say --form csv, kong or ndjson".to_owned())
        })?;
        let mut rows = match form {
            Form::Csv => csv::rows(&text),
            Form::Kong => kong::rows(&text, SystemClock::new().now()),
            Form::Ndjson => ndjson(&text),
        }
        .map_err(wrong)?;
        for row in &mut rows {
            self.complete(&mut row.fields);
        }
        Ok(rows)
    }

    /// Adds what the command line says of all rows.
    fn complete(&self, fields: &mut Map<String, Value>) {
        if let Some(env) = &self.env {
            fields.entry("env").or_insert_with(|| json!(env));
        }
        if let Some(owner) = fields.get_mut("owner").and_then(Value::as_object_mut) {
            let kind = self.owner_type.as_str();
            owner.entry("type").or_insert_with(|| json!(kind));
        }
    }
}

fn ndjson(text: &str) -> Result<Vec<Row>, String> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let place = format!("line {}", at + 1);
            // Not what the parser says: it might quote a secret.
            match serde_json::from_str(line) {
                Ok(fields) => Ok(Row { place, fields }),
                Err(_) => Err(format!("{place} is no JSON object")),
            }
        })
        .collect()
}

fn report(told: &[(&Row, ImportLine)], dry_run: bool, output: &mut Output) -> Result<(), Failure> {
    if told.is_empty() {
        return output.note("Nothing to take over.");
    }
    let mut table = Table::new(&["WHERE", "NAME", "OUTCOME", "KEY", "FINGERPRINT", "WHY"]);
    for (row, line) in told {
        let name = row.fields.get("name").and_then(Value::as_str);
        let outcome = match (line.outcome.as_str(), dry_run) {
            (DONE, false) => Cell::toned("done", Tone::Good),
            (DONE, true) => Cell::toned("would be done", Tone::Good),
            (_, false) => Cell::toned("refused", Tone::Bad),
            (_, true) => Cell::toned("would be refused", Tone::Bad),
        };
        table.row(vec![
            Cell::text(&row.place),
            Cell::text(name.unwrap_or_default()),
            outcome,
            Cell::maybe(line.key_id.as_ref().map(ToString::to_string)),
            Cell::maybe(line.fingerprint.as_ref()),
            Cell::text(why(line)),
        ]);
    }
    output.table(&table)
}

fn why(line: &ImportLine) -> String {
    let code = line.code.as_deref().unwrap_or_default();
    match line.errors.as_slice() {
        [] => code.to_owned(),
        errors => errors
            .iter()
            .map(|fault| format!("{} {}", fault.pointer, visible(&fault.detail)))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// The owner of a key, by name or id; the type is added later where the file names none.
pub(super) fn owner(name: &str, kind: Option<&str>) -> Value {
    let mut owner = json!({"name": name});
    if let (Some(kind), Some(owner)) = (kind, owner.as_object_mut()) {
        owner.insert("type".to_owned(), json!(kind));
    }
    owner
}

/// How many rows go into one call: it ends well within the time an answer may take.
const ROWS_AT_ONCE: usize = 500;
const DONE: &str = "done";
const STOPPED: &str = "stopped";
