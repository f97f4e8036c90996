//! What a key may reach: scopes, methods, paths, addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A permission's name, as routes ask for it and keys hold it: `orders:read`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(std::sync::Arc<str>);

/// A text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is 1 to 64 of a-z A-Z 0-9 . _ : / -")]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(NotAScope)
        }
    }
}

impl Scope {
    /// The scope's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A request method the gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// RFC 9110 §9.3.1.
    Get,
    /// RFC 9110 §9.3.2.
    Head,
    /// RFC 9110 §9.3.3.
    Post,
    /// RFC 9110 §9.3.4.
    Put,
    /// RFC 9110 §9.3.5.
    Delete,
    /// RFC 5789.
    Patch,
    /// RFC 9110 §9.3.7.
    Options,
}

impl Method {
    /// All of them, in the order they are listed to people.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Patch,
        Self::Options,
    ];

    /// The method's token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
        }
    }

    /// The method of a token; case counts (RFC 9110 §9.1).
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == token)
    }
}

/// A set of methods; an empty one allows all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Methods(u8);

impl Methods {
    /// Whether `method` may pass.
    #[must_use]
    pub const fn allows(self, method: Method) -> bool {
        self.0 == 0 || self.0 & (1 << method as u8) != 0
    }

    /// Whether no method is named, and so all pass.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.0 == 0
    }

    /// The methods named.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL
            .into_iter()
            .filter(move |method| self.0 & (1 << *method as u8) != 0)
    }
}

impl FromIterator<Method> for Methods {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        Self(
            methods
                .into_iter()
                .fold(0, |set, method| set | 1 << method as u8),
        )
    }
}

/// Whether `path` is `prefix` or lies below it: `/v1` covers `/v1` and `/v1/x`, not `/v10`.
///
/// Both are canonical paths (see `proxy::target`), so bytes may be compared.
#[must_use]
pub fn path_covers(prefix: &str, path: &str) -> bool {
    let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(trimmed)
        .is_some_and(|rest| rest.is_empty() && !prefix.ends_with('/') || rest.starts_with('/'))
}

/// Whether a path is written as requests are matched by: without dot segments, with only those octets
/// escaped that must be (RFC 3986 §2.3), in upper case. No other is ever met.
#[must_use]
pub fn is_canonical(path: &str) -> bool {
    let mut escapes = path.split('%');
    let _ = escapes.next();
    let is_needed = |part: &str| {
        let digits = part.get(..2).filter(|two| {
            let upper = |digit: u8| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit);
            two.bytes().all(upper)
        });
        let octet = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        octet.is_some_and(|octet| {
            let is_unreserved = octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
            !is_unreserved && octet > 0x1f && octet != 0x7f && octet != b'\\'
        })
    };
    let is_dots = |segment: &str| {
        let name = segment.split_once(';').map_or(segment, |(name, _)| name);
        name == "." || name == ".."
    };
    let mut segments = path.split('/').flat_map(|segment| segment.split("%2F"));
    escapes.all(is_needed) && !segments.any(is_dots)
}

/// Whether an address lies in one of `nets`, or `nets` is empty and all do. The unspecified address stands
/// for one that is not known, and lies in none.
#[must_use]
pub fn address_allowed(nets: &[IpNet], address: IpAddr) -> bool {
    nets.is_empty() || !address.is_unspecified() && contains(nets, address)
}

/// Whether an address lies in one of `nets`. A v4 address mapped into v6 is the v4 address.
#[must_use]
pub fn contains(nets: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    nets.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        for (prefix, path, covers) in [
            ("/v1", "/v1", true),
            ("/v1", "/v1/x", true),
            ("/v1", "/v10", false),
            ("/v1/", "/v1", false),
            ("/v1/", "/v1/", true),
            ("/v1/", "/v1/x", true),
            ("/", "/", true),
            ("/", "/anything", true),
        ] {
            assert_eq!(path_covers(prefix, path), covers, "{prefix} {path}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let nets: Vec<IpNet> = ["10.0.0.0/8".parse(), "2001:db8::/32".parse()]
            .into_iter()
            .flatten()
            .collect();
        for (address, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(
                address.parse().map(|address| contains(&nets, address)),
                Ok(inside),
                "{address}"
            );
        }
        assert!(address_allowed(&[], IpAddr::from([1, 2, 3, 4])));
        let all: [IpNet; 1] = ["0.0.0.0/0".parse().unwrap()];
        assert!(address_allowed(&all, IpAddr::from([1, 2, 3, 4])));
        assert!(!address_allowed(&all, IpAddr::from([0, 0, 0, 0])));
    }

    #[test]
    fn a_path_that_no_request_has_is_told_from_one_that_may_come() {
        for path in ["/", "/v1/a%2Fb", "/a%20b", "/a..b", "/%C3%BC", "/a.", "//"] {
            assert!(is_canonical(path), "{path}");
        }
        for path in [
            "/%41",
            "/a/../b",
            "/.",
            "/a/..;x/b",
            "/a%2f",
            "/a%",
            "/a%2",
            "/%2e",
            "/a%2F..",
            "/%00",
            "/%5C",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
    }

    #[test]
    fn an_empty_set_of_methods_allows_all() {
        assert!(Methods::default().allows(Method::Delete));
        let reads: Methods = [Method::Get, Method::Head].into_iter().collect();
        assert!(reads.allows(Method::Get) && !reads.allows(Method::Post));
        assert_eq!(Method::from_token("get"), None);
    }
}
