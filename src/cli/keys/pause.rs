//! `keys suspend` and `keys resume`: a pause of a key, and its end.

use clap::Args;

use super::{KeyArgument, show};
use crate::api::keys::Reason;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// A key to be paused, or to go on.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The key, by name or id
    #[arg(value_name = "NAME|ID")]
    key: KeyArgument,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Pause {
    pub(super) async fn run(
        self,
        verb: &str,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let body = Reason {
            reason: self.reason,
        };
        let id = self.key.resolve(client).await?.to_string();
        let answer = client
            .post(&["admin", "keys", &id, verb], &body, None)
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        show::standing(&answer.read()?, output)
    }
}
