//! The built binary as an operator meets it: started, loaded, killed, started again.

mod canary;
mod clients;
mod counts;
mod faults;
mod gate;
mod history;
mod kills;
mod privacy;
mod quotas;
mod revoked;
