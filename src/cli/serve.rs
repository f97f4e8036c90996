//! `serve`: runs the gate for real, until SIGTERM or SIGINT.

use std::path::PathBuf;

use clap::Args;

use super::check;
use super::failure::Failure;
use super::output::Output;
use crate::config::Config;

/// With which configuration.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let config = check::load(&self.config, output)?;
        run_gate(config)
    }
}

/// Runs a gate until it is told to stop and everything in flight has finished.
///
/// SEAM: becomes `app::run(config, …)`.
pub(super) fn run_gate(_config: Config) -> Result<(), Failure> {
    Err(Failure::Gate(anyhow::anyhow!("the gate cannot run yet")))
}
