//! `keys update`: a key is changed, never its secret.

use clap::Args;

use super::KeyArgument;
use super::settings::{EMPTIABLE, Settings};
use super::show;
use crate::api::keys::{Key, PatchKey};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// A key to be changed; each field that is given is replaced whole, the others stay.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The key, by name or id
    #[arg(value_name = "NAME|ID")]
    key: KeyArgument,
    /// What people will call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// A field to empty; repeatable
    #[arg(long, value_name = "FIELD", value_parser = EMPTIABLE)]
    clear: Vec<String>,
    /// Only if nobody has changed it since: the tag that `keys show` told
    #[arg(long, value_name = "TAG")]
    if_match: Option<String>,
}

impl Update {
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let patch = PatchKey {
            name: self.name,
            ..self.settings.into_patch(&self.clear)
        };
        if patch == PatchKey::default() {
            let why = "nothing to change was given; `keys update --help` lists what may be";
            return Err(Failure::Usage(why.to_owned()));
        }
        let id = self.key.resolve(client).await?.to_string();
        let path = ["admin", "keys", &id];
        let answer = client
            .patch(&path, &patch, self.if_match.as_deref())
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        let key: Key = answer.read()?;
        show::key(&key, answer.tag(), None, output)
    }
}
