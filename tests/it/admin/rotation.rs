//! Automatic rotation, turned on and off.

use http::Method;
use serde_json::{Value, json};

use crate::admin::harness::Admin;

const ENABLE: &str = "/admin/keys/rotation/enable";
const DISABLE: &str = "/admin/keys/rotation/disable";

/// S3-02, S3-05: as the page shows it, for all or for a selector.
#[tokio::test]
async fn a_rule_is_told_as_it_was_made_and_replaced_by_its_selector() {
    let admin = Admin::start();
    let asked = json!({"interval_days": 90, "keep_previous": true});
    let made = admin.call(Method::POST, ENABLE, asked).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let rule = made.json["items"][0].as_object().unwrap();
    assert!(rule["id"].as_str().unwrap().starts_with("rot_"));
    let shown = |rule: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| rule[*name].clone()).collect()
    };
    let names = ["interval_days", "keep_previous", "grace", "selector", "due"];
    assert_eq!(
        shown(&made.json["items"][0], &names),
        [json!(90), json!(true), json!("0s"), Value::Null, json!(0)]
    );

    let asked = json!({"interval_days": 30, "keep_previous": false, "grace": "24h"});
    let again = admin.call(Method::POST, ENABLE, asked).await.json;
    assert_eq!(again["items"].as_array().unwrap().len(), 1);
    assert_eq!(again["items"][0]["id"], rule["id"]);
    assert_eq!(again["items"][0]["grace"], "24h");

    let selector = json!({"label": "team=billing"});
    let narrow = json!({"interval_days": 7, "selector": selector});
    let both = admin.call(Method::POST, ENABLE, narrow).await.json;
    assert_eq!(both["items"][1]["selector"], selector);
    assert_eq!(admin.get("/admin/keys/rotation").await.json, both);

    let off = json!({"selector": selector});
    let one = admin.call(Method::POST, DISABLE, off).await.json;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let none = admin.call(Method::POST, DISABLE, None).await.json;
    assert_eq!(none, json!({"items": []}));
    let again = admin.call(Method::POST, DISABLE, None).await;
    assert_eq!((again.status.as_u16(), again.json), (200, none));
}

/// S4-01
#[tokio::test]
async fn without_an_interval_it_follows_the_risk() {
    let admin = Admin::start();
    let rules = admin.call(Method::POST, ENABLE, json!({})).await.json;
    let told: Vec<_> = rules["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            (
                rule["selector"]["risk"].clone(),
                rule["interval_days"].clone(),
            )
        })
        .collect();
    for expected in [("high", 30), ("standard", 90), ("low", 365)] {
        assert!(
            told.contains(&(json!(expected.0), json!(expected.1))),
            "{told:?}"
        );
    }
    let made = admin.make_key("k").await;
    assert_eq!(
        made["key"]["rotation"],
        json!({
            "interval_days": 90, "keep_previous": true, "grace": "0s",
            "next_at": "2026-04-01T00:00:00.000Z",
        })
    );
}

#[tokio::test]
async fn what_cannot_be_is_told_with_its_field_and_changes_nothing() {
    let admin = Admin::start();
    for (asked, pointer) in [
        (json!({"interval_days": 0}), "/interval_days"),
        (json!({"interval_days": 3651}), "/interval_days"),
        (json!({"grace": "72h1s"}), "/grace"),
        (json!({"grace": "73h"}), "/grace"),
        (json!({"selector": {}}), "/selector"),
        (
            json!({"selector": {"risk": "high", "label": "a"}}),
            "/selector",
        ),
        (json!({"selector": {"risk": "odd"}}), "/selector/risk"),
        (
            json!({"selector": {"key_id": "usr_0000000000"}}),
            "/selector/key_id",
        ),
        (json!({"selector": {"owner": "Billing"}}), "/selector/owner"),
        (json!({"selector": {"label": "=x"}}), "/selector/label"),
    ] {
        let reply = admin.call(Method::POST, ENABLE, asked.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{asked}");
        assert_eq!(reply.pointers(), [pointer], "{asked}");
    }
    let rules = admin.get("/admin/keys/rotation").await.json;
    assert_eq!(rules, json!({"items": []}));
    assert_eq!(admin.store.revision().await.unwrap().0, 0);
}

/// What is already so is written down no second time.
#[tokio::test]
async fn asking_for_what_is_so_changes_nothing() {
    let admin = Admin::start();
    let asked = json!({"interval_days": 90});
    admin.call(Method::POST, DISABLE, None).await;
    assert_eq!(admin.store.revision().await.unwrap().0, 0);
    let made = admin.call(Method::POST, ENABLE, asked.clone()).await;
    assert_eq!(admin.store.revision().await.unwrap().0, 1);
    let again = admin.call(Method::POST, ENABLE, asked).await;
    assert_eq!(again.json, made.json);
    assert_eq!(admin.store.revision().await.unwrap().0, 1);
    let log = admin.get("/admin/audit-logs?type=config").await;
    assert_eq!(log.json["items"].as_array().unwrap().len(), 1);
}

/// A rule that landed is told of as landed, though not all keys can be read.
#[tokio::test]
async fn a_rule_is_made_though_its_keys_cannot_be_counted() {
    let (admin, sql) = Admin::in_file();
    sql.execute_batch("DROP TABLE key_list").unwrap();
    let asked = json!({"interval_days": 90});
    let made = admin.call(Method::POST, ENABLE, asked).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.json["items"][0]["due"], Value::Null);
    assert_eq!(admin.store.rules().await.unwrap().rotation.len(), 1);
}

async fn revision(admin: &Admin) -> u64 {
    admin.store.revision().await.unwrap().0
}

/// S3-05, S4-01: a key's `rotation` is the rule of that key alone, made, changed and taken away in one
/// change with it.
#[tokio::test]
async fn a_key_is_made_and_changed_together_with_its_own_rule() {
    let admin = Admin::start();
    admin
        .call(Method::POST, ENABLE, json!({"interval_days": 365}))
        .await;
    let operator = admin.make_token("operator", None).await;
    let before = revision(&admin).await;
    let body = json!({
        "name": "k", "owner": {"name": "Billing", "type": "team"},
        "rotation": {"interval_days": 30, "keep_previous": false, "grace": "1h"},
    });
    let made = admin
        .call_as(&operator, Method::POST, "/admin/keys", body)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(revision(&admin).await, before + 1, "one change");
    let own = json!({
        "interval_days": 30, "keep_previous": false, "grace": "1h",
        "next_at": "2026-01-31T00:00:00.000Z",
    });
    assert_eq!(made.json["key"]["rotation"], own);
    let id = made.json["key"]["id"].clone();
    let path = format!("/admin/keys/{}", id.as_str().unwrap());
    assert_eq!(admin.get(&path).await.json["rotation"], own);
    let rules = admin.get("/admin/keys/rotation").await.json;
    assert_eq!(rules["items"][1]["selector"], json!({"key_id": id}));
    let logs = admin.get("/admin/audit-logs?type=key_creation").await.json;
    let told = logs["items"][0]["changes"].as_array().unwrap();
    let told = told.iter().find(|it| it["field"] == "rotation").unwrap();
    assert_eq!(told["from"], Value::Null);
    assert_eq!(told["to"]["interval_days"], 30);

    let before = revision(&admin).await;
    let slower = json!({"name": "k2", "rotation": {"interval_days": 60, "keep_previous": true}});
    let changed = admin.call_as(&operator, Method::PATCH, &path, slower).await;
    assert_eq!(changed.json["name"], "k2");
    assert_eq!(changed.json["rotation"]["interval_days"], 60);
    assert_eq!(revision(&admin).await, before + 1, "one change");
    let rules = admin.get("/admin/keys/rotation").await.json["items"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 2, "the same rule");
    // What is left out stays, and what is there already changes nothing.
    let again = json!({"rotation": {"interval_days": 60, "keep_previous": true}});
    for body in [json!({}), json!({"name": "k2"}), again] {
        let kept = admin.call(Method::PATCH, &path, body).await.json;
        assert_eq!(kept["rotation"]["interval_days"], 60);
    }
    assert_eq!(revision(&admin).await, before + 1);

    let off = admin
        .call(Method::PATCH, &path, json!({"rotation": null}))
        .await;
    assert_eq!(off.json["rotation"]["interval_days"], 365, "the wider rule");
    let rules = admin.get("/admin/keys/rotation").await.json["items"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 1);
}

/// A rule that cannot be is told below `/rotation`, and neither key nor rule is made or changed.
#[tokio::test]
async fn what_cannot_be_of_a_keys_rule_leaves_the_key_as_it_was() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = format!("/admin/keys/{}", made["key"]["id"].as_str().unwrap());
    let before = revision(&admin).await;
    for (asked, pointer) in [
        (
            json!({"interval_days": 0, "keep_previous": true}),
            "/rotation/interval_days",
        ),
        (
            json!({"interval_days": 3651, "keep_previous": true}),
            "/rotation/interval_days",
        ),
        (
            json!({"interval_days": 1, "keep_previous": true, "grace": "73h"}),
            "/rotation/grace",
        ),
        (
            json!({"interval_days": 1, "keep_previous": true, "grace": "soon"}),
            "/rotation/grace",
        ),
    ] {
        let body = json!({"name": "other", "rotation": asked});
        let reply = admin.call(Method::PATCH, &path, body).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{asked}");
        assert_eq!(reply.pointers(), [pointer], "{asked}");
        let body = json!({
            "name": "k", "owner": {"name": "Other", "type": "team"}, "rotation": asked,
        });
        let reply = admin.call(Method::POST, "/admin/keys", body).await;
        assert_eq!(reply.pointers(), [pointer], "{asked}");
    }
    assert_eq!(revision(&admin).await, before);
    // A revoked key has no future to plan.
    admin.call(Method::DELETE, &path, None).await;
    let body = json!({"rotation": {"interval_days": 1, "keep_previous": true}});
    let reply = admin.call(Method::PATCH, &path, body).await;
    assert_eq!(reply.problem(), (409, "key_revoked"));
    let rules = admin.get("/admin/keys/rotation").await.json;
    assert_eq!(rules, json!({"items": []}));
}
