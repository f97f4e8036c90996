//! A question to a table of entries, as SQL: what is asked exactly, a stretch of time, and where the page
//! before ended.
//!
//! **Invariant:** which index serves is decided here and not by SQLite, whose guess is as good as its
//! statistics; what that index does not serve is marked (`+`), so that no other is drawn in.

use rusqlite::types::Value;

use crate::domain::audit::query::AuditQuery;
use crate::domain::query::{Position, SortValue};
use crate::domain::time::Timestamp;

/// An index, by its name, and the conditions that it serves together.
pub(in crate::store) type Index = (&'static str, &'static [&'static str]);

/// What is asked exactly.
#[derive(Debug, Default)]
pub(in crate::store) struct Search {
    conditions: Vec<(&'static str, Value)>,
}

impl Search {
    /// Asks for a text, if there is one to ask for.
    pub(in crate::store) fn text(&mut self, condition: &'static str, text: Option<impl ToString>) {
        let value = text.map(|text| Value::Text(text.to_string()));
        self.conditions.extend(value.map(|it| (condition, it)));
    }

    /// Asks for a number, if there is one to ask for.
    pub(in crate::store) fn number(
        &mut self,
        condition: &'static str,
        number: Option<impl Into<i64>>,
    ) {
        let value = number.map(|number| Value::Integer(number.into()));
        self.conditions.extend(value.map(|it| (condition, it)));
    }

    /// The question for the newest `most` of `columns` that also `query` asks for, by the first of
    /// `indexes` that serves; `id` is how an id stands in the table. `None` if nothing can be found.
    pub(in crate::store) fn sql(
        self,
        (columns, table): (&str, &str),
        indexes: &[Index],
        query: &AuditQuery,
        after: Option<&Position>,
        id: impl FnOnce(&str) -> String,
        most: usize,
    ) -> Option<(String, Vec<Value>)> {
        let (index, served) = indexes.iter().find(|(_, served)| self.has_all(served))?;
        let mut sql = format!("SELECT {columns} FROM {table} INDEXED BY {index} WHERE 1");
        let mut values = Vec::with_capacity(self.conditions.len() + 5);
        for (condition, value) in self.conditions {
            sql.push_str(if served.contains(&condition) {
                " AND "
            } else {
                " AND +"
            });
            sql.push_str(condition);
            values.push(value);
        }
        match query.is_refused {
            Some(true) => sql.push_str(" AND +code IS NOT NULL"),
            Some(false) => sql.push_str(" AND +code IS NULL"),
            None => {}
        }
        if let Some(from) = query.from {
            sql.push_str(" AND timestamp >= ?");
            values.push(time(from));
        }
        if let Some(until) = query.until {
            sql.push_str(" AND timestamp < ?");
            values.push(time(until));
        }
        if let Some(after) = after {
            let SortValue::Number(at) = after.value else {
                return None;
            };
            sql.push_str(" AND (timestamp, id) < (?, ?)");
            values.push(number(at));
            values.push(Value::Text(id(&after.id)));
        }
        sql.push_str(" ORDER BY timestamp DESC, id DESC LIMIT ?");
        values.push(number(most as u64));
        Some((sql, values))
    }

    fn has_all(&self, served: &[&str]) -> bool {
        let has = |asked: &&str| self.conditions.iter().any(|(known, _)| known == asked);
        served.iter().all(has)
    }
}

fn time(at: Timestamp) -> Value {
    number(at.as_millis())
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
