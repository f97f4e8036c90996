//! From the tree to a [`Config`]: every section is read, then what they say of each other is checked.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::fault::quoted;
use super::section::Section;
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::units::{HOUR, Unit};
use super::walk::Walk;
use super::{
    AccessLog, Config, admin, audit, bounds, fleet, keys, listeners, products, routes, sinks,
    store, traces, upstreams,
};

/// The whole file.
pub(super) static CONFIGURATION: Table = Table {
    name: "configuration",
    says: "The whole file.",
    exactly_one: false,
    fields: &[
        &listeners::LISTENERS,
        &admin::ADMIN,
        &store::STORE,
        &upstreams::UPSTREAMS,
        &routes::ROUTES,
        &products::PRODUCTS,
        &sinks::SINKS,
        &keys::KEYS,
        &audit::AUDIT,
        &ACCESS_LOG,
        &traces::TRACES,
        &RATE_LIMIT_HEADERS,
        &TRUSTED_PROXIES,
        &bounds::BOUNDS,
        &bounds::DEADLINES,
        &DRAIN,
        &WORKERS,
        &NODE,
        &store::DATA_DIR,
        &keys::SEAL,
        &fleet::FLEET,
    ],
};

static WORKERS: Field<NonZeroUsize> = Field {
    name: "workers",
    kind: Kind::Number {
        unit: Unit::Count,
        min: 1,
        max: 1_024,
        make: |number| {
            usize::try_from(number)
                .ok()
                .and_then(NonZeroUsize::new)
                .unwrap_or(NonZeroUsize::MIN)
        },
    },
    absent: Absent::Means("all cores"),
    says: "How many cores serve requests.",
};

static NODE: Field<String> = Field {
    name: "node",
    kind: Kind::Text {
        what: "1 to 64 of `a-z A-Z 0-9 . _ -`",
        pattern: Some("^[a-zA-Z0-9._-]{1,64}$"),
        secret: false,
        parse: |text| {
            let fits = (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            fits.then(|| text.to_owned())
                .ok_or_else(|| format!("{} is not 1 to 64 of `a-z A-Z 0-9 . _ -`", quoted(text)))
        },
    },
    absent: Absent::Means("the host's name and a random suffix, kept in `data_dir`"),
    says: "This gate's name among the others.",
};

static DRAIN: Field<Duration> = Field {
    name: "drain",
    kind: Kind::duration(0, HOUR),
    absent: Absent::Default("30s"),
    says: "How long requests in flight may go on after SIGTERM.",
};

static TRUSTED_PROXIES: List<IpNet> = List {
    name: "trusted_proxies",
    kind: Kind::Text {
        what: "an address or a network, such as `10.0.0.0/8`",
        pattern: Some("^[0-9a-fA-F.:]+(/[0-9]{1,3})?$"),
        secret: false,
        parse: |text| {
            text.parse::<IpNet>()
                .map(|net| net.trunc())
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
                .map_err(|_| {
                    format!(
                        "{} is not an address or a network, such as `10.0.0.0/8`",
                        quoted(text)
                    )
                })
        },
    },
    absent: Absent::Means("none"),
    says: "Proxies in front whose `Forwarded` and `X-Forwarded-*` fields are believed.",
};

static ACCESS_LOG: Nested = Nested {
    name: "access_log",
    many: Many::One,
    table: &ACCESS_LOG_TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "Where a line per request goes.",
};

static ACCESS_LOG_TABLE: Table = Table {
    name: "access log",
    says: "Where a line per request goes.",
    exactly_one: false,
    fields: &[&TO],
};

static TO: Field<AccessLog> = Field {
    name: "to",
    kind: Kind::Text {
        what: "`stdout`, `none` or a file",
        pattern: None,
        secret: false,
        parse: |text| {
            Ok(match text {
                "stdout" => AccessLog::Stdout,
                "none" => AccessLog::None,
                file => AccessLog::File(PathBuf::from(file)),
            })
        },
    },
    absent: Absent::Default("stdout"),
    says: "`stdout`, `none`, or a file that is appended to.",
};

static RATE_LIMIT_HEADERS: Nested = Nested {
    name: "rate_limit_headers",
    many: Many::One,
    table: &RATE_LIMIT_HEADERS_TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "What answers say of the limits.",
};

static RATE_LIMIT_HEADERS_TABLE: Table = Table {
    name: "rate limit headers",
    says: "What answers say of the limits, besides `RateLimit-Policy` and `RateLimit`.",
    exactly_one: false,
    fields: &[&LEGACY],
};

static LEGACY: Field<bool> = Field {
    name: "legacy",
    kind: Kind::SWITCH,
    absent: Absent::Default("false"),
    says: "Whether `X-RateLimit-Limit`, `-Remaining` and `-Reset` are sent too.",
};

/// Reads everything. What it returns may be used only if `walk` found no fault.
pub(super) fn resolve(root: &Section, walk: &mut Walk) -> Config {
    let mut bound = Vec::new();
    let listeners = listeners::read(root, walk, &mut bound);
    let admin = admin::read(root, walk, &mut bound);
    let fleet = fleet::read(root, walk);
    let keys = keys::read(root, walk, &fleet);
    let (store, data_dir) = store::read(root, walk);
    let pools = upstreams::read(root, walk, &bound);
    let known = routes::Known {
        upstreams: &pools.names,
        envs: &keys.envs,
    };
    let routes = routes::read(root, walk, &known);
    let used: HashSet<&str> = routes.iter().map(|route| route.upstream.as_str()).collect();
    for upstream in &pools.upstreams {
        if !used.contains(upstream.name.as_str()) {
            walk.warnings
                .push(format!("upstreams.{}: no route leads to it", upstream.name));
        }
    }
    let products = products::read(root, walk, &routes);
    Config {
        workers: root.read(walk, &WORKERS).map(|read| read.value),
        listeners,
        admin,
        store,
        node: root.read(walk, &NODE).map(|read| read.value),
        data_dir,
        access_log: access_log(root, walk),
        traces: traces::read(root, walk),
        audit: audit::read(root, walk),
        fleet,
        trusted_proxies: root
            .list(walk, &TRUSTED_PROXIES)
            .into_iter()
            .map(|net| net.value)
            .collect(),
        bounds: bounds::read_bounds(root, walk),
        deadlines: bounds::read_deadlines(root, walk),
        legacy_rate_limit_headers: root.section(walk, &RATE_LIMIT_HEADERS).get(walk, &LEGACY),
        drain: root.get(walk, &DRAIN),
        upstreams: pools.upstreams,
        routes,
        products,
        sinks: sinks::read(root, walk),
        seal: keys::read_seal(root, walk),
        keys,
        node_key: None,
        digest: String::new(),
        warnings: Vec::new(),
    }
}

fn access_log(root: &Section, walk: &mut Walk) -> AccessLog {
    let section = root.section(walk, &ACCESS_LOG);
    let Some(to) = section.read(walk, &TO) else {
        return section.get(walk, &TO);
    };
    if let AccessLog::File(file) = &to.value {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            walk.fault_of(&to, "is in a folder that does not exist");
        } else if file.is_dir() {
            walk.fault_of(&to, "is a folder, not a file");
        }
    }
    to.value
}
