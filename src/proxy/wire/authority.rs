//! `host[:port]`, in a Host field, in the absolute form of a target and in `:authority`.
//!
//! Stricter than the grammar of RFC 3986 §3.2 where looseness serves nobody: no user information
//! (RFC 9110 §4.2.4), no empty host (§4.2.1), no escapes, a port without leading zeros and between
//! 1 and 65535.

use std::net::Ipv6Addr;

use super::octets::{self, HOST};

/// A valid authority, in the client's spelling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// The authority that fills `bytes`, if one does.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (host, port) = match bytes {
            [b'[', ..] => {
                let end = memchr::memchr(b']', bytes)?;
                let (host, port) = bytes.split_at_checked(end + 1)?;
                let address = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
                std::str::from_utf8(address)
                    .ok()?
                    .parse::<Ipv6Addr>()
                    .ok()?;
                (host, port)
            }
            _ => bytes.split_at_checked(octets::run(bytes, HOST))?,
        };
        if host.is_empty() || host.len() > HOST_MAX {
            return None;
        }
        let port = match port {
            [] => None,
            [b':', digits @ ..] => Some(port_number(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// The name or address, which is ASCII; brackets and all where it is of IPv6.
    pub(crate) fn host(self) -> &'a [u8] {
        self.host
    }

    /// Whether both name the same place for a scheme whose default port is `default`.
    pub(crate) fn is_same(self, other: Self, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

fn port_number(digits: &[u8]) -> Option<u16> {
    let ([b'1'..=b'9'], rest) = digits.split_at_checked(1)? else {
        return None;
    };
    if !rest.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A name in DNS has 253 octets, and a dot at its end (RFC 1035 §2.3.4).
const HOST_MAX: usize = 254;
