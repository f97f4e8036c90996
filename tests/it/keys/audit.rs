//! What the audit log says of a key's requests, beside what was done to it.

use http::Method;
use serde_json::{Value, json};

use crate::support::patience::a_moment;
use crate::support::{Gateway, Upstream, eventually};

/// The entries that a question finds, once there are at least `count`.
async fn entries(gateway: &Gateway, query: &str, count: usize) -> Vec<Value> {
    loop {
        let path = format!("/admin/audit-logs?{query}");
        let page = gateway.admin(Method::GET, &path, None).await.json();
        let items = page["items"].as_array().unwrap().clone();
        if items.len() >= count {
            return items;
        }
        a_moment().await;
    }
}

/// S1-10, S3-08, S0-09: "version 1 of key X, retired, from 127.0.0.1" can be looked up.
#[tokio::test]
async fn a_dead_secret_that_is_still_sent_is_found_by_key_and_version() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway.create_key().await;
    let other = gateway.create_key().await;
    assert_eq!(gateway.get("/before").with(&old).await.status, 200);
    let (new, _) = gateway.rotate(&old, json!({"grace": "0s"})).await;

    let reply = gateway.get("/v1/orders?secret=no").with(&old).await;
    assert_eq!(reply.refusal(), "key_retired");
    assert_eq!(gateway.get("/after").with(&new).await.status, 200);
    assert_eq!(gateway.get("/other").with(&other).await.status, 200);

    let query = format!("key_id={}&key_version=1&outcome=refused", old.id);
    let found = entries(&gateway, &query, 1).await;
    let [entry] = found.as_slice() else {
        panic!("{found:?}");
    };
    for (field, value) in [
        ("type", json!("request")),
        ("code", json!("key_retired")),
        ("key_id", json!(*old.id)),
        ("key_version", json!(1)),
        ("owner_id", json!(*old.owner)),
        ("method", json!("GET")),
        ("path", json!("/v1/orders")),
        ("status", json!(401)),
        ("address", json!("127.0.0.1")),
        ("count", json!(1)),
        ("until", json!(null)),
    ] {
        assert_eq!(entry[field], value, "{field}");
    }
    assert!(entry["request_id"].as_str().unwrap().starts_with("req_"));
    let by_request = format!("request_id={}", entry["request_id"].as_str().unwrap());
    assert_eq!(entries(&gateway, &by_request, 1).await, found);

    // What was done to the version, and what was asked with it, in one list.
    let all = entries(&gateway, &format!("key_id={}", old.id), 5).await;
    let mut kinds: Vec<&str> = all.iter().map(|it| it["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "key_creation",
            "key_rotation",
            "request",
            "request",
            "request"
        ]
    );
    let times: Vec<&str> = all
        .iter()
        .map(|it| it["timestamp"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let of_version = format!("key_id={}&key_version=2&type=request", old.id);
    let found = entries(&gateway, &of_version, 1).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["path"], "/after");
    assert_eq!(
        gateway.metric("portcullis_audit_requests_lost_total").await,
        0.0
    );
}

/// A page may end between what was done and what was asked; nothing is told twice or left out.
#[tokio::test]
async fn pages_divide_what_was_done_and_what_was_asked() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
        gateway.pause(&key, "suspend").await;
        gateway.pause(&key, "resume").await;
    }
    let query = format!("key_id={}", key.id);
    let all = entries(&gateway, &query, 16).await;
    assert_eq!(all.len(), 16);
    for limit in [1, 3, 16] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/admin/audit-logs?{query}&limit={limit}&cursor={cursor}");
            let page = gateway.admin(Method::GET, &path, None).await.json();
            found.extend(page["items"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(found, all, "{limit}");
    }
}

#[tokio::test]
async fn requests_are_still_there_after_a_restart() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    assert_eq!(gateway.get("/kept").with(&key).await.status, 200);
    // Stopped at once: what waits is written before the gate has ended.
    gateway.restart().await;
    let found = entries(&gateway, "type=request", 1).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["path"], "/kept");
}

/// S4-16: whoever erases an owner erases where its callers were, on the disk of a gate that was stopped, too.
#[tokio::test]
async fn an_erased_owners_addresses_go_from_the_requests_too() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let (gone, stays) = (
        gateway
            .create_key_with(json!({"owner": {"name": "Leaving", "type": "user"}}))
            .await,
        gateway.create_key().await,
    );
    for key in [&gone, &stays] {
        assert_eq!(gateway.get("/asked").with(key).await.status, 200);
    }
    let addresses = async |gateway: &Gateway| {
        let mut found = Vec::new();
        for key in [&gone, &stays] {
            let query = format!("type=request&key_id={}", key.id);
            found.push(entries(gateway, &query, 1).await[0]["address"].clone());
        }
        found
    };
    assert_eq!(addresses(&gateway).await, ["127.0.0.1", "127.0.0.1"]);
    gateway.revoke(&gone).await;
    let path = format!("/admin/users/{}?reason=asked", gone.owner);
    let reply = gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let erased = async |gateway: &Gateway| {
        eventually("the addresses to go", async || {
            let found = addresses(gateway).await;
            (found[0].is_null() && found[1] == "127.0.0.1").then_some(())
        })
        .await;
    };
    erased(&gateway).await;
    gateway.restart().await;
    erased(&gateway).await;
}
