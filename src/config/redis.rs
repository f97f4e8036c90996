//! `store.redis`: which Redis, and how it is reached.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::listeners::{self, FILE};
use super::section::Section;
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::walk::{Read, Walk};
use super::{Certificate, RedisChoice, RedisSentinel, RedisSite, RedisTls};

pub(super) static REDIS: Nested = Nested {
    name: "redis",
    many: Many::One,
    table: &REDIS_TABLE,
    absent: Absent::Means("not used"),
    says: "A Redis or Valkey, for several gates.",
};

static REDIS_TABLE: Table = Table {
    name: "redis",
    says: "A Redis 7 or Valkey, or later: alone, watched by sentinels, or a cluster. Exactly one of `urls`, `sentinel`, `cluster`. Addresses are all `redis://`, or all `rediss://` for TLS.",
    exactly_one: false,
    fields: &[
        &URLS, &SENTINEL, &CLUSTER, &USERNAME, &PASSWORD, &TLS, &PREFIX,
    ],
};

static URLS: List<Zeroizing<String>> = List {
    name: "urls",
    kind: Kind::Text {
        what: "`redis://host:port/database`, or `rediss://…` for TLS",
        pattern: Some("^rediss?://.+$"),
        secret: true,
        parse: |text| match wrong_url(text) {
            None => Ok(Zeroizing::new(text.to_owned())),
            Some(message) => Err(message.to_owned()),
        },
    },
    absent: Absent::Means("not used"),
    says: "The one address of a server that stands alone: `redis://host:port/database`, or `rediss://…` for TLS.",
};

static USERNAME: Field<String> = Field {
    name: "username",
    kind: TEXT,
    absent: Absent::Means("the one in the address, or none"),
    says: "The ACL user. Of a master that sentinels watch it stands here only.",
};

static PASSWORD: Field<Zeroizing<String>> = Field {
    name: "password",
    kind: SECRET,
    absent: Absent::Means("the one in the address, or none"),
    says: "The user's password.",
};

static PREFIX: Field<String> = Field {
    name: "prefix",
    kind: Kind::Text {
        what: "1 to 32 of `a-z A-Z 0-9 _ -`",
        pattern: Some("^[a-zA-Z0-9_-]{1,32}$"),
        secret: false,
        parse: |text| {
            let fits = (1..=32).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            fits.then(|| text.to_owned()).ok_or_else(|| {
                format!(
                    "{} is not 1 to 32 of `a-z A-Z 0-9 _ -`",
                    super::fault::quoted(text)
                )
            })
        },
    },
    absent: Absent::Default("pc"),
    says: "What every Redis key of this fleet begins with. In a cluster it decides which master has the keys.",
};

static SENTINEL: Nested = Nested {
    name: "sentinel",
    many: Many::One,
    table: &SENTINEL_TABLE,
    absent: Absent::Means("not used"),
    says: "Sentinels that know which server is the master.",
};

static SENTINEL_TABLE: Table = Table {
    name: "sentinel",
    says: "Redis Sentinel: the gates ask for the master at every connection, and follow a failover by themselves.",
    exactly_one: false,
    fields: &[&MASTER, &NODES, &SENTINEL_USERNAME, &SENTINEL_PASSWORD],
};

static MASTER: Field<String> = Field {
    name: "master",
    kind: TEXT,
    absent: Absent::Fault,
    says: "What the sentinels call the master.",
};

static SENTINEL_USERNAME: Field<String> = Field {
    name: "username",
    kind: TEXT,
    absent: Absent::Means("the one in the address, or none"),
    says: "The sentinels' ACL user.",
};

static SENTINEL_PASSWORD: Field<Zeroizing<String>> = Field {
    name: "password",
    kind: SECRET,
    absent: Absent::Means("the one in the address, or none"),
    says: "Its password.",
};

static CLUSTER: Nested = Nested {
    name: "cluster",
    many: Many::One,
    table: &CLUSTER_TABLE,
    absent: Absent::Means("not used"),
    says: "A cluster of masters.",
};

static CLUSTER_TABLE: Table = Table {
    name: "cluster",
    says: "Redis Cluster: keys and changes lie on one master, the counts are spread over all.",
    exactly_one: false,
    fields: &[&NODES],
};

static NODES: List<Zeroizing<String>> = List {
    name: "urls",
    kind: Kind::Text {
        what: "`redis://host:port`, or `rediss://…` for TLS",
        pattern: Some("^rediss?://.+$"),
        secret: true,
        parse: |text| match wrong_node(text) {
            None => Ok(Zeroizing::new(text.to_owned())),
            Some(message) => Err(message.to_owned()),
        },
    },
    absent: Absent::Means("must be given"),
    says: "Addresses of some of them, at least one; more are better, since one may be away: `redis://host:port`, or `rediss://…` for TLS.",
};

static TLS: Nested = Nested {
    name: "tls",
    many: Many::One,
    table: &TLS_TABLE,
    absent: Absent::Means("the authorities of this machine, and no certificate"),
    says: "With whom `rediss://` is spoken.",
};

static TLS_TABLE: Table = Table {
    name: "redis_tls",
    says: "TLS towards Redis, and towards sentinels. The files are read at each connection, so they may be replaced.",
    exactly_one: false,
    fields: &[&CA, &CERT, &KEY],
};

static CA: Field<PathBuf> = Field {
    name: "ca",
    kind: FILE,
    absent: Absent::Means("the authorities of this machine"),
    says: "PEM file with the authorities that are trusted.",
};

static CERT: Field<PathBuf> = Field {
    name: "cert",
    kind: FILE,
    absent: Absent::Means("none"),
    says: "PEM file with the certificate chain that is shown, leaf first.",
};

static KEY: Field<PathBuf> = Field {
    name: "key",
    kind: FILE,
    absent: Absent::Means("none"),
    says: "PEM file with its private key.",
};

const TEXT: Kind<String> = Kind::Text {
    what: "a text",
    pattern: None,
    secret: false,
    parse: |text| Ok(text.to_owned()),
};

const SECRET: Kind<Zeroizing<String>> = Kind::Text {
    what: "a text",
    pattern: None,
    secret: true,
    parse: |text| Ok(Zeroizing::new(text.to_owned())),
};

/// Reads it, if it is given.
pub(super) fn read(store: &Section, walk: &mut Walk) -> Option<RedisChoice> {
    let section = store.given(walk, &REDIS)?;
    let site = site(&section, walk);
    let (username, password) = user(&section, walk, (&USERNAME, &PASSWORD));
    let is_secure = site.as_ref().map(RedisSite::is_secure);
    let tls = tls(&section, walk, is_secure);
    let prefix = section.get(walk, &PREFIX);
    Some(RedisChoice {
        site: site?,
        username,
        password,
        tls,
        prefix,
    })
}

fn site(section: &Section, walk: &mut Walk) -> Option<RedisSite> {
    let given = [URLS.name, SENTINEL.name, CLUSTER.name].map(|name| section.has(name));
    let standalone = standalone(section, walk);
    let sentinel = section.given(walk, &SENTINEL);
    let sentinel = sentinel.and_then(|section| self::sentinel(&section, walk));
    let cluster = section.given(walk, &CLUSTER);
    let cluster = cluster.and_then(|section| nodes(&section, walk));
    if given.into_iter().filter(|given| *given).count() != 1 {
        walk.fault(
            section.path.clone(),
            section.at,
            "must have exactly one of `urls`, `sentinel`, `cluster`",
        );
    }
    standalone
        .map(|url| RedisSite::Standalone { url })
        .or(sentinel.map(RedisSite::Sentinel))
        .or(cluster.map(|urls| RedisSite::Cluster { urls }))
}

fn standalone(section: &Section, walk: &mut Walk) -> Option<Zeroizing<String>> {
    let urls = section.list(walk, &URLS);
    section.check_not_empty(walk, URLS.name);
    if let Some(second) = urls.get(1) {
        walk.fault_of(
            second,
            "is a second address; several belong below `sentinel` or `cluster`",
        );
    }
    urls.into_iter().next().map(|url| url.value)
}

fn sentinel(section: &Section, walk: &mut Walk) -> Option<RedisSentinel> {
    let master = section.read(walk, &MASTER).map(|read| read.value);
    let urls = nodes(section, walk);
    let (username, password) = user(section, walk, (&SENTINEL_USERNAME, &SENTINEL_PASSWORD));
    Some(RedisSentinel {
        master: master?,
        urls: urls?,
        username,
        password,
    })
}

/// Addresses that are all spoken to in the same way, since servers tell of others without saying how.
fn nodes(section: &Section, walk: &mut Walk) -> Option<Vec<Zeroizing<String>>> {
    let urls = section.list(walk, &NODES);
    section.check_not_empty(walk, NODES.name);
    if !section.has(NODES.name) {
        walk.fault(section.path_of(NODES.name), section.at, "is missing");
    }
    if let Some((first, others)) = urls.split_first() {
        for other in others {
            let (one, two) = (way_of(&first.value), way_of(&other.value));
            if one.0 != two.0 {
                walk.fault_of(other, "must begin as the first address does");
            } else if one.1 != two.1 {
                walk.fault_of(other, "must have the user and the password of the first");
            }
        }
    }
    let urls: Vec<_> = urls.into_iter().map(|url| url.value).collect();
    (!urls.is_empty()).then_some(urls)
}

fn user(
    section: &Section,
    walk: &mut Walk,
    (username, password): (&Field<String>, &Field<Zeroizing<String>>),
) -> (Option<String>, Option<Zeroizing<String>>) {
    let name = section.read(walk, username).map(|read| read.value);
    let word = section.read(walk, password).map(|read| read.value);
    if name.is_some() && word.is_none() && !section.has(password.name) {
        walk.fault(
            section.path_of(username.name),
            section.at_of(username.name),
            "needs a `password`",
        );
    }
    (name, word)
}

fn tls(section: &Section, walk: &mut Walk, is_secure: Option<bool>) -> RedisTls {
    let Some(tls) = section.given(walk, &TLS) else {
        return RedisTls::default();
    };
    let ca = tls.read(walk, &CA);
    let (cert, key) = (tls.read(walk, &CERT), tls.read(walk, &KEY));
    for chain in [&ca, &cert] {
        listeners::check(walk, chain.as_ref(), listeners::wrong_chain);
    }
    listeners::check(walk, key.as_ref(), listeners::wrong_key);
    for (one, other) in [(&CERT, &KEY), (&KEY, &CERT)] {
        if tls.has(one.name) && !tls.has(other.name) {
            let message = format!("needs a `{}`", other.name);
            walk.fault(tls.path_of(one.name), tls.at_of(one.name), message);
        }
    }
    if is_secure == Some(false) {
        walk.fault(
            section.path_of(TLS.name),
            section.at_of(TLS.name),
            "is not used: the addresses must begin with `rediss://`",
        );
    }
    let value = |read: Option<Read<PathBuf>>| read.map(|read| read.value);
    let certificate = match (value(cert), value(key)) {
        (Some(cert), Some(key)) => Some(Certificate { cert, key }),
        _ => None,
    };
    RedisTls {
        ca: value(ca),
        certificate,
    }
}

impl RedisSite {
    /// Whether TLS is spoken.
    fn is_secure(&self) -> bool {
        let first = match self {
            Self::Standalone { url } => Some(url),
            Self::Sentinel(RedisSentinel { urls, .. }) | Self::Cluster { urls } => urls.first(),
        };
        first.is_some_and(|url| url.starts_with("rediss:"))
    }
}

/// The scheme of an address, and the user and password in it.
fn way_of(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    (scheme, rest.rsplit_once('@').map_or("", |(user, _)| user))
}

/// Why a text is no address of one node of several.
fn wrong_node(text: &str) -> Option<&'static str> {
    wrong_url(text).or_else(|| {
        let database = text.parse::<http::Uri>().ok()?;
        let is_first = matches!(database.path(), "" | "/" | "/0");
        (!is_first).then_some("may have no database: there is only the first")
    })
}

/// Why a text is no address of a Redis. Says nothing of the text, which may hold a password.
fn wrong_url(text: &str) -> Option<&'static str> {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return Some(
            "is not an address; characters of a password may need escapes, as `%40` for `@`",
        );
    };
    let database = uri.path().trim_start_matches('/');
    match uri.scheme_str() {
        Some("redis" | "rediss") => {}
        _ => return Some("must begin with `redis://`, or `rediss://` for TLS"),
    }
    if uri.host().is_none_or(str::is_empty) {
        Some("names no host")
    } else if uri.query().is_some() {
        Some("may not have a query")
    } else if !database.is_empty() && database.parse::<u16>().is_err() {
        Some("may have only the number of a database as its path")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_redis_has_a_scheme_a_host_and_perhaps_a_database() {
        for (text, right) in [
            ("redis://127.0.0.1:6379", true),
            ("rediss://user:p%40ss@redis.example.com:6380/3", true),
            ("redis://[::1]:6379/0", true),
            ("redis://host", true),
            ("http://host", false),
            ("host:6379", false),
            ("redis://", false),
            ("redis://host/name", false),
            ("redis://host/0?x=1", false),
            ("redis://ho st", false),
        ] {
            assert_eq!(wrong_url(text).is_none(), right, "{text}");
        }
    }
}
