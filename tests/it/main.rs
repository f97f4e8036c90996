//! The suite: one binary, so that it is linked once.
#![cfg(test)]

mod cli;
mod config;
