//! Reports of all keys: what they may reach, and what they were used for of late.

use http::Method;
use portcullis::domain::refusal::RefusalCode;
use portcullis::domain::time::Timestamp;
use portcullis::domain::usage::{Tally, UsageBucket};
use serde_json::{Value, json};

use crate::admin::harness::{Admin, START_MS};

const REVIEW: &str = "/admin/reports/access-review";

/// Keys of which each reaches something else, and their ids by their names.
async fn make_keys(admin: &Admin) {
    let product = json!({"name": "orders-only", "scopes": ["orders:write"], "routes": ["orders"]});
    let made = admin.call(Method::POST, "/admin/products", product).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for (name, more) in [
        ("all", json!({"scopes": ["a"], "products": ["starter"]})),
        (
            "bound",
            json!({"products": ["orders-only"], "allowed_ips": ["10.0.0.0/8"]}),
        ),
        ("none", json!({"description": "=1+1"})),
    ] {
        let mut body = json!({"name": name, "owner": {"name": "Billing", "type": "team"}});
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let made = admin.call(Method::POST, "/admin/keys", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
}

// S0-15, S1-16
#[tokio::test]
async fn every_key_is_told_with_all_that_it_may_reach() {
    let admin = Admin::start();
    make_keys(&admin).await;
    let review = admin.get(REVIEW).await;
    assert_eq!(review.names(), ["all", "bound", "none"]);
    let told = |field: &str| -> Vec<Value> {
        let items = review.json["items"].as_array().unwrap();
        items.iter().map(|item| item[field].clone()).collect()
    };
    let scopes = [
        json!(["a", "orders:read"]),
        json!(["orders:write"]),
        json!([]),
    ];
    assert_eq!(told("scopes"), scopes);
    // A key without products, and one with a product that names no routes, is bound to none.
    assert_eq!(
        told("routes"),
        [json!(null), json!(["orders"]), json!(null)]
    );
    assert_eq!(told("allowed_ips")[1], json!(["10.0.0.0/8"]));
    assert_eq!(
        told("last_used_at"),
        [json!(null), json!(null), json!(null)]
    );
    assert_eq!(review.json["items"][0]["owner"]["name"], "Billing");
    assert!(!review.text.contains("pk_"), "no secret");
    let asked = format!("{REVIEW}?product=starter&status=active");
    assert_eq!(admin.get(&asked).await.names(), ["all"]);
}

// S0-15, S1-16
#[tokio::test]
async fn a_review_is_exported_a_page_at_a_time() {
    let admin = Admin::start();
    make_keys(&admin).await;
    let asked = format!("{REVIEW}?format=csv&limit=2");
    let first = admin.get(&asked).await;
    assert_eq!(
        first.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    assert_eq!(
        first.header("content-disposition"),
        Some("attachment; filename=\"access-review.csv\"")
    );
    let lines: Vec<&str> = first.text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("key_id,name,description,status,badges,owner.id,owner.name,"));
    assert!(
        lines[1].contains(",starter,a orders:read,,"),
        "{}",
        lines[1]
    );
    let cursor = first.header("x-next-cursor").unwrap();
    let last = admin.get(&format!("{asked}&cursor={cursor}")).await;
    assert_eq!(last.text.lines().count(), 1, "the names stand once");
    assert!(
        last.text.contains("\"'=1+1\""),
        "no cell is a formula: {}",
        last.text
    );
    assert_eq!(last.header("x-next-cursor"), None);

    let lines = admin.get(&format!("{REVIEW}?format=ndjson")).await.text;
    let names = lines.lines().map(|line| {
        let item: Value = serde_json::from_str(line).unwrap();
        item["name"].clone()
    });
    assert_eq!(names.collect::<Vec<_>>(), ["all", "bound", "none"]);
}

#[tokio::test]
async fn a_bound_token_reviews_its_owners_keys_alone() {
    let admin = Admin::start();
    make_keys(&admin).await;
    let other = json!({"name": "mine", "owner": {"name": "Me", "type": "user"}});
    let made = admin.call(Method::POST, "/admin/keys", other).await.json;
    let me = made["key"]["owner"]["id"].as_str().unwrap();
    let token = admin.make_token("viewer", Some(me)).await;
    let review = admin.call_as(&token, Method::GET, REVIEW, None).await;
    assert_eq!(review.names(), ["mine"]);
}

// S1-14
#[tokio::test]
async fn a_summary_adds_up_all_keys_and_names_the_busiest() {
    let admin = Admin::start();
    let mut ids = Vec::new();
    for name in ["idle", "busy", "refused"] {
        let made = admin.make_key(name).await;
        ids.push(made["key"]["id"].as_str().unwrap().to_owned());
    }
    let put = |at: usize, minutes_ago: u64, route: &str, requests: u64, refused: u64| {
        let mut tally = Tally {
            requests,
            status: [0, requests, 0, 0, 0],
            ..Tally::default()
        };
        tally.add_refused(RefusalCode::RateLimited, refused);
        let bucket = UsageBucket {
            start: Timestamp::from_millis(START_MS - minutes_ago * 60_000),
            version: 1,
            route: route.into(),
            tally,
        };
        admin.minutes.put(ids[at].parse().unwrap(), bucket);
    };
    put(0, 5, "orders", 1, 0);
    put(1, 5, "orders", 10, 0);
    put(1, 3, "users", 10, 0);
    put(2, 3, "users", 0, 30);
    put(1, 61, "orders", 1_000, 0);
    let summary = admin.get("/admin/usage/summary").await.json;
    assert_eq!(summary["node"], "gate-1");
    assert_eq!(summary["keys"], 3);
    assert_eq!(summary["total"]["requests"], 21);
    assert_eq!(summary["total"]["refused"], json!({"rate_limited": 30}));
    let requests = |list: &str, at: usize| summary[list][at]["requests"].clone();
    assert_eq!(
        (requests("buckets", 0), requests("buckets", 1)),
        (json!(11), json!(10))
    );
    let top = |at: usize| summary["top_keys"][at]["name"].clone();
    assert_eq!([top(0), top(1), top(2)], ["refused", "busy", "idle"]);
    assert_eq!(summary["top_keys"][1]["key_id"], ids[1]);
    assert_eq!(summary["routes"][0]["route"], "users");
    assert_eq!(summary["routes"][1]["counts"]["requests"], 11);

    let wider = "/admin/usage/summary?from=2025-12-31T22:00:00Z&top=1";
    let wider = admin.get(wider).await.json;
    assert_eq!(wider["total"]["requests"], 1_021);
    assert_eq!(wider["top_keys"].as_array().unwrap().len(), 1);
    assert_eq!(wider["top_keys"][0]["name"], "busy");
    for (query, pointer) in [("top=0", "top"), ("top=101", "top"), ("from=x", "from")] {
        let reply = admin.get(&format!("/admin/usage/summary?{query}")).await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{query}");
        assert_eq!(reply.pointers(), [pointer]);
    }
}
