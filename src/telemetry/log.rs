//! The process's own log, on standard error: one line where a matter ends.
//!
//! `PORTCULLIS_LOG` chooses what is said (`info` by default, `portcullis=debug`, …). On a terminal lines
//! are for people, elsewhere they are JSON. Nothing logged is ever a secret, a header, a body or a query.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log. A second call changes nothing.
pub(crate) fn start(filter: Option<&str>) {
    let filter =
        EnvFilter::try_new(filter.unwrap_or(DEFAULT)).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // An error says that there is a log already, as in tests.
    let _ = if std::io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
}

/// What is said unless something else is asked for.
const DEFAULT: &str = "info";
