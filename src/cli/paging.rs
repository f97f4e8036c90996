//! Which part of a list is asked for.

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use super::render::visible;

/// How much of a list.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// How many at once, 1 to 1000; default 100
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// All that there are, however many
    #[arg(long)]
    pub(crate) all: bool,
}

impl Paging {
    /// Adds what of it the admin API is asked for; with `--all` in the largest pages.
    pub(crate) fn add_to(&self, query: &mut Vec<(&'static str, String)>) {
        let limit = self.limit.or(self.all.then_some(1000));
        query.extend(limit.map(|limit| ("limit", limit.to_string())));
        query.extend(self.cursor.clone().map(|cursor| ("cursor", cursor)));
    }

    /// Tells how to go on, if there is more.
    pub(crate) fn note_rest(next: Option<&str>, output: &mut Output) -> Result<(), Failure> {
        match next {
            Some(cursor) => output.note(&format!(
                "There are more: --all lists them, --cursor {} goes on.",
                visible(cursor)
            )),
            None => Ok(()),
        }
    }
}
