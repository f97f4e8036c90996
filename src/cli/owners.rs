//! `owners …`: who holds keys, through the admin API.

use clap::{Subcommand, ValueEnum};

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::names::Named;
use super::output::Output;
use super::paging::Paging;
use super::render::{Cell, Sheet, Table, Tone, count, to_the_second, visible};
use crate::api::owners::{CreateOwner, DisableKeys, Owner, OwnerDisabled, PatchOwner};
use crate::api::page::Page;
use crate::domain::id::OwnerId;

/// What to do with owners.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnersCommand {
    /// List owners
    List {
        /// Only owners with this in their name, in any case
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
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
        /// The owner, by name or id
        #[arg(value_name = "NAME|ID")]
        owner: OwnerArgument,
    },
    /// Revoke every key of an owner in one step, protected ones too, and end its admin tokens
    Disable {
        /// The owner, by name or id
        #[arg(value_name = "NAME|ID")]
        owner: OwnerArgument,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a disabled owner have keys again; its revoked ones stay revoked
    Enable {
        /// The owner, by name or id
        #[arg(value_name = "NAME|ID")]
        owner: OwnerArgument,
    },
    /// Erase the person behind an owner that has no living key: the id stays, the name goes
    Erase {
        /// The owner, by name or id
        #[arg(value_name = "NAME|ID")]
        owner: OwnerArgument,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Conversation for OwnersCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let answer = match &self {
            Self::List { name, paging } => {
                let mut query = Vec::new();
                query.extend(name.clone().map(|name| ("name", name)));
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
            Self::Show { owner } => {
                let id = owner.resolve(client).await?.to_string();
                client.get(&["admin", "users", &id], &[]).await?
            }
            Self::Disable { owner, reason, yes } => {
                let id = confirm(client, owner, *yes, DISABLING, output).await?;
                let body = DisableKeys {
                    reason: reason.clone(),
                };
                let path = ["admin", "users", &id, "keys", "disable"];
                client.post(&path, &body, None).await?
            }
            Self::Enable { owner } => {
                let id = owner.resolve(client).await?.to_string();
                let body = PatchOwner {
                    disabled: Some(false),
                    ..PatchOwner::default()
                };
                client.patch(&["admin", "users", &id], &body, None).await?
            }
            Self::Erase { owner, reason, yes } => {
                let id = confirm(client, owner, *yes, ERASING, output).await?;
                let reason = reason.clone().map(|reason| ("reason", reason));
                let query: Vec<_> = reason.into_iter().collect();
                client.delete(&["admin", "users", &id], &query).await?
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
            Self::Disable { .. } => {
                let done: OwnerDisabled = answer.read()?;
                output.sheet(&sheet(&done.owner))?;
                output.note(&format!(
                    "{} revoked and {} ended.",
                    count(done.revoked, "key"),
                    count(done.tokens_ended, "admin token")
                ))?;
                if done.under_way {
                    output
                        .note("There are more: all are refused already, and the gate goes on.")?;
                }
                Ok(())
            }
            Self::Create { .. } | Self::Show { .. } | Self::Enable { .. } | Self::Erase { .. } => {
                output.sheet(&sheet(&answer.read()?))
            }
        }
    }
}

/// The id of the owner that is meant, after the question whether it shall be done to it; where nobody can be
/// asked, `--yes` is the answer.
async fn confirm(
    client: &Client,
    owner: &OwnerArgument,
    yes: bool,
    what: &str,
    output: &mut Output,
) -> Result<String, Failure> {
    if !yes && !output.may_ask() {
        return Err(Failure::Usage(
            "this cannot be undone and there is no terminal to ask on; say --yes".to_owned(),
        ));
    }
    let id = owner.resolve(client).await?.to_string();
    if yes {
        return Ok(id);
    }
    let answer = client.get(&["admin", "users", &id], &[]).await?;
    let owner: Owner = answer.read()?;
    output.note(&format!("{what} {} ({id}).", visible(&owner.name)))?;
    output.confirm("Type yes to do it:")?;
    Ok(id)
}

const DISABLING: &str = "This revokes for ever every key, and ends every admin token, of";
const ERASING: &str = "This erases for ever the name of";

/// What an owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OwnerType {
    User,
    Team,
    System,
}

impl OwnerType {
    /// The type's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::System => "system",
        }
    }
}

/// An owner as it is typed: by id, or by name.
pub(crate) type OwnerArgument = Named<OwnerId>;

fn show_all(owners: &[Owner], output: &mut Output) -> Result<(), Failure> {
    if owners.is_empty() {
        return output.note("No owners.");
    }
    let mut table =
        Table::new(&["ID", "NAME", "TYPE", "STANDING", "CREATED"]).sparing(&["CREATED"]);
    for owner in owners {
        let standing = match owner.disabled_at {
            Some(_) => Cell::toned("disabled", Tone::Bad),
            None => Cell::toned("good", Tone::Good),
        };
        table.row(vec![
            Cell::solid(owner.id.to_string()),
            Cell::text(&owner.name),
            Cell::solid(&owner.kind),
            standing,
            Cell::day(owner.created_at),
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
