//! The built binary as an operator meets it: started, loaded, killed, started again.

mod canary;
mod clients;
mod counts;
mod document;
mod faults;
mod fleet;
pub(crate) mod gate;
mod history;
mod kills;
mod outages;
mod paused;
mod privacy;
mod quotas;
mod revoked;
mod screens;
