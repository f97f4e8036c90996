//! The audit log: listed, exported, verified.

pub(crate) mod list;
pub(crate) mod verify;
