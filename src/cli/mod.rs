//! The command line: runs the gate, judges a configuration, and is a client of the admin API.
//!
//! Commands that speak of keys, owners, tokens or usage know nothing of the store: they call the admin
//! API like anyone, so what they do is authorised and audited like anything else.
//!
//! Answers go to standard output, everything else to standard error, and a secret is printed exactly
//! once: by the command that made it, on a line of its own. Exit codes: 0 done, 1 refused or failed,
//! 2 wrong usage.

mod check;
mod client;
mod completions;
mod failure;
mod keys;
mod output;
mod owners;
mod quickstart;
mod render;
mod schema;
mod serve;
mod tail;
mod tokens;
mod usage;
mod values;

use clap::{Args, Parser, Subcommand};

pub use self::failure::Failure;
pub use self::output::Output;

use self::client::{Client, Connection};

/// An API-key gateway: stands in front of an API you already have, admits requests that carry a valid
/// key, limits and counts them.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage.")]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a gate to try things out, with a first key and an echo for an API
    Quickstart(quickstart::Quickstart),
    /// Run the gate until SIGTERM
    Serve(serve::Serve),
    /// Say everything that is wrong with a configuration
    Check(check::Check),
    /// About configurations
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make, list, show, suspend, resume and revoke keys
    Keys(Group<keys::KeysCommand>),
    /// Make, list and show owners of keys
    Owners(Group<owners::OwnersCommand>),
    /// Make, list and revoke tokens of the admin API
    Tokens(Group<tokens::TokensCommand>),
    /// What a key was used for
    Usage(Single<usage::Usage>),
    /// Watch requests as they finish
    Tail(Single<tail::Tail>),
    /// Print what makes a shell complete these commands
    Completions(completions::Completions),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Several commands that call the admin API.
#[derive(Debug, Args)]
struct Group<C: Subcommand> {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: C,
}

/// One command that calls the admin API.
#[derive(Debug, Args)]
struct Single<C: Args> {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    command: C,
}

/// A command that is done by calling the admin API.
trait Conversation {
    /// Asks, and prints what is answered: as JSON where that was asked for.
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure>;
}

impl CommandLine {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done; [`Failure::exit_code`] says it to whoever started this process.
    pub fn run(self, output: &mut Output) -> Result<(), Failure> {
        match self.command {
            Command::Quickstart(quickstart) => quickstart.run(output),
            Command::Serve(serve) => serve.run(output),
            Command::Check(check) => check.run(output),
            Command::Config { command } => match command {
                ConfigCommand::Schema => schema::run(output),
            },
            Command::Keys(keys) => call(&keys.connection, keys.command, output),
            Command::Owners(owners) => call(&owners.connection, owners.command, output),
            Command::Tokens(tokens) => call(&tokens.connection, tokens.command, output),
            Command::Usage(usage) => call(&usage.connection, usage.command, output),
            Command::Tail(tail) => call(&tail.connection, tail.command, output),
            Command::Completions(completions) => completions.run(output),
        }
    }
}

/// Holds a conversation with the admin API to its end.
fn call(
    connection: &Connection,
    conversation: impl Conversation,
    output: &mut Output,
) -> Result<(), Failure> {
    let client = Client::new(connection)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(conversation.hold(&client, connection.json, output))
}

#[cfg(test)]
mod tests;
