//! From what the configuration says to connections that may be trusted, and back to them when they break.
//!
//! [`Link`] is all that the rest of the store sees: commands go in, and find the master they are for,
//! whether there is one server, one that sentinels choose, or as many as a cluster has. A server is taken
//! only if it is new enough and a master; it is written to only if it never evicts. Every command has a
//! deadline. Nothing is sent again behind a caller's back but what a server has answered it did not do.
//! Whatever fails says at which address and why, and never with a password.
//!
//! | file | |
//! |---|---|
//! | `server`, `trust` | one server: its address, how it is let in to, what is looked at before it is used |
//! | `line` | one connection, made again whenever it breaks |
//! | `sentinel` | which server is the master, by those who watch it |
//! | `slots`, `cluster` | which master a key lies on, and a line to each |
//! | `link` | the seam |
//! | `fault` | what goes wrong |

mod cluster;
mod fault;
mod line;
mod link;
mod sentinel;
mod server;
mod slots;
mod trust;

pub(super) use fault::{Cause, Fault};
pub(super) use line::Backoff;
pub(super) use link::{Link, Route};
pub(super) use server::Connection;
