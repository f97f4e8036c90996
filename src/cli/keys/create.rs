//! `keys create`: a new key, and its secret this once.

use clap::Args;

use super::settings::Settings;
use super::show;
use crate::api::keys::{CreateKey, KeyCreated};
use crate::api::owners::CreateOwner;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::names::{Named, called, only};
use crate::cli::output::Output;
use crate::cli::owners::{OwnerArgument, OwnerType};
use crate::domain::id::OwnerId;

/// A key to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What people will call the key
    #[arg(long)]
    name: String,
    /// Who holds it, by name or id; an owner of a new name is made
    #[arg(long, value_name = "NAME|ID")]
    owner: OwnerArgument,
    /// What an owner is that is given by name; default: what the only one of that name is, else a team
    #[arg(long, value_name = "TYPE")]
    owner_type: Option<OwnerType>,
    /// The environment; default: the gate's first
    #[arg(long)]
    env: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Makes a repetition of this command within 24 hours harmless: it makes no second key
    // A span would ask for another end at each repetition, and so for another key.
    #[arg(long, value_name = "TEXT", conflicts_with = "expires_in")]
    idempotency_key: Option<String>,
}

impl Create {
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let (owner_id, owner) = owner(self.owner, self.owner_type, client).await?;
        // Nothing is sent that was not given, so that the gate's defaults apply.
        let body = self.settings.fill(CreateKey {
            name: self.name,
            owner_id,
            owner,
            env: self.env,
            ..CreateKey::default()
        });
        let answer = client
            .post(&["admin", "keys"], &body, self.idempotency_key.as_deref())
            .await?;
        let created: KeyCreated = answer.read()?;
        if json {
            return output.secret(&answer.as_json().to_string(), created.key.id.to_string());
        }
        let Some(secret) = created.secret else {
            return Err(Failure::ShownBefore);
        };
        show::created(&created.key, &secret, output)
    }
}

/// The holder of a new key. One that is named without a type is the one there is, whatever it is: a second
/// of that name would be nobody that anybody meant. It is sent by type and name, as one that is not there
/// yet is, so that a repeated call asks for the same.
async fn owner(
    owner: OwnerArgument,
    kind: Option<OwnerType>,
    client: &Client,
) -> Result<(Option<String>, Option<CreateOwner>), Failure> {
    let name = match owner {
        Named::Id(id) => return Ok((Some(id.to_string()), None)),
        Named::Name(name) => name,
    };
    let kind = match kind {
        Some(kind) => kind.as_str().to_owned(),
        None => {
            let there = only::<OwnerId>(&name, called::<OwnerId>(client, &name).await?)?;
            let kind = there.and_then(|owner| owner.kind);
            kind.unwrap_or_else(|| OwnerType::Team.as_str().to_owned())
        }
    };
    Ok((None, Some(CreateOwner { name, kind })))
}
