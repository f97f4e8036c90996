//! `keys create`: a new key, and its secret this once.

use clap::Args;

use super::show;
use crate::api::keys::{CreateKey, KeyCreated};
use crate::api::owners::CreateOwner;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::owners::{OwnerArgument, OwnerType};
use crate::cli::values::{Label, QuotaArgument, RateArgument, Span};
use crate::domain::time::Timestamp;

/// A key to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What people will call the key
    #[arg(long)]
    name: String,
    /// Who holds it, by name or id; an owner of a new name is made
    #[arg(long, value_name = "NAME|ID")]
    owner: OwnerArgument,
    /// What the owner is, where it is given by name
    #[arg(long, value_name = "TYPE", default_value = "team")]
    owner_type: OwnerType,
    /// The environment; default: the gate's first
    #[arg(long)]
    env: Option<String>,
    /// Why it exists
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A permission; repeatable
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A product it is given, by name; repeatable
    #[arg(long = "product", value_name = "NAME")]
    products: Vec<String>,
    /// A rate limit, with its burst if that differs: 100/minute:20; repeatable
    #[arg(long = "rate", value_name = "RATE[:BURST]")]
    rates: Vec<RateArgument>,
    /// A quota: 1000/day, 5000/month@15, 100/total:soft; repeatable
    #[arg(long = "quota", value_name = "LIMIT/PERIOD[@DAY][:soft]")]
    quotas: Vec<QuotaArgument>,
    /// The most of its requests in flight at once, per gate
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// An address or network it may be used from; repeatable, default: all
    #[arg(long = "allow-ip", value_name = "ADDRESS")]
    allowed_ips: Vec<String>,
    /// A path it may reach, with all below it; repeatable, default: all
    #[arg(long = "allow-path", value_name = "PATH")]
    allowed_paths: Vec<String>,
    /// A method it may use; repeatable, default: all
    #[arg(long = "allow-method", value_name = "METHOD")]
    allowed_methods: Vec<String>,
    /// When it ends by itself: 2030-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Timestamp>,
    /// In what time it ends by itself: 90d
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Span>,
    /// A label to find it by: team=billing; repeatable
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Label>,
    /// How bad its loss would be: high, standard or low
    #[arg(long, value_name = "CLASS", value_parser = ["high", "standard", "low"])]
    risk: Option<String>,
    /// It must be unprotected before it can be revoked
    #[arg(long)]
    protected: bool,
    /// Its holder may rotate it
    #[arg(long)]
    self_rotation: bool,
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
        let idempotency_key = self.idempotency_key.clone();
        let answer = client
            .post(
                &["admin", "keys"],
                &self.into_body(),
                idempotency_key.as_deref(),
            )
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

    /// What to send: nothing that was not given, so that the gate's defaults apply.
    fn into_body(self) -> CreateKey {
        let kind = self.owner_type.as_str().to_owned();
        let (owner_id, owner) = match self.owner {
            OwnerArgument::Id(id) => (Some(id.to_string()), None),
            OwnerArgument::Name(name) => (None, Some(CreateOwner { name, kind })),
        };
        let expires_at = self
            .expires_at
            .or_else(|| self.expires_in.map(Span::ahead_of_now));
        CreateKey {
            name: self.name,
            owner_id,
            owner,
            description: self.description,
            env: self.env,
            products: self.products,
            scopes: self.scopes,
            allowed_methods: self.allowed_methods,
            allowed_paths: self.allowed_paths,
            allowed_ips: self.allowed_ips,
            rate_limits: self.rates.into_iter().map(|rate| rate.0).collect(),
            quotas: self.quotas.into_iter().map(|quota| quota.0).collect(),
            concurrency: self.concurrency,
            expires_at: expires_at.map(|time| time.to_string()),
            risk: self.risk,
            protected: self.protected,
            self_rotation: self.self_rotation,
            labels: self
                .labels
                .into_iter()
                .map(|label| (label.name, label.value))
                .collect(),
            ..CreateKey::default()
        }
    }
}
