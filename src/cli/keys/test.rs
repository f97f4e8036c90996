//! `keys test`: what the gate would answer, without asking it for anything.

use std::net::IpAddr;

use clap::Args;

use super::{KeyArgument, show};
use crate::api::keys::{KeyTested, TestKey};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// A request to be thought through.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The key, by name or id
    #[arg(value_name = "NAME|ID")]
    key: KeyArgument,
    /// The path it would ask for, perhaps with a query
    path: String,
    /// The method it would use
    #[arg(long, default_value = "GET")]
    method: String,
    /// The host it would ask; default: one that no route names
    #[arg(long)]
    host: Option<String>,
    /// The address it would come from; default: one that the key may be used from
    #[arg(long)]
    address: Option<IpAddr>,
}

impl Test {
    pub(super) async fn run(
        self,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let names_host = self.host.is_some();
        let body = TestKey {
            method: self.method,
            host: self.host,
            path: self.path,
            address: self.address.map(|address| address.to_string()),
        };
        let id = self.key.resolve(client).await?.to_string();
        let path = ["admin", "keys", &id, "test"];
        let answer = client.post(&path, &body, None).await?;
        let tested: KeyTested = answer.read()?;
        if json {
            output.json(answer.as_json())?;
        } else {
            show::tested(&tested, output)?;
        }
        if tested.code.as_deref() == Some("no_route") && !names_host {
            output.note("A route may name hosts: --host says which one the request asks.")?;
        }
        match tested.code {
            None => Ok(()),
            Some(code) => Err(Failure::WouldRefuse { code }),
        }
    }
}
