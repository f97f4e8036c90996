//! `nodes …`: the gates that share a store, through the admin API.

use clap::Subcommand;

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::output::Output;
use super::render::{Cell, Table, Tone, to_the_second, visible};
use crate::api::page::Page;
use crate::api::status::{Node, Status, StoreStatus};

/// What to do with gates.
#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// List the gates that share the store, and how each stands
    List,
    /// Strike off a gate that will not come back; one that is live stays
    Forget {
        /// The gate, by its name
        #[arg(value_name = "NODE")]
        node: String,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl Conversation for NodesCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List => {
                let answer = client.get(&["admin", "nodes"], &[]).await?;
                if json {
                    return output.json(answer.as_json());
                }
                let page: Page<Node> = answer.read()?;
                show_all(&page.items, output)?;
                let status: Status = client.get(&["admin", "status"], &[]).await?.read()?;
                note_age(&status.store, output)
            }
            Self::Forget { node, reason } => {
                let reason = reason.map(|reason| ("reason", reason));
                let query: Vec<_> = reason.into_iter().collect();
                let answer = client.delete(&["admin", "nodes", &node], &query).await?;
                if json {
                    return output.json(answer.as_json());
                }
                output.line(&format!("{} is struck off", visible(&node)))
            }
        }
    }
}

/// What is told of the others is as old as the store's last word.
fn note_age(store: &StoreStatus, output: &mut Output) -> Result<(), Failure> {
    if store.state != "away" {
        return Ok(());
    }
    let since = match store.last_contact_at {
        Some(time) => format!(
            "as it was at {}, when it last answered",
            to_the_second(time)
        ),
        None => "what this gate kept; it has not answered since the start".to_owned(),
    };
    output.note(&format!("The store is away. The table is {since}."))
}

fn show_all(nodes: &[Node], output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["NODE", "STATE", "REVISION", "LAST CONTACT", "VERSION"])
        .sparing(&["VERSION", "REVISION"]);
    for node in nodes {
        let state = match node.state.as_str() {
            "live" => Cell::toned("live", Tone::Good),
            "silent" => Cell::toned("silent", Tone::Bad),
            other => Cell::text(other),
        };
        table.row(vec![
            Cell::text(&node.node),
            state,
            Cell::solid(node.revision.to_string()),
            Cell::time(node.last_contact_at, "never"),
            Cell::text(&node.version),
        ]);
    }
    output.table(&table)
}
