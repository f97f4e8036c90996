//! `completions SHELL`: what makes a shell complete these commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::command::CommandLine;
use super::failure::Failure;
use super::output::Output;

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell to complete in
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut CommandLine::command(),
            "portcullis",
            &mut script,
        );
        output.text(&String::from_utf8_lossy(&script))
    }
}
