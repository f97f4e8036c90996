//! Names of hosts, as routes match them and operators type them.

use std::net::IpAddr;

use crate::domain::route::HostMatch;

use super::fault::quoted;
use super::table::Kind;

/// A host's name in lower case, or its IPv4 address.
pub(super) const HOST_NAME: Kind<String> = Kind::Text {
    what: "a host's name without a port",
    pattern: Some(r"^[A-Za-z0-9._-]+$"),
    secret: false,
    parse: |text| {
        lower_name(text)
            .ok_or_else(|| format!("{} is not a host's name without a port", quoted(text)))
    },
};

/// A host's name, or `*.` and one.
pub(super) const HOST_MATCH: Kind<HostMatch> = Kind::Text {
    what: "a host's name without a port, or `*.` before one",
    pattern: Some(r"^(\*\.)?[A-Za-z0-9._-]+$"),
    secret: false,
    parse: |text| {
        let found = match text.strip_prefix("*.") {
            Some(below) => lower_name(below)
                .filter(|name| name.parse::<IpAddr>().is_err())
                .map(HostMatch::Below),
            None => lower_name(text).map(HostMatch::Exact),
        };
        found.ok_or_else(|| {
            format!(
                "{} is not a host's name without a port, or `*.` before one",
                quoted(text)
            )
        })
    },
};

/// The name in lower case, if it is one: labels of 1 to 63 letters, digits, `-` and `_` (RFC 1123 §2.1,
/// and the underscore that container networks use).
pub(super) fn lower_name(text: &str) -> Option<String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_match_is_a_name_or_all_below_one() {
        for (text, meant) in [
            (
                "API.example.com",
                Some(HostMatch::Exact("api.example.com".into())),
            ),
            (
                "*.example.com",
                Some(HostMatch::Below("example.com".into())),
            ),
            ("10.0.0.1", Some(HostMatch::Exact("10.0.0.1".into()))),
            ("my_service", Some(HostMatch::Exact("my_service".into()))),
            ("*", None),
            ("*.10.0.0.1", None),
            ("a.*.com", None),
            ("example.com:80", None),
            ("example.com.", None),
            (".com", None),
            ("-a.com", None),
            ("exämple.com", None),
        ] {
            assert_eq!(HOST_MATCH.read(text).ok(), meant, "{text}");
        }
    }
}
