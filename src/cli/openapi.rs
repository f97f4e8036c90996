//! `openapi`: the document of the admin API, for whatever reads OpenAPI.

use super::failure::Failure;
use super::output::Output;
use crate::app;

pub(super) fn run(output: &mut Output) -> Result<(), Failure> {
    let document =
        serde_json::to_string_pretty(&app::admin_api()).map_err(std::io::Error::other)?;
    output.line(&document)
}
