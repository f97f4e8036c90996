//! `keys …`: keys, through the admin API.

mod command;
mod create;
mod list;
mod pause;
mod revoke;
mod show;

pub(crate) use self::command::KeysCommand;
