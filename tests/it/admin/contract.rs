//! Every answer has the shape that SPEC §9 shows: the same fields, each of the same kind.

use http::Method;
use portcullis::domain::time::Timestamp;
use portcullis::domain::usage::{Tally, UsageBatch, UsageRow};
use serde_json::{Map, Value, json};

use crate::admin::harness::{Admin, START_MS};

const KEY: &str = r#"{"id":"key_3fXk29QmZa","name":"billing-worker","description":"nightly export","owner":{"id":"usr_…","name":"Billing","type":"team"},"env":"live","products":["starter"],"scopes":["orders:read"],
 "allowed_methods":[],"allowed_paths":[],"allowed_ips":["10.0.0.0/8"],"rate_limits":[{"rate":"10/second","burst":20,"mode":"shared","enforce":"on"}],"concurrency":null,"max_staleness":null,
 "quotas":[{"limit":1000,"per":"day","on_day":null,"hard":true,"used":412,"renews_at":"…"}],"risk":"standard","expires_at":null,"metadata":{},"labels":{"team":"billing"},"protected":false,"self_rotation":false,
 "rotation":{"interval_days":90,"keep_previous":true,"grace":"0s","next_at":"…"},"status":"active","badges":["rotating"],"created_at":"…","created_by":"tok_…","last_rotated_at":"…","last_used_at":"…",
 "version":2,"fingerprint":"60303ae22b99","versions":[{"number":2,"fingerprint":"60303ae22b99","state":"current","created_at":"…","activated_at":"…","retires_at":null,"last_used_at":"…"}]}"#;
const PREVIOUS: &str = r#"{"number":1,"fingerprint":"9f86d081884c","retires_at":"…"}"#;
/// Not in the page, which leaves this answer to us.
const TESTED: &str = r#"{"admitted":false,"status":429,"code":"rate_limited","detail":"…","route":"orders","upstream":"api","path":"/v1/orders","version":2,
 "limits":[{"name":"key-1","rate":"10/second","burst":20,"remaining":0,"whole_in_ms":2000,"enforced":true}],
 "quotas":[{"name":"key-day","limit":1000,"per":"day","remaining":588,"renews_at":"…","hard":true}]}"#;
const REVOCATION: &str = r#"{"revision":1812,"durable_on":["store","gate-1"],"applied_on":["gate-1","gate-2"],"pending":[{"node":"gate-3","last_contact_at":"…","stops_by":"…"}]}"#;
const USAGE: &str = r#"{"key_id":"key_…","from":"…","to":"…","step":"1h","last_used_at":"…","total":{"requests":20000,"refused":{"rate_limited":3},"status":{"2xx":19990,"4xx":10},"cost":20000,"bytes_in":0,"bytes_out":512000},
 "buckets":[{"start":"…","version":2,"route":null,"requests":118,"refused":{},"status":{"2xx":118},"cost":118,"bytes_in":0,"bytes_out":3020}]}"#;
const AUDIT_ENTRY: &str = r#"{"id":"aud_…","seq":1812,"timestamp":"…","type":"key_revocation","outcome":"done","code":null,"actor":{"type":"token","id":"tok_…","name":"ci"},"address":null,"request_id":"req_…","reason":"left","key_id":"key_…",
 "key_version":null,"owner_id":"usr_…","changes":[{"field":"status","from":"active","to":"revoked"}],"previous_hash":"…","hash":"…"}"#;
const PROBLEM: &str = r#"{"type":"urn:portcullis:problem:invalid","title":"Invalid request","status":422,"code":"invalid","detail":"grace is longer than 72h","request_id":"req_…","errors":[{"pointer":"/grace","code":"too_long","detail":"…"}]}"#;
const STATUS: &str = r#"{"node":"gate-1","version":"0.1.0","ready":true,"keys":1000000,"store":{"kind":"redis","state":"up","revision":1812,"last_contact_at":"…","staleness_ms":3},"usage":{"queued":0,"spooled":0,"lost":0},"limits":{"leases":812,"away":false},
 "nodes":[{"node":"gate-2","state":"live","revision":1812,"last_contact_at":"…"}],"quarantined":0,"config":{"loaded_at":"…","digest":"…"},"alarms":[]}"#;

/// Objects whose fields are named by who uses them.
const MAPS: [&str; 6] = [
    "metadata", "labels", "refused", "status", "errors", "alarms",
];
/// What the page shows with a value, and a key of this version does not have.
const MAY_BE_NULL: [&str; 3] = ["rotation", "last_rotated_at", "last_used_at"];

/// Everything in which `actual` differs in shape from `example`.
fn differences(at: &str, example: &Value, actual: &Value) -> Vec<String> {
    let name = at.rsplit('/').next().unwrap_or_default();
    match (example, actual) {
        (Value::Object(shown), Value::Object(_))
            if MAPS.contains(&name) && !shown.contains_key("code") =>
        {
            Vec::new()
        }
        (Value::Object(shown), Value::Object(told)) => fields(at, shown, told),
        (Value::Array(shown), Value::Array(told)) => {
            let Some(shown) = shown.first() else {
                return Vec::new();
            };
            let items = told.iter().enumerate();
            items
                .flat_map(|(n, told)| differences(&format!("{at}/{n}"), shown, told))
                .collect()
        }
        // What is shown as unknown may be known.
        (Value::Null, _) => Vec::new(),
        (_, Value::Null) if MAY_BE_NULL.contains(&name) => Vec::new(),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => Vec::new(),
        _ => vec![format!("{at}: {actual} instead of {example}")],
    }
}

fn fields(at: &str, shown: &Map<String, Value>, told: &Map<String, Value>) -> Vec<String> {
    let missing = shown.keys().filter(|name| !told.contains_key(*name));
    let extra = told.keys().filter(|name| !shown.contains_key(*name));
    let mut found: Vec<String> = missing
        .map(|name| format!("{at}/{name} is missing"))
        .collect();
    found.extend(extra.map(|name| format!("{at}/{name} is not in the page")));
    for (name, value) in shown {
        if let Some(told) = told.get(name) {
            found.extend(differences(&format!("{at}/{name}"), value, told));
        }
    }
    found
}

#[track_caller]
fn assert_shape(example: &str, actual: &Value) {
    let found = differences("", &serde_json::from_str(example).unwrap(), actual);
    assert!(found.is_empty(), "{found:#?}\n{actual:#}");
}

#[track_caller]
fn assert_page(example: &str, actual: &Value) {
    assert_shape(
        &format!(r#"{{"items": [{example}], "next_cursor": null}}"#),
        actual,
    );
    assert!(!actual["items"].as_array().unwrap().is_empty());
}

async fn make_full_key(admin: &Admin) -> Value {
    let body = json!({
        "name": "billing-worker", "description": "nightly export",
        "owner": {"name": "Billing", "type": "team"}, "env": "live", "products": ["starter"],
        "scopes": ["orders:read"], "allowed_ips": ["10.0.0.0/8"],
        "rate_limits": [{"rate": "10/second", "burst": 20}], "labels": {"team": "billing"},
    });
    let reply = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json
}

#[tokio::test]
async fn keys_are_told_as_the_page_shows_them() {
    let admin = Admin::start();
    let made = make_full_key(&admin).await;
    assert_shape(
        &format!(r#"{{"key": {KEY}, "secret": "pk_live_…", "previous": null}}"#),
        &made,
    );
    let path = format!("/admin/keys/{}", made["key"]["id"].as_str().unwrap());
    assert_shape(KEY, &admin.get(&path).await.json);
    assert_page(KEY, &admin.get("/admin/keys").await.json);
    for step in ["suspend", "resume"] {
        let reply = admin
            .call(Method::POST, &format!("{path}/{step}"), None)
            .await;
        assert_shape(KEY, &reply.json);
    }
    let patched = admin
        .call(Method::PATCH, &path, json!({"concurrency": 3}))
        .await;
    assert_shape(KEY, &patched.json);
    let rotated = admin
        .call(Method::POST, &format!("{path}/rotate"), None)
        .await;
    assert_shape(
        &format!(r#"{{"key": {KEY}, "secret": "pk_live_…", "previous": {PREVIOUS}}}"#),
        &rotated.json,
    );
    let tested = json!({"method": "GET", "path": "/v1/orders"});
    let tested = admin
        .call(Method::POST, &format!("{path}/test"), tested)
        .await;
    assert_shape(TESTED, &tested.json);
    let ended = admin
        .call(Method::DELETE, &format!("{path}/versions/1"), None)
        .await;
    assert_shape(
        &format!(r#"{{"key": {KEY}, "revocation": {REVOCATION}}}"#),
        &ended.json,
    );
    let revoked = admin.call(Method::DELETE, &path, None).await;
    assert_shape(
        &format!(r#"{{"key": {KEY}, "revocation": {REVOCATION}}}"#),
        &revoked.json,
    );
}

#[tokio::test]
async fn what_was_read_of_a_key_can_be_given_back() {
    let admin = Admin::start();
    let made = make_full_key(&admin).await;
    let mut again = made["key"].clone();
    let object = again.as_object_mut().unwrap();
    for told in [
        "id",
        "owner",
        "status",
        "badges",
        "created_at",
        "created_by",
        "last_rotated_at",
        "last_used_at",
        "version",
        "fingerprint",
        "versions",
    ] {
        object.remove(told);
    }
    object.insert("owner_id".into(), made["key"]["owner"]["id"].clone());
    let reply = admin.call(Method::POST, "/admin/keys", again).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    for field in [
        "scopes",
        "allowed_ips",
        "rate_limits",
        "labels",
        "risk",
        "owner",
    ] {
        assert_eq!(reply.json["key"][field], made["key"][field], "{field}");
    }
}

#[tokio::test]
async fn usage_is_told_as_the_page_shows_it() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let id = made["key"]["id"].as_str().unwrap();
    let epoch = admin
        .store
        .begin_epoch("gate-1", Timestamp::from_millis(START_MS))
        .await
        .unwrap();
    let batch = UsageBatch {
        node: "gate-1".into(),
        epoch,
        seq: 1,
        rows: vec![UsageRow {
            key: id.parse().unwrap(),
            version: 1,
            route: "orders".into(),
            minute: u32::try_from(START_MS / 60_000).unwrap(),
            tally: Tally {
                requests: 118,
                status: [0, 118, 0, 0, 0],
                cost: 118,
                bytes_out: 3_020,
                last_used_at: Some(Timestamp::from_millis(START_MS)),
                ..Tally::default()
            },
        }],
    };
    admin.store.add_usage(batch.into()).await.unwrap();
    let usage = admin.get(&format!("/admin/keys/{id}/usage")).await.json;
    assert_shape(USAGE, &usage);
    assert_eq!(usage["buckets"][0]["requests"], 118);
    assert_eq!(usage["buckets"][0]["status"], json!({"2xx": 118}));
    assert!(usage["last_used_at"].is_string());
}

#[tokio::test]
async fn owners_tokens_products_and_status_have_one_shape_each() {
    // Where many share a store, a gate is listed that beats.
    let (admin, _file) = Admin::in_file();
    let owner = r#"{"id":"usr_…","name":"…","type":"team","created_at":"…","disabled_at":null}"#;
    let body = json!({"name": "Ops", "type": "team"});
    let made = admin.call(Method::POST, "/admin/users", body).await;
    assert_shape(owner, &made.json);
    assert_page(owner, &admin.get("/admin/users").await.json);

    let token = r#"{"id":"tok_…","name":"ci","role":"viewer","owner_id":null,"fingerprint":"…","created_at":"…","expires_at":null,"revoked_at":null}"#;
    let body = json!({"name": "ci", "role": "viewer"});
    let made = admin.call(Method::POST, "/admin/tokens", body).await;
    assert_shape(&format!(r#"{{"token":{token},"secret":"…"}}"#), &made.json);
    assert_page(token, &admin.get("/admin/tokens").await.json);

    let product = r#"{"id":null,"name":"starter","description":null,"scopes":["…"],"routes":[],"rate_limits":[{"rate":"…","burst":10,"mode":"shared","enforce":"on"}],"quotas":[],"max_staleness":null,"source":"config","created_at":null}"#;
    assert_page(product, &admin.get("/admin/products").await.json);
    assert_shape(STATUS, &admin.get("/admin/status").await.json);

    let node = r#"{"node":"gate-1","state":"live","revision":1812,"last_contact_at":"…","version":"0.1.0","index":null,"this":true}"#;
    assert_page(node, &admin.get("/admin/nodes").await.json);
}

#[tokio::test]
async fn audit_entries_are_told_as_the_page_shows_them() {
    let admin = Admin::start();
    let made = make_full_key(&admin).await;
    let path = format!("/admin/keys/{}", made["key"]["id"].as_str().unwrap());
    admin
        .call(Method::DELETE, &format!("{path}?reason=left"), None)
        .await;
    let logs = admin.get("/admin/audit-logs?type=key_revocation").await;
    assert_page(AUDIT_ENTRY, &logs.json);
    // Who signed is not in the page: a verdict without it would say more than was proved.
    let verdict = r#"{"valid":true,"entries":1,"last":1,"fault":null,"signers":[]}"#;
    assert_shape(verdict, &admin.get("/admin/audit-logs/verify").await.json);
}

#[tokio::test]
async fn a_problem_is_told_as_the_page_shows_it() {
    let admin = Admin::start();
    let reply = admin
        .call(Method::POST, "/admin/keys", json!({"name": "k"}))
        .await;
    assert_eq!(reply.problem(), (422, "invalid"));
    assert_shape(PROBLEM, &reply.json);
}

#[test]
fn a_difference_in_shape_is_found() {
    for (actual, found) in [
        (r#"{"a": 1, "b": [{"c": "x"}], "n": 5}"#, vec![]),
        (r#"{"a": 1, "b": [], "n": null}"#, vec![]),
        (
            r#"{"a": "1", "b": [], "n": null}"#,
            vec!["/a: \"1\" instead of 1"],
        ),
        (
            r#"{"a": null, "b": [], "n": null}"#,
            vec!["/a: null instead of 1"],
        ),
        (r#"{"a": 1, "n": null}"#, vec!["/b is missing"]),
        (
            r#"{"a": 1, "b": [{"c": "x", "d": 1}], "n": null}"#,
            vec!["/b/0/d is not in the page"],
        ),
    ] {
        let example = json!({"a": 1, "b": [{"c": "x"}], "n": null});
        let actual = serde_json::from_str(actual).unwrap();
        assert_eq!(differences("", &example, &actual), found, "{actual}");
    }
}
