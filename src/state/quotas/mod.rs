//! Quotas: spent here, granted to here.
//!
//! The store keeps what of a quota has been *granted*; a gate asks for a grant ahead of need and spends from
//! it in memory ([`Account`]), so that a request waits only where its key holds nothing. What a gate holds and
//! loses, killed outright, counts as spent: a quota is never exceeded. What it holds when it stops, it gives
//! back.
//!
//! A quota that is not *hard* refuses nobody: what is spent of it is owed, and charged every second.
//!
//! An account belongs to the key, as its [`Slot`](crate::state::limiter::Slot) does, and is found by the quota's name: rotating a key
//! or changing a limit leaves it as it is.

mod account;
mod ask;
mod book;
mod charge;
#[cfg(test)]
mod tests;

pub use account::{Account, Accounts, Standing};
pub use ask::{QuotaAsk, QuotaLink};
pub use book::{NamedQuota, QuotaBook, QuotaId, names};
pub use charge::{Charge, Nearest, charge, low, short};
