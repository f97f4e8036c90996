//! Upstreams: named pools of endpoints behind the gate.

use std::fmt;
use std::time::Duration;

/// A named pool of endpoints that answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// Its addresses; at least one.
    pub endpoints: Vec<Endpoint>,
    /// How one is chosen.
    pub balance: Balance,
    /// How it is asked whether it is well, if it is.
    pub health: Option<HealthCheck>,
    /// Idle connections kept to each endpoint, per core.
    pub idle_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its name or address; v6 addresses without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// `host:port`, as in logs and metrics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// Of two drawn at random, the one with fewer requests in flight.
    #[default]
    LeastRequests,
    /// One after the other.
    RoundRobin,
}

/// How an endpoint is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for; any 2xx or 3xx is well.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// After how many failures in a row it is taken out.
    pub unhealthy_after: u32,
    /// After how many answers in a row it is taken back.
    pub healthy_after: u32,
}
