//! Keys in a table: comma-separated values with a header line (RFC 4180).

use serde_json::{Map, Value, json};

use super::run::{Row, owner};

/// What the table asks for.
///
/// # Errors
/// What is wrong with its form, never with a cell's content in it.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut records = records(text.trim_start_matches('\u{feff}'))?.into_iter();
    let (_, header) = records.next().ok_or("it is empty")?;
    let header: Vec<String> = header
        .iter()
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name.as_str()) {
            let known = COLUMNS.join(", ");
            // A table without a header begins with a key, and a secret is never shown.
            let shown = match name.as_str() {
                name if is_a_word(name) => format!("column {}, `{name}`,", at + 1),
                _ => format!("column {}", at + 1),
            };
            return Err(format!("{shown} is none of: {known}"));
        }
        if header.iter().take(at).any(|other| other == name) {
            return Err(format!("there are two columns `{name}`"));
        }
    }
    records
        .map(|(line, cells)| {
            if cells.len() != header.len() {
                let (found, wanted) = (cells.len(), header.len());
                return Err(format!("line {line} has {found} columns, not {wanted}"));
            }
            let named = header.iter().map(String::as_str).zip(&cells);
            let named = named.filter(|(_, cell)| !cell.is_empty());
            Ok(Row {
                place: format!("line {line}"),
                fields: fields(named.map(|(name, cell)| (name, cell.as_str())), line)?,
            })
        })
        .collect()
}

/// Whether a column's name is so short and plain that it can hardly be a secret.
fn is_a_word(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-' | b' ');
    !name.is_empty() && name.len() <= 16 && name.bytes().all(is_plain)
}

fn fields<'a>(
    cells: impl Iterator<Item = (&'a str, &'a str)>,
    line: usize,
) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    let (mut name, mut kind) = (None, None);
    for (column, cell) in cells {
        let value = match column {
            "owner" => {
                name = Some(cell);
                continue;
            }
            "owner_type" => {
                kind = Some(cell);
                continue;
            }
            "scopes" | "products" => cell.split_whitespace().map(Value::from).collect(),
            "labels" => labels(cell).ok_or(format!(
                "the labels of line {line} are not like team=billing tier=gold"
            ))?,
            _ => json!(cell),
        };
        fields.insert(column.to_owned(), value);
    }
    if let Some(name) = name {
        fields.insert("owner".to_owned(), owner(name, kind));
    }
    Ok(fields)
}

fn labels(cell: &str) -> Option<Value> {
    let labels: Option<Map<String, Value>> = cell
        .split_whitespace()
        .map(|label| {
            let (name, value) = label.split_once('=')?;
            Some((name.to_owned(), json!(value)))
        })
        .collect();
    labels.map(Value::Object)
}

/// The cells of each record, with the line it begins on; empty lines are passed over.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = Vec::new();
    let mut rest = text.chars().peekable();
    let mut line = 1;
    while rest.peek().is_some() {
        let begun = line;
        let mut cells = Vec::new();
        let ends_record = loop {
            let mut cell = String::new();
            if rest.next_if_eq(&'"').is_some() {
                loop {
                    match rest.next() {
                        Some('"') if rest.next_if_eq(&'"').is_some() => cell.push('"'),
                        Some('"') => break,
                        Some(letter) => {
                            line += usize::from(letter == '\n');
                            cell.push(letter);
                        }
                        None => return Err(format!("a quote of line {begun} is never closed")),
                    }
                }
            } else {
                while let Some(letter) = rest.next_if(|letter| !",\r\n".contains(*letter)) {
                    if letter == '"' {
                        return Err(format!("line {line} has a quote within a cell"));
                    }
                    cell.push(letter);
                }
            }
            cells.push(cell);
            match rest.next() {
                Some(',') => {}
                Some('\r') if rest.next_if_eq(&'\n').is_some() => break true,
                Some('\n') => break true,
                None => break false,
                Some(_) => return Err(format!("line {line} goes on after a closing quote")),
            }
        };
        line += usize::from(ends_record);
        if cells.iter().any(|cell| !cell.is_empty()) {
            records.push((begun, cells));
        }
    }
    Ok(records)
}

/// What a header may name.
const COLUMNS: [&str; 13] = [
    "secret",
    "sha256",
    "name",
    "owner",
    "owner_type",
    "owner_id",
    "env",
    "description",
    "scopes",
    "products",
    "labels",
    "expires_at",
    "risk",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Value)>, String> {
        let rows = rows(text)?.into_iter();
        Ok(rows
            .map(|row| (row.place, Value::Object(row.fields)))
            .collect())
    }

    #[test]
    fn a_table_is_read_as_rfc_4180_has_it() {
        let text = "\u{feff}name,Secret,owner,owner_type,scopes,labels\r\n\
             \"a, \"\"b\"\"\nc\",s1,Billing,,a:1 b,team=x tier=\r\n\
             \n\
             plain,s2,,,,";
        let expected = [
            (
                "line 2".to_owned(),
                json!({"name": "a, \"b\"\nc", "secret": "s1", "owner": {"name": "Billing"},
                       "scopes": ["a:1", "b"], "labels": {"team": "x", "tier": ""}}),
            ),
            (
                "line 5".to_owned(),
                json!({"name": "plain", "secret": "s2"}),
            ),
        ];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_table_says_where_and_shows_no_cell() {
        for (text, says) in [
            ("", "it is empty"),
            ("name,colour\n", "column 2, `colour`, is none of"),
            ("name,pk_live_canary0123456789\n", "column 2 is none of"),
            ("name,name\n", "two columns `name`"),
            ("name,secret\nk\n", "line 2 has 1 columns, not 2"),
            ("name,secret\nk,\"canary\n", "a quote of line 2"),
            ("name,secret\nk,can\"ary\n", "line 2 has a quote"),
            ("name,secret\nk,\"canary\"x\n", "line 2 goes on"),
            ("name,labels\nk,canary\n", "the labels of line 2"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
