//! `policies …`: what is asked of keys, through the admin API.

use clap::{Args, Subcommand};

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::names::{Named, resolved};
use super::output::Output;
use super::paging::Paging;
use super::render::{Cell, Table, Tone};
use super::rotation::{Keys, shown};
use crate::api::page::Page;
use crate::api::policies::{CreatePolicy, Policy, Preview, PreviewPolicy};
use crate::domain::id::PolicyId;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PoliciesCommand {
    /// List policies
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a policy; it is in force at once
    Create(Box<Wanted>),
    /// Show what a policy would do, without making it; without --name, what those there are do
    Preview(Box<Tried>),
    /// Take a policy away
    Delete {
        /// The policy, by name or id
        #[arg(value_name = "NAME|ID")]
        policy: Named<PolicyId>,
    },
}

/// What a policy is to be.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// What people will call it
    #[arg(long)]
    name: String,
    #[command(flatten)]
    terms: Terms,
}

/// A policy that is tried out.
#[derive(Debug, Args)]
pub(crate) struct Tried {
    /// What people would call it
    #[arg(long)]
    name: Option<String>,
    /// The policy in the place of which it would come
    #[arg(long, value_name = "NAME|ID")]
    instead_of: Option<Named<PolicyId>>,
    #[command(flatten)]
    terms: Terms,
}

/// What a policy asks of keys.
#[derive(Debug, Args)]
pub(crate) struct Terms {
    /// Why there is one
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The longest that a key may live, such as 365d
    #[arg(long, value_name = "SPAN")]
    max_age: Option<String>,
    /// A key must have an end
    #[arg(long)]
    require_expiry: bool,
    /// A key must say what it is for
    #[arg(long)]
    require_description: bool,
    /// Rotating, revoking and disabling need a reason
    #[arg(long)]
    require_reason: bool,
    /// A type of owner that keys may have; may be repeated
    #[arg(long = "owner-type", value_name = "TYPE")]
    owner_types: Vec<String>,
    /// A scope that keys may have; may be repeated
    #[arg(long = "allow-scope", value_name = "SCOPE")]
    allowed_scopes: Vec<String>,
    /// Tell someone after so long without use, such as 7d
    #[arg(long, value_name = "SPAN")]
    unused_alert_after: Option<String>,
    /// Call a key stale after so long without use, such as 30d
    #[arg(long, value_name = "SPAN")]
    stale_after: Option<String>,
    /// Revoke a key after so long without use, such as 180d
    #[arg(long, value_name = "SPAN")]
    revoke_unused_after: Option<String>,
    /// Warn so long before that; 14d unless said
    #[arg(long, value_name = "SPAN")]
    revoke_warning: Option<String>,
    #[command(flatten)]
    keys: Keys,
}

impl Terms {
    async fn into_policy(self, name: String, client: &Client) -> Result<CreatePolicy, Failure> {
        Ok(CreatePolicy {
            name,
            description: self.description,
            enabled: None,
            selector: self.keys.into_selector(client).await?,
            max_age: self.max_age,
            require_expiry: self.require_expiry,
            require_description: self.require_description,
            require_reason: self.require_reason,
            owner_types: self.owner_types,
            allowed_scopes: (!self.allowed_scopes.is_empty()).then_some(self.allowed_scopes),
            unused_alert_after: self.unused_alert_after,
            stale_after: self.stale_after,
            revoke_unused_after: self.revoke_unused_after,
            revoke_warning: self.revoke_warning,
        })
    }
}

impl Conversation for PoliciesCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let path = ["admin", "policies"];
        match self {
            Self::List { paging } => {
                let mut query = Vec::new();
                paging.add_to(&mut query);
                let answer = client.list(&path, query, paging.all).await?;
                if json {
                    return output.json(answer.as_json());
                }
                let page: Page<Policy> = answer.read()?;
                show_all(&page.items, output)?;
                Paging::note_rest(page.next_cursor.as_deref(), output)
            }
            Self::Create(wanted) => {
                let body = wanted.terms.into_policy(wanted.name, client).await?;
                let answer = client.post(&path, &body, None).await?;
                if json {
                    return output.json(answer.as_json());
                }
                show_all(&[answer.read()?], output)
            }
            Self::Preview(tried) => {
                let Tried {
                    name,
                    instead_of,
                    terms,
                } = *tried;
                let is_named = name.is_some();
                let policy = terms.into_policy(name.unwrap_or_default(), client).await?;
                if !is_named && policy != CreatePolicy::default() {
                    let detail = "what a policy would ask for is only tried with a --name for it";
                    return Err(Failure::Usage(detail.to_owned()));
                }
                let body = PreviewPolicy {
                    policy: is_named.then_some(policy),
                    instead_of: resolved(instead_of.as_ref(), client).await?,
                };
                let path = ["admin", "policies", "preview"];
                let answer = client.post(&path, &body, None).await?;
                if json {
                    return output.json(answer.as_json());
                }
                show_preview(&answer.read()?, output)
            }
            Self::Delete { policy } => {
                let id = policy.resolve(client).await?.to_string();
                let answer = client.delete(&["admin", "policies", &id], &[]).await?;
                if json {
                    return output.json(answer.as_json());
                }
                let policy: Policy = answer.read()?;
                output.note(&format!("Policy {} is gone.", policy.id))
            }
        }
    }
}

fn show_all(policies: &[Policy], output: &mut Output) -> Result<(), Failure> {
    if policies.is_empty() {
        return output.note("No policies.");
    }
    let mut table = Table::new(&["ID", "NAME", "KEYS", "IN FORCE", "ASKS"]);
    for policy in policies {
        let in_force = if policy.enabled {
            Cell::toned("yes", Tone::Good)
        } else {
            Cell::toned("no", Tone::Bad)
        };
        table.row(vec![
            Cell::solid(policy.id.to_string()),
            Cell::text(&policy.name),
            Cell::text(shown(policy.selector.as_ref())),
            in_force,
            Cell::text(asks(policy)),
        ]);
    }
    output.table(&table)
}

/// What a policy asks, in few words.
fn asks(policy: &Policy) -> String {
    let mut asks = Vec::new();
    let mut span = |words: &str, span: &Option<String>| {
        asks.extend(span.as_ref().map(|span| format!("{words} {span}")));
    };
    span("at most", &policy.max_age);
    span("told unused after", &policy.unused_alert_after);
    span("stale after", &policy.stale_after);
    span("revoked unused after", &policy.revoke_unused_after);
    for (words, is_asked) in [
        ("an end", policy.require_expiry),
        ("a description", policy.require_description),
        ("reasons", policy.require_reason),
    ] {
        asks.extend(is_asked.then(|| words.to_owned()));
    }
    if !policy.owner_types.is_empty() {
        asks.push(format!("owners: {}", policy.owner_types.join(" ")));
    }
    if let Some(scopes) = &policy.allowed_scopes {
        asks.push(format!("scopes: {}", scopes.join(" ")));
    }
    asks.join(", ")
}

fn show_preview(preview: &Preview, output: &mut Output) -> Result<(), Failure> {
    output.note(&format!(
        "Of {} keys in force, {} would be warned and revoked if nobody uses them, and {} break a policy.",
        preview.keys, preview.revoked, preview.violating
    ))?;
    if preview.items.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["ID", "NAME", "LAST USED", "REVOKED", "WHAT"]);
    for item in &preview.items {
        let mut what: Vec<&str> = Vec::new();
        what.extend(item.unused.then_some("unused"));
        what.extend(item.stale.then_some("stale"));
        let faults = item.violations.iter();
        what.extend(faults.map(|fault| fault.detail.as_str()));
        table.row(vec![
            Cell::solid(item.key_id.to_string()),
            Cell::text(&item.key_name),
            Cell::time(item.last_used_at, "never"),
            Cell::time(item.revoked_at, "–"),
            Cell::text(what.join("; ")),
        ]);
    }
    output.table(&table)
}
