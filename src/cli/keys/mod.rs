//! `keys …`: keys, through the admin API.

use clap::{Args, Subcommand, ValueEnum};

use super::Conversation;
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::owners::OwnerArgument;
use super::values::{Label, RateArgument, Span};
use crate::api::keys::{CreateKey, Key, KeyCreated, Reason, Revoked};
use crate::api::owners::CreateOwner;
use crate::api::page::Page;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;

mod show;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is printed this once, alone on standard output
    Create(Box<Create>),
    /// List keys
    List(List),
    /// Show a key and its versions
    Show {
        /// The key
        key_id: KeyId,
    },
    /// Pause a key until it is resumed
    Suspend(Pause),
    /// End the pause of a key
    Resume(Pause),
    /// End a key for ever
    Revoke(Revoke),
}

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
    /// Makes a repetition of this command within 24 hours harmless: it makes no second key
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

/// What an owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OwnerType {
    User,
    Team,
    System,
}

impl OwnerType {
    /// The type's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::System => "system",
        }
    }
}

/// Which keys to list, and how many.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only keys in this status
    #[arg(long)]
    status: Option<Status>,
    /// Only keys with this in their name, in any case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only keys of this owner
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// Only keys of this environment
    #[arg(long)]
    env: Option<String>,
    /// Only keys with this product
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Only keys with this label, and this value if one is given
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Option<String>,
    /// Only keys unused for 30 days; `--stale false`: only the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    stale: Option<bool>,
    /// In which order: name, created_at or last_used_at; a `-` before it turns it round
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true, value_parser = SORTS)]
    sort: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// How much of a list.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// How many at once, 1 to 1000; default 100
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// All that there are, however many
    #[arg(long)]
    pub(crate) all: bool,
}

impl Paging {
    /// Adds what of it the admin API is asked for; with `--all` in the largest pages.
    pub(crate) fn add_to(&self, query: &mut Vec<(&'static str, String)>) {
        let limit = self.limit.or(self.all.then_some(1000));
        query.extend(limit.map(|limit| ("limit", limit.to_string())));
        query.extend(self.cursor.clone().map(|cursor| ("cursor", cursor)));
    }

    /// Tells how to go on, if there is more.
    pub(crate) fn note_rest(next: Option<&str>, output: &mut Output) -> Result<(), Failure> {
        match next {
            Some(cursor) => output.note(&format!(
                "There are more: --all lists them, --cursor {} goes on.",
                super::render::visible(cursor)
            )),
            None => Ok(()),
        }
    }
}

/// The status of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Active,
    Suspended,
    Expired,
    Revoked,
}

/// A key to be paused, or to go on.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The key
    key_id: KeyId,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

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

impl Conversation for KeysCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(client, json, output).await,
            Self::List(list) => list.run(client, json, output).await,
            Self::Show { key_id } => {
                let answer = client
                    .get(&["admin", "keys", &key_id.to_string()], &[])
                    .await?;
                if json {
                    return output.json(answer.as_json());
                }
                show::key(&answer.read()?, output)
            }
            Self::Suspend(pause) => pause.run("suspend", client, json, output).await,
            Self::Resume(pause) => pause.run("resume", client, json, output).await,
            Self::Revoke(revoke) => revoke.run(client, json, output).await,
        }
    }
}

impl Create {
    async fn run(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let idempotency_key = self.idempotency_key.clone();
        let answer = client
            .post(
                &["admin", "keys"],
                &self.into_body(),
                idempotency_key.as_deref(),
            )
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        let created: KeyCreated = answer.read()?;
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
            concurrency: self.concurrency,
            expires_at: expires_at.map(|time| time.to_string()),
            labels: self
                .labels
                .into_iter()
                .map(|label| (label.name, label.value))
                .collect(),
            ..CreateKey::default()
        }
    }
}

impl List {
    async fn run(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let owner = match &self.owner {
            Some(owner) => Some(owner.resolve(client).await?.to_string()),
            None => None,
        };
        let answer = client
            .list(&["admin", "keys"], self.query(owner), self.paging.all)
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        let page: Page<Key> = answer.read()?;
        show::keys(&page.items, output)?;
        Paging::note_rest(page.next_cursor.as_deref(), output)
    }

    fn query(&self, owner: Option<String>) -> Vec<(&'static str, String)> {
        let status = self.status.and_then(|status| {
            let word = status.to_possible_value()?;
            Some(word.get_name().to_owned())
        });
        let mut query: Vec<(&'static str, String)> = [
            ("status", status),
            ("name", self.name.clone()),
            ("owner", owner),
            ("env", self.env.clone()),
            ("product", self.product.clone()),
            ("label", self.label.clone()),
            ("stale", self.stale.map(|stale| stale.to_string())),
            ("sort", self.sort.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect();
        self.paging.add_to(&mut query);
        query
    }
}

impl Pause {
    async fn run(
        self,
        verb: &str,
        client: &Client,
        json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let body = Reason {
            reason: self.reason,
        };
        let answer = client
            .post(
                &["admin", "keys", &self.key_id.to_string(), verb],
                &body,
                None,
            )
            .await?;
        if json {
            return output.json(answer.as_json());
        }
        show::standing(&answer.read()?, output)
    }
}

impl Revoke {
    async fn run(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
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

const SORTS: [&str; 6] = [
    "name",
    "-name",
    "created_at",
    "-created_at",
    "last_used_at",
    "-last_used_at",
];
