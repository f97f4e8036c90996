//! Portcullis: a reverse proxy that admits requests carrying a valid API key.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod domain;
pub mod proxy;
pub mod state;
pub mod store;
mod telemetry;
