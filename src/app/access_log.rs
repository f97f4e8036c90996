//! Opens the access log, and starts the thread that writes it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::JoinHandle;

use crate::app::error::StartError;
use crate::config::AccessLog;
use crate::proxy::LogWriter;

/// Where lines go, and the thread that they go to; none where none are kept.
pub(super) fn access_log(
    choice: &AccessLog,
) -> Result<(LogWriter, Option<JoinHandle<()>>), StartError> {
    let out: Box<dyn Write + Send> = match choice {
        AccessLog::None => return Ok((LogWriter::none(), None)),
        AccessLog::Stdout => Box::new(std::io::stdout()),
        AccessLog::File(path) => {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o640)
                .open(path);
            let fail = |source| StartError::AccessLog {
                path: path.clone(),
                source,
            };
            Box::new(file.map_err(fail)?)
        }
    };
    let (writer, sink) = LogWriter::new();
    let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
        if let Err(error) = sink.run(out) {
            tracing::error!(%error, "the access log cannot be written any more, its lines are dropped");
        }
    });
    Ok((writer, Some(thread.map_err(StartError::Thread)?)))
}
