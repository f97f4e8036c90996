//! The admin API, call by call, on a real store.

mod audit;
mod contract;
mod document;
mod faults;
mod harness;
mod idempotency;
mod imports;
mod keys;
mod leaving;
mod listener;
mod live;
mod minutes;
mod owners;
mod page;
mod policies;
mod products;
mod refused;
mod reports;
mod requests;
mod roles;
mod rotation;
mod sessions;
mod shaken;
mod tokens;
mod usage;
