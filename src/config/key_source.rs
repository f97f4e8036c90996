//! `key` of a route: where the key is read from.

use http::HeaderName;

use crate::domain::route::KeySource;

use super::fault::quoted;
use super::section::{Section, ValueOrSection};
use super::table::{Absent, Either, Field, Kind, Table};
use super::walk::Walk;

pub(super) static KEY: Either<KeySource> = Either {
    name: "key",
    kind: Kind::Word(&[("default", KeySource::Default), ("none", KeySource::None)]),
    table: &SOURCE,
    absent: Absent::Default("default"),
    says: "Where the key is read from: `default` (`X-API-Key`, or `Authorization: Bearer` with one of our secrets), one other place, or `none` where no key is asked for.",
};

static SOURCE: Table = Table {
    name: "key source",
    says: "The one place a key is read from.",
    exactly_one: true,
    fields: &[&HEADER, &COOKIE, &QUERY],
};

static HEADER: Field<String> = Field {
    name: "header",
    kind: Kind::Text {
        what: "the name of a header field that reaches the API and is not set by the gate",
        pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
        secret: false,
        parse: |text| header(text),
    },
    absent: Absent::Means("not read"),
    says: "A header field.",
};

static COOKIE: Field<String> = Field {
    name: "cookie",
    kind: Kind::Text {
        what: "a cookie's name",
        pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
        secret: false,
        parse: |text| {
            // A cookie's name is a token, as a field's is (RFC 6265 §4.1.1).
            HeaderName::from_bytes(text.as_bytes())
                .map(|_| text.to_owned())
                .map_err(|_| format!("{} is not a cookie's name", quoted(text)))
        },
    },
    absent: Absent::Means("not read"),
    says: "A cookie.",
};

static QUERY: Field<String> = Field {
    name: "query",
    kind: Kind::Text {
        what: "a parameter's name: of `a-z A-Z 0-9 - . _ ~`",
        pattern: Some("^[a-zA-Z0-9._~-]+$"),
        secret: false,
        parse: |text| {
            let fits = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            fits.then(|| text.to_owned()).ok_or_else(|| {
                format!(
                    "{} is not a parameter's name: of `a-z A-Z 0-9 - . _ ~`",
                    quoted(text)
                )
            })
        },
    },
    absent: Absent::Means("not read"),
    says: "A query parameter. Secrets in addresses end up in logs: use it only where clients cannot do else.",
};

/// Where a route reads the key from. What is wrong is kept as a fault and read as the default.
pub(super) fn read(route: &Section, walk: &mut Walk) -> KeySource {
    match route.either(walk, &KEY) {
        None => KeySource::Default,
        Some(ValueOrSection::Value(word)) => word.value,
        Some(ValueOrSection::Section(section)) => {
            let header = section.read(walk, &HEADER).map(|read| read.value);
            let cookie = section.read(walk, &COOKIE).map(|read| read.value);
            let query = section.read(walk, &QUERY).map(|read| read.value);
            header
                .map(KeySource::Header)
                .or(cookie.map(KeySource::Cookie))
                .or(query.map(KeySource::Query))
                .unwrap_or_default()
        }
    }
}

fn header(text: &str) -> Result<String, String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{} is not the name of a header field", quoted(text)))?;
    let name = name.as_str();
    if TAKEN.contains(&name) || name.starts_with("x-portcullis-") {
        return Err(format!(
            "{} cannot carry a key: the field has a meaning of its own",
            quoted(text)
        ));
    }
    Ok(name.to_owned())
}

/// Fields that are hop-by-hop (RFC 9110 §7.6.1), that frame or route a message, or that the gate sets.
const TAKEN: [&str; 22] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_with_a_meaning_of_its_own_carries_no_key() {
        assert_eq!(header("X-Auth"), Ok("x-auth".to_owned()));
        assert_eq!(header("Authorization"), Ok("authorization".to_owned()));
        for name in ["Host", "Connection", "TE", "X-Portcullis-Key-Id", "Cookie"] {
            assert!(header(name).unwrap_err().contains("meaning"), "{name}");
        }
        assert!(header("X Auth").unwrap_err().contains("not the name"));
    }
}
