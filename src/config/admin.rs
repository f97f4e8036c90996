//! `admin`: where operators connect.

use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::Admin;
use super::hosts::HOST_NAME;
use super::listeners::{self, Bound, SOCKET_ADDRESS};
use super::section::Section;
use super::table::{Absent, Field, Kind, List, Many, Nested, Table};
use super::walk::Walk;

pub(super) static ADMIN: Nested = Nested {
    name: "admin",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("each of its defaults"),
    says: "The listener of the admin API and the metrics.",
};

static TABLE: Table = Table {
    name: "admin",
    says: "Where operators connect. No route can lead here.",
    exactly_one: false,
    fields: &[&ADDRESS, &TOKEN, &OPEN_METRICS, &HOSTS],
};

static ADDRESS: Field<SocketAddr> = Field {
    name: "address",
    kind: SOCKET_ADDRESS,
    absent: Absent::Default("127.0.0.1:9900"),
    says: "Address and port; keep it where only operators can reach it.",
};

static TOKEN: Field<Zeroizing<String>> = Field {
    name: "token",
    kind: Kind::Text {
        what: "a token of visible ASCII characters",
        pattern: None,
        secret: true,
        parse: admin_token,
    },
    absent: Absent::Means("made at first start and printed once"),
    says: "The bootstrap token, with the role admin.",
};

static OPEN_METRICS: Field<bool> = Field {
    name: "open_metrics",
    kind: Kind::SWITCH,
    absent: Absent::Default("false"),
    says: "Whether `/metrics` needs no token.",
};

static HOSTS: List<String> = List {
    name: "hosts",
    kind: HOST_NAME,
    absent: Absent::Means("only addresses and `localhost`"),
    says: "Names a `Host` field may have here, besides addresses and `localhost`.",
};

/// An admin token as it is configured.
///
/// # Errors
/// What is wrong with it, for people; the token is not in it.
pub fn admin_token(text: &str) -> Result<Zeroizing<String>, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Zeroizing::new(text.to_owned()))
    } else {
        Err("holds other than visible ASCII characters".to_owned())
    }
}

/// What to say of an admin token that is too short.
#[must_use]
pub fn short_token(token: &str) -> Option<String> {
    let is_short = token.len() < TOKEN_SHORT;
    is_short.then(|| format!("has fewer than {TOKEN_SHORT} characters and may be guessed"))
}

pub(super) fn read(root: &Section, walk: &mut Walk, bound: &mut Vec<Bound>) -> Admin {
    let section = root.section(walk, &ADMIN);
    let typed = section.read(walk, &ADDRESS);
    let address = typed
        .as_ref()
        .map_or_else(|| Section::default(&ADDRESS), |typed| typed.value);
    if let Some(typed) = &typed {
        listeners::bind(typed, "the admin API", walk, bound);
    } else if !section.has(ADDRESS.name) {
        // The default may be taken as well, by a listener that says so.
        let default = super::walk::Read {
            value: address,
            at: section.at,
            path: section.path_of(ADDRESS.name),
            shown: String::new(),
        };
        listeners::bind(&default, "the admin API", walk, bound);
    }
    if !address.ip().is_loopback() {
        walk.warnings.push(format!(
            "{}: the admin API speaks no TLS; let only a proxy or a private network reach it",
            section.path_of(ADDRESS.name)
        ));
    }
    let token = section.read(walk, &TOKEN).map(|token| token.value);
    if let Some(warning) = token.as_ref().and_then(|token| short_token(token)) {
        let path = section.path_of(TOKEN.name);
        walk.warnings.push(format!("{path}: {warning}"));
    }
    Admin {
        address,
        token,
        open_metrics: section.get(walk, &OPEN_METRICS),
        hosts: section
            .list(walk, &HOSTS)
            .into_iter()
            .map(|host| host.value)
            .collect(),
    }
}

/// A token with fewer characters is worth a warning.
const TOKEN_SHORT: usize = 20;
