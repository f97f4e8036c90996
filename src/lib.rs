//! Portcullis: a reverse proxy that admits requests carrying a valid API key.

pub mod api;
pub mod cli;
pub mod config;
pub mod domain;
pub mod store;
