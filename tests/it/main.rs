//! Portcullis from outside: one binary for every suite, so that it is linked once.
#![cfg(test)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod admin;
mod cli;
mod config;
mod process;
mod proxy;
mod store;
mod support;
