//! The admin API, call by call, on a real store.

mod audit;
mod contract;
mod faults;
mod harness;
mod idempotency;
mod keys;
mod listener;
mod live;
mod owners;
mod policies;
mod refused;
mod requests;
mod roles;
mod rotation;
mod shaken;
mod tokens;
mod usage;
