//! Where a request behind trusted proxies came from, by what they say of it.
//!
//! A proxy writes `X-Forwarded-For` or `Forwarded` (RFC 7239), and lets the other one through as a client
//! sent it. Neither is better than the other, so where both name an address they must name the same one.
//! What cannot be read is not passed over: whoever stands behind it is not known.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::domain::permission::contains;

/// Stands for whoever cannot be known. No list of addresses has it.
pub(crate) const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The nearest address that the proxies name and that is not `trusted`; the farthest, if all are; `peer`,
/// if they name none.
pub(crate) fn nearest(headers: &HeaderMap, trusted: &[IpNet], peer: IpAddr) -> IpAddr {
    let listed = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let listed = listed.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let listed = listed
        .map(<[u8]>::trim_ascii)
        .filter(|node| !node.is_empty());
    let listed = stranger(listed.map(node), trusted);
    let mut elements = Vec::new();
    for line in headers.get_all(FORWARDED) {
        split(line.as_bytes(), b',', &mut |element| {
            elements.push(named(element))
        });
    }
    let told = stranger(elements.into_iter().rev(), trusted);
    match (listed, told) {
        (None, None) => peer,
        (Some(address), None) | (None, Some(address)) => address,
        (Some(listed), Some(told)) if listed == told => listed,
        (Some(_), Some(_)) => UNKNOWN,
    }
}

/// The first that is not trusted, or the last; `None` where there is none at all.
fn stranger(nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut last = None;
    for node in nodes {
        match node {
            Some(address) if contains(trusted, address) => last = Some(address),
            Some(address) => return Some(address),
            None => return Some(UNKNOWN),
        }
    }
    last
}

/// The address of a node: with a port or without, an IPv6 address in brackets or not.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let inside = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match inside {
        Some(inside) => IpAddr::V6(inside.parse().ok()?),
        None => match text.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    let address = address.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// The address of the one `for` of an element (RFC 7239 §4).
fn named(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut is_plain = true;
    split(element, b';', &mut |pair| {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
            is_plain = false;
            return;
        };
        let (name, value) = pair.split_at(at);
        if name.eq_ignore_ascii_case(b"for") {
            is_plain &= found.is_none();
            let value = value.get(1..).unwrap_or_default();
            let quoted = value
                .strip_prefix(b"\"")
                .and_then(|rest| rest.strip_suffix(b"\""));
            found = Some(node(quoted.unwrap_or(value)));
        }
    });
    found.flatten().filter(|_| is_plain)
}

/// Hands the parts of a list to `take` that are not empty; what separates does not within quotes.
fn split<'a>(list: &'a [u8], by: u8, take: &mut impl FnMut(&'a [u8])) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = list.split(|byte| {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && *byte == b'\\' {
            is_escaped = true;
        } else if *byte == b'"' {
            is_quoted = !is_quoted;
        }
        !is_quoted && *byte == by
    });
    for part in parts.map(<[u8]>::trim_ascii) {
        if !part.is_empty() {
            take(part);
        }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(fields: &[(&'static str, &'static str)]) -> String {
        let fields = fields.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        nearest(&fields.collect(), &trusted, [10, 0, 0, 1].into()).to_string()
    }

    // S1-13
    #[test]
    fn an_address_is_found_in_every_form_and_what_cannot_be_read_is_nobody() {
        for (list, address) in [
            ("9.9.9.9", "9.9.9.9"),
            ("9.9.9.9:443", "9.9.9.9"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:9.9.9.9", "9.9.9.9"),
            ("1.1.1.1, 9.9.9.9, 10.1.1.1", "9.9.9.9"),
            ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
            ("9.9.9.9,", "9.9.9.9"),
            ("", "10.0.0.1"),
            ("9.9.9.9, unknown", "0.0.0.0"),
            ("9.9.9.9, 10.1.1.1:x", "0.0.0.0"),
            ("_hidden", "0.0.0.0"),
            ("0.0.0.0", "0.0.0.0"),
        ] {
            assert_eq!(found(&[("x-forwarded-for", list)]), address, "{list}");
        }
        for (list, address) in [
            ("for=9.9.9.9", "9.9.9.9"),
            ("For=\"9.9.9.9:443\";proto=https", "9.9.9.9"),
            (
                "proto=http; by=10.0.0.1; for=\"[2001:db8::1]:443\"",
                "2001:db8::1",
            ),
            ("for=1.1.1.1, for=9.9.9.9, for=10.1.1.1", "9.9.9.9"),
            ("for=9.9.9.9;host=\"a,for=1.1.1.1\"", "9.9.9.9"),
            ("for=unknown", "0.0.0.0"),
            ("for=9.9.9.9;for=1.1.1.1", "0.0.0.0"),
            ("proto=https", "0.0.0.0"),
            ("nonsense", "0.0.0.0"),
        ] {
            assert_eq!(found(&[("forwarded", list)]), address, "{list}");
        }
    }

    #[test]
    fn two_fields_that_name_two_addresses_name_nobody() {
        let both = |one, other| found(&[("x-forwarded-for", one), ("forwarded", other)]);
        assert_eq!(both("9.9.9.9", "for=9.9.9.9"), "9.9.9.9");
        assert_eq!(both("1.1.1.1", "for=9.9.9.9"), "0.0.0.0");
        assert_eq!(both("9.9.9.9, x", "for=9.9.9.9"), "0.0.0.0");
    }
}
