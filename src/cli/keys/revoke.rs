//! `keys revoke`: the end of a key, after a question.

use clap::Args;

use super::show;
use crate::api::keys::{Key, Revoked};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::domain::id::KeyId;

/// A key to be ended.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key
    key_id: KeyId,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until every gate refuses the key
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
        let id = self.key_id.to_string();
        if !self.yes {
            confirm(&id, client, output).await?;
        }
        let mut query = Vec::new();
        query.extend(self.reason.map(|reason| ("reason", reason)));
        query.extend(self.wait.then(|| ("wait", "all".to_owned())));
        let answer = client.delete(&["admin", "keys", &id], &query).await?;
        if json {
            return output.json(answer.as_json());
        }
        let revoked: Revoked = answer.read()?;
        show::revoked(&revoked, output)
    }
}

/// Asks whether a key shall end, naming it; where nobody can be asked, `--yes` is the answer.
async fn confirm(id: &str, client: &Client, output: &mut Output) -> Result<(), Failure> {
    if !output.may_ask() {
        return Err(Failure::Usage(
            "revoking cannot be undone and there is no terminal to ask on; say --yes".to_owned(),
        ));
    }
    let key: Key = client.get(&["admin", "keys", id], &[]).await?.read()?;
    output.note(&show::revocation_warning(&key))?;
    let answer = output.ask("Type yes to revoke it:")?;
    if answer.eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(Failure::Declined)
    }
}
