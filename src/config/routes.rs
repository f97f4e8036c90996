//! `routes`: what a request must look like, what it must show, and where it goes.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::limit::RateLimit;
use crate::domain::permission::{Method, Methods, Scope};
use crate::domain::product::is_name;
use crate::domain::route::{HostMatch, KeySource, PathMatch, Route, Timeouts};

use super::hosts::HOST_MATCH;
use super::key_source;
use super::limits::{RATE_LIMITS, read_rates};
use super::nearest::did_you_mean;
use super::paths::{self, EXACT, PREFIX, TEMPLATE};
use super::products::SCOPE;
use super::section::Section;
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::units::{DAY, GIB};
use super::upstreams::NOT_A_NAME;
use super::walk::Walk;

pub(super) static ROUTES: Nested = Nested {
    name: "routes",
    many: Many::List,
    table: &ROUTE,
    absent: Absent::Fault,
    says: "The rules; the most particular one that fits a request is taken.",
};

static ROUTE: Table = Table {
    name: "route",
    says: "One rule: which requests, what they must show, where they go.",
    exactly_one: false,
    fields: &[
        &NAME,
        &MATCH,
        &UPSTREAM,
        &key_source::KEY,
        &SCOPES,
        &ENVS,
        &RATE_LIMITS,
        &COST,
        &TIMEOUTS,
        &BODY_MAX,
        &ENCODED_SLASHES,
    ],
};

static NAME: Field<String> = Field {
    name: "name",
    kind: Kind::Text {
        what: "a name: 1 to 64 of `a-z A-Z 0-9 . _ - / { } * :`",
        pattern: Some(r"^[a-zA-Z0-9._/{}*:-]{1,64}$"),
        secret: false,
        parse: |text| {
            is_name(text)
                .then(|| text.to_owned())
                .ok_or_else(|| format!("{} {NOT_A_NAME}", super::fault::quoted(text)))
        },
    },
    absent: Absent::Means("host and path of the match"),
    says: "Its name in logs, usage and metrics; unique.",
};

static MATCH: Nested = Nested {
    name: "match",
    many: Many::One,
    table: &MATCH_TABLE,
    absent: Absent::Fault,
    says: "Which requests it is for.",
};

static MATCH_TABLE: Table = Table {
    name: "match",
    says: "Which requests a route is for. At most one of the three paths; none: all paths.",
    exactly_one: false,
    fields: &[&HOST, &PREFIX, &EXACT, &TEMPLATE, &METHODS],
};

static HOST: Field<HostMatch> = Field {
    name: "host",
    kind: HOST_MATCH,
    absent: Absent::Means("any"),
    says: "The host: `api.example.com`, or `*.example.com` for all below it.",
};

static METHODS: List<Method> = List {
    name: "methods",
    kind: Kind::Word(&[
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("PATCH", Method::Patch),
        ("OPTIONS", Method::Options),
    ]),
    absent: Absent::Means("all"),
    says: "The methods.",
};

static UPSTREAM: Field<String> = Field {
    name: "upstream",
    kind: Kind::Text {
        what: "an upstream's name",
        pattern: None,
        secret: false,
        parse: |text| Ok(text.to_owned()),
    },
    absent: Absent::Fault,
    says: "The name of the upstream it leads to.",
};

static SCOPES: List<Scope> = List {
    name: "scopes",
    kind: SCOPE,
    absent: Absent::Means("none"),
    says: "What a key must be permitted, all of it.",
};

static ENVS: List<String> = List {
    name: "envs",
    kind: super::keys::ENV,
    absent: Absent::Means("all"),
    says: "The environments whose keys may pass.",
};

static COST: Field<u32> = Field {
    name: "cost",
    kind: Kind::count(1, 1_000_000),
    absent: Absent::Default("1"),
    says: "What a request costs of each limit.",
};

static TIMEOUTS: Nested = Nested {
    name: "timeouts",
    many: Many::One,
    table: &TIMEOUTS_TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "How long the steps of a request may take.",
};

static TIMEOUTS_TABLE: Table = Table {
    name: "timeouts",
    says: "How long the steps of a request may take; past any of them it is answered 504.",
    exactly_one: false,
    fields: &[&CONNECT, &REQUEST, &IDLE],
};

static CONNECT: Field<Duration> = Field {
    name: "connect",
    kind: Kind::duration(1, DAY),
    absent: Absent::Default("2s"),
    says: "Reaching an endpoint, TLS included.",
};

static REQUEST: Field<Duration> = Field {
    name: "request",
    kind: Kind::duration(1, DAY),
    absent: Absent::Default("30s"),
    says: "From the forwarded head to the head of the answer.",
};

static IDLE: Field<Duration> = Field {
    name: "idle",
    kind: Kind::duration(1, DAY),
    absent: Absent::Default("60s"),
    says: "Silence in the middle of an answer.",
};

static BODY_MAX: Field<u64> = Field {
    name: "body_max",
    kind: Kind::size(0, 1_024 * GIB),
    absent: Absent::Default("10MiB"),
    says: "The largest body of a request; a larger one is 413.",
};

static ENCODED_SLASHES: Field<bool> = Field {
    name: "encoded_slashes",
    kind: Kind::Word(&[("refuse", false), ("keep", true)]),
    absent: Absent::Default("refuse"),
    says: "Whether an escaped slash (`%2F`) in a path is refused with 400, or kept as it is. It is refused all the same where the path with a slash in its place is a route's that asks more of the key.",
};

/// What routes may name.
#[derive(Debug)]
pub(super) struct Known<'k> {
    pub(super) upstreams: &'k [String],
    pub(super) envs: &'k [String],
}

/// What routes have taken already.
#[derive(Debug, Default)]
struct Taken {
    names: HashMap<String, usize>,
    matches: HashMap<(HostMatch, PathMatch), Vec<(Methods, String)>>,
}

pub(super) fn read(root: &Section, walk: &mut Walk, known: &Known) -> Vec<Route> {
    let sections = root.sections(walk, &ROUTES);
    root.check_not_empty(walk, ROUTES.name);
    let mut taken = Taken::default();
    sections
        .iter()
        .filter_map(|section| route(section, walk, known, &mut taken))
        .collect()
}

fn route(section: &Section, walk: &mut Walk, known: &Known, taken: &mut Taken) -> Option<Route> {
    let matched = matched(section, walk);
    let name = name(section, walk, matched.as_ref(), taken);
    let upstream = upstream(section, walk, known);
    let key = key_source::read(section, walk);
    let scopes = section.list(walk, &SCOPES);
    let envs = envs(section, walk, known);
    let cost = section.get(walk, &COST);
    let rate_limits = rate_limits(section, walk, cost);
    let timeouts = timeouts(section, walk);
    let body_max = section.get(walk, &BODY_MAX);
    let keeps_encoded_slashes = section.get(walk, &ENCODED_SLASHES);
    if key == KeySource::None {
        for asked in [SCOPES.name, ENVS.name] {
            if section.has(asked) {
                walk.fault(
                    section.path_of(asked),
                    section.at_of(asked),
                    "asks something of a key, but `key: none` asks for none",
                );
            }
        }
    }
    let (matched, name) = (matched?, name?);
    check_overlap(section, walk, &matched, &name, taken);
    Some(Route {
        name,
        host: matched.host,
        path: matched.path,
        methods: matched.methods,
        upstream: upstream?,
        key,
        scopes: scopes.into_iter().map(|scope| scope.value).collect(),
        envs,
        rate_limits,
        cost,
        timeouts,
        body_max,
        keeps_encoded_slashes,
    })
}

/// Which requests a route is for.
struct Matched {
    host: HostMatch,
    path: PathMatch,
    methods: Methods,
}

fn matched(section: &Section, walk: &mut Walk) -> Option<Matched> {
    let section = section.given(walk, &MATCH)?;
    let host = section.read(walk, &HOST);
    let path = paths::read(&section, walk);
    let methods = section.list(walk, &METHODS);
    if section.has(HOST.name) && host.is_none() {
        return None;
    }
    Some(Matched {
        host: host.map_or(HostMatch::Any, |host| host.value),
        path: path?,
        methods: methods.into_iter().map(|method| method.value).collect(),
    })
}

fn name(
    section: &Section,
    walk: &mut Walk,
    matched: Option<&Matched>,
    taken: &mut Taken,
) -> Option<String> {
    let (name, at) = if section.has(NAME.name) {
        let read = section.read(walk, &NAME)?;
        (read.value, read.at)
    } else {
        let matched = matched?;
        let path = matched.path.pattern();
        let name = match &matched.host {
            HostMatch::Any => path.to_owned(),
            HostMatch::Exact(host) => format!("{host}{path}"),
            HostMatch::Below(host) => format!("*.{host}{path}"),
        };
        if !is_name(&name) {
            let message =
                "is missing, and host and path of the match are too long or too odd for a name";
            walk.fault(section.path_of(NAME.name), section.at, message);
            return None;
        }
        (name, section.at)
    };
    match taken.names.get(&name) {
        Some(line) => {
            let hint = if section.has(NAME.name) {
                ""
            } else {
                " by default; give it a `name` of its own"
            };
            let message = format!("is also the name of the route in line {line}{hint}");
            walk.fault(section.path_of(NAME.name), at, message);
        }
        None => {
            taken.names.insert(name.clone(), at.line);
        }
    }
    Some(name)
}

/// Two routes that fit one request equally well: no rule says which is meant.
fn check_overlap(
    section: &Section,
    walk: &mut Walk,
    matched: &Matched,
    name: &str,
    taken: &mut Taken,
) {
    let place = (matched.host.clone(), paths::shape(&matched.path));
    let others = taken.matches.entry(place).or_default();
    let other = others.iter().find(|(methods, _)| {
        Method::ALL
            .into_iter()
            .any(|method| methods.allows(method) && matched.methods.allows(method))
    });
    if let Some((_, other)) = other {
        let message = format!(
            "fits the same requests as the route {}",
            super::fault::quoted(other)
        );
        walk.fault(
            section.path_of(MATCH.name),
            section.at_of(MATCH.name),
            message,
        );
    }
    others.push((matched.methods, name.to_owned()));
}

fn upstream(section: &Section, walk: &mut Walk, known: &Known) -> Option<String> {
    let read = section.read(walk, &UPSTREAM)?;
    if !known.upstreams.contains(&read.value) {
        let names = known.upstreams.iter().map(String::as_str);
        let message = read.unknown("upstream", &read.value, names);
        walk.fault_of(&read, message);
    }
    Some(read.value)
}

fn envs(section: &Section, walk: &mut Walk, known: &Known) -> Vec<String> {
    let read = section.list(walk, &ENVS);
    for env in &read {
        if !known.envs.contains(&env.value) {
            let near = did_you_mean(&env.value, known.envs.iter().map(String::as_str));
            let hint = if env.shown.starts_with('`') {
                near.as_str()
            } else {
                ""
            };
            let message = format!("{} is not among `keys.envs`{hint}", env.shown);
            walk.fault_of(env, message);
        }
    }
    read.into_iter().map(|env| env.value).collect()
}

fn rate_limits(section: &Section, walk: &mut Walk, cost: u32) -> Vec<RateLimit> {
    let mut limits = Vec::new();
    for (limit, section) in read_rates(section, walk) {
        if limit.burst.get() < cost {
            let message = format!(
                "lets {} pass at once, so no request of `cost: {cost}` ever does",
                limit.burst
            );
            walk.fault(section.path.clone(), section.at, message);
        }
        limits.push(limit);
    }
    limits
}

fn timeouts(section: &Section, walk: &mut Walk) -> Timeouts {
    let section = section.section(walk, &TIMEOUTS);
    Timeouts {
        connect: section.get(walk, &CONNECT),
        request: section.get(walk, &REQUEST),
        idle: section.get(walk, &IDLE),
    }
}
