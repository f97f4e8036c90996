//! The language that tests are written in.

pub(crate) mod patience;
pub(crate) mod redis;
pub(crate) mod wire;
