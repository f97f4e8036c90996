//! The command tree: what can be typed, and who does it.

use clap::{Args, Parser, Subcommand};

use super::client::{Client, Connection};
use super::failure::Failure;
use super::output::Output;
use super::{
    audit, check, completions, keys, nodes, openapi, owners, policies, products, quickstart,
    rotation, schema, serve, store, tail, tokens, top, usage,
};

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
    /// Make, list, show, rotate, test, suspend, resume and revoke keys
    Keys(Group<keys::KeysCommand>),
    /// Have keys rotate by themselves, or no more
    Rotation(Group<rotation::RotationCommand>),
    /// Make, list, try out and take away policies
    Policies(Group<policies::PoliciesCommand>),
    /// Make, list and show owners of keys, and see them off
    Owners(Group<owners::OwnersCommand>),
    /// Make, list, show, change and delete products
    Products(Group<products::ProductsCommand>),
    /// Make, list and revoke tokens of the admin API
    Tokens(Group<tokens::TokensCommand>),
    /// List the gates that share a store, and strike off one that is gone
    Nodes(Group<nodes::NodesCommand>),
    /// List, export, verify and archive what was done
    Audit(audit::Audit),
    /// Take a whole store into a file, out of one, and from one place to another
    Store(store::Store),
    /// What a key was used for
    Usage(Single<usage::Usage>),
    /// Watch requests as they finish
    Tail(Single<tail::Tail>),
    /// Watch a table of keys, owners or routes: what they ask for, are refused, and how long it takes
    Top(Single<top::Top>),
    /// Print the OpenAPI document of the admin API
    Openapi,
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
    // Before the connection, whose heading would otherwise stand above these options too.
    #[command(flatten)]
    command: C,
    #[command(flatten)]
    connection: Connection,
}

/// A command that is done by calling the admin API.
pub(crate) trait Conversation {
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
            Command::Rotation(rotation) => call(&rotation.connection, rotation.command, output),
            Command::Policies(policies) => call(&policies.connection, policies.command, output),
            Command::Owners(owners) => call(&owners.connection, owners.command, output),
            Command::Products(products) => call(&products.connection, products.command, output),
            Command::Tokens(tokens) => call(&tokens.connection, tokens.command, output),
            Command::Nodes(nodes) => call(&nodes.connection, nodes.command, output),
            Command::Audit(audit) => audit.run(output),
            Command::Store(store) => store.run(output),
            Command::Usage(usage) => call(&usage.connection, usage.command, output),
            Command::Tail(tail) => call(&tail.connection, tail.command, output),
            Command::Top(top) => call(&top.connection, top.command, output),
            Command::Openapi => openapi::run(output),
            Command::Completions(completions) => completions.run(output),
        }
    }
}

/// Holds a conversation with the admin API to its end.
pub(crate) fn call(
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
mod tests {
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    use super::*;

    fn parse(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_tree_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_the_specification_names_can_be_typed() {
        for line in [
            "portcullis quickstart",
            "portcullis quickstart --upstream http://127.0.0.1:3000 --listen 127.0.0.1:0 --data-dir d",
            "portcullis serve --config portcullis.yaml",
            "portcullis check --config portcullis.yaml",
            "portcullis config schema",
            "portcullis keys create --name k --owner Billing",
            "portcullis keys create --name k --owner usr_0000000000 --owner-type user --env live --scope a:b \
             --scope c --product starter --rate 100/minute:20 --rate 5/second --allow-ip 10.0.0.0/8 \
             --allow-path /v1 --allow-method GET --expires-in 90d --label team=x --description d --concurrency 4",
            "portcullis keys list --status active --name x --owner usr_0000000000 --env live --product p --label a=b \
             --stale --sort -last_used_at --limit 1000 --cursor c --all",
            "portcullis keys list --json --admin-url http://127.0.0.1:1 --token-file f",
            "portcullis keys --json list",
            "portcullis keys show key_0000000000",
            "portcullis keys show shop",
            "portcullis keys update shop --name s --description d --scope a:b --product p --rate 5/second:9 \
             --quota 9/day --concurrency 4 --allow-ip ::1 --allow-path /v1 --allow-method GET --expires-in 30d \
             --label a=b --metadata {} --risk low --protected=false --self-rotation --rotation-days 30 \
             --newest-only --rotation-grace 1h --max-staleness 30s --clear labels --if-match 60303ae22b99",
            "portcullis keys suspend key_0000000000",
            "portcullis keys resume key_0000000000 --reason back",
            "portcullis keys revoke key_0000000000 --reason left --wait --yes",
            "portcullis rotation enable --interval-days 90",
            "portcullis rotation enable --newest-only --grace 24h --label team=billing",
            "portcullis rotation disable --risk high",
            "portcullis rotation disable --yes",
            "portcullis rotation show --json",
            "portcullis policies list --all",
            "portcullis policies create --name unused --revoke-unused-after 180d --revoke-warning 14d",
            "portcullis policies create --name p --require-expiry --max-age 365d --owner-type team --allow-scope a:b \
             --product starter",
            "portcullis policies preview",
            "portcullis policies preview --name p --stale-after 30d --instead-of pol_0000000000",
            "portcullis policies delete pol_0000000000",
            "portcullis keys revoke key_0000000000 --version 1",
            "portcullis keys rotate key_0000000000",
            "portcullis keys rotate key_0000000000 --grace 72h --reason regular --yes --json",
            "portcullis keys rotate key_0000000000 --revoke-earlier --expires-at 2030-01-01T00:00:00Z --yes",
            "portcullis keys rotate key_0000000000 --expires-in 90d --yes",
            "portcullis keys test key_0000000000 /v1/orders --method POST --host api.example.com --address ::1",
            "portcullis keys create --name k --owner o --risk high --protected --self-rotation",
            "portcullis owners list",
            "portcullis owners create --name Billing --type team",
            "portcullis owners show usr_0000000000",
            "portcullis owners disable usr_0000000000 --reason left --yes",
            "portcullis owners enable usr_0000000000",
            "portcullis owners erase usr_0000000000 --yes",
            "portcullis products list --limit 10",
            "portcullis nodes list --json",
            "portcullis nodes forget gate-3 --reason gone",
            "portcullis products create pro --scope a:b --route orders --rate 10/second:20 --description d",
            "portcullis products show pro",
            "portcullis products update pro --scope a:b --rename max --clear routes --clear description --max-staleness 5s",
            "portcullis products delete pro --reason over",
            "portcullis keys import keys.csv --dry-run --env live --owner-type user",
            "portcullis keys import kong.conf --form kong --json",
            "portcullis tokens create --name ci --role operator --expires-in 30d",
            "portcullis tokens list",
            "portcullis tokens revoke tok_0000000000",
            "portcullis tokens revoke ci --yes",
            "portcullis audit list --type key_rotation --key key_0000000000 --key-version 2 --actor tok_1 \
             --owner usr_0000000000 --from 2026-01-01 --to 2026-01-31 --outcome refused --code protected \
             --request-id req_1 --limit 10",
            "portcullis audit export --format csv --out audit.csv --from 2026-01-01",
            "portcullis audit verify",
            "portcullis audit verify audit.ndjson --json",
            "portcullis audit archive --before 2026-01-01 --out 2025.ndjson",
            "portcullis store snapshot --config f --to g",
            "portcullis store restore --config f --from g --replace 00 --json",
            "portcullis store restore --config f --from-mirror",
            "portcullis store migrate --from f --to g --replace 00",
            "portcullis usage key_0000000000 --from 2026-01-01T00:00:00Z --to 2h --step 1d --by version,route",
            "portcullis usage shop --from 2026-01-01",
            "portcullis audit list --from 2h --owner Anna --key shop",
            "portcullis tail --key key_0000000000 --owner usr_0000000000 --status 5xx --json",
            "portcullis tail --key shop --owner Billing --status 429 --route orders --method GET --gate gate-2",
            "portcullis top",
            "portcullis top --by owner --sort p99 --key shop --route orders --gate gate-2 --json",
            "portcullis top --by route --once",
            "portcullis completions bash",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_cannot_be_meant_is_wrong_usage() {
        for line in [
            "portcullis",
            "portcullis serve",
            "portcullis keys",
            "portcullis keys create --name k",
            "portcullis keys create --owner o",
            "portcullis keys create --name k --owner o --rate 100",
            "portcullis keys create --name k --owner o --rate 100/minute:0",
            "portcullis keys create --name k --owner o --concurrency 0",
            "portcullis keys create --name k --owner o --owner-type robot",
            "portcullis keys create --name k --owner o --expires-at tomorrow",
            "portcullis keys create --name k --owner o --expires-in 1d --expires-at 2030-01-01T00:00:00Z",
            "portcullis keys create --name k --owner o --expires-in 1d --idempotency-key x",
            "portcullis keys list --limit 0",
            "portcullis keys list --limit 1001",
            "portcullis keys list --sort colour",
            "portcullis keys list --status gone",
            "portcullis keys show usr_0000000000",
            "portcullis keys revoke",
            "portcullis keys rotate",
            "portcullis keys update shop --clear name",
            "portcullis keys update shop --metadata []",
            "portcullis keys update shop --protected false",
            "portcullis usage shop --from yesterday",
            "portcullis keys rotate key_0000000000 --grace 73h",
            "portcullis keys rotate shop --expires-in 1d --expires-at 2030-01-01T00:00:00Z",
            "portcullis keys rotate key_0000000000 --grace soon",
            "portcullis keys rotate key_0000000000 --grace 1h --revoke-earlier",
            "portcullis keys revoke key_0000000000 --version one",
            "portcullis keys test key_0000000000",
            "portcullis keys create --name k --owner o --risk extreme",
            "portcullis usage key_0000000000 --step 2h",
            "portcullis audit list --outcome perhaps",
            "portcullis audit export --format xml",
            "portcullis audit archive --out x",
            "portcullis store restore --config f",
            "portcullis store restore --config f --from g --from-mirror",
            "portcullis store restore --config f --from g --signed-by 00",
            "portcullis store migrate --from f",
            "portcullis top --by colour",
            "portcullis top --sort colour",
            "portcullis completions abacus",
        ] {
            let code = parse(line)
                .map(|_| 0)
                .unwrap_or_else(|error| error.exit_code());
            assert_eq!(code, 2, "{line}");
        }
    }

    #[test]
    fn options_of_a_command_do_not_stand_among_those_of_the_admin_api() {
        for name in ["usage", "tail", "top"] {
            let mut line = CommandLine::command();
            let command = line.find_subcommand_mut(name).unwrap();
            for argument in command.get_arguments() {
                let heading = argument.get_help_heading();
                let of_connection = argument.is_global_set();
                assert_eq!(heading.is_some(), of_connection, "{name} {argument}");
            }
        }
    }

    /// S0-14: no secret is ever taken from the command line, where every user of the machine reads it.
    #[test]
    fn there_is_no_way_to_name_a_token_on_the_command_line() {
        for line in [
            "portcullis keys list --token pct_canary",
            "portcullis keys list --token=pct_canary",
            "portcullis keys --admin-token=pct_canary list",
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{line}");
            assert!(!error.to_string().contains("pct_canary"), "{error}");
        }
    }
}
