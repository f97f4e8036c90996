//! `quickstart`: a gate to try things out, with a first key and an echo for an API.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::output::Output;

/// What to stand in front of, and where.
#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// The API to stand in front of; without it, an echo is built in
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where the admin API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    pub(crate) admin_listen: SocketAddr,
    /// Where keys and all else that must last are kept
    #[arg(long, value_name = "DIR", default_value = "./portcullis-data")]
    pub(crate) data_dir: PathBuf,
}

impl Quickstart {
    /// SEAM: makes a `Config` of its arguments, runs the gate and prints what a newcomer needs.
    pub(crate) fn run(&self, _output: &mut Output) -> Result<(), Failure> {
        Err(Failure::Gate(anyhow::anyhow!("the gate cannot run yet")))
    }
}
