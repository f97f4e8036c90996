//! What a list of keys asks for, in SQL: as it is looked at in a key, and as an index finds the keys it holds for.

use rusqlite::types::Value;

use super::tables::millis;
use crate::domain::key::KeyStatus;
use crate::domain::query::KeyQuery;

/// A condition on keys, and how those it holds for are found if they are few.
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    pub(super) few: Option<Few>,
}

/// A condition in a form that an index serves.
pub(super) struct Few {
    /// What to select from so that only the keys come up that it holds for.
    pub(super) from: &'static str,
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Condition {
    fn new(sql: impl Into<String>, values: impl Into<Vec<Value>>) -> Self {
        Self {
            sql: sql.into(),
            values: values.into(),
            few: None,
        }
    }

    /// Has the same values serve an index.
    fn few(self, from: &'static str, sql: impl Into<String>) -> Self {
        let values = self.values.clone();
        self.few_of(from, sql, values)
    }

    fn few_of(
        mut self,
        from: &'static str,
        sql: impl Into<String>,
        values: impl Into<Vec<Value>>,
    ) -> Self {
        self.few = Some(Few {
            from,
            sql: sql.into(),
            values: values.into(),
        });
        self
    }
}

/// The conditions of a query. Columns are written `+k.column` so that no index is taken but the one
/// that was decided on.
pub(super) fn conditions(query: &KeyQuery) -> Vec<Condition> {
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
        conditions.push(named(name.to_lowercase()));
    }
    conditions
}

/// That `part` is in the name.
fn named(part: String) -> Condition {
    let parts = trigrams(&part);
    let part = Value::Text(part);
    let condition = Condition::new("instr(k.name, ?) > 0", [part.clone()]);
    match parts {
        Some(parts) => condition.few_of(
            "key_name n CROSS JOIN key_list k ON k.seq = n.rowid",
            "n.key_name MATCH ? AND instr(k.name, ?) > 0",
            [Value::Text(parts), part],
        ),
        None => condition,
    }
}

/// All parts of three characters, as FTS5 is asked for rows that have each (<https://sqlite.org/fts5.html> §3); `None`
/// where there are none, or it could not be asked for them.
fn trigrams(part: &str) -> Option<String> {
    if part.contains('\0') {
        return None;
    }
    let chars: Vec<char> = part.chars().take(SEARCHED_MAX).collect();
    let quoted = chars.windows(3).map(|three| {
        let three: String = three.iter().collect();
        format!("\"{}\"", three.replace('"', "\"\""))
    });
    let all: Vec<_> = quoted.collect();
    (!all.is_empty()).then(|| all.join(" AND "))
}

/// How much of what is searched for is looked up before the names are looked at.
const SEARCHED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_looked_up_by_all_its_parts_of_three() {
        let asked = |part| trigrams(part);
        assert_eq!(asked("ab"), None);
        assert_eq!(asked("abc").as_deref(), Some("\"abc\""));
        assert_eq!(asked("a\"bü").as_deref(), Some("\"a\"\"b\" AND \"\"\"bü\""));
        assert_eq!(asked("ab\0c"), None);
    }
}
