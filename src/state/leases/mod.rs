//! Shared limits in the hands of this gate: tokens on lease, spent from memory.
//!
//! Beside the state of a local limit lie in a key's slot the [`Tokens`] of each limit that gates share. A
//! request takes from them and goes on: no lock, no allocation, nobody else asked. Where there are too few
//! it leaves a [`LeaseAsk`] at the desk, for `control::leases` to settle with the store; only where there is
//! none at all, and nothing is known against it, does it wait for the answer. The [`LeaseLink`] says
//! whether waiting makes sense: while the store does not answer, the gate spends its share instead.

mod ask;
mod link;
mod tokens;

pub use ask::{LeaseAnswer, LeaseAsk};
pub use link::{LeaseLink, Roster};
pub(in crate::state) use tokens::Till;
pub use tokens::{Lack, Tokens};

#[cfg(test)]
mod tests;
