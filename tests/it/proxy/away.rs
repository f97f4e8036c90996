//! A gate that lost its store: whom it serves, until when, and what it says then.

use std::time::Duration;

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
