//! `rotation …`: which keys rotate by themselves, through the admin API.

use clap::{Args, Subcommand};

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::keys::KeyArgument;
use super::names::resolved;
use super::output::Output;
use super::owners::OwnerArgument;
use super::render::{Cell, Table, Tone, visible};
use crate::api::rotation::{DisableRotation, EnableRotation, RotationRules, Rule, Selector};

/// What to do about automatic rotation.
#[derive(Debug, Subcommand)]
pub(crate) enum RotationCommand {
    /// Have keys rotate by themselves; without --interval-days by their risk: high 30, standard 90, low 365
    Enable {
        /// Days between rotations
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        interval_days: Option<u32>,
        /// Keep only the newest secret; otherwise the one before works until the next rotation
        #[arg(long)]
        newest_only: bool,
        /// With --newest-only: how long the one before still works, such as 24h
        #[arg(long, value_name = "SPAN", requires = "newest_only")]
        grace: Option<String>,
        #[command(flatten)]
        keys: Keys,
    },
    /// Have keys rotate by themselves no more; without a selector all rules go, after a question
    Disable {
        #[command(flatten)]
        keys: Keys,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show the rules, and how many keys of each are due
    Show,
}

/// Which keys; without any of these, all.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Keys {
    /// One key
    #[arg(long, value_name = "NAME|ID")]
    key: Option<KeyArgument>,
    /// The keys of an owner
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// The keys that are given a product
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// The keys with a label: name, or name=value
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// The keys of a class of risk: high, standard or low
    #[arg(long, value_name = "RISK")]
    risk: Option<String>,
}

impl Keys {
    /// As the admin API is asked; `None` for all.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a name that nothing, or more than one thing, has.
    pub(crate) async fn into_selector(self, client: &Client) -> Result<Option<Selector>, Failure> {
        let selector = Selector {
            key_id: resolved(self.key.as_ref(), client).await?,
            owner: resolved(self.owner.as_ref(), client).await?,
            product: self.product,
            label: self.label,
            risk: self.risk,
        };
        Ok((selector != Selector::default()).then_some(selector))
    }
}

/// A selector as it is shown.
pub(crate) fn shown(selector: Option<&Selector>) -> String {
    let Some(selector) = selector else {
        return "all keys".to_owned();
    };
    let given = [
        ("key", &selector.key_id),
        ("owner", &selector.owner),
        ("product", &selector.product),
        ("label", &selector.label),
        ("risk", &selector.risk),
    ];
    let shown = given
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} {}", text.as_ref()?)));
    shown.collect::<Vec<_>>().join(", ")
}

impl Conversation for RotationCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let path = ["admin", "keys", "rotation"];
        let answer = match self {
            Self::Show => client.get(&path, &[]).await?,
            Self::Enable {
                interval_days,
                newest_only,
                grace,
                keys,
            } => {
                let body = EnableRotation {
                    interval_days,
                    keep_previous: Some(!newest_only),
                    grace,
                    selector: keys.into_selector(client).await?,
                };
                let path = ["admin", "keys", "rotation", "enable"];
                client.post(&path, &body, None).await?
            }
            Self::Disable { keys, yes } => return disable(keys, yes, client, json, output).await,
        };
        if json {
            return output.json(answer.as_json());
        }
        show(&answer.read()?, output)
    }
}

/// Takes rules away, and names each that went.
async fn disable(
    keys: Keys,
    yes: bool,
    client: &Client,
    json: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let selector = keys.into_selector(client).await?;
    let asks = selector.is_none() && !yes;
    if asks && !output.may_ask() {
        return Err(Failure::Usage(
            "without a selector this takes every rule away, and there is no terminal to ask on; \
             say which keys, or --yes"
                .to_owned(),
        ));
    }
    let before = client.get(&["admin", "keys", "rotation"], &[]).await?;
    let before: RotationRules = before.read()?;
    if asks && !before.items.is_empty() {
        for rule in &before.items {
            output.note(&called(rule))?;
        }
        output.confirm("All of these rules go. Type yes to take them away:")?;
    }
    let path = ["admin", "keys", "rotation", "disable"];
    let body = DisableRotation { selector };
    let answer = client.post(&path, &body, None).await?;
    if json {
        return output.json(answer.as_json());
    }
    let after: RotationRules = answer.read()?;
    let is_left = |rule: &Rule| after.items.iter().any(|it| it.id == rule.id);
    let removed: Vec<_> = before.items.iter().filter(|it| !is_left(it)).collect();
    if removed.is_empty() {
        output.note(&match &body.selector {
            None => "There was no rule to take away.".to_owned(),
            Some(selector) => format!(
                "No rule is for {} alone; nothing was changed.",
                visible(&shown(Some(selector)))
            ),
        })?;
    }
    for rule in removed {
        output.line(&format!("{} is removed", called(rule)))?;
    }
    show(&after, output)
}

/// `rot_… (label team=billing, every 90 days)`.
fn called(rule: &Rule) -> String {
    let keys = shown(rule.selector.as_ref());
    format!(
        "{} ({}, every {} days)",
        rule.id,
        visible(&keys),
        rule.interval_days
    )
}

fn show(rules: &RotationRules, output: &mut Output) -> Result<(), Failure> {
    if rules.items.is_empty() {
        return output.note("No key rotates by itself.");
    }
    let mut table = Table::new(&["ID", "KEYS", "EVERY", "THE ONE BEFORE", "DUE"]);
    for rule in &rules.items {
        let before = if rule.keep_previous {
            "until the next".to_owned()
        } else {
            rule.grace.clone()
        };
        let due = match rule.due {
            None => Cell::text("unknown"),
            Some(0) => Cell::number(0),
            Some(due) => Cell::toned(due.to_string(), Tone::Bad),
        };
        table.row(vec![
            Cell::solid(rule.id.to_string()),
            Cell::text(shown(rule.selector.as_ref())),
            Cell::solid(format!("{} days", rule.interval_days)),
            Cell::text(before),
            due,
        ]);
    }
    output.table(&table)
}
