//! `check`: says everything that is wrong with a configuration, and starts nothing.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use super::render::{count, visible};
use crate::config::{self, Config, StoreChoice};

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let config = load(&self.config)?;
        for warning in &config.warnings {
            output.note(&format!("warning: {}", visible(warning)))?;
        }
        output.line(&format!(
            "{}: OK ({})",
            visible(&self.config.to_string_lossy()),
            summary(&config)
        ))
    }
}

/// Reads a configuration.
///
/// # Errors
/// [`Failure::Faults`] with every fault and its place.
pub(super) fn load(file: &Path) -> Result<Config, Failure> {
    config::load(file, &variable).map_err(|faults| Failure::Faults(faults.to_string()))
}

/// Reads a variable that a configuration names. One that is no text counts as not set.
#[expect(
    clippy::disallowed_methods,
    reason = "`config::load` is handed the environment; this is the hand"
)]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What a configuration amounts to, so that one that says too little is noticed.
fn summary(config: &Config) -> String {
    let store = match &config.store {
        StoreChoice::Embedded { .. } => "embedded store",
        StoreChoice::Redis(_) => "Redis store",
    };
    [
        count(config.listeners.len() as u64, "listener"),
        count(config.routes.len() as u64, "route"),
        count(config.upstreams.len() as u64, "upstream"),
        count(config.products.len() as u64, "product"),
        store.to_owned(),
    ]
    .join(", ")
}
