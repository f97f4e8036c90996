//! `keys …`: keys, through the admin API.

mod command;
mod create;
mod ended;
mod import;
mod list;
mod pause;
mod revoke;
mod rotate;
mod settings;
mod show;
mod test;
mod update;

use crate::cli::names::Named;
use crate::domain::id::KeyId;

pub(crate) use self::command::KeysCommand;

/// A key as it is typed: by id, or by name.
pub(crate) type KeyArgument = Named<KeyId>;
