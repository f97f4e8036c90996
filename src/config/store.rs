//! `store`: where keys are kept.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::listeners::FILE;
use super::section::Section;
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::walk::Walk;
use super::{RedisChoice, StoreChoice};

pub(super) static STORE: Nested = Nested {
    name: "store",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("embedded, in `data_dir`"),
    says: "Where keys are kept.",
};

static TABLE: Table = Table {
    name: "store",
    says: "Where keys are kept: on this machine, or in a Redis that several gates share. One of the two.",
    exactly_one: true,
    fields: &[&EMBEDDED, &REDIS],
};

static EMBEDDED: Nested = Nested {
    name: "embedded",
    many: Many::One,
    table: &EMBEDDED_TABLE,
    absent: Absent::Means("as long as there is no `redis`"),
    says: "A file on this machine, for one gate.",
};

static EMBEDDED_TABLE: Table = Table {
    name: "embedded",
    says: "The embedded store.",
    exactly_one: false,
    fields: &[&PATH],
};

static PATH: Field<PathBuf> = Field {
    name: "path",
    kind: FILE,
    absent: Absent::Means("`data_dir`"),
    says: "The directory the file is in.",
};

static REDIS: Nested = Nested {
    name: "redis",
    many: Many::One,
    table: &REDIS_TABLE,
    absent: Absent::Means("not used"),
    says: "A Redis or Valkey, for several gates.",
};

static REDIS_TABLE: Table = Table {
    name: "redis",
    says: "A standalone Redis 7 or Valkey, or later.",
    exactly_one: false,
    fields: &[&URLS, &USERNAME, &PASSWORD, &PREFIX, &SENTINEL, &CLUSTER],
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
    absent: Absent::Means("must be given"),
    says: "Its one address: `redis://host:port/database`, or `rediss://…` for TLS.",
};

static USERNAME: Field<String> = Field {
    name: "username",
    kind: TEXT,
    absent: Absent::Means("the one in the address, or none"),
    says: "The ACL user.",
};

static PASSWORD: Field<Zeroizing<String>> = Field {
    name: "password",
    kind: Kind::Text {
        what: "a text",
        pattern: None,
        secret: true,
        parse: |text| Ok(Zeroizing::new(text.to_owned())),
    },
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
    says: "What every Redis key of this fleet begins with.",
};

static SENTINEL: Nested = Nested {
    name: "sentinel",
    many: Many::One,
    table: &SENTINEL_TABLE,
    absent: Absent::Means("not used"),
    says: "Not in this version: Redis Sentinel.",
};

static SENTINEL_TABLE: Table = Table {
    name: "sentinel",
    says: "Redis Sentinel, which this version does not support.",
    exactly_one: false,
    fields: &[&MASTER, &SENTINEL_URLS],
};

static MASTER: Field<String> = Field {
    name: "master",
    kind: TEXT,
    absent: Absent::Means("not used"),
    says: "The master's name.",
};

static SENTINEL_URLS: List<Zeroizing<String>> = List {
    name: "urls",
    kind: ANY_URL,
    absent: Absent::Means("not used"),
    says: "The sentinels' addresses.",
};

static CLUSTER: Nested = Nested {
    name: "cluster",
    many: Many::One,
    table: &CLUSTER_TABLE,
    absent: Absent::Means("not used"),
    says: "Not in this version: Redis Cluster.",
};

static CLUSTER_TABLE: Table = Table {
    name: "cluster",
    says: "Redis Cluster, which this version does not support.",
    exactly_one: false,
    fields: &[&CLUSTER_URLS],
};

static CLUSTER_URLS: List<Zeroizing<String>> = List {
    name: "urls",
    kind: ANY_URL,
    absent: Absent::Means("not used"),
    says: "The nodes' addresses.",
};

const ANY_URL: Kind<Zeroizing<String>> = Kind::Text {
    what: "an address",
    pattern: None,
    secret: true,
    parse: |text| Ok(Zeroizing::new(text.to_owned())),
};

const TEXT: Kind<String> = Kind::Text {
    what: "a text",
    pattern: None,
    secret: false,
    parse: |text| Ok(text.to_owned()),
};

pub(super) static DATA_DIR: Field<PathBuf> = Field {
    name: "data_dir",
    kind: FILE,
    absent: Absent::Means("the embedded store's path, or `./portcullis-data`"),
    says: "What this gate keeps on its own disk; no two gates share one.",
};

/// Reads `store` and `data_dir`, since each is the other's default.
pub(super) fn read(root: &Section, walk: &mut Walk) -> (StoreChoice, PathBuf) {
    let data_dir = root.read(walk, &DATA_DIR).map(|read| read.value);
    let Some(section) = root.given(walk, &STORE) else {
        let path = data_dir.unwrap_or_else(default_dir);
        return (StoreChoice::Embedded { path: path.clone() }, path);
    };
    let embedded = section.section(walk, &EMBEDDED);
    let path = embedded.read(walk, &PATH).map(|read| read.value);
    if let Some(choice) = redis(&section, walk) {
        return (choice, data_dir.unwrap_or_else(default_dir));
    }
    let data_dir = data_dir.or(path.clone()).unwrap_or_else(default_dir);
    let path = path.unwrap_or_else(|| data_dir.clone());
    (StoreChoice::Embedded { path }, data_dir)
}

fn default_dir() -> PathBuf {
    Path::new("./portcullis-data").to_owned()
}

fn redis(store: &Section, walk: &mut Walk) -> Option<StoreChoice> {
    let section = store.given(walk, &REDIS)?;
    let mut other = false;
    for kind in [&SENTINEL, &CLUSTER] {
        if section.given(walk, kind).is_some() {
            other = true;
            walk.fault(
                section.path_of(kind.name),
                section.at_of(kind.name),
                "this version supports a standalone Redis only: `urls` with one address",
            );
        }
    }
    let urls = section.list(walk, &URLS);
    if let Some(second) = urls.get(1) {
        walk.fault_of(
            second,
            "this version supports a standalone Redis only: `urls` with one address",
        );
    } else if urls.is_empty() && !section.has(URLS.name) && !other {
        walk.fault(section.path_of(URLS.name), section.at, "is missing");
    }
    section.check_not_empty(walk, URLS.name);
    let username = section.read(walk, &USERNAME).map(|read| read.value);
    let password = section.read(walk, &PASSWORD).map(|read| read.value);
    if username.is_some() && password.is_none() && !section.has(PASSWORD.name) {
        walk.fault(
            section.path_of(USERNAME.name),
            section.at_of(USERNAME.name),
            "needs a `password`",
        );
    }
    let prefix = section.get(walk, &PREFIX);
    let url = urls.into_iter().next()?.value;
    Some(StoreChoice::Redis(RedisChoice {
        url,
        username,
        password,
        prefix,
    }))
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
