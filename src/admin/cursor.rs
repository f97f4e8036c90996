//! Cursors: where a list goes on, in a form that means nothing to anyone else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::domain::query::{Position, SortValue};

/// Names a query, whatever page of it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryTag([u8; 8]);

impl QueryTag {
    /// The tag of the query that these parameters make at `path`, in any order.
    pub(crate) fn of(path: &str, pairs: &[(String, String)]) -> Self {
        let mut pairs: Vec<&(String, String)> = pairs
            .iter()
            .filter(|(name, _)| name != "limit" && name != "cursor")
            .collect();
        pairs.sort_unstable();
        let mut hash = Sha256::new();
        for text in std::iter::once(path).chain(
            pairs
                .iter()
                .flat_map(|(name, value)| [name.as_str(), value.as_str()]),
        ) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self(*digest.first_chunk().unwrap_or(&[0; 8]))
    }
}

/// The text of a cursor: base64url of the query's tag, then what was sorted by, then the id.
pub(crate) fn encode(query: QueryTag, position: &Position) -> String {
    let mut bytes = query.0.to_vec();
    match &position.value {
        SortValue::Number(number) => {
            bytes.push(NUMBER);
            bytes.extend(number.to_be_bytes());
        }
        SortValue::Text(text) => {
            bytes.push(TEXT);
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
    }
    bytes.extend(position.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a cursor of this query says; `None` if it is none of it.
pub(crate) fn decode(query: QueryTag, cursor: &str) -> Option<Position> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (tag, rest) = bytes.split_first_chunk::<8>()?;
    let (kind, rest) = rest.split_first()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*number);
    if *tag != query.0 {
        return None;
    }
    let (value, id) = match *kind {
        NUMBER => (SortValue::Number(number), rest),
        TEXT => {
            let (text, id) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            let text = String::from_utf8(text.to_vec()).ok()?;
            (SortValue::Text(text), id)
        }
        _ => return None,
    };
    let id = std::str::from_utf8(id).ok()?.to_owned();
    Some(Position { value, id })
}

const NUMBER: u8 = 0;
const TEXT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_cursor_reads_back_under_its_query_only() {
        let query = QueryTag::of("/admin/keys", &pairs(&[("env", "live"), ("limit", "2")]));
        for value in [
            SortValue::Number(u64::MAX),
            SortValue::Text("größe".into()),
            SortValue::Text(String::new()),
        ] {
            let position = Position {
                value,
                id: "3fXk29QmZa".into(),
            };
            let cursor = encode(query, &position);
            let other_page = pairs(&[("cursor", &cursor), ("limit", "9"), ("env", "live")]);
            assert_eq!(
                decode(QueryTag::of("/admin/keys", &other_page), &cursor),
                Some(position)
            );
            for (path, asked) in [
                ("/admin/keys", pairs(&[("env", "test")])),
                ("/admin/keys", pairs(&[])),
                ("/admin/users", pairs(&[("env", "live")])),
            ] {
                assert_eq!(decode(QueryTag::of(path, &asked), &cursor), None);
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let query = QueryTag::of("/", &[]);
        let huge = {
            let mut bytes = query.0.to_vec();
            bytes.push(TEXT);
            bytes.extend([0xff; 8]);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        for cursor in ["", "x", "!!!!", "AAAAAAAAAAAAAAAAAAAAAAAA", &huge] {
            assert_eq!(decode(query, cursor), None, "{cursor}");
        }
    }
}
