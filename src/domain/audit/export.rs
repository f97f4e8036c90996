//! Entries as lines of CSV.

use serde_json::Value;

use crate::domain::csv;

/// The first line, without its end.
#[must_use]
pub fn csv_head() -> String {
    csv::head(&COLUMNS)
}

/// An entry as a line, without its end.
#[must_use]
pub fn csv_line(form: &Value) -> String {
    csv::line(&COLUMNS, form)
}

/// What there is of any kind of entry. New ones are added at the end.
const COLUMNS: [&str; 31] = [
    "id",
    "seq",
    "timestamp",
    "type",
    "outcome",
    "code",
    "actor.type",
    "actor.id",
    "actor.name",
    "address",
    "request_id",
    "reason",
    "key_id",
    "key_version",
    "owner_id",
    "changes",
    "old_version",
    "old_fingerprint",
    "new_fingerprint",
    "rotated_by",
    "grace",
    "route",
    "method",
    "path",
    "status",
    "node",
    "count",
    "until",
    "previous_hash",
    "hash",
    "erased",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What one field of a line is, at the place of `name`.
    fn line_of(form: &Value) -> String {
        csv_line(form).trim_end_matches(',').to_owned()
    }

    #[test]
    fn nested_names_are_dotted_and_lists_are_json() {
        let form = json!({"id": "aud_1", "seq": 2, "actor": {"type": "token", "name": "a, \"b\""},
            "changes": [{"field": "x", "from": null, "to": 1}]});
        assert!(
            csv_head()
                .starts_with("id,seq,timestamp,type,outcome,code,actor.type,actor.id,actor.name,")
        );
        assert_eq!(
            line_of(&form),
            "aud_1,2,,,,,token,,\"a, \"\"b\"\"\",,,,,,,\"[{\"\"field\"\":\"\"x\"\",\"\"from\"\":null,\"\"to\"\":1}]\""
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@x", "\tx", "\r=1"] {
            assert_eq!(line_of(&json!({"id": text})), format!("\"'{text}\""));
        }
        assert_eq!(line_of(&json!({"id": "a=1"})), "a=1");
        for text in ["a;=1+1", "a\t=1+1"] {
            assert_eq!(line_of(&json!({"id": text})), format!("\"{text}\""));
        }
    }
}
