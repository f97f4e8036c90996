//! `keys list`: keys by what is known of them.

use clap::{Args, ValueEnum};

use super::show;
use crate::api::keys::Key;
use crate::api::page::Page;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::names::resolved;
use crate::cli::output::Output;
use crate::cli::owners::OwnerArgument;
use crate::cli::paging::Paging;

/// Which keys to list, and how many.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only keys in this status
    #[arg(long)]
    status: Option<Status>,
    /// Only keys with this in their name, in any case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only keys of this owner
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// Only keys of this environment
    #[arg(long)]
    env: Option<String>,
    /// Only keys with this product
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Only keys with this label, and this value if one is given
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Option<String>,
    /// Only keys unused for 30 days; `--stale false`: only the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    stale: Option<bool>,
    /// In which order: name, created_at or last_used_at; a `-` before it turns it round
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true, value_parser = SORTS)]
    sort: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// The status of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Active,
    Suspended,
    Expired,
    Revoked,
}

impl List {
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let owner = resolved(self.owner.as_ref(), client).await?;
        let answer = client
            .list(&["admin", "keys"], self.query(owner), self.paging.all)
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        let page: Page<Key> = answer.read()?;
        show::keys(&page.items, output)?;
        Paging::note_rest(page.next_cursor.as_deref(), output)
    }

    fn query(&self, owner: Option<String>) -> Vec<(&'static str, String)> {
        let status = self.status.and_then(|status| {
            let word = status.to_possible_value()?;
            Some(word.get_name().to_owned())
        });
        let mut query: Vec<(&'static str, String)> = [
            ("status", status),
            ("name", self.name.clone()),
            ("owner", owner),
            ("env", self.env.clone()),
            ("product", self.product.clone()),
            ("label", self.label.clone()),
            ("stale", self.stale.map(|stale| stale.to_string())),
            ("sort", self.sort.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect();
        self.paging.add_to(&mut query);
        query
    }
}

const SORTS: [&str; 6] = [
    "name",
    "-name",
    "created_at",
    "-created_at",
    "last_used_at",
    "-last_used_at",
];
