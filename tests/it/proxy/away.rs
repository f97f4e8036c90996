//! A gate that lost its store: whom it serves, until when, and what it says then.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::redis::RedisServer;
use crate::support::{Gateway, Upstream, eventually};

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
    redis.kill();
    eventually("the gate notices", async || {
        let up = gateway.metric("portcullis_store_up").await;
        (up == 0.0).then_some(())
    })
    .await;
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
    redis.kill();
    eventually("the gate notices", async || {
        let up = gateway.metric("portcullis_store_up").await;
        (up == 0.0).then_some(())
    })
    .await;
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
    let gateway = Gateway::routing("/", &upstream).start().await;
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
