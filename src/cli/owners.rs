//! `owners …`: who holds keys, through the admin API.

use clap::Subcommand;

use super::Conversation;
use super::client::Client;
use super::failure::Failure;
use super::keys::{OwnerType, Paging};
use super::output::Output;
use super::render::{Cell, Sheet, Table, Tone, to_the_second};
use crate::api::owners::{CreateOwner, Owner};
use crate::api::page::Page;
use crate::domain::id::OwnerId;

/// What to do with owners.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnersCommand {
    /// List owners
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Make an owner
    Create {
        /// What people will call it
        #[arg(long)]
        name: String,
        /// What it is
        #[arg(long = "type", value_name = "TYPE")]
        kind: OwnerType,
    },
    /// Show an owner
    Show {
        /// The owner
        owner_id: OwnerId,
    },
}

impl Conversation for OwnersCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let answer = match &self {
            Self::List { paging } => {
                let mut query = Vec::new();
                paging.add_to(&mut query);
                client.list(&["admin", "users"], query, paging.all).await?
            }
            Self::Create { name, kind } => {
                let body = CreateOwner {
                    name: name.clone(),
                    kind: kind.as_str().to_owned(),
                };
                client.post(&["admin", "users"], &body, None).await?
            }
            Self::Show { owner_id } => {
                client
                    .get(&["admin", "users", &owner_id.to_string()], &[])
                    .await?
            }
        };
        if json {
            return output.json(answer.as_json());
        }
        match self {
            Self::List { .. } => {
                let page: Page<Owner> = answer.read()?;
                show_all(&page.items, output)?;
                Paging::note_rest(page.next_cursor.as_deref(), output)
            }
            Self::Create { .. } | Self::Show { .. } => output.sheet(&sheet(&answer.read()?)),
        }
    }
}

fn show_all(owners: &[Owner], output: &mut Output) -> Result<(), Failure> {
    if owners.is_empty() {
        return output.note("No owners.");
    }
    let mut table = Table::new(&["ID", "NAME", "TYPE", "STANDING", "CREATED"]);
    for owner in owners {
        let standing = match owner.disabled_at {
            Some(_) => Cell::toned("disabled", Tone::Bad),
            None => Cell::toned("good", Tone::Good),
        };
        table.row(vec![
            Cell::text(owner.id.to_string()),
            Cell::text(&owner.name),
            Cell::text(&owner.kind),
            standing,
            Cell::time(Some(owner.created_at), "-"),
        ]);
    }
    output.table(&table)
}

fn sheet(owner: &Owner) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.fact("id", owner.id.to_string());
    sheet.fact("name", &owner.name);
    sheet.fact("type", &owner.kind);
    sheet.fact("created", to_the_second(owner.created_at));
    sheet.maybe("disabled", owner.disabled_at.map(to_the_second));
    sheet
}
