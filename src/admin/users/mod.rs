//! Calls about owners, one a file. The path says `users`; an owner is a user, a team or a system.

pub(crate) mod create;
pub(crate) mod disable;
pub(crate) mod erase;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod sign_in;
pub(crate) mod update;
