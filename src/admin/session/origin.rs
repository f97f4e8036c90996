//! Whether a request with a cookie was made by the dashboard's own page, and by no other.
//!
//! A browser adds the cookie by itself, so that the cookie is there says nothing about who wanted the call.
//! `SameSite=Strict` keeps pages of other sites away from it, but every port of a host is one site: a page
//! of another service on this machine would get through. What it cannot do is say that it is this page.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method};

use crate::admin::problem::{Code, Problem};

/// Lets a call that is made by a session pass if it is from the same origin. One that changes something must
/// say so; one that reads must only not say otherwise, since no other page may read its answer.
///
/// # Errors
/// 403.
pub(crate) fn check(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let reads = method == Method::GET || method == Method::HEAD;
    match said(headers) {
        Said::Same => Ok(()),
        Said::Nothing | Said::Typed if reads => Ok(()),
        Said::Nothing | Said::Typed | Said::Other => Err(foreign()),
    }
}

/// Lets a call pass that asks for a session, unless another page made it: nobody is to be signed in as
/// somebody else without knowing. Programs say nothing, and may.
///
/// # Errors
/// 403.
pub(crate) fn check_entry(headers: &HeaderMap) -> Result<(), Problem> {
    match said(headers) {
        Said::Same | Said::Nothing => Ok(()),
        Said::Typed | Said::Other => Err(foreign()),
    }
}

fn foreign() -> Problem {
    let detail = "a session is for the dashboard's own page; this request came from another";
    Problem::new(Code::Forbidden, detail)
}

/// What a browser says of where a request comes from.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Same,
    Other,
    /// By someone at the browser: an address that was typed, a bookmark.
    Typed,
    Nothing,
}

/// `Sec-Fetch-Site` (Fetch Metadata §2.3) where a browser sends it, and `Origin` (RFC 6454 §7) besides: if
/// they do not agree, it is another's.
fn said(headers: &HeaderMap) -> Said {
    let origin = match one(headers, &ORIGIN) {
        Found::None => None,
        Found::One(origin) => Some(is_here(origin, headers)),
        Found::Many => return Said::Other,
    };
    match (one(headers, &SEC_FETCH_SITE), origin) {
        (_, Some(false)) | (Found::Many, _) => Said::Other,
        (Found::One("same-origin"), _) | (Found::None, Some(true)) => Said::Same,
        (Found::One("none"), None) => Said::Typed,
        (Found::One(_), _) => Said::Other,
        (Found::None, None) => Said::Nothing,
    }
}

/// Whether an origin is this one. Of its scheme nothing is known here: a proxy in front may speak TLS.
fn is_here(origin: &str, headers: &HeaderMap) -> bool {
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let Found::One(host) = one(headers, &HOST) else {
        return false;
    };
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

enum Found<'a> {
    None,
    One(&'a str),
    /// Or one that is no text.
    Many,
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Found<'a> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Found::None,
        (Some(field), None) => field.to_str().map_or(Found::Many, Found::One),
        (Some(_), Some(_)) => Found::Many,
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_dashboards_own_page_may_change_something() {
        let here = "http://localhost:9900";
        for (site, origin, changes, reads, enters) in [
            (Some("same-origin"), Some(here), true, true, true),
            (Some("same-origin"), None, true, true, true),
            (None, Some(here), true, true, true),
            (None, Some("https://localhost:9900"), true, true, true),
            (None, Some("http://LOCALHOST:9900"), true, true, true),
            (None, None, false, true, true),
            (Some("none"), None, false, true, false),
            (
                Some("same-site"),
                Some("http://localhost:3000"),
                false,
                false,
                false,
            ),
            (
                Some("same-origin"),
                Some("http://localhost:3000"),
                false,
                false,
                false,
            ),
            (Some("same-site"), None, false, false, false),
            (Some("cross-site"), None, false, false, false),
            (Some("cross-site"), Some(here), false, false, false),
            (None, Some("null"), false, false, false),
            (None, Some("http://localhost"), false, false, false),
            (None, Some("http://evil.example"), false, false, false),
            (
                None,
                Some("http://localhost:9900.evil.example"),
                false,
                false,
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:9900"));
            if let Some(site) = site {
                headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            let what = format!("{site:?} {origin:?}");
            for method in [Method::POST, Method::PATCH, Method::DELETE] {
                assert_eq!(check(&method, &headers).is_ok(), changes, "{what}");
            }
            assert_eq!(check(&Method::GET, &headers).is_ok(), reads, "{what}");
            assert_eq!(check_entry(&headers).is_ok(), enters, "{what}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        for _ in 0..2 {
            headers.append(ORIGIN, HeaderValue::from_static("http://localhost"));
        }
        assert!(check(&Method::POST, &headers).is_err());
        assert!(check(&Method::GET, &headers).is_err());
    }
}
