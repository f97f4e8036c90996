//! The admin API, call by call, on a real store.

mod contract;
mod faults;
mod harness;
mod idempotency;
mod imports;
mod keys;
mod leaving;
mod live;
mod owners;
mod products;
mod refused;
mod requests;
mod roles;
mod shaken;
mod tokens;
mod usage;
