//! What a key was used for, over the admin API.

use portcullis::domain::time::Timestamp;
use portcullis::domain::usage::{Tally, UsageBatch, UsageBucket, UsageRow};
use serde_json::{Value, json};

use crate::admin::harness::{Admin, START_MS};

fn tally(requests: u64) -> Tally {
    Tally {
        requests,
        status: [0, requests, 0, 0, 0],
        cost: requests,
        ..Tally::default()
    }
}

/// A key used in two hours, by two versions, on two routes.
async fn used_key(admin: &Admin) -> String {
    let made = admin.make_key("k").await;
    let id = made["key"]["id"].as_str().unwrap().to_owned();
    let now = Timestamp::from_millis(START_MS);
    let epoch = admin.store.begin_epoch("gate-1", now).await.unwrap();
    let minute = u32::try_from(START_MS / 60_000).unwrap();
    let row = |version, route: &str, minute, requests| UsageRow {
        key: id.parse().unwrap(),
        version,
        route: route.into(),
        minute,
        tally: tally(requests),
    };
    let batch = UsageBatch {
        node: "gate-1".into(),
        epoch,
        seq: 1,
        rows: vec![
            row(1, "a", minute - 60, 1),
            row(1, "a", minute, 2),
            row(1, "b", minute, 4),
            row(2, "a", minute, 8),
        ],
    };
    admin.store.add_usage(batch.into()).await.unwrap();
    id
}

fn requests(reply: &Value) -> Vec<u64> {
    let buckets = reply["buckets"].as_array().unwrap();
    buckets
        .iter()
        .map(|bucket| bucket["requests"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn buckets_are_told_apart_as_asked() {
    let admin = Admin::start();
    let id = used_key(&admin).await;
    for (query, told) in [
        ("", vec![1, 6, 8]),
        ("?by=version", vec![1, 6, 8]),
        ("?by=status", vec![1, 14]),
        ("?by=route", vec![1, 10, 4]),
        ("?by=version,status,route", vec![1, 2, 4, 8]),
        ("?step=1d&by=route", vec![1, 10, 4]),
        ("?from=2026-01-01T00:00:00Z", vec![6, 8]),
        (
            "?from=2025-12-31T23:30:00Z&to=2026-01-01T00:00:00Z",
            vec![1],
        ),
    ] {
        let reply = admin.get(&format!("/admin/keys/{id}/usage{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text);
        assert_eq!(requests(&reply.json), told, "{query}");
        let total: u64 = told.iter().sum();
        assert_eq!(reply.json["total"]["requests"], total, "{query}");
    }
    let reply = admin
        .get(&format!("/admin/keys/{id}/usage?by=route"))
        .await
        .json;
    assert_eq!(reply["buckets"][1]["route"], "a");
    assert_eq!(reply["buckets"][1]["version"], Value::Null);
    assert_eq!(reply["from"], "2025-12-31T00:00:00.000Z");
}

#[tokio::test]
async fn minutes_come_from_the_gate_itself() {
    let admin = Admin::start();
    let id = used_key(&admin).await;
    let bucket = UsageBucket {
        start: Timestamp::from_millis(START_MS - 60_000),
        version: 1,
        route: "a".into(),
        tally: tally(5),
    };
    admin.minutes.put(id.parse().unwrap(), bucket);
    let query = "?step=1m&from=2025-12-31T23:00:00Z";
    let reply = admin.get(&format!("/admin/keys/{id}/usage{query}")).await;
    assert_eq!(requests(&reply.json), [5]);
    assert_eq!(reply.json["buckets"][0]["status"], json!({"2xx": 5}));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_by_its_parameter() {
    let admin = Admin::start();
    let id = used_key(&admin).await;
    for (query, pointer) in [
        ("?step=1w", "step"),
        ("?by=colour", "by"),
        ("?from=yesterday", "from"),
        ("?from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("?step=1m&from=2025-12-01T00:00:00Z", "from"),
        ("?until=2026-01-01T00:00:00Z", "until"),
        ("?step=1h&step=1d", "step"),
    ] {
        let reply = admin.get(&format!("/admin/keys/{id}/usage{query}")).await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{query}");
        assert_eq!(reply.pointers(), [pointer], "{query}");
    }
    let reply = admin.get("/admin/keys/key_0000000000/usage").await;
    assert_eq!(reply.problem(), (404, "not_found"));
}
