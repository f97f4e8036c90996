//! Answers lists and searches.
//!
//! A page of keys is found in one of four ways. Where an index knows that one of the conditions holds for
//! few keys, those are gathered and sorted. Else the list is walked a little way in its own order: where the
//! conditions hold for many, the page is soon full. If it is not, the keys are looked through in the order
//! they lie in, which is fast; if the conditions hold for few of them, those are sorted. What is left holds for
//! many, and for none at the begin of the list: it is walked until the page is full.

use std::cmp::Ordering;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::conditions::{Condition, Few, conditions};
use super::fault::{Fault, Quarantine};
use super::tables::{signed, strange, unsigned};
use super::usage;
use crate::domain::id::KeyId;
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

/// Which keys are looked at, and how they come.
#[derive(Clone, Copy)]
enum Walk {
    /// Those that an index finds.
    Found(&'static str),
    /// The list in its own order, only this many of it.
    Beginning(usize),
    /// All, in no order.
    AsTheyLie,
    /// The list in its own order.
    List,
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
        let most = self.limit + 1;
        if let Some(rarest) = self.rarest(&conditions)?
            && let Some(condition) = conditions.get_mut(rarest)
            && let Some(few) = condition.few.take()
        {
            condition.sql = few.sql;
            condition.values = few.values;
            return self.select(Walk::Found(few.from), &conditions, most);
        }
        if !conditions.is_empty() {
            for rows in BEGINNINGS {
                let page = self.select(Walk::Beginning(rows), &conditions, most)?;
                if page.len() == most {
                    return Ok(page);
                }
            }
            let mut few = self.select(Walk::AsTheyLie, &conditions, FEW + 1)?;
            if few.len() <= FEW {
                few.sort_by(|a, b| self.order(a, b));
                few.truncate(most);
                return Ok(few);
            }
        }
        self.select(Walk::List, &conditions, most)
    }

    /// The condition that holds for fewest keys, if its index says that it is for few.
    fn rarest(&self, conditions: &[Condition]) -> Result<Option<usize>, Fault> {
        let mut rarest = None;
        for (at, condition) in conditions.iter().enumerate() {
            let Some(Few { from, sql, values }) = &condition.few else {
                continue;
            };
            let count: i64 = self
                .connection
                .prepare_cached(&format!(
                    "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {sql} LIMIT {})",
                    FEW + 1
                ))?
                .query_row(params_from_iter(values), |row| row.get(0))?;
            if count <= FEW as i64 && rarest.is_none_or(|(_, least)| count < least) {
                rarest = Some((at, count));
            }
        }
        Ok(rarest.map(|(at, _)| at))
    }

    /// The places of at most `most` keys that the conditions hold for.
    fn select(
        &self,
        walk: Walk,
        conditions: &[Condition],
        most: usize,
    ) -> Result<Vec<Position>, Fault> {
        let (sql, values) = self.statement(walk, conditions, most);
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

    fn statement(&self, walk: Walk, conditions: &[Condition], most: usize) -> (String, Vec<Value>) {
        let (column, index) = (self.column(), self.index());
        let (than, order) = if self.sort.descending {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        let (beyond, edge) = match edge(self.after) {
            (Some(value), id) => (
                format!("(k.{column}, k.id) {than} (?, ?)"),
                vec![value, Value::Text(id)],
            ),
            (None, _) => ("true".to_owned(), Vec::new()),
        };
        let in_order = format!("ORDER BY k.{column} {order}, k.id {order}");
        let mut values = Vec::new();
        let from = match walk {
            Walk::Found(from) => from.to_owned(),
            Walk::AsTheyLie => "key_list k NOT INDEXED".to_owned(),
            Walk::List => format!("key_list k INDEXED BY {index}"),
            Walk::Beginning(rows) => {
                values.extend_from_slice(&edge);
                format!(
                    "(SELECT * FROM key_list k INDEXED BY {index} WHERE {beyond} {in_order} LIMIT {rows}) k"
                )
            }
        };
        let mut wheres = vec![&*beyond];
        values.extend(edge);
        for condition in conditions {
            wheres.push(&condition.sql);
            values.extend_from_slice(&condition.values);
        }
        let wheres = wheres.join(" AND ");
        let order = match walk {
            Walk::AsTheyLie => "",
            Walk::Found(_) | Walk::Beginning(_) | Walk::List => &in_order,
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
            SortField::CreatedAt => "key_list_by_creation",
            SortField::Name => "key_list_by_name",
            SortField::LastUsedAt => "key_list_by_use",
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
        let (sql, values) = self.statement(Walk::List, &conditions(query), self.limit);
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
/// more fills a page of 100 within 20,000, wherever it holds for as many as elsewhere.
const FEW: usize = 5_000;
/// How far the list is walked before the keys are looked through: half a millisecond, then ten.
const BEGINNINGS: [usize; 2] = [1_000, 20_000];
