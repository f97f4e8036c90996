//! `config schema`: the JSON Schema of the configuration, for editors.

use super::failure::Failure;
use super::output::Output;
use crate::config;

pub(super) fn run(output: &mut Output) -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&config::schema()).map_err(std::io::Error::other)?;
    output.line(&schema)
}
