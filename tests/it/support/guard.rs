//! What ends servers that all tests of a process share, when the process ends, in whatever way it does.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Holds servers to the life of this process: nothing that is `static` is ever dropped, but a shell that
/// reads from us sees the end of its input even when we are killed.
pub(crate) struct Guard {
    _shell: Child,
}

impl Guard {
    /// Ends these processes and removes these folders when this one ends.
    pub(crate) fn over<'a>(servers: impl Iterator<Item = (u32, &'a Path)>) -> Self {
        let (processes, folders): (Vec<_>, Vec<_>) = servers.unzip();
        let processes: Vec<String> = processes.iter().map(ToString::to_string).collect();
        let script = r#"trap "" INT TERM HUP; read -r _; kill -9 $0; rm -rf "$@""#;
        let shell = Command::new("sh")
            .args(["-c", script, &processes.join(" ")])
            .args(folders)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            _shell: shell.expect("a shell"),
        }
    }
}
