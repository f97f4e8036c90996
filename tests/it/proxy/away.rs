//! A gate that lost its store: whom it serves, until when, and what it says then.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::redis::RedisServer;
use crate::support::{Gateway, Reply, Upstream, eventually};

#[tokio::test]
async fn a_gate_out_of_touch_for_too_long_refuses_keys_and_comes_back_by_itself() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .route("{ match: { path_prefix: /open }, upstream: api, key: none }")
        .setting("fleet: { max_staleness: 1h }")
        .redis(&redis.url())
        .start()
        .await;
    let key = gateway
        .create_key_with(json!({"self_rotation": true}))
        .await;
    away(&mut redis, &gateway).await;
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    // What needs no store is told; what would change something is not done.
    assert_eq!(gateway.get("/.portcullis/me").with(&key).await.status, 200);
    let reply = gateway.post("/.portcullis/rotate").with(&key).await;
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (503, &json!("store_unavailable"))
    );

    gateway.clock.turn(Duration::from_secs(3_600));
    eventually("the gate stops serving keys", async || {
        let reply = gateway.get("/").with(&key).await;
        (reply.status != 200).then(|| assert_eq!(reply.refusal(), "stale"))
    })
    .await;
    let served = upstream.requests();
    for path in ["/", "/.portcullis/me"] {
        let reply = gateway.get(path).with(&key).await;
        assert_eq!((reply.status, &*reply.refusal()), (503, "stale"));
    }
    // Never 401 for a fault of ours, whatever is shown.
    let reply = gateway.get("/").header("x-api-key", "guess").await;
    assert_eq!(reply.refusal(), "stale");
    assert_eq!(gateway.get("/.portcullis/ready").await.refusal(), "stale");
    assert_eq!(upstream.requests(), served);
    assert_eq!(gateway.get("/open").await.status, 200);

    redis.restart();
    eventually("the gate serves again", async || {
        let reply = gateway.get("/").with(&key).await;
        (reply.status == 200).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/.portcullis/ready").await.status, 200);
}

/// A gate over a Redis that is gone.
async fn away(redis: &mut RedisServer, gateway: &Gateway) {
    redis.kill();
    eventually("the gate notices", async || {
        let up = gateway.metric("portcullis_store_up").await;
        (up == 0.0).then_some(())
    })
    .await;
    let state = r#"portcullis_store_state{state="away"}"#;
    assert_eq!(gateway.metric(state).await, 1.0);
}

fn assert_held(reply: &Reply) {
    assert_eq!(reply.status, 202, "{}", reply.text());
    let told = &reply.json()["revocation"];
    assert_eq!(
        (&told["revision"], &told["durable_on"], &told["applied_on"]),
        (&json!(null), &json!(["gate-1"]), &json!(["gate-1"]))
    );
}

/// S1-13, S3-10: with Redis away a revocation is in force at once, survives a restart, and is handed over with what
/// was said of it. Whatever else would change something is refused.
#[tokio::test]
async fn revoking_goes_on_without_the_store_and_reaches_it_later() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .redis(&redis.url())
        .start()
        .await;
    let key = gateway.create_key().await;
    let rotated = gateway.create_key().await;
    let left = gateway
        .create_key_with(json!({"owner": {"name": "Ann", "type": "user"}, "protected": true}))
        .await;
    let safe = gateway.create_key_with(json!({"protected": true})).await;
    let path = format!("/admin/keys/{}", key.id);
    let body = json!({"grace": "1h"});
    let rotate = format!("/admin/keys/{}/rotate", rotated.id);
    let reply = gateway.admin(Method::POST, &rotate, Some(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    away(&mut redis, &gateway).await;

    // What cannot be is refused as ever, and nothing of it is held.
    let safe_path = format!("/admin/keys/{}", safe.id);
    let reply = gateway.admin(Method::DELETE, &safe_path, None).await;
    assert_eq!(reply.json()["code"], "protected");
    let suspend = format!("{path}/suspend");
    let reply = gateway.admin(Method::POST, &suspend, None).await;
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (503, &json!("store_unavailable"))
    );

    let because = format!("{path}?reason=leaked");
    assert_held(&gateway.admin(Method::DELETE, &because, None).await);
    assert_held(&gateway.admin(Method::DELETE, &because, None).await);
    let version = format!("/admin/keys/{}/versions/1", rotated.id);
    assert_held(&gateway.admin(Method::DELETE, &version, None).await);
    let disable = format!("/admin/users/{}/keys/disable", left.owner);
    assert_held(&gateway.admin(Method::POST, &disable, None).await);
    let served = upstream.requests();
    let are_refused = async |gateway: &Gateway| {
        for key in [&key, &rotated, &left] {
            let reply = gateway.get("/").with(key).await;
            assert_eq!(reply.refusal(), "key_revoked");
        }
        assert_eq!(gateway.get("/").with(&safe).await.status, 200);
        let list = "/admin/keys?status=revoked";
        let reply = gateway.admin(Method::GET, list, None).await;
        assert!(reply.text().contains(&key.id), "{}", reply.text());
        let status = gateway.admin(Method::GET, "/admin/status", None).await;
        let alarms = status.json()["alarms"].to_string();
        assert!(alarms.contains("revocations_held"), "{alarms}");
    };
    are_refused(&gateway).await;
    gateway.restart().await;
    are_refused(&gateway).await;
    assert_eq!(upstream.requests(), served + 2);

    redis.restart();
    eventually("the store has all of it", async || {
        let reply = gateway.admin(Method::DELETE, &path, None).await;
        (reply.status == 200).then(|| {
            assert_eq!(
                reply.json()["revocation"]["durable_on"],
                json!(["store", "gate-1"])
            );
        })
    })
    .await;
    eventually("nothing is held any more", async || {
        let status = gateway.admin(Method::GET, "/admin/status", None).await;
        (status.json()["alarms"] == json!([])).then_some(())
    })
    .await;
    let entries = format!("/admin/audit-logs?type=key_revocation&key_id={}", key.id);
    let reply = gateway.admin(Method::GET, &entries, None).await;
    let entries = reply.json();
    assert_eq!(entries["items"].as_array().unwrap().len(), 1, "{entries}");
    assert_eq!(entries["items"][0]["reason"], "leaked");
    assert_eq!(entries["items"][0]["actor"]["type"], "token");

    // Another gate has it from the store.
    let other = Gateway::routing("/", &upstream)
        .node("gate-2")
        .redis(&redis.url())
        .start()
        .await;
    for key in [&key, &rotated, &left] {
        assert_eq!(other.get("/").with(key).await.refusal(), "key_revoked");
    }
}

/// S1-13: what is asked of a revocation is asked of it then, too.
#[tokio::test]
async fn without_the_store_a_revocation_is_bound_by_the_same_rules() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("audit: { require_reason: [revoke] }")
        .redis(&redis.url())
        .start()
        .await;
    let key = gateway.create_key().await;
    away(&mut redis, &gateway).await;
    let path = format!("/admin/keys/{}", key.id);
    let reply = gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(reply.json()["errors"][0]["pointer"], "/reason");
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    let because = format!("{path}?reason=left");
    assert_held(&gateway.admin(Method::DELETE, &because, None).await);
}

/// S1-13: a disk that does not take it: nothing is claimed and nothing is done.
#[tokio::test]
async fn without_the_store_and_without_a_disk_nothing_is_claimed() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .redis(&redis.url())
        .start()
        .await;
    let key = gateway.create_key().await;
    away(&mut redis, &gateway).await;
    // Nothing can be added to a folder, whoever tries.
    let file = gateway.data_dir().join("tombstones");
    std::fs::create_dir(&file).unwrap();
    let path = format!("/admin/keys/{}", key.id);
    let reply = gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (507, &json!("store_full"))
    );
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    std::fs::remove_dir(&file).unwrap();
    assert_held(&gateway.admin(Method::DELETE, &path, None).await);
}

/// A strict key is refused sooner than the gate stops, to the millisecond, and others are not.
#[tokio::test]
async fn a_strict_key_is_refused_from_its_own_bound_on() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("products: { strict: { max_staleness: 20s } }")
        .redis(&redis.url())
        .start()
        .await;
    let plain = gateway.create_key_with(json!({})).await;
    let strict = json!({"max_staleness": "5s", "products": ["strict"]});
    let strict = gateway.create_key_with(strict).await;
    let by_product = gateway
        .create_key_with(json!({"products": ["strict"]}))
        .await;
    let loosened = gateway
        .create_key_with(json!({"max_staleness": "5s"}))
        .await;
    let path = format!("/admin/keys/{}", loosened.id);
    let change = json!({"max_staleness": null});
    let reply = gateway.admin(Method::PATCH, &path, Some(change)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let short = json!({"max_staleness": "4999ms"});
    let reply = gateway.admin(Method::PATCH, &path, Some(short)).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!(reply.json()["errors"][0]["pointer"], "/max_staleness");
    // The clock stands, so all that was heard of the store was heard now.
    away(&mut redis, &gateway).await;
    let codes = async || {
        let mut codes = Vec::new();
        for key in [&plain, &strict, &by_product, &loosened] {
            let reply = gateway.get("/").with(key).await;
            codes.push(match reply.status {
                200 => String::new(),
                _ => reply.refusal().to_string(),
            });
        }
        codes
    };

    gateway.clock.turn_ms(4_999);
    assert_eq!(codes().await, ["", "", "", ""]);
    gateway.clock.turn_ms(2);
    assert_eq!(codes().await, ["", "stale", "", ""]);
    let told = gateway.get("/.portcullis/me").with(&strict).await;
    assert_eq!((told.status, &*told.refusal()), (503, "stale"));
    let path = format!("/admin/keys/{}/test", strict.id);
    let question = json!({"method": "GET", "path": "/"});
    let tested = gateway.admin(Method::POST, &path, Some(question)).await;
    assert_eq!(tested.json()["code"], "stale", "{}", tested.text());
    gateway.clock.turn_ms(14_998);
    assert_eq!(codes().await, ["", "stale", "", ""]);
    gateway.clock.turn_ms(2);
    assert_eq!(codes().await, ["", "stale", "stale", ""]);
    assert_eq!(gateway.get("/.portcullis/ready").await.status, 200);

    redis.restart();
    eventually("all are served again", async || {
        (codes().await == ["", "", "", ""]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_a_store_of_its_own_a_gate_is_never_out_of_touch() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let key = gateway
        .create_key_with(json!({"max_staleness": "5s"}))
        .await;
    gateway.clock.turn(Duration::from_secs(30 * 86_400));
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
}

#[tokio::test]
async fn a_gate_that_starts_without_redis_serves_what_it_knew_but_no_strict_key() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .redis(&redis.url())
        .start()
        .await;
    let plain = gateway.create_key_with(json!({})).await;
    let strict = gateway
        .create_key_with(json!({"max_staleness": "1h"}))
        .await;
    redis.kill();

    gateway.restart().await;

    assert_eq!(gateway.get("/").with(&plain).await.status, 200);
    // It was not met since the start, so nothing is known of how long ago it was.
    assert_eq!(gateway.get("/").with(&strict).await.refusal(), "stale");
    assert_eq!(gateway.get("/.portcullis/ready").await.status, 200);
    gateway.clock.turn(Duration::from_secs(24 * 3_600));
    eventually("the gate stops serving keys", async || {
        let reply = gateway.get("/").with(&plain).await;
        (reply.status != 200).then(|| assert_eq!(reply.refusal(), "stale"))
    })
    .await;
    redis.restart();
    eventually("the gate serves again", async || {
        let reply = gateway.get("/").with(&strict).await;
        (reply.status == 200).then_some(())
    })
    .await;
}

/// S3-09: `stops_by` is kept by a gate that is started anew meanwhile, too.
#[tokio::test]
async fn a_restart_gives_a_gate_that_is_cut_off_no_more_time() {
    let mut redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .setting("fleet: { max_staleness: 1h }")
        .redis(&redis.url())
        .start()
        .await;
    let key = gateway.create_key().await;
    away(&mut redis, &gateway).await;
    for _ in 0..2 {
        gateway.clock.turn(Duration::from_mins(25));
        gateway.restart().await;
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
    }
    gateway.clock.turn(Duration::from_mins(10));
    eventually("the gate stops serving keys", async || {
        let reply = gateway.get("/").with(&key).await;
        (reply.status != 200).then(|| assert_eq!(reply.refusal(), "stale"))
    })
    .await;
    gateway.restart().await;
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "stale");
    redis.restart();
    eventually("the gate serves again", async || {
        let reply = gateway.get("/").with(&key).await;
        (reply.status == 200).then_some(())
    })
    .await;
}
