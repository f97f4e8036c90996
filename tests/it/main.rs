//! Portcullis from outside: one binary for every suite, so that it is linked once.
#![cfg(test)]

mod admin;
mod cli;
mod commands;
mod config;
mod dashboard;
mod keys;
mod observability;
mod process;
mod proxy;
mod store;
mod support;
