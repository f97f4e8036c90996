//! Limits that three gates hold together over one Redis: in one process, on the machine's clock.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::redis::RedisServer;
use crate::support::{Gateway, Upstream, eventually};

/// Three gates that know there are three, and a key with this limit of its own that all of them know.
async fn three(redis: &RedisServer, upstream: &Upstream, limit: Value) -> (Vec<Gateway>, Key) {
    three_with(redis, upstream, json!({"rate_limits": [limit]}), "").await
}

/// The same with whatever is asked for of the key, and with more settings of the fleet.
async fn three_with(
    redis: &RedisServer,
    upstream: &Upstream,
    key: Value,
    more: &str,
) -> (Vec<Gateway>, Key) {
    let mut gates = Vec::new();
    for node in ["gate-1", "gate-2", "gate-3"] {
        let gate = Gateway::routing("/", upstream)
            .node(node)
            .admin_token("a-token-that-all-gates-know-0123456789")
            // Machines that run many tests at once answer late now and then.
            .setting(&format!("fleet: {{ max_nodes: 3, lease_wait: 1s{more} }}"))
            .redis(&redis.url())
            .on_system_clock();
        gates.push(gate.start().await);
    }
    let key = gates[0].create_key_with(key).await;
    for gate in &gates[1..] {
        gate.hears_of(&key).await;
    }
    (gates, key)
}

/// Sends so many requests to each gate, one gate after the other; how many were answered with which code.
async fn ask(gates: &[Gateway], key: &Key, times: usize) -> (usize, Vec<String>) {
    let (mut passed, mut refusals) = (0, Vec::new());
    for _ in 0..times {
        for gate in gates {
            let reply = gate.get("/").with(key).await;
            match reply.status {
                200 => passed += 1,
                _ => refusals.push(reply.refusal().to_string()),
            }
        }
    }
    (passed, refusals)
}

async fn is_away(gate: &Gateway) -> bool {
    let status = gate.admin(Method::GET, "/admin/status", None).await.json();
    status["limits"]["away"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gates_together_admit_the_limit_and_no_more() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let limit = json!({"rate": "60/hour", "burst": 30});
    let (gates, key) = three(&redis, &upstream, limit).await;

    let (passed, refusals) = ask(&gates, &key, 30).await;

    assert!((27..=30).contains(&passed), "{passed} {refusals:?}");
    assert!(refusals.iter().all(|code| code == "rate_limited"));
    assert_eq!(upstream.requests(), passed);
    // A rotation refills nothing, at no gate.
    let (key, _) = gates[0].rotate(&key, json!({"grace": "0s"})).await;
    for gate in &gates {
        gate.hears_of(&key).await;
    }
    let (more, _) = ask(&gates, &key, 3).await;
    assert!(passed + more <= 30, "{passed} and {more}");
    let reply = gates[1].get("/").with(&key).await;
    assert_eq!(reply.refusal(), "rate_limited");
    assert!(reply.retry_after().is_some_and(|s| (1..=61).contains(&s)));
    let level = reply.header("ratelimit").unwrap_or_default().to_owned();
    assert!(level.starts_with("\"key-1\";r=0;t="), "{level}");
    let status = gates[1].admin(Method::GET, "/admin/status", None).await;
    let limits = &status.json()["limits"];
    assert_eq!(limits["away"], json!(false));
    assert!(gates[1].metric("portcullis_limit_lease_calls_total").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_each_gate_has_its_share_and_with_it_they_go_on_together() {
    let (mut redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let limit = json!({"rate": "60/hour", "burst": 30});
    let (gates, key) = three(&redis, &upstream, limit).await;
    let (before, _) = ask(&gates, &key, 2).await;
    assert_eq!(before, 6);

    redis.kill();
    let (away, refusals) = ask(&gates, &key, 15).await;

    // Nobody is refused for the store's sake, and all of them together stay within the limit, but
    // for what others had taken since each saw the bucket last.
    assert!(
        refusals.iter().all(|code| code == "rate_limited"),
        "{refusals:?}"
    );
    assert!(away >= 15 && before + away <= 30 + before, "{away}");
    assert!(is_away(&gates[0]).await);

    redis.restart();
    eventually("the store is asked again", async || {
        let reply = gates[0].get("/").with(&key).await;
        assert_ne!(reply.status, 503);
        (!is_away(&gates[0]).await).then_some(())
    })
    .await;
    let (after, _) = ask(&gates, &key, 5).await;
    assert!(
        before + away + after <= 31 + before,
        "{before}, {away}, {after}"
    );
}

/// S2-09, S1-14: what is left of a quota is divided among as many gates as the roster knows of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_gates_divide_what_is_left_of_a_quota() {
    const LIMIT: usize = 300;
    let (mut redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let quota = json!({"quotas": [{"limit": LIMIT, "per": "day"}]});
    let (gates, key) = three_with(&redis, &upstream, quota, "").await;
    let (before, _) = ask(&gates, &key, 1).await;
    assert_eq!(before, 3);

    redis.kill();
    let (away, refusals) = ask(&gates, &key, LIMIT).await;

    assert!(
        refusals.iter().all(|code| code == "quota_exhausted"),
        "{refusals:?}"
    );
    // A third at each, of what was left when it saw the quota last: the others had next to nothing then.
    let passed = before + away;
    assert!((LIMIT / 2..LIMIT * 4 / 3).contains(&passed), "{passed}");
    assert_eq!(upstream.requests(), passed);
}

/// A gate that hears nothing does not know whether others do, and spend what it would: it waits as long as it is
/// told to. One whose connections are refused knows that the store is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_is_merely_cut_off_spends_no_share_before_its_time() {
    let (mut redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let limit = json!({"rate": "1/hour", "burst": 30});
    let late = ", fallback_after: 1h";
    let (gates, key) = three_with(&redis, &upstream, json!({"rate_limits": [limit]}), late).await;
    assert_eq!(ask(&gates, &key, 1).await.0, 3);

    redis.pause();
    eventually("the gate cannot connect any more", async || {
        (gates[0].metric("portcullis_store_up").await == 0.0).then_some(())
    })
    .await;
    eventually("what it holds has lapsed", async || {
        let reply = gates[0].get("/").with(&key).await;
        (reply.status == 429).then_some(())
    })
    .await;
    let shares = async || gates[0].metric("portcullis_limit_fallbacks_total").await;
    assert_eq!(ask(&gates[..1], &key, 20).await.0, 0);
    assert_eq!(shares().await, 0.0);

    redis.kill();
    eventually("the gate spends its share", async || {
        let reply = gates[0].get("/").with(&key).await;
        (reply.status == 200).then_some(())
    })
    .await;
    assert!(shares().await > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_limit_is_exact_and_closed_while_the_store_is_away() {
    let (mut redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let limit = json!({"rate": "60/hour", "burst": 30, "mode": "strict"});
    let (gates, key) = three(&redis, &upstream, limit).await;

    let reply = gates[2].get("/").with(&key).await;
    assert_eq!(
        reply.header("ratelimit").map(|it| it.split(";t").next()),
        Some(Some("\"key-1\";r=29"))
    );
    let at_once = (0..10).flat_map(|_| gates.iter().map(|gate| gate.get("/").with(&key)));
    let replies = join_all(at_once.map(|ask| async { ask.await.status })).await;
    let passed = replies.iter().filter(|status| **status == 200).count();
    assert_eq!((passed, replies.len() - passed), (29, 1), "{replies:?}");
    assert_eq!(ask(&gates, &key, 1).await.0, 0);

    redis.kill();
    let (passed, refusals) = ask(&gates, &key, 3).await;
    assert_eq!((passed, refusals.len()), (0, 9));
    assert!(
        refusals.iter().all(|code| code == "limits_unavailable"),
        "{refusals:?}"
    );
    assert_eq!(upstream.requests(), 30);
}

/// A limit that each gate counts for itself asks nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_limit_is_each_gates_own() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let limit = json!({"rate": "60/hour", "burst": 4, "mode": "local"});
    let (gates, key) = three(&redis, &upstream, limit).await;
    assert_eq!(ask(&gates, &key, 6).await.0, 12);
    assert_eq!(
        gates[0].metric("portcullis_limit_lease_calls_total").await,
        0.0
    );
}
