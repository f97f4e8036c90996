//! Answers lists and searches.
//!
//! A page of a list is found in one of two ways. If one of the conditions holds for few keys, those are
//! gathered by its index and sorted; else the list is walked in its order until the page is full, which
//! is soon, since the conditions hold for many. Which it is, a bounded count tells.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fault::{Fault, Quarantine};
use super::tables::{millis, signed, strange, unsigned};
use super::usage;
use crate::domain::id::KeyId;
use crate::domain::key::KeyStatus;
use crate::domain::owner::Owner;
use crate::domain::query::{KeyQuery, KeySort, Page, Position, SortField, SortValue};
use crate::domain::token::AdminToken;
use crate::store::KeyRow;
use crate::store::record::{self, DecodeError};

/// A page of the keys that `query` asks for.
pub(super) fn keys(
    connection: &Connection,
    query: &KeyQuery,
    sort: KeySort,
    limit: usize,
    after: Option<&Position>,
    quarantine: &Quarantine,
) -> Result<Page<KeyRow>, Fault> {
    let (sql, values) = page_sql(connection, query, sort, limit, after)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let value = match sort.by {
            SortField::Name => SortValue::Text(row.get(1)?),
            SortField::CreatedAt | SortField::LastUsedAt => {
                SortValue::Number(unsigned(row.get(1)?))
            }
        };
        found.push(Position {
            value,
            id: row.get(0)?,
        });
    }
    let next = cut(&mut found, limit);
    let mut items = Vec::with_capacity(found.len());
    for Position { id, .. } in found {
        if let Some(row) = key_row(connection, &id, quarantine)? {
            items.push(row);
        }
    }
    Ok(Page { items, next })
}

/// How a page of keys is found.
#[cfg(test)]
pub(super) fn plan(
    connection: &Connection,
    query: &KeyQuery,
    sort: KeySort,
    limit: usize,
    after: Option<&Position>,
) -> Result<String, Fault> {
    let (sql, values) = page_sql(connection, query, sort, limit, after)?;
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = statement
        .query_map(params_from_iter(values), |row| row.get::<_, String>(3))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(steps.join("; "))
}

/// A page of the owners with `name` in theirs, by name.
pub(super) fn owners(
    connection: &Connection,
    name: Option<&str>,
    limit: usize,
    after: Option<&Position>,
    quarantine: &Quarantine,
) -> Result<Page<Owner>, Fault> {
    let (value, id) = edge(after);
    let mut statement = connection.prepare_cached(
        "SELECT id, name, record FROM owners INDEXED BY owners_by_name
         WHERE (name, id) > (?1, ?2) AND instr(name, ?3) > 0 ORDER BY name, id LIMIT ?4",
    )?;
    let rows = statement.query(rusqlite::params![
        value.unwrap_or_else(|| Value::Text(String::new())),
        id,
        name.unwrap_or_default().to_lowercase(),
        signed(limit as u64 + 1),
    ])?;
    read_page(rows, limit, "owners", quarantine, record::decode_owner)
}

/// A page of the tokens, by when they were made.
pub(super) fn tokens(
    connection: &Connection,
    limit: usize,
    after: Option<&Position>,
    quarantine: &Quarantine,
) -> Result<Page<AdminToken>, Fault> {
    let (value, id) = edge(after);
    let mut statement = connection.prepare_cached(
        "SELECT id, created_at, record FROM tokens INDEXED BY tokens_by_creation
         WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3",
    )?;
    let rows = statement.query(rusqlite::params![
        value.unwrap_or(Value::Integer(-1)),
        id,
        signed(limit as u64 + 1),
    ])?;
    read_page(rows, limit, "tokens", quarantine, record::decode_token)
}

/// A condition on keys, and how those it holds for are found if they are few.
struct Condition {
    sql: String,
    values: Vec<Value>,
    /// What to select from so that only those come up, and the condition in a form its index serves.
    few: Option<(&'static str, String)>,
}

impl Condition {
    fn new(sql: impl Into<String>, values: impl Into<Vec<Value>>) -> Self {
        Self {
            sql: sql.into(),
            values: values.into(),
            few: None,
        }
    }

    fn few(mut self, from: &'static str, sql: impl Into<String>) -> Self {
        self.few = Some((from, sql.into()));
        self
    }
}

/// The conditions of a query. Columns are written `+k.column` so that no index is taken but the one
/// that was decided on.
fn conditions(query: &KeyQuery) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let now = Value::Integer(millis(query.now));
    match query.status {
        None => {}
        Some(KeyStatus::Active) => conditions.push(Condition::new(
            "+k.standing = 0 AND (+k.expires_at IS NULL OR +k.expires_at > ?)",
            [now],
        )),
        Some(KeyStatus::Suspended) => conditions.push(
            Condition::new(
                "+k.standing = 1 AND (+k.expires_at IS NULL OR +k.expires_at > ?)",
                [now],
            )
            .few(
                "key_list k INDEXED BY key_list_by_standing",
                "k.standing <> 0 AND k.standing = 1
                 AND (+k.expires_at IS NULL OR +k.expires_at > ?)",
            ),
        ),
        Some(KeyStatus::Expired) => conditions.push(
            Condition::new("+k.standing <> 2 AND +k.expires_at <= ?", [now]).few(
                "key_list k INDEXED BY key_list_by_end",
                "+k.standing <> 2 AND k.expires_at <= ?",
            ),
        ),
        Some(KeyStatus::Revoked) => conditions.push(Condition::new("+k.standing = 2", []).few(
            "key_list k INDEXED BY key_list_by_standing",
            "k.standing <> 0 AND k.standing = 2",
        )),
    }
    if let Some(owner) = query.owner {
        conditions.push(
            Condition::new("+k.owner = ?", [Value::Text(owner.chars().to_owned())])
                .few("key_list k INDEXED BY key_list_by_owner", "k.owner = ?"),
        );
    }
    if let Some(product) = &query.product {
        conditions.push(
            Condition::new(
                "EXISTS (SELECT 1 FROM key_product p WHERE p.product = ?
                     AND p.created_at = k.created_at AND p.id = k.id)",
                [Value::Text(product.clone())],
            )
            .few(
                "key_product p CROSS JOIN key_list k
                     ON k.created_at = p.created_at AND k.id = p.id",
                "p.product = ?",
            ),
        );
    }
    if let Some((label, value)) = &query.label {
        let mut values = vec![Value::Text(label.clone())];
        let mut which = "l.label = ?".to_owned();
        if let Some(value) = value {
            values.push(Value::Text(value.clone()));
            which.push_str(" AND l.value = ?");
        }
        conditions.push(
            Condition::new(
                format!(
                    "EXISTS (SELECT 1 FROM key_label l WHERE {which}
                         AND l.created_at = k.created_at AND l.id = k.id)"
                ),
                values,
            )
            .few(
                "key_label l CROSS JOIN key_list k
                     ON k.created_at = l.created_at AND k.id = l.id",
                which,
            ),
        );
    }
    if let Some(env) = &query.env {
        conditions.push(Condition::new("+k.env = ?", [Value::Text(env.clone())]));
    }
    if let Some((before, is_stale)) = query.stale {
        let than = if is_stale { "<" } else { ">=" };
        conditions.push(Condition::new(
            format!("iif(+k.used_at > 0, +k.used_at, +k.created_at) {than} ?"),
            [Value::Integer(millis(before))],
        ));
    }
    if let Some(name) = query.name.as_ref().filter(|name| !name.is_empty()) {
        conditions.push(Condition::new(
            "instr(k.name, ?) > 0",
            [Value::Text(name.to_lowercase())],
        ));
    }
    conditions
}

/// The statement that finds the ids on a page, and one more if there is one.
fn page_sql(
    connection: &Connection,
    query: &KeyQuery,
    sort: KeySort,
    limit: usize,
    after: Option<&Position>,
) -> Result<(String, Vec<Value>), Fault> {
    let (column, index) = match sort.by {
        SortField::CreatedAt => ("created_at", "key_list k"),
        SortField::Name => ("name", "key_list k INDEXED BY key_list_by_name"),
        SortField::LastUsedAt => ("used_at", "key_list k INDEXED BY key_list_by_use"),
    };
    let (than, order) = if sort.descending {
        ("<", "DESC")
    } else {
        (">", "ASC")
    };
    let mut conditions = conditions(query);
    let mut from = index;
    if let Some(driver) = rarest(connection, &conditions)?
        && let Some(condition) = conditions.get_mut(driver)
        && let Some((few, sql)) = condition.few.take()
    {
        from = few;
        condition.sql = sql;
    }
    let mut wheres = Vec::new();
    let mut values = Vec::new();
    for condition in conditions {
        wheres.push(condition.sql);
        values.extend(condition.values);
    }
    if let (Some(value), id) = edge(after) {
        wheres.push(format!("(k.{column}, k.id) {than} (?, ?)"));
        values.extend([value, Value::Text(id)]);
    }
    values.push(Value::Integer(signed(limit as u64 + 1)));
    let wheres = if wheres.is_empty() {
        "true".to_owned()
    } else {
        wheres.join(" AND ")
    };
    let sql = format!(
        "SELECT k.id, k.{column} FROM {from} WHERE {wheres}
         ORDER BY k.{column} {order}, k.id {order} LIMIT ?"
    );
    Ok((sql, values))
}

/// The condition that holds for fewest keys, if it is for few.
fn rarest(connection: &Connection, conditions: &[Condition]) -> Result<Option<usize>, Fault> {
    let mut rarest = None;
    for (at, condition) in conditions.iter().enumerate() {
        let Some((from, sql)) = &condition.few else {
            continue;
        };
        let count: i64 = connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {sql} LIMIT {})",
                FEW + 1
            ))?
            .query_row(params_from_iter(&condition.values), |row| row.get(0))?;
        if count <= FEW && rarest.is_none_or(|(_, least)| count < least) {
            rarest = Some((at, count));
        }
    }
    Ok(rarest.map(|(at, _)| at))
}

fn key_row(
    connection: &Connection,
    id: &str,
    quarantine: &Quarantine,
) -> Result<Option<KeyRow>, Fault> {
    let Some(bytes) =
        super::tables::record(connection, "SELECT record FROM keys WHERE id = ?1", id)?
    else {
        return Err(strange("key_list", id).into());
    };
    let key = match record::decode_key(&bytes) {
        Ok(key) => key,
        Err(why) => {
            quarantine.take("keys", id, &why);
            return Ok(None);
        }
    };
    let used = KeyId::from_chars(id.as_bytes())
        .map_err(|_| strange("key_list", id).into())
        .and_then(|id| usage::last_used(connection, id))?;
    Ok(Some(KeyRow {
        key,
        last_used: used,
    }))
}

/// Reads rows of id, sort value and record; those that cannot be read are left out.
fn read_page<T>(
    mut rows: rusqlite::Rows<'_>,
    limit: usize,
    table: &'static str,
    quarantine: &Quarantine,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<Page<T>, Fault> {
    let (mut items, mut positions) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let value = match row.get(1)? {
            Value::Integer(number) => SortValue::Number(unsigned(number)),
            Value::Text(text) => SortValue::Text(text),
            _ => return Err(strange(table, id).into()),
        };
        if positions.len() < limit {
            let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            match decode(bytes) {
                Ok(item) => items.push(item),
                Err(why) => quarantine.take(table, &id, &why),
            }
        }
        positions.push(Position { value, id });
    }
    let next = cut(&mut positions, limit);
    Ok(Page { items, next })
}

/// Takes off what was read beyond `limit`; the last that stays, if anything was.
fn cut(found: &mut Vec<Position>, limit: usize) -> Option<Position> {
    if found.len() <= limit {
        return None;
    }
    found.truncate(limit);
    found.last().cloned()
}

/// Where a page begins, as values to compare with.
fn edge(after: Option<&Position>) -> (Option<Value>, String) {
    let Some(position) = after else {
        return (None, String::new());
    };
    let value = match &position.value {
        SortValue::Number(number) => Value::Integer(signed(*number)),
        SortValue::Text(text) => Value::Text(text.clone()),
    };
    (Some(value), position.id.clone())
}

/// So many keys are gathered and sorted in a few milliseconds; of a million, a condition that holds for
/// more fills a page of 100 within 50,000.
const FEW: i64 = 2_000;
