//! Stores: what every backend guarantees, and what is said of one alone.
//!
//! A backend proves the whole contract by `keeps_the_contract!(its_backend)`, where `its_backend` is an
//! async function that makes a [`contract::Backend`].

mod carry;
mod contract;
mod embedded;
mod files;
mod forks;
mod gate;
mod losses;
mod mirrors;
mod redis_cluster;
mod redis_sentinel;
mod redis_standalone;
mod redis_valkey;
mod roster;
mod shared;
pub(crate) mod things;
mod whole;
