//! Writes entries to a file, page by page: what is asked for may be larger than memory.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::command::{ExportFormat, PATH};
use super::progress::Progress;
use crate::api::audit::NEXT_CURSOR;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Writes all that `query` asks for to `out`, or to standard output.
///
/// # Errors
/// What the admin API says, or if the file is there already or cannot be written.
pub(super) async fn export(
    client: &Client,
    mut query: Vec<(&'static str, String)>,
    format: ExportFormat,
    out: Option<&Path>,
    output: &mut Output,
) -> Result<(), Failure> {
    let word = match format {
        ExportFormat::Ndjson => "ndjson",
        ExportFormat::Csv => "csv",
    };
    query.push(("format", word.to_owned()));
    query.push(("limit", "1000".to_owned()));
    let mut file = out.map(create).transpose()?;
    let mut progress = Progress::of(0);
    let mut lines = 0;
    loop {
        let (text, next) = client.text(PATH, &query, NEXT_CURSOR).await?;
        lines += text.lines().count() as u64;
        match &mut file {
            Some(file) => file.write_all(text.as_bytes())?,
            None => output.text(&text)?,
        }
        if out.is_some() {
            progress.at(lines, output)?;
        }
        let Some(cursor) = next else { break };
        // A gate that hands out the cursor it was given would be asked for ever.
        if query
            .iter()
            .any(|(name, known)| *name == "cursor" && *known == cursor)
        {
            break;
        }
        query.retain(|(name, _)| *name != "cursor");
        query.push(("cursor", cursor));
    }
    progress.end(output)?;
    if let Some(file) = file {
        let file = file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        output.note(&format!("{lines} lines written."))?;
    }
    Ok(())
}

/// Writes all entries before `before` to `out`.
///
/// # Errors
/// As [`export`].
pub(super) async fn archive(
    client: &Client,
    before: &str,
    out: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    // The end of a span belongs to it; what ends before a day ends with the millisecond before.
    let time = if before.len() == 10 {
        format!("{before}T00:00:00Z")
    } else {
        before.to_owned()
    };
    let time: crate::domain::time::Timestamp = time
        .parse()
        .map_err(|_| Failure::Usage(format!("`{before}` is no day like 2026-01-31 and no time")))?;
    let last = time.before(std::time::Duration::from_millis(1));
    let query = vec![("end_date", last.to_string())];
    export(client, query, ExportFormat::Ndjson, Some(out), output).await
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::Usage(format!("cannot make {}: {error}", path.display())))?;
    Ok(BufWriter::new(file))
}
