//! The language that tests are written in.

pub mod patience;
pub mod redis;
pub mod wire;
