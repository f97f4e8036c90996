//! What of the live requests can be asked for on the command line.

use clap::Args;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::keys::KeyArgument;
use crate::cli::names::resolved;
use crate::cli::owners::OwnerArgument;

/// Which requests to watch. Every condition must hold.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only requests of this key
    #[arg(long, value_name = "NAME|ID")]
    key: Option<KeyArgument>,
    /// Only requests of keys of this owner
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// Only requests on this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only requests that this gate serves
    #[arg(long, value_name = "NODE")]
    gate: Option<String>,
}

impl Which {
    /// As the admin API is asked for it; asks for ids where names were given.
    ///
    /// # Errors
    /// If a name is nobody's.
    pub(crate) async fn query(
        self,
        client: &Client,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let owner = resolved(self.owner.as_ref(), client).await?;
        let key = resolved(self.key.as_ref(), client).await?;
        let all = [
            ("key_id", key),
            ("owner", owner),
            ("route", self.route),
            ("node", self.gate),
        ];
        let given = all
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)));
        Ok(given.collect())
    }
}
