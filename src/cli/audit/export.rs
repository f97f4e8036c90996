//! Writes entries to a file, page by page: what is asked for may be larger than memory.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::command::{ExportFormat, PATH};
use crate::api::audit::NEXT_CURSOR;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::progress::Progress;

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
    let mut file = out.map(Unfinished::create).transpose()?;
    let mut progress = Progress::of(0, "entries");
    let mut lines = 0;
    loop {
        let (text, next) = client.text(PATH, &query, NEXT_CURSOR).await?;
        lines += text.lines().count() as u64;
        match &mut file {
            Some(file) => file.text.write_all(text.as_bytes())?,
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
        file.finish()?;
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

/// A file under another name, which gets its own once it is whole: what breaks off in the middle has the
/// newest entries only, and must not pass for all of them.
struct Unfinished {
    text: BufWriter<File>,
    /// Where it is; removed with this value.
    path: PathBuf,
    name: PathBuf,
}

impl Unfinished {
    fn create(name: &Path) -> Result<Self, Failure> {
        let cannot =
            |error: io::Error| Failure::Usage(format!("cannot make {}: {error}", name.display()));
        // Said now, not when all of it has been fetched.
        if name.symlink_metadata().is_ok() {
            return Err(cannot(io::ErrorKind::AlreadyExists.into()));
        }
        let mut path = OsString::from(name);
        path.push(format!(".{}.part", std::process::id()));
        let path = PathBuf::from(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(cannot)?;
        Ok(Self {
            text: BufWriter::new(file),
            path,
            name: name.to_owned(),
        })
    }

    /// Gives it its name, unless another file has got that meanwhile.
    fn finish(mut self) -> io::Result<()> {
        self.text.flush()?;
        self.text.get_ref().sync_all()?;
        // Unlike renaming, this replaces nothing.
        fs::hard_link(&self.path, &self.name)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // If it stays, its name says what it is.
        let _ = fs::remove_file(&self.path);
    }
}
