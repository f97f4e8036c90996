//! When the process is told to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Returns when SIGTERM or SIGINT comes. SIGHUP changes nothing: a terminal that closes ends no gate.
///
/// # Errors
/// If signals cannot be had.
pub async fn until_told_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => tracing::info!("SIGHUP is ignored, the configuration is read at start"),
        }
    }
}
