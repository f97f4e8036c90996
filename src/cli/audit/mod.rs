//! `audit …`: what was done and by whom, listed, exported, verified, put away.

mod command;
mod export;
mod told;
mod verify;

pub(super) use command::Audit;
