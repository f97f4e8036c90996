//! `keys …`: keys, through the admin API.

mod command;
mod create;
mod import;
mod list;
mod pause;
mod revoke;
mod rotate;
mod show;
mod test;

pub(crate) use self::command::KeysCommand;
