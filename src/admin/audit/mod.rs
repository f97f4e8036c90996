//! The audit log: listed, exported, verified.

pub(crate) mod list;
pub(crate) mod refused;
pub(crate) mod verify;
