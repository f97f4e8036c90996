//! What can be asked of the audit log, and how it is shown.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::told;
use crate::api::audit::{Entry, Verdict};
use crate::api::page::Page;
use crate::cli::client::{Client, Connection};
use crate::cli::command::{Conversation, call};
use crate::cli::failure::Failure;
use crate::cli::keys::KeyArgument;
use crate::cli::names::resolved;
use crate::cli::output::Output;
use crate::cli::owners::OwnerArgument;
use crate::cli::paging::Paging;
use crate::cli::render::{Cell, Table, Tone, visible};
use crate::cli::values::When;
use crate::domain::audit::form::unhex;

/// The audit log.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List entries, the newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        paging: Paging,
    },
    /// Write all entries that are asked for to a file, or to standard output
    Export {
        #[command(flatten)]
        filter: Filter,
        /// In which form; NDJSON is what `audit verify` reads
        #[arg(long, value_enum, default_value = "ndjson")]
        format: ExportFormat,
        /// The file; it must not be there yet
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prove that no entry was altered: in the store, or in a file, without any gate
    Verify {
        /// An export or an archive, as NDJSON
        file: Option<PathBuf>,
        /// The public key of a gate, as an earlier verify told it; once for each gate. Then a file is valid only if
        /// nobody else signed it, and one of them did
        #[arg(long = "key", value_name = "HEX", requires = "file", value_parser = public_key)]
        keys: Vec<[u8; 32]>,
    },
    /// Write all entries up to a day to a file, and prove it whole as far as it is signed
    Archive {
        /// The first day that does not belong to it, or a time
        #[arg(long, value_name = "DATE")]
        before: String,
        /// The file; it must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Which entries.
#[derive(Debug, Default, Args)]
struct Filter {
    /// Only of this type: key_rotation, key_revocation, request, …
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only about this key
    #[arg(long, value_name = "NAME|ID")]
    key: Option<KeyArgument>,
    /// Only about versions of this number
    #[arg(long, value_name = "NUMBER")]
    key_version: Option<u16>,
    /// Only by whoever has this id
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only about this owner and its keys
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// From when: a day, a time or how long ago (2026-01-31, 2026-01-31T12:00:00Z, 2h)
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Up to a day or time, which belongs to it, or until how long ago
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// Only what was done, or what was refused
    #[arg(long, value_name = "OUTCOME", value_parser = ["done", "refused"])]
    outcome: Option<String>,
    /// Only what was refused with this code
    #[arg(long)]
    code: Option<String>,
    /// Only of this call or request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

/// In which form to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    Ndjson,
    Csv,
}

impl Filter {
    async fn query(self, client: &Client) -> Result<Vec<(&'static str, String)>, Failure> {
        let given = [
            ("type", self.kind),
            ("key_id", resolved(self.key.as_ref(), client).await?),
            (
                "key_version",
                self.key_version.map(|version| version.to_string()),
            ),
            ("actor", self.actor),
            ("owner", resolved(self.owner.as_ref(), client).await?),
            ("start_date", self.from.map(When::into_text)),
            ("end_date", self.to.map(When::into_text)),
            ("outcome", self.outcome),
            ("code", self.code),
            ("request_id", self.request_id),
        ];
        let given = given.into_iter();
        Ok(given
            .filter_map(|(name, value)| Some((name, value?)))
            .collect())
    }
}

impl Audit {
    /// Does what was asked; for a file no gate is called.
    ///
    /// # Errors
    /// Why it was not done, or that something was altered.
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        match self.command {
            AuditCommand::Verify {
                file: Some(file),
                keys,
            } => {
                let is_pinned = !keys.is_empty();
                let verdict = super::verify::file(&file, keys, output)?;
                tell(&verdict, self.connection.json, output)?;
                if is_pinned && !verdict.signers.iter().any(|signer| signer.known) {
                    return Err(Failure::Unsigned);
                }
                Ok(())
            }
            command => call(&self.connection, command, output),
        }
    }
}

impl Conversation for AuditCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List { filter, paging } => {
                let mut query = filter.query(client).await?;
                paging.add_to(&mut query);
                let answer = client.list(PATH, query, paging.all).await?;
                if json {
                    return output.json(answer.as_json());
                }
                let page: Page<Entry> = answer.read()?;
                show_all(&page.items, output)?;
                Paging::note_rest(page.next_cursor.as_deref(), output)
            }
            Self::Export {
                filter,
                format,
                out,
            } => {
                let query = filter.query(client).await?;
                super::export::export(client, query, format, out.as_deref(), output).await
            }
            Self::Verify { .. } => {
                let answer = client.get(&["admin", "audit-logs", "verify"], &[]).await?;
                tell(&answer.read()?, json, output)
            }
            Self::Archive { before, out } => {
                super::export::archive(client, &before, &out, output).await?;
                let verdict = super::verify::file(&out, Vec::new(), output)?;
                tell(&verdict, json, output)
            }
        }
    }
}

/// Says what came of verifying. What was altered is a failure.
fn tell(verdict: &Verdict, json: bool, output: &mut Output) -> Result<(), Failure> {
    if json {
        output.json(verdict)?;
    }
    match &verdict.fault {
        None if json => Ok(()),
        None => {
            output.line(&format!("valid: {} entries, none altered", verdict.entries))?;
            tell_signers(verdict, output)
        }
        Some(fault) => Err(Failure::Altered {
            seq: fault.seq,
            kind: fault.kind.clone(),
        }),
    }
}

/// Says who signed, and whether that proves anything.
fn tell_signers(verdict: &Verdict, output: &mut Output) -> Result<(), Failure> {
    if verdict.signers.is_empty() && verdict.entries > 0 {
        output.line("signed by nobody: whoever could write all of it could have made it anew")?;
    }
    for signer in &verdict.signers {
        let known = if signer.known {
            "a key that is known"
        } else {
            "not checked against any key that is known"
        };
        output.line(&format!(
            "signed up to entry {} by {} with {}: {known}",
            signer.last,
            visible(&signer.node),
            visible(&signer.public_key),
        ))?;
    }
    Ok(())
}

/// 32 bytes as hex digits.
fn public_key(text: &str) -> Result<[u8; 32], String> {
    unhex(&text.to_ascii_lowercase()).ok_or_else(|| "a public key is 64 hex digits".to_owned())
}

fn show_all(entries: &[Entry], output: &mut Output) -> Result<(), Failure> {
    if entries.is_empty() {
        return output.note("No entries.");
    }
    let header = ["TIME", "TYPE", "OUTCOME", "BY", "ABOUT", "WHY"];
    let mut table = Table::new(&header).sparing(&["BY", "OUTCOME"]);
    for entry in entries {
        let text = |place| entry.text(place).unwrap_or_default();
        let outcome = match entry.text("/code") {
            Some(code) => Cell::toned(code, Tone::Bad),
            None => Cell::toned("done", Tone::Good),
        };
        let by = entry
            .text("/actor/name")
            .or_else(|| entry.text("/actor/id"));
        let (about, why) = told::about_and_why(entry);
        table.row(vec![
            // Parted, so that a narrow terminal has the day above the time.
            Cell::text(text("/timestamp").replacen('T', " ", 1)),
            Cell::solid(text("/type")),
            outcome,
            Cell::text(by.or_else(|| entry.text("/address")).unwrap_or_default()),
            Cell::text(about),
            Cell::text(why),
        ]);
    }
    output.table(&table)
}

pub(super) const PATH: &[&str] = &["admin", "audit-logs"];
