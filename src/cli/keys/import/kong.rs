//! Keys of Kong: the consumers and `keyauth_credentials` of its declarative configuration.
//!
//! Format versions 1.1, 2.1 and 3.0 write them alike: a consumer by `username` or `custom_id`, its
//! credentials within it, or apart from it with `consumer: <username>` beside each `key`. Everything else
//! of the file is of no concern here. A vault reference (`{vault://…}`) is no secret, and a credential
//! that Kong lets expire (`ttl`, in seconds) expires here too.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::run::{Row, owner};
use crate::domain::time::Timestamp;

/// What the configuration asks for, `now`, from when on a `ttl` runs.
///
/// # Errors
/// What is wrong with its form, without the text of it: that has secrets in it.
pub(super) fn rows(text: &str, now: Timestamp) -> Result<Vec<Row>, String> {
    let file: File = serde_yaml::from_str(text)
        .map_err(|_| "it is no YAML or JSON of Kong's declarative configuration".to_owned())?;
    if !FORMATS.contains(&file.format_version.as_str()) {
        return Err(format!(
            "its `_format_version` is none of: {}",
            FORMATS.join(", ")
        ));
    }
    let mut rows = Vec::new();
    // How many keys of each consumer there are so far.
    let mut keys = HashMap::<&str, usize>::new();
    for (at, consumer) in file.consumers.iter().enumerate() {
        let name = consumer.name().ok_or(format!(
            "consumer {} has neither username nor custom_id",
            at + 1
        ))?;
        for credential in &consumer.keyauth_credentials {
            let number = keys.entry(name).and_modify(|it| *it += 1).or_insert(1);
            let custom_id = consumer.custom_id.as_deref();
            rows.push(row(name, custom_id, *number, credential, now)?);
        }
    }
    for (at, credential) in file.keyauth_credentials.iter().enumerate() {
        let wanted = credential.consumer.as_ref();
        let consumer = file.consumers.iter().find(|consumer| {
            wanted.is_some()
                && [&consumer.username, &consumer.id, &consumer.custom_id]
                    .into_iter()
                    .any(|known| known.as_ref() == wanted)
        });
        let named = consumer.and_then(Consumer::name);
        let name = named
            .or(wanted.map(String::as_str))
            .ok_or(format!("keyauth credential {} has no consumer", at + 1))?;
        let custom_id = consumer.and_then(|consumer| consumer.custom_id.as_deref());
        let number = keys.entry(name).and_modify(|it| *it += 1).or_insert(1);
        rows.push(row(name, custom_id, *number, credential, now)?);
    }
    Ok(rows)
}

fn row(
    consumer: &str,
    custom_id: Option<&str>,
    number: usize,
    credential: &Credential,
    now: Timestamp,
) -> Result<Row, String> {
    let place = format!("consumer {consumer}, key {number}");
    let secret = credential.key.as_deref().ok_or_else(|| {
        format!("{place} has no `key`: Kong makes one itself, and does not write it here")
    })?;
    if secret.starts_with("{vault://") {
        return Err(format!(
            "{place} is a reference to a vault; put its secret there first"
        ));
    }
    let mut fields = Map::new();
    let name = if number == 1 {
        consumer.to_owned()
    } else {
        format!("{consumer} {number}")
    };
    fields.insert("name".to_owned(), json!(name));
    fields.insert("owner".to_owned(), owner(consumer, None));
    fields.insert("secret".to_owned(), json!(secret));
    fields.insert("description".to_owned(), json!("taken over from Kong"));
    let mut labels = Map::new();
    for tag in &credential.tags {
        labels.insert(tag.clone(), json!(""));
    }
    if !labels.is_empty() {
        fields.insert("labels".to_owned(), Value::Object(labels));
    }
    if let Some(custom_id) = custom_id {
        fields.insert("metadata".to_owned(), json!({"kong_custom_id": custom_id}));
    }
    if let Some(ttl) = credential.ttl {
        let end = now.after(Duration::from_secs(ttl));
        fields.insert("expires_at".to_owned(), json!(end.to_string()));
    }
    Ok(Row { place, fields })
}

/// Of Kong's file what keys are in. It has many more fields, and those are passed over.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "_format_version")]
    format_version: String,
    #[serde(default)]
    consumers: Vec<Consumer>,
    #[serde(default)]
    keyauth_credentials: Vec<Credential>,
}

#[derive(Deserialize)]
struct Consumer {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    custom_id: Option<String>,
    #[serde(default)]
    keyauth_credentials: Vec<Credential>,
}

impl Consumer {
    fn name(&self) -> Option<&str> {
        self.username.as_deref().or(self.custom_id.as_deref())
    }
}

#[derive(Deserialize)]
struct Credential {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    consumer: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    ttl: Option<u64>,
}

const FORMATS: [&str; 3] = ["1.1", "2.1", "3.0"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Value)>, String> {
        let rows = rows(text, Timestamp::from_millis(1_000))?.into_iter();
        Ok(rows
            .map(|row| (row.place, Value::Object(row.fields)))
            .collect())
    }

    const FILE: &str = r#"
_format_version: "3.0"
_transform: true
services:
- name: orders
  url: http://orders.internal:8000
  routes:
  - name: orders
    paths: [/v1/orders]
  plugins:
  - name: key-auth
    config: { key_names: [apikey], hide_credentials: true }
consumers:
- username: billing
  custom_id: "4711"
  tags: [finance]
  keyauth_credentials:
  - key: first-secret-of-billing
  - key: second-secret-of-billing
    tags: [rotating]
  acls:
  - group: internal
- custom_id: reports
  id: 6d1d0f6d-8f0d-4d1c-9a0c-0d5a7b2f6a11
- username: nobody
keyauth_credentials:
- consumer: reports
  key: 1234567890123456
- consumer: 6d1d0f6d-8f0d-4d1c-9a0c-0d5a7b2f6a11
  key: by-id
- consumer: billing
  key: third-secret-of-billing
"#;

    #[test]
    fn consumers_become_owners_and_their_credentials_keys() {
        for (from, to) in [("", ""), ("\"3.0\"", "\"2.1\""), ("\"3.0\"", "2.1")] {
            let rows = read(&FILE.replacen(from, to, usize::from(!from.is_empty()))).unwrap();
            let owner = json!({"name": "billing"});
            let metadata = json!({"kong_custom_id": "4711"});
            let why = "taken over from Kong";
            let of_reports = json!({"kong_custom_id": "reports"});
            let expected = [
                (
                    "consumer billing, key 1",
                    json!({"name": "billing", "owner": owner, "secret": "first-secret-of-billing",
                           "description": why, "metadata": metadata}),
                ),
                (
                    "consumer billing, key 2",
                    json!({"name": "billing 2", "owner": owner, "secret": "second-secret-of-billing",
                           "description": why, "metadata": metadata, "labels": {"rotating": ""}}),
                ),
                (
                    "consumer reports, key 1",
                    json!({"name": "reports", "owner": {"name": "reports"}, "description": why,
                           "secret": "1234567890123456", "metadata": of_reports}),
                ),
                (
                    "consumer reports, key 2",
                    json!({"name": "reports 2", "owner": {"name": "reports"}, "description": why,
                           "secret": "by-id", "metadata": of_reports}),
                ),
                (
                    "consumer billing, key 3",
                    json!({"name": "billing 3", "owner": owner, "secret": "third-secret-of-billing",
                           "description": why, "metadata": metadata}),
                ),
            ];
            let expected = expected.map(|(place, fields)| (place.to_owned(), fields));
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn what_has_an_end_at_kong_has_one_here() {
        let text = "_format_version: '3.0'\nconsumers:\n- username: a\n  keyauth_credentials:\n  - { key: x, ttl: 3600 }\n";
        let rows = read(text).unwrap();
        assert_eq!(rows[0].1["expires_at"], "1970-01-01T01:00:01.000Z");
    }

    #[test]
    fn what_cannot_be_taken_over_says_where_and_shows_no_secret() {
        let consumer = |fields: &str| format!("_format_version: '3.0'\nconsumers:\n- {fields}\n");
        for (text, says) in [
            ("canary".to_owned(), "no YAML"),
            ("consumers: []".to_owned(), "no YAML"),
            ("_format_version: '9.9'".to_owned(), "_format_version"),
            (
                consumer("keyauth_credentials: [{ key: canary }]"),
                "consumer 1 has neither",
            ),
            (
                consumer("{ username: a, keyauth_credentials: [{}] }"),
                "consumer a, key 1 has no `key`",
            ),
            (
                consumer("{ username: a, keyauth_credentials: [{ key: '{vault://env/canary}' }] }"),
                "a reference to a vault",
            ),
            (
                "_format_version: '3.0'\nkeyauth_credentials: [{ key: canary }]".to_owned(),
                "credential 1 has no consumer",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
