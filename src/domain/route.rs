//! Routes: what a request must look like, what it must show, and where it goes.

use std::time::Duration;

use super::limit::RateLimit;
use super::permission::{Methods, Scope};

/// One rule of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name in logs, usage and metrics; unique.
    pub name: String,
    /// Which host it serves.
    pub host: HostMatch,
    /// Which paths it serves.
    pub path: PathMatch,
    /// Which methods it serves; none named: all.
    pub methods: Methods,
    /// The name of the upstream it leads to.
    pub upstream: String,
    /// Where the key is read from, or that none is asked for.
    pub key: KeySource,
    /// What a key must be permitted, all of it.
    pub scopes: Vec<Scope>,
    /// Which environments' keys may pass; none named: all.
    pub envs: Vec<String>,
    /// Limits, counted per key and route; without a key, for the route as a whole.
    pub rate_limits: Vec<RateLimit>,
    /// What a request costs, in tokens of each limit.
    pub cost: u32,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// The most bytes a request's body may have.
    pub body_max: u64,
    /// Whether an escaped slash (`%2F`) is kept in a path instead of refused.
    pub keeps_encoded_slashes: bool,
}

impl Route {
    /// Whether it asks something of a request's key that `other` does not.
    #[must_use]
    pub fn asks_more_than(&self, other: &Self) -> bool {
        let is_new = |scope| !other.scopes.contains(scope);
        let is_barred = |env| !self.envs.contains(env);
        self.key != KeySource::None && other.key == KeySource::None
            || self.scopes.iter().any(is_new)
            || !self.envs.is_empty() && (other.envs.is_empty() || other.envs.iter().any(is_barred))
    }
}

/// Which host a route serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// Any.
    Any,
    /// This one, lower case, without a port.
    Exact(String),
    /// Any one below this: `*.example.com` holds `example.com`.
    Below(String),
}

/// Which paths a route serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// This path alone.
    Exact(String),
    /// This path and all below it, by whole segments.
    Prefix(String),
    /// A path with a variable in place of a segment: `/users/{id}/orders`.
    Template(String),
}

impl PathMatch {
    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) | Self::Template(path) => path,
        }
    }
}

/// A segment of a canonical path without its parameters (`;v=1`, RFC 3986 §3.3), which some servers leave
/// aside; also where their `;` is escaped, since some unescape it first.
#[must_use]
pub fn without_parameters(segment: &str) -> &str {
    let plain = segment.split_once(';').map_or(segment, |(name, _)| name);
    if !plain.contains('%') {
        return plain;
    }
    plain.split_once("%3B").map_or(plain, |(name, _)| name)
}

/// Where a route reads the key from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum KeySource {
    /// `X-API-Key`, or `Authorization: Bearer` with a secret of ours.
    #[default]
    Default,
    /// Another header field, lower case.
    Header(String),
    /// A cookie of this name.
    Cookie(String),
    /// A query parameter of this name.
    Query(String),
    /// Nowhere: no key is asked for.
    None,
}

/// How long the steps of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Reaching an endpoint, TLS included.
    pub connect: Duration,
    /// From the forwarded head to the answer's head.
    pub request: Duration,
    /// Silence in the middle of an answer's body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// The most bytes of a body where a route says nothing: 10 MiB.
pub const BODY_MAX: u64 = 10 * 1024 * 1024;
