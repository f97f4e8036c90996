//! Answers lists and searches.
//!
//! A page of keys is found in one of three ways. Where an index knows that one of the conditions holds for
//! few keys, those are gathered and sorted. Else the keys are looked through in the order they lie in,
//! which is fast; if the conditions hold for few of them, those are sorted. But if they hold for many,
//! that is noticed soon, and the list is walked in its own order until the page is full, which is soon too.

use std::cmp::Ordering;

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
    let list = List {
        connection,
        sort,
        limit,
        after,
    };
    let mut found = list.find(conditions(query))?;
    let next = cut(&mut found, limit);
    let mut items = Vec::with_capacity(found.len());
    for Position { id, .. } in found {
        if let Some(row) = key_row(connection, &id, quarantine)? {
            items.push(row);
        }
    }
    Ok(Page { items, next })
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
                "EXISTS (SELECT 1 FROM key_product p WHERE p.product = ? AND p.seq = k.seq)",
                [Value::Text(product.clone())],
            )
            .few(
                "key_product p CROSS JOIN key_list k ON k.seq = p.seq",
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
                format!("EXISTS (SELECT 1 FROM key_label l WHERE {which} AND l.seq = k.seq)"),
                values,
            )
            .few("key_label l CROSS JOIN key_list k ON k.seq = l.seq", which),
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

/// A page of the list of keys that is to be found.
pub(super) struct List<'a> {
    pub(super) connection: &'a Connection,
    pub(super) sort: KeySort,
    pub(super) limit: usize,
    pub(super) after: Option<&'a Position>,
}

impl List<'_> {
    /// The places of the keys on the page, and of one more if there is one.
    fn find(&self, mut conditions: Vec<Condition>) -> Result<Vec<Position>, Fault> {
        if let Some(rarest) = self.rarest(&conditions)?
            && let Some(condition) = conditions.get_mut(rarest)
            && let Some((from, sql)) = condition.few.take()
        {
            condition.sql = sql;
            return self.select(from, &conditions, true, self.limit + 1);
        }
        if !conditions.is_empty() {
            let mut few = self.select("key_list k NOT INDEXED", &conditions, false, FEW + 1)?;
            if few.len() <= FEW {
                few.sort_by(|a, b| self.order(a, b));
                few.truncate(self.limit + 1);
                return Ok(few);
            }
        }
        self.select(self.index(), &conditions, true, self.limit + 1)
    }

    /// The condition that holds for fewest keys, if its index says that it is for few.
    fn rarest(&self, conditions: &[Condition]) -> Result<Option<usize>, Fault> {
        let mut rarest = None;
        for (at, condition) in conditions.iter().enumerate() {
            let Some((from, sql)) = &condition.few else {
                continue;
            };
            let count: i64 = self
                .connection
                .prepare_cached(&format!(
                    "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {sql} LIMIT {})",
                    FEW + 1
                ))?
                .query_row(params_from_iter(&condition.values), |row| row.get(0))?;
            if count <= FEW as i64 && rarest.is_none_or(|(_, least)| count < least) {
                rarest = Some((at, count));
            }
        }
        Ok(rarest.map(|(at, _)| at))
    }

    /// The places of at most `most` keys that the conditions hold for.
    fn select(
        &self,
        from: &str,
        conditions: &[Condition],
        in_order: bool,
        most: usize,
    ) -> Result<Vec<Position>, Fault> {
        let (sql, values) = self.statement(from, conditions, in_order, most);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let value = match self.sort.by {
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
        Ok(found)
    }

    fn statement(
        &self,
        from: &str,
        conditions: &[Condition],
        in_order: bool,
        most: usize,
    ) -> (String, Vec<Value>) {
        let column = self.column();
        let (than, order) = if self.sort.descending {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        let mut wheres = vec!["true"];
        let mut values = Vec::new();
        for condition in conditions {
            wheres.push(&condition.sql);
            values.extend_from_slice(&condition.values);
        }
        let beyond = format!("(k.{column}, k.id) {than} (?, ?)");
        if let (Some(value), id) = edge(self.after) {
            wheres.push(&beyond);
            values.extend([value, Value::Text(id)]);
        }
        let wheres = wheres.join(" AND ");
        let order = if in_order {
            format!("ORDER BY k.{column} {order}, k.id {order}")
        } else {
            String::new()
        };
        values.push(Value::Integer(signed(most as u64)));
        let sql = format!("SELECT k.id, k.{column} FROM {from} WHERE {wheres} {order} LIMIT ?");
        (sql, values)
    }

    const fn column(&self) -> &'static str {
        match self.sort.by {
            SortField::CreatedAt => "created_at",
            SortField::Name => "name",
            SortField::LastUsedAt => "used_at",
        }
    }

    const fn index(&self) -> &'static str {
        match self.sort.by {
            SortField::CreatedAt => "key_list k INDEXED BY key_list_by_creation",
            SortField::Name => "key_list k INDEXED BY key_list_by_name",
            SortField::LastUsedAt => "key_list k INDEXED BY key_list_by_use",
        }
    }

    /// As the index has it: texts by their bytes.
    fn order(&self, a: &Position, b: &Position) -> Ordering {
        let value = match (&a.value, &b.value) {
            (SortValue::Number(a), SortValue::Number(b)) => a.cmp(b),
            (SortValue::Text(a), SortValue::Text(b)) => a.cmp(b),
            (SortValue::Number(_), SortValue::Text(_)) => Ordering::Less,
            (SortValue::Text(_), SortValue::Number(_)) => Ordering::Greater,
        };
        let order = value.then_with(|| a.id.cmp(&b.id));
        if self.sort.descending {
            order.reverse()
        } else {
            order
        }
    }

    /// How the list is walked.
    #[cfg(test)]
    pub(super) fn plan(&self, query: &KeyQuery) -> String {
        let (sql, values) = self.statement(self.index(), &conditions(query), true, self.limit);
        let mut statement = self
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3));
        steps.unwrap().flatten().collect::<Vec<_>>().join("; ")
    }
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
/// more fills a page of 100 within 20,000.
const FEW: usize = 5_000;
