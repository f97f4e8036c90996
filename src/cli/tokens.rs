//! `tokens …`: who may call the admin API, through the admin API.

use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, TOKEN_VARIABLE};
use super::command::Conversation;
use super::failure::Failure;
use super::names::{Named, resolved};
use super::output::Output;
use super::owners::OwnerArgument;
use super::paging::Paging;
use super::render::{Cell, Sheet, Table, to_the_second, visible};
use super::values::Span;
use crate::api::page::Page;
use crate::api::tokens::{CreateToken, Token, TokenCreated};
use crate::app::SystemClock;
use crate::domain::id::TokenId;
use crate::domain::time::{Clock as _, Timestamp};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Make a token; its secret is printed this once, alone on standard output
    Create(Create),
    /// List tokens
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// End a token for ever, after a question
    Revoke {
        /// The token, by name or id
        #[arg(value_name = "NAME|ID")]
        token: Named<TokenId>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A token to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What people will call the token
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long)]
    role: Role,
    /// The one owner it is bound to; default: none
    #[arg(long, value_name = "NAME|ID")]
    owner: Option<OwnerArgument>,
    /// When it ends by itself: 2030-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Timestamp>,
    /// In what time it ends by itself: 90d
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Span>,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Reads
    Viewer,
    /// Also makes, changes and revokes keys and owners
    Operator,
    /// Everything
    Admin,
}

impl Conversation for TokensCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(client, json, output).await,
            Self::List { paging } => {
                let mut query = Vec::new();
                paging.add_to(&mut query);
                let answer = client.list(&["admin", "tokens"], query, paging.all).await?;
                if json {
                    return output.json(answer.as_json());
                }
                let page: Page<Token> = answer.read()?;
                show_all(&page.items, output)?;
                Paging::note_rest(page.next_cursor.as_deref(), output)
            }
            Self::Revoke { token, yes } => {
                if !yes && !output.may_ask() {
                    return Err(Failure::Usage(
                        "revoking cannot be undone and there is no terminal to ask on; say --yes"
                            .to_owned(),
                    ));
                }
                let id = token.resolve(client).await?.to_string();
                if !yes {
                    confirm(&id, client, output).await?;
                }
                let answer = client.delete(&["admin", "tokens", &id], &[]).await?;
                if json {
                    return output.json(answer.as_json());
                }
                output.line(&format!("{id} is revoked"))
            }
        }
    }
}

impl Create {
    async fn run(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let role = self.role.to_possible_value();
        let expires_at = self
            .expires_at
            .or_else(|| self.expires_in.map(Span::ahead_of_now));
        let owner_id = resolved(self.owner.as_ref(), client).await?;
        let body = CreateToken {
            name: self.name,
            role: role
                .map(|word| word.get_name().to_owned())
                .unwrap_or_default(),
            owner_id,
            expires_at: expires_at.map(|time| time.to_string()),
        };
        let answer = client.post(&["admin", "tokens"], &body, None).await?;
        let created: TokenCreated = answer.read()?;
        if json {
            return output.secret(&answer.as_json().to_string(), created.token.id.to_string());
        }
        output.note_sheet(&sheet(&created.token))?;
        let id = created.token.id.to_string();
        output.reveal("The token", "cannot be read again", &created.secret, id)?;
        if !output.is_seen() {
            return Ok(());
        }
        output.note(&format!(
            "\nKeep it in an environment variable or a file, not in a command line:\n  \
             read -rs {TOKEN_VARIABLE} && export {TOKEN_VARIABLE}    # then paste it"
        ))
    }
}

/// Asks whether a token shall end, naming it, and saying so where no other of the store may administer.
async fn confirm(id: &str, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let answer = client.list(&["admin", "tokens"], Vec::new(), true).await?;
    let tokens: Page<Token> = answer.read()?;
    let name = match tokens.items.iter().find(|it| it.id.to_string() == id) {
        Some(token) => format!("{id} ({}, {})", visible(&token.name), visible(&token.role)),
        None => id.to_owned(),
    };
    output.note(&format!(
        "{name} opens the admin API no more, for ever. This cannot be undone."
    ))?;
    if is_last_admin(id, &tokens.items, SystemClock::new().now()) {
        output.note(
            "It is the last one there with the role admin: without it, only the token that the gate is \
             configured with\n(admin.token, PORTCULLIS_ADMIN_TOKEN) administers, and nobody where there is none.",
        )?;
    }
    output.confirm("Type yes to revoke it:")
}

/// Whether this token administers, and no other does at `now`.
fn is_last_admin(id: &str, tokens: &[Token], now: Timestamp) -> bool {
    let mut admins = tokens.iter().filter(|token| {
        let has_ended = token.expires_at.is_some_and(|end| *end <= now);
        token.role == "admin" && token.revoked_at.is_none() && !has_ended
    });
    admins.next().is_some_and(|it| it.id.to_string() == id) && admins.next().is_none()
}

fn show_all(tokens: &[Token], output: &mut Output) -> Result<(), Failure> {
    if tokens.is_empty() {
        return output.note("No tokens.");
    }
    let mut table = Table::new(&[
        "ID",
        "NAME",
        "ROLE",
        "OWNER",
        "FINGERPRINT",
        "CREATED",
        "EXPIRES",
        "REVOKED",
    ])
    .sparing(&["CREATED", "FINGERPRINT", "OWNER", "EXPIRES"]);
    for token in tokens {
        table.row(vec![
            Cell::solid(token.id.to_string()),
            Cell::text(&token.name),
            Cell::solid(&token.role),
            Cell::maybe(token.owner_id.map(|owner| owner.to_string())),
            Cell::solid(&token.fingerprint),
            Cell::day(token.created_at),
            Cell::time(token.expires_at, "never"),
            Cell::time(token.revoked_at, "-"),
        ]);
    }
    output.table(&table)
}

fn sheet(token: &Token) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.fact("id", token.id.to_string());
    sheet.fact("name", &token.name);
    sheet.fact("role", &token.role);
    sheet.maybe("owner", token.owner_id.map(|owner| owner.to_string()));
    sheet.fact("fingerprint", &token.fingerprint);
    sheet.maybe("expires", token.expires_at.map(to_the_second));
    sheet
}
