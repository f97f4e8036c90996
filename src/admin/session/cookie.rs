//! The one cookie there is.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::domain::token::SESSION_COOKIE;

/// The session that a request carries; `None` if it carries none, or two.
pub(crate) fn of(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.filter_map(|field| field.to_str().ok());
    let mut ours = pairs
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(SESSION_COOKIE)?.strip_prefix('='));
    match (ours.next(), ours.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

/// The field that has a browser carry this session.
pub(crate) fn carry(value: &str) -> Option<HeaderValue> {
    let mut field =
        HeaderValue::try_from(format!("{SESSION_COOKIE}={value}; {ATTRIBUTES}")).ok()?;
    field.set_sensitive(true);
    Some(field)
}

/// The field that has a browser forget its session.
pub(crate) fn forget() -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{SESSION_COOKIE}=; {ATTRIBUTES}; Max-Age=0")).ok()
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_is_read_and_of_two_neither() {
        for (fields, expected) in [
            (vec!["__Host-portcullis=abc"], Some("abc")),
            (vec!["a=b; __Host-portcullis=abc; c=d"], Some("abc")),
            (vec!["a=b", "__Host-portcullis=abc"], Some("abc")),
            (vec!["__Host-portcullis="], None),
            (vec!["__Host-portcullis=a; __Host-portcullis=b"], None),
            (vec!["__Host-portcullis=a", "__Host-portcullis=b"], None),
            (vec!["__Host-portcullisx=a"], None),
            (vec!["portcullis=a"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(COOKIE, HeaderValue::from_static(field));
            }
            assert_eq!(of(&headers), expected, "{fields:?}");
        }
    }
}
