//! What gates make of knowing each other: who waits for whom, and whose share of a limit is left to whom.

use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::redis::RedisServer;
use crate::support::suite::{on, on_cluster, on_sentinels, on_valkey};
use crate::support::{Gateway, Upstream, eventually};

const TOKEN: &str = "a-token-that-all-gates-know-0123456789";

async fn gate(upstream: &Upstream, store: &str, node: &str, fleet: &str) -> Gateway {
    Gateway::routing("/", upstream)
        .node(node)
        .admin_token(TOKEN)
        .setting(&format!("fleet: {{ lease_wait: 1s{fleet} }}"))
        .over(store)
        .on_system_clock()
        .start()
        .await
}

async fn knows(gate: &Gateway, live: u32) {
    eventually("the gates know of each other", async || {
        (gate.metric("portcullis_nodes_live").await == f64::from(live)).then_some(())
    })
    .await;
}

/// How many of so many requests are admitted.
async fn passed(gate: &Gateway, key: &Key, times: usize) -> usize {
    let mut passed = 0;
    for _ in 0..times {
        match gate.get("/").with(key).await.status {
            200 => passed += 1,
            status => assert_eq!(status, 429),
        }
    }
    passed
}

/// A gate that was heard of five seconds ago and did not sign off.
fn falls_silent(redis: &RedisServer, node: &str, index: u32) {
    let (seconds, _): (u64, u64) = redis.ask(&["TIME"]);
    let row = format!("ff {index} 0 {} up 86400 0.1.0", (seconds - 5) * 1_000);
    let _: u64 = redis.ask(&["HSET", "{pc}:nodes", node, &row]);
}

/// S3-09: every gate of a store acts on it when the answer comes, wherever that store lies; and an owner's end is waited
/// for as a key's is.
async fn every_gate_has_it(store: &str) {
    let upstream = Upstream::echo().await;
    let here = gate(&upstream, store, "gate-1", "").await;
    let there = gate(&upstream, store, "gate-2", "").await;
    knows(&here, 2).await;
    let keys = [here.create_key().await, here.create_key().await];
    for key in &keys {
        there.hears_of(key).await;
    }
    let path = format!("/admin/keys/{}?wait=all&timeout=20s", keys[0].id);
    let reply = here.admin(Method::DELETE, &path, None).await;
    assert_eq!(there.get("/").with(&keys[0]).await.refusal(), "key_revoked");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let both = json!(["gate-1", "gate-2"]);
    assert_eq!(reply.json()["revocation"]["applied_on"], both);

    let path = format!("/admin/users/{}/keys/disable?wait=all", keys[1].owner);
    let reply = there.admin(Method::POST, &path, None).await;
    assert_eq!(here.get("/").with(&keys[1]).await.refusal(), "key_revoked");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["revocation"]["applied_on"], both);
    assert_eq!(upstream.requests(), 0);
    // How long changes are under way is measured where they arrive.
    let name = "portcullis_change_propagation_seconds";
    assert!(there.metric(&format!("{name}_count")).await >= 1.0);
    assert!(there.metric(&format!("{name}_sum")).await < 20.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_a_redis_has_it_when_the_answer_comes() {
    let redis = RedisServer::start();
    every_gate_has_it(&on(&redis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_sentinels_has_it_when_the_answer_comes() {
    every_gate_has_it(&on_sentinels()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_a_cluster_has_it_when_the_answer_comes() {
    every_gate_has_it(&on_cluster()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_a_valkey_has_it_when_the_answer_comes() {
    every_gate_has_it(&on_valkey()).await;
}

/// The others leave a gate its share that may be serving on without the store, until someone strikes it off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_gate_has_its_share_left_to_it_until_it_is_struck_off() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    falls_silent(&redis, "gate-9", 1);
    let gate = gate(&upstream, &on(&redis), "gate-1", ", max_nodes: 2").await;
    let status = gate.admin(Method::GET, "/admin/status", None).await.json();
    assert_eq!(status["nodes"][0]["node"], "gate-9", "{status}");
    assert_eq!(status["nodes"][0]["state"], "silent");
    assert_eq!(status["alarms"][0]["code"], "node_silent");
    assert_eq!(gate.metric("portcullis_nodes_lost").await, 1.0);
    let fields = json!({"rate_limits": [{"rate": "60/hour", "burst": 40}]});
    let key = gate.create_key_with(fields).await;

    // Half of the limit, and nearly all of that.
    let half = passed(&gate, &key, 30).await;
    assert!((18..=20).contains(&half), "{half}");

    let reply = gate
        .admin(Method::DELETE, "/admin/nodes/gate-1", None)
        .await;
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (409, &json!("conflict"))
    );
    let path = "/admin/nodes/gate-9?reason=burnt";
    let reply = gate.admin(Method::DELETE, path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["node"], "gate-9");
    let again = gate.admin(Method::DELETE, path, None).await;
    assert_eq!(again.status, 404);
    let log = gate.admin(
        Method::GET,
        "/admin/audit-logs?type=config&outcome=done",
        None,
    );
    let entry = log.await.json()["items"][0].clone();
    assert_eq!(entry["changes"][0]["field"], "nodes.gate-9", "{entry}");
    assert_eq!(entry["reason"], "burnt");
    eventually("nobody is lost", async || {
        (gate.metric("portcullis_nodes_lost").await == 0.0).then_some(())
    })
    .await;
    let nodes = gate.admin(Method::GET, "/admin/nodes", None).await.json();
    let names: Vec<&Value> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["node"])
        .collect();
    assert_eq!(names, ["gate-1"]);

    // The share is nobody's any more.
    let fields = json!({"rate_limits": [{"rate": "60/hour", "burst": 40}]});
    let key = gate.create_key_with(fields).await;
    let whole = passed(&gate, &key, 45).await;
    assert!((38..=40).contains(&whole), "{whole}");
}

/// A gate that starts again without the store divides limits among as many gates as there were before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_gates_there_were_is_known_after_a_restart_without_the_store() {
    let (mut redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let store = on(&redis);
    let mut here = gate(&upstream, &store, "gate-1", "").await;
    let others = [
        gate(&upstream, &store, "gate-2", "").await,
        gate(&upstream, &store, "gate-3", "").await,
    ];
    knows(&here, 3).await;
    let fields = json!({"rate_limits": [{"rate": "60/hour", "burst": 30}]});
    let key = here.create_key_with(fields).await;
    drop(others);
    knows(&here, 1).await;
    redis.kill();

    here.restart().await;

    assert_eq!(passed(&here, &key, 15).await, 10);
    let status = here.admin(Method::GET, "/admin/status", None).await;
    assert_eq!(status.json()["store"]["state"], "away");
}

/// A process that took the name of a gate which could not beat is told of by the alarms of that gate, which
/// serves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_whose_name_was_taken_says_so_and_serves_on() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let gate = gate(&upstream, &on(&redis), "gate-1", "").await;
    let key = gate.create_key().await;
    let alarms = async || {
        let status = gate.admin(Method::GET, "/admin/status", None).await.json();
        let alarms = status["alarms"].as_array().unwrap().iter();
        alarms
            .map(|alarm| alarm["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(alarms().await.is_empty());
    let (seconds, _): (u64, u64) = redis.ask(&["TIME"]);
    let row = format!("ff 0 0 {} up 86400 0.1.0", (seconds + 3_600) * 1_000);
    let _: u64 = redis.ask(&["HSET", "{pc}:nodes", "gate-1", &row]);
    eventually("the gate complains", async || {
        (alarms().await == ["node_name_taken"]).then_some(())
    })
    .await;
    assert!(gate.metric("portcullis_beats_failed_total").await >= 1.0);
    assert_eq!(gate.get("/").with(&key).await.status, 200);
    let _: u64 = redis.ask(&["HDEL", "{pc}:nodes", "gate-1"]);
    eventually("the name is its own again", async || {
        alarms().await.is_empty().then_some(())
    })
    .await;
}
