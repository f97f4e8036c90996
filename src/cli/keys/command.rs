//! The commands about keys.

use clap::Subcommand;

use super::create::Create;
use super::import::Import;
use super::list::List;
use super::pause::Pause;
use super::revoke::Revoke;
use super::rotate::Rotate;
use super::show;
use super::test::Test;
use super::update::Update;
use super::{KeyArgument, ended};
use crate::cli::client::Client;
use crate::cli::command::Conversation;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is printed this once, alone on standard output
    Create(Box<Create>),
    /// Make keys of secrets there are already: from a CSV file, from Kong, or as NDJSON
    Import(Import),
    /// List keys
    List(List),
    /// Show a key and its versions
    Show {
        /// The key, by name or id
        #[arg(value_name = "NAME|ID")]
        key: KeyArgument,
    },
    /// Change what a key is called, may do and is limited to; never its secret
    Update(Box<Update>),
    /// Give a key a new secret, printed this once; the old one works for a grace
    Rotate(Rotate),
    /// Say what the gate would answer a request with a key, without making it
    Test(Test),
    /// Pause a key until it is resumed
    Suspend(Pause),
    /// End the pause of a key
    Resume(Pause),
    /// End a key, or one of its versions, for ever
    Revoke(Revoke),
}

impl Conversation for KeysCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(client, json, output).await,
            Self::Import(import) => import.run(client, json, output).await,
            Self::List(list) => list.run(client, json, output).await,
            Self::Show { key } => {
                let id = key.resolve(client).await?.to_string();
                let answer = client.get(&["admin", "keys", &id], &[]).await?;
                if json {
                    return output.json(answer.as_json());
                }
                let key = answer.read()?;
                let end = ended::of(&key, client).await?;
                show::key(&key, answer.tag(), end.as_ref(), output)
            }
            Self::Update(update) => update.run(client, json, output).await,
            Self::Rotate(rotate) => rotate.run(client, json, output).await,
            Self::Test(test) => test.run(client, json, output).await,
            Self::Suspend(pause) => pause.run("suspend", client, json, output).await,
            Self::Resume(pause) => pause.run("resume", client, json, output).await,
            Self::Revoke(revoke) => revoke.run(client, json, output).await,
        }
    }
}
