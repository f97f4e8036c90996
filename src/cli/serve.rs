//! `serve`: runs the gate for real, until SIGTERM or SIGINT.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::check;
use super::failure::Failure;
use super::output::Output;
use crate::app::{self, Choices, Running, Signals, SystemClock};
use crate::config::Config;

/// With which configuration.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take the shared store as it is, though it is another than the one this gate knows, or empty. What is
    /// revoked here is revoked there first. Say it once, at the start after the alarm `store_estranged`
    #[arg(long)]
    accept_store: bool,
}

impl Serve {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        // Its warnings are for the log, where they are told once.
        let config = check::load(&self.config)?;
        app::start_log(check::variable(LOG_VARIABLE).as_deref());
        app::keep_memory_private().map_err(|error| Failure::Gate(error.into()))?;
        let choices = Choices {
            accepts_store: self.accept_store,
        };
        run_to_end(async {
            let mut signals = listen()?;
            let running = tokio::select! {
                started = start(config, choices) => started?,
                // Nothing has been served yet, so there is nothing to finish.
                () = signals.told_to_stop() => return Ok(()),
            };
            greet(&running, output)?;
            signals.told_to_stop().await;
            running.stop().await;
            Ok(())
        })
    }
}

/// Listens for the signals that end a gate.
pub(super) fn listen() -> Result<Signals, Failure> {
    Signals::listen()
        .context("signals cannot be had")
        .map_err(Failure::Gate)
}

/// Runs `gate` on the small runtime of everything that may take its time; requests and calls of the admin
/// API have runtimes of their own. A thread that waits for a disk, or for whatever lies in the place of a
/// file, is not waited for when the gate has stopped.
pub(super) fn run_to_end<T>(gate: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control runtime")
        .map_err(Failure::Gate)?;
    let outcome = runtime.block_on(gate);
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

/// Starts a gate on the system's clocks.
async fn start(config: Config, choices: Choices) -> Result<Running, Failure> {
    let started = app::start_with(config, Arc::new(SystemClock::new()), choices).await;
    started.map_err(|error| Failure::Gate(error.into()))
}

/// Says where it listens and, on the very first start, the admin token: there is no other way to it.
fn greet(running: &Running, output: &mut Output) -> Result<(), Failure> {
    for address in &running.addresses {
        output.note(&format!("gate:      {address}"))?;
    }
    output.note(&format!("admin API: http://{}", running.admin))?;
    if let Some(token) = &running.first_token {
        output.note(&format!(
            "admin token, shown this once: {}\n  \
             keep it as PORTCULLIS_ADMIN_TOKEN; it has the role `admin`",
            token.reveal()
        ))?;
    }
    Ok(())
}

/// What the log says; see `telemetry::log`.
pub(super) const LOG_VARIABLE: &str = "PORTCULLIS_LOG";
/// How long threads that still wait for something have when the gate has stopped.
const LAST_THREADS: std::time::Duration = std::time::Duration::from_secs(2);
