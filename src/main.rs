//! The `portcullis` command.

use std::process::ExitCode;

use clap::Parser;

use portcullis::cli::{CommandLine, Output};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let mut output = Output::of_process();
    match line.run(&mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.report(&failure);
            failure.exit_code()
        }
    }
}
