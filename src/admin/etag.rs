//! Entity tags: so that nobody changes a key they have not seen (RFC 9110 §8.8.3, §13.1.1).

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};

use crate::admin::problem::{Code, Problem};

/// The `ETag` field of a thing with this tag.
pub(crate) fn field(tag: &str) -> [(http::HeaderName, HeaderValue); 1] {
    // Invariant: a tag is hex digits, so it makes a field value.
    let value = HeaderValue::try_from(format!("\"{tag}\""));
    [(
        ETAG,
        value.unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
    )]
}

/// The tags a caller asks for by `If-Match`; `None` where any will do.
///
/// Weak tags never match (RFC 9110 §8.8.3.2), so they are left out.
///
/// # Errors
/// 400 for what is no list of tags.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Vec<String>>, Problem> {
    let mut fields = headers.get_all(IF_MATCH).iter().peekable();
    if fields.peek().is_none() {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for field in fields {
        let text = field.to_str().map_err(|_| malformed())?;
        for item in text.split(',').map(str::trim) {
            if item == "*" {
                return Ok(None);
            }
            let is_weak = item.starts_with("W/");
            let tag = item
                .trim_start_matches("W/")
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .ok_or_else(malformed)?;
            if !is_weak {
                tags.push(tag.to_owned());
            }
        }
    }
    Ok(Some(tags))
}

fn malformed() -> Problem {
    Problem::new(
        Code::BadRequest,
        "If-Match is `*` or a list of quoted entity tags",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_read_as_rfc_9110_has_it() {
        for (field, expected) in [
            (None, Some(None)),
            (Some("*"), Some(None)),
            (Some("\"a\""), Some(Some(vec!["a"]))),
            (Some("\"a\", W/\"b\" ,\"c\""), Some(Some(vec!["a", "c"]))),
            (Some("W/\"b\""), Some(Some(vec![]))),
            (Some("a"), None),
            (Some("\"a"), None),
            (Some(""), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(field) = field {
                headers.insert(IF_MATCH, HeaderValue::from_static(field));
            }
            let read = if_match(&headers).ok();
            let expected =
                expected.map(|tags| tags.map(|tags| tags.into_iter().map(str::to_owned).collect()));
            assert_eq!(read, expected, "{field:?}");
        }
    }
}
