//! Portcullis: a reverse proxy that admits requests carrying a valid API key.

pub mod config;
pub mod domain;
pub mod state;
pub mod store;
