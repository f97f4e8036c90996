//! The test language: an upstream, a gateway, a client.
//!
//! ```text
//! let upstream = Upstream::echo().await;
//! let gateway = Gateway::routing("/", &upstream).start().await;
//! let key = gateway.create_key().await;
//! let reply = gateway.get("/").with(&key).await;
//! ```
//!
//! A [`Gateway`] is `app::start` in this process, on free ports, with a folder and a clock of its own. When
//! it is dropped it is stopped, and everything it logged must have been counted. An [`Upstream`] is a
//! socket and a script, and remembers the bytes it saw. Time is turned by hand; what really has to be
//! waited for is waited for by [`eventually`], as a condition.

pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod document;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod guard;
pub(crate) mod old_redis;
pub(crate) mod patience;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod sentinel;
pub(crate) mod suite;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod venv;
pub(crate) mod wire;

pub(crate) use client::{Ask, Connection, Reply};
pub(crate) use clock::{beside, eventually, within};
pub(crate) use gateway::Gateway;
pub(crate) use upstream::Upstream;
