//! `store …`: takes a whole store into a file, out of one, and from one place to another. No gate is asked: these
//! read configurations and go to the stores themselves.

use std::path::{Path, PathBuf};

use anyhow::Error;
use clap::{Args, Subcommand};
use serde_json::json;

use super::check;
use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::render::{Sheet, visible};
use crate::app::{self, Carried, CarryError, Origin};
use crate::domain::audit::form::unhex;

/// A whole store.
#[derive(Debug, Args)]
pub(crate) struct Store {
    /// Print what was done as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: StoreCommand,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Write all of a store to a file, signed with this gate's key; gates may be running
    Snapshot {
        /// The configuration that names the store
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The file; it must not be there yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a store of a snapshot where there is none: the same keys, revision and audit log
    Restore {
        /// The configuration that names the store
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The snapshot
        #[arg(long, value_name = "FILE", required_unless_present = "from_mirror")]
        from: Option<PathBuf>,
        /// From what this gate holds of a store that Redis has lost; gates may be running
        #[arg(long, conflicts_with = "from")]
        from_mirror: bool,
        /// The public key of another gate whose snapshots are trusted, as `store snapshot` told it; repeatable
        #[arg(long, value_name = "HEX", value_parser = public_key)]
        signed_by: Vec<[u8; 32]>,
        /// Replace the store that is there, if it is the one of this incarnation
        #[arg(long, value_name = "INCARNATION")]
        replace: Option<String>,
    },
    /// Make the store of one configuration that of another; stop all gates before
    Migrate {
        /// The configuration that names the store there is
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The configuration that names where it is to be
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Replace the store that is there, if it is the one of this incarnation
        #[arg(long, value_name = "INCARNATION")]
        replace: Option<String>,
    },
}

impl Store {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done, or that the audit log of what was carried is not as it was written.
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut bar = Bar {
            output,
            of: None,
            is_broken: false,
        };
        let mut told = |what: &'static str, done: u64, total: u64| bar.at(what, done, total);
        let (words, carried) = match self.command {
            StoreCommand::Snapshot { config, to } => {
                let config = check::load(&config)?;
                let carried = runtime.block_on(app::snapshot(&config, &to, &mut told));
                (format!("written to {}", shown(&to)), carried)
            }
            StoreCommand::Restore {
                config,
                from,
                from_mirror: _,
                signed_by,
                replace,
            } => {
                let config = check::load(&config)?;
                let origin = from.map_or(Origin::Mirror, |file| Origin::File(file, signed_by));
                let carried = runtime.block_on(app::restore(&config, &origin, replace, &mut told));
                ("restored".to_owned(), carried)
            }
            StoreCommand::Migrate { from, to, replace } => {
                let (from, to) = (check::load(&from)?, check::load(&to)?);
                let carried = runtime.block_on(app::migrate(&from, &to, replace, &mut told));
                ("migrated".to_owned(), carried)
            }
        };
        bar.end()?;
        let carried = carried.map_err(|error: CarryError| Failure::Gate(Error::new(error)))?;
        tell(&words, &carried, self.json, output)?;
        if let Some(fault) = &carried.audit.fault {
            return Err(Failure::Altered {
                seq: fault.seq,
                kind: fault.kind.as_str().to_owned(),
            });
        }
        match carried.moved_to {
            Some(revision) => Err(Failure::MovedOn {
                carried: carried.revision,
                revision,
            }),
            None => Ok(()),
        }
    }
}

fn tell(words: &str, carried: &Carried, is_json: bool, output: &mut Output) -> Result<(), Failure> {
    if is_json {
        let tables: serde_json::Map<_, _> = carried
            .tables
            .iter()
            .map(|(name, rows)| (name.clone(), json!(rows)))
            .collect();
        return output.json(&json!({
            "incarnation": carried.incarnation,
            "revision": carried.revision,
            "tables": tables,
            "audit": {
                "valid": carried.audit.fault.is_none(),
                "entries": carried.audit.entries,
            },
            "signed_by": carried.signed_by,
        }));
    }
    let mut sheet = Sheet::default();
    sheet.fact("store", words);
    sheet.fact("incarnation", &carried.incarnation);
    sheet.fact("revision", carried.revision.to_string());
    for (table, words) in TOLD {
        let rows = carried
            .tables
            .iter()
            .filter(|(name, _)| table.contains(&name.as_str()));
        let rows: u64 = rows.map(|(_, rows)| rows).sum();
        sheet.fact(words, rows.to_string());
    }
    let entries = carried.audit.entries;
    sheet.fact(
        "audit log",
        match &carried.audit.fault {
            None => format!("{entries} entries, each as it was written"),
            Some(_) => format!("{entries} entries, not all as they were written"),
        },
    );
    sheet.maybe("signed by", carried.signed_by.as_ref());
    output.sheet(&sheet)
}

/// What people count by, and the tables it lies in.
const TOLD: [(&[&str], &str); 6] = [
    (&["keys"], "keys"),
    (&["owners"], "owners"),
    (&["tokens"], "tokens"),
    (&["rules"], "rules"),
    (&["usage_hour", "usage_day"], "counts"),
    (&["quotas"], "quotas given out"),
];

/// A bar for each kind of work, one after the other.
struct Bar<'a> {
    output: &'a mut Output,
    of: Option<(&'static str, u64, Progress)>,
    is_broken: bool,
}

impl Bar<'_> {
    fn at(&mut self, what: &'static str, done: u64, total: u64) {
        if self
            .of
            .as_ref()
            .is_none_or(|(known, of, _)| (*known, *of) != (what, total))
        {
            self.of = Some((what, total, Progress::of(total, what)));
        }
        if let Some((_, _, bar)) = &mut self.of
            && !self.is_broken
        {
            // Whoever looked has gone; the work goes on.
            self.is_broken = bar.at(done, self.output).is_err();
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self.of {
            Some((_, _, bar)) => bar.end(self.output),
            None => Ok(()),
        }
    }
}

fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    unhex(&text.to_ascii_lowercase())
        .ok_or_else(|| "a public key is 64 hexadecimal digits".to_owned())
}
