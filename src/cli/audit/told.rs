//! What an entry is about, and why it was done, in few words.

use serde_json::Value;

use crate::api::audit::Entry;

/// The id of what an entry is about, and the reason; where it is about no key and no owner, what was
/// changed.
pub(super) fn about_and_why(entry: &Entry) -> (String, String) {
    let about = entry.text("/key_id").or_else(|| entry.text("/owner_id"));
    let about = match (about, entry.number("key_version")) {
        (Some(about), Some(version)) => Some(format!("{about} v{version}")),
        (about, _) => about.map(str::to_owned),
    };
    let why = entry.text("/reason").or_else(|| entry.text("/path"));
    let why = why.map(str::to_owned);
    let changes = entry.0.get("changes").and_then(Value::as_array);
    let changes = changes.map(Vec::as_slice).unwrap_or_default();
    if about.is_some() || changes.is_empty() {
        return (about.unwrap_or_default(), why.unwrap_or_default());
    }
    let ids: Vec<&str> = changes.iter().filter_map(id).collect();
    let mut what: Vec<String> = changes.iter().filter_map(what).collect();
    let others = changes
        .iter()
        .filter(|it| id(it).is_none() && what_is(it).is_none());
    let fields: Vec<&str> = others.filter_map(|it| it.get("field")?.as_str()).collect();
    if what.is_empty() && !fields.is_empty() {
        what.push(fields.join(", "));
    }
    what.extend(why);
    (ids.join(" "), what.join("; "))
}

/// What stands in a change: what is there now, or was.
fn value(change: &Value) -> Option<&Value> {
    let given = |side| change.get(side).filter(|value| !value.is_null());
    given("to").or_else(|| given("from"))
}

/// The id in a change of a whole thing, or of the field `id`.
fn id(change: &Value) -> Option<&str> {
    let value = value(change)?;
    let is_id = change.get("field").and_then(Value::as_str) == Some("id");
    let whole = value.get("id").and_then(Value::as_str);
    whole.or_else(|| value.as_str().filter(|_| is_id))
}

/// `rotation of label team=billing made`, `policy unused changed`.
fn what(change: &Value) -> Option<String> {
    let is_there = |side| change.get(side).is_some_and(|value| !value.is_null());
    let verb = match (is_there("from"), is_there("to")) {
        (false, _) => "made",
        (true, false) => "taken away",
        (true, true) => "changed",
    };
    let what = what_is(change)?;
    // A name alone is that of the thing the entry is about; that it was made, its type says.
    match change.get("field").and_then(Value::as_str) {
        Some("name") => Some(what.to_owned()),
        Some("rotation") => Some(format!("rotation of {what} {verb}")),
        field => Some(format!("{} {what} {verb}", field.unwrap_or_default())),
    }
}

fn what_is(change: &Value) -> Option<&str> {
    let value = value(change)?;
    let name = value.get("name").or_else(|| value.get("selector"));
    let is_name = change.get("field").and_then(Value::as_str) == Some("name");
    let name = name.and_then(Value::as_str);
    name.or_else(|| value.as_str().filter(|_| is_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(fields: Value) -> (String, String) {
        about_and_why(&Entry(fields))
    }

    fn both(about: &str, why: &str) -> (String, String) {
        (about.to_owned(), why.to_owned())
    }

    #[test]
    fn an_entry_about_no_key_names_what_was_changed() {
        let rule = json!({"id": "rot_1", "selector": "all", "interval_days": 30});
        let made =
            json!({"type": "config", "changes": [{"field": "rotation", "from": null, "to": rule}]});
        assert_eq!(told(made), both("rot_1", "rotation of all made"));
        let policy = json!({"id": "pol_1", "name": "unused"});
        let gone = json!({"type": "policy_deletion", "reason": "over",
            "changes": [{"field": "policy", "from": policy, "to": null}]});
        assert_eq!(told(gone), both("pol_1", "policy unused taken away; over"));
        let product = json!({"type": "product_creation", "changes": [
            {"field": "id", "from": null, "to": "prd_1"}, {"field": "name", "from": null, "to": "pro"},
            {"field": "scopes", "from": null, "to": ["a"]}]});
        assert_eq!(told(product), both("prd_1", "pro"));
        let edited = json!({"type": "product_update", "changes": [
            {"field": "id", "from": "prd_1", "to": "prd_1"}, {"field": "scopes", "from": [], "to": ["a"]}]});
        assert_eq!(told(edited), both("prd_1", "scopes"));
    }

    #[test]
    fn an_entry_about_a_key_says_which_and_why() {
        let entry = json!({"key_id": "key_1", "key_version": 2, "reason": "left",
            "changes": [{"field": "status", "from": "active", "to": "revoked"}]});
        assert_eq!(told(entry), both("key_1 v2", "left"));
        assert_eq!(
            told(json!({"owner_id": "usr_1", "path": "/v1"})),
            both("usr_1", "/v1")
        );
    }
}
