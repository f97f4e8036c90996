//! `keys revoke`: the end of a key, or of one of its versions, after a question.

use clap::Args;

use super::{KeyArgument, show};
use crate::api::keys::{Key, Revoked};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// A key to be ended.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key, by name or id
    #[arg(value_name = "NAME|ID")]
    key: KeyArgument,
    /// End this version alone, and leave the others; not the current one, which is ended by rotating
    #[arg(long = "version", value_name = "NUMBER")]
    number: Option<u16>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until every gate refuses the key; exit 1 if one may not yet
    #[arg(long)]
    wait: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Revoke {
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        if !self.yes && !output.may_ask() {
            return Err(Failure::Usage(
                "revoking cannot be undone and there is no terminal to ask on; say --yes"
                    .to_owned(),
            ));
        }
        let id = self.key.resolve(client).await?.to_string();
        if !self.yes {
            confirm(&id, self.number, client, output).await?;
        }
        let mut query = Vec::new();
        query.extend(self.reason.map(|reason| ("reason", reason)));
        query.extend(self.wait.then(|| ("wait", "all".to_owned())));
        let number = self.number.map(|number| number.to_string());
        let mut path = vec!["admin", "keys", &id];
        path.extend(number.iter().flat_map(|number| ["versions", number]));
        let answer = client.delete(&path, &query).await?;
        let revoked: Revoked = answer.read()?;
        if json {
            output.json(answer.as_json())?;
        } else {
            show::revoked(&revoked, self.number, output)?;
        }
        let pending = revoked.revocation.pending.iter();
        let pending: Vec<_> = pending.map(|node| node.node.clone()).collect();
        if self.wait && !pending.is_empty() {
            return Err(Failure::NotEverywhere { pending });
        }
        Ok(())
    }
}

/// Asks whether a key or a version shall end, naming it.
async fn confirm(
    id: &str,
    number: Option<u16>,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let key: Key = client.get(&["admin", "keys", id], &[]).await?.read()?;
    output.note(&show::revocation_warning(&key, number))?;
    output.confirm("Type yes to revoke it:")
}
