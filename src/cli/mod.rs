//! The command line: runs the gate, judges a configuration, and is a client of the admin API.
//!
//! Commands that speak of keys, owners, tokens or usage know nothing of the store: they call the admin
//! API like anyone, so what they do is authorised and audited like anything else.
//!
//! Answers go to standard output, everything else to standard error, and a secret is printed exactly
//! once: by the command that made it, on a line of its own. Exit codes: 0 done, 1 refused or failed,
//! 2 wrong usage.

mod audit;
mod check;
mod client;
mod command;
mod completions;
mod failure;
mod keys;
mod live;
mod names;
mod nodes;
mod openapi;
mod output;
mod owners;
mod paging;
mod policies;
mod products;
mod progress;
mod quickstart;
mod render;
mod rotation;
mod schema;
mod serve;
mod store;
mod tail;
mod tokens;
mod top;
mod usage;
mod values;

pub use self::command::CommandLine;
pub use self::failure::Failure;
pub use self::output::Output;
