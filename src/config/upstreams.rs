//! `upstreams`: named pools of endpoints behind the gate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::domain::product::is_name;
use crate::domain::upstream::{Balance, Endpoint, HealthCheck, Upstream};

use super::fault::quoted;
use super::hosts::lower_name;
use super::listeners::{Bound, arrives_at};
use super::section::{Named, Section};
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::units::{DAY, HOUR, MINUTE};
use super::walk::{Read, Walk};

pub(super) static UPSTREAMS: Nested = Nested {
    name: "upstreams",
    many: Many::Named,
    table: &UPSTREAM,
    absent: Absent::Fault,
    says: "Named pools of endpoints behind the gate.",
};

static UPSTREAM: Table = Table {
    name: "upstream",
    says: "A pool of endpoints that answer alike, under the name that routes lead to.",
    exactly_one: false,
    fields: &[&ENDPOINTS, &BALANCE, &HEALTH, &IDLE_MAX, &IDLE_TIMEOUT],
};

static ENDPOINTS: List<Endpoint> = List {
    name: "endpoints",
    kind: Kind::Text {
        what: "`http://host:port` or `https://host:port`",
        pattern: Some("^https?://[^/?#@]+$"),
        secret: false,
        parse: endpoint,
    },
    absent: Absent::Fault,
    says: "Its addresses, as `http://host:port`; the port may be left out where it is 80, or 443 with `https`.",
};

static BALANCE: Field<Balance> = Field {
    name: "balance",
    kind: Kind::Word(&[
        ("least_requests", Balance::LeastRequests),
        ("round_robin", Balance::RoundRobin),
    ]),
    absent: Absent::Default("least_requests"),
    says: "How an endpoint is chosen: of two drawn at random the one with fewer requests in flight, or one after the other.",
};

static HEALTH: Nested = Nested {
    name: "health",
    many: Many::One,
    table: &HEALTH_TABLE,
    absent: Absent::Means("never asked"),
    says: "How endpoints are asked whether they are well.",
};

static IDLE_MAX: Field<usize> = Field {
    name: "idle_max",
    kind: Kind::number(0, 100_000),
    absent: Absent::Default("64"),
    says: "Idle connections kept to each endpoint, per core.",
};

static IDLE_TIMEOUT: Field<Duration> = Field {
    name: "idle_timeout",
    kind: Kind::duration(100, DAY),
    absent: Absent::Default("30s"),
    says: "How long an idle connection is kept; keep it below what the endpoint itself does.",
};

static HEALTH_TABLE: Table = Table {
    name: "health",
    says: "How endpoints are asked whether they are well. Any 2xx or 3xx is well.",
    exactly_one: false,
    fields: &[&PATH, &INTERVAL, &TIMEOUT, &UNHEALTHY_AFTER, &HEALTHY_AFTER],
};

static PATH: Field<String> = Field {
    name: "path",
    kind: Kind::Text {
        what: "a path that begins with `/`, and perhaps a query",
        pattern: Some("^/[^#\\s]*$"),
        secret: false,
        parse: |text| {
            let fits = text.starts_with('/')
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'#');
            fits.then(|| text.to_owned()).ok_or_else(|| {
                format!(
                    "{} is not a path that begins with `/`, and perhaps a query",
                    quoted(text)
                )
            })
        },
    },
    absent: Absent::Fault,
    says: "What is asked for.",
};

static INTERVAL: Field<Duration> = Field {
    name: "interval",
    kind: Kind::duration(100, HOUR),
    absent: Absent::Default("5s"),
    says: "How often.",
};

static TIMEOUT: Field<Duration> = Field {
    name: "timeout",
    kind: Kind::duration(10, MINUTE),
    absent: Absent::Default("2s"),
    says: "How long an answer may take; no longer than `interval`.",
};

static UNHEALTHY_AFTER: Field<u32> = Field {
    name: "unhealthy_after",
    kind: Kind::count(1, 1_000),
    absent: Absent::Default("3"),
    says: "After how many failures in a row an endpoint is taken out.",
};

static HEALTHY_AFTER: Field<u32> = Field {
    name: "healthy_after",
    kind: Kind::count(1, 1_000),
    absent: Absent::Default("2"),
    says: "After how many good answers in a row it is taken back.",
};

/// What was read of the upstreams.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// Those that are right.
    pub(super) upstreams: Vec<Upstream>,
    /// The names of all, so that a route to a wrong one is not wrong as well.
    pub(super) names: Vec<String>,
}

pub(super) fn read(root: &Section, walk: &mut Walk, bound: &[Bound]) -> Pools {
    let named = root.named(walk, &UPSTREAMS);
    root.check_not_empty(walk, UPSTREAMS.name);
    let mut pools = Pools::default();
    for named in named {
        pools.upstreams.extend(upstream(&named, walk, bound));
        pools.names.push(named.name);
    }
    pools
}

fn upstream(named: &Named, walk: &mut Walk, bound: &[Bound]) -> Option<Upstream> {
    let section = &named.section;
    if !is_name(&named.name) {
        walk.fault(section.path.clone(), named.name_at, NOT_A_NAME);
    }
    let endpoints = section.list(walk, &ENDPOINTS);
    section.check_not_empty(walk, ENDPOINTS.name);
    for (number, endpoint) in endpoints.iter().enumerate() {
        check_endpoint(endpoint, walk, bound);
        if endpoints
            .iter()
            .take(number)
            .any(|other| other.value == endpoint.value)
        {
            walk.fault_of(endpoint, "is given twice");
        }
    }
    let health = section.given(walk, &HEALTH);
    let upstream = Upstream {
        name: named.name.clone(),
        endpoints: endpoints.into_iter().map(|read| read.value).collect(),
        balance: section.get(walk, &BALANCE),
        health: health.and_then(|health| health_check(&health, walk)),
        idle_max: section.get(walk, &IDLE_MAX),
        idle_timeout: section.get(walk, &IDLE_TIMEOUT),
    };
    (!upstream.endpoints.is_empty()).then_some(upstream)
}

/// An endpoint that is the gate itself would lead to the admin API, or round in circles.
fn check_endpoint(endpoint: &Read<Endpoint>, walk: &mut Walk, bound: &[Bound]) {
    let host = endpoint.value.host.as_str();
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) if host == "localhost" => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Err(_) => Vec::new(),
    };
    let port = endpoint.value.port;
    let itself = bound.iter().find(|bound| {
        addresses
            .iter()
            .any(|ip| arrives_at(*ip, port, bound.address))
    });
    if let Some(itself) = itself {
        let message = format!(
            "leads to this gate itself: it is the address of {}",
            itself.whose
        );
        walk.fault_of(endpoint, message);
    }
}

fn health_check(section: &Section, walk: &mut Walk) -> Option<HealthCheck> {
    let interval = section.get(walk, &INTERVAL);
    let timeout = section.read(walk, &TIMEOUT);
    if let Some(timeout) = &timeout
        && timeout.value > interval
    {
        walk.fault_of(timeout, "is longer than `interval`");
    }
    // Where only the interval is given and it is short, the default must not outlast it.
    let timeout = timeout.map_or_else(
        || section.get(walk, &TIMEOUT).min(interval),
        |read| read.value,
    );
    let path = section.read(walk, &PATH);
    let unhealthy_after = section.get(walk, &UNHEALTHY_AFTER);
    let healthy_after = section.get(walk, &HEALTHY_AFTER);
    Some(HealthCheck {
        path: path?.value,
        interval,
        timeout,
        unhealthy_after,
        healthy_after,
    })
}

/// Reads `http://host:port` or `https://host:port`.
///
/// # Errors
/// What is wrong with the text, as a sentence's end.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let not = || {
        format!(
            "{} is not `http://host:port` or `https://host:port`",
            quoted(text)
        )
    };
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(not()),
    };
    if rest.contains(['/', '?', '#', '@', '\\']) {
        return Err(
            "must have neither a path nor a query nor a user; the request's own path is kept"
                .to_owned(),
        );
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (address, after) = v6.split_once(']').ok_or_else(not)?;
            let address: Ipv6Addr = address.parse().map_err(|_| not())?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or_else(not)?),
            };
            (address.to_string(), port)
        }
        None => {
            let (host, port) = match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            };
            (lower_name(host).ok_or_else(not)?, port)
        }
    };
    let port = match port {
        None if tls => 443,
        None => 80,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| "must have a port from 1 to 65535".to_owned())?,
        Some(_) => return Err(not()),
    };
    Ok(Endpoint { tls, host, port })
}

/// What a name must be.
pub(super) const NOT_A_NAME: &str = "is not a name: 1 to 64 of `a-z A-Z 0-9 . _ - / { } * :`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        for (text, tls, shown) in [
            ("http://10.0.0.5:8000", false, "10.0.0.5:8000"),
            ("http://orders", false, "orders:80"),
            ("https://Orders.Internal", true, "orders.internal:443"),
            ("http://[::1]:8080", false, "[::1]:8080"),
            ("https://[2001:DB8::1]", true, "[2001:db8::1]:443"),
        ] {
            let endpoint = endpoint(text).unwrap();
            assert_eq!((endpoint.tls, endpoint.to_string().as_str()), (tls, shown));
        }
    }

    #[test]
    fn anything_more_or_less_is_refused() {
        for text in [
            "",
            "orders:80",
            "ftp://orders",
            "http://",
            "http://orders/",
            "http://orders/v1",
            "http://orders?x",
            "http://user@orders",
            "http://orders:0",
            "http://orders:65536",
            "http://orders:+80",
            "http://orders:",
            "http://::1:80",
            "http://[::1",
            "http://[::1]80",
            "http://[orders]",
            "http://a b",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
