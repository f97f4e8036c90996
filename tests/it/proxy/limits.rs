//! Rate limits and concurrency, exactly: on both sides of each boundary, by a clock turned by hand.

use http::Method;
use serde_json::json;

use crate::support::admin::Key;
use crate::support::{Gateway, Reply, Upstream, within};

/// A key with this one limit of its own.
async fn limited(gateway: &Gateway, rate: &str, burst: u32) -> Key {
    let limits = json!({"rate_limits": [{"rate": rate, "burst": burst}]});
    gateway.create_key_with(limits).await
}

/// What a reply says of the limits: `RateLimit` and `Retry-After`.
fn told(reply: &Reply) -> (u16, &str, Option<u64>) {
    let level = reply.header("ratelimit").unwrap_or_default();
    (reply.status, level, reply.retry_after())
}

#[tokio::test]
async fn a_burst_passes_and_then_one_for_each_token_that_comes_back() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let key = limited(&gateway, "100/minute", 20).await;
    let mut connection = gateway.connect().await;
    let mut get = async || connection.send(gateway.get("/").with(&key)).await;

    for used in 1..=20_u32 {
        let reply = get().await;
        let whole_in = (used * 600).div_ceil(1_000);
        let level = format!("\"key-1\";r={};t={whole_in}", 20 - used);
        assert_eq!(told(&reply), (200, &*level, None));
        let policy = reply.header("ratelimit-policy");
        assert_eq!(policy, Some("\"key-1\";q=20;w=12"));
    }
    let reply = get().await;
    assert_eq!(reply.refusal(), "rate_limited");
    assert_eq!(told(&reply), (429, "\"key-1\";r=0;t=12", Some(1)));
    assert_eq!(
        reply.header("ratelimit-policy"),
        Some("\"key-1\";q=20;w=12")
    );

    gateway.clock.turn_ms(599);
    assert_eq!(get().await.refusal(), "rate_limited");
    gateway.clock.turn_ms(1);
    assert_eq!(told(&get().await), (200, "\"key-1\";r=0;t=12", None));
    assert_eq!(get().await.refusal(), "rate_limited");
    gateway.clock.turn_ms(12_000);
    assert_eq!(told(&get().await), (200, "\"key-1\";r=19;t=1", None));
    assert_eq!(upstream.requests(), 22);
}

#[tokio::test]
async fn trying_again_after_retry_after_is_never_too_early() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let key = limited(&gateway, "7/minute", 1).await;
    for turned_ms in [0, 1, 400, 999] {
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
        gateway.clock.turn_ms(turned_ms);
        let reply = gateway.get("/").with(&key).await;
        let wait_s = reply.retry_after().unwrap();
        gateway.clock.turn_ms(wait_s * 1_000);
        assert_eq!(gateway.get("/").with(&key).await.status, 200, "{turned_ms}");
        gateway.clock.turn_ms(60_000);
    }
}

#[tokio::test]
async fn several_limits_hold_together_and_a_refused_request_spends_nothing() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let limits = json!({"rate_limits": [{"rate": "60/minute", "burst": 2}, {"rate": "4/hour"}]});
    let key = gateway.create_key_with(limits).await;
    let mut connection = gateway.connect().await;
    let mut get = async || connection.send(gateway.get("/").with(&key)).await;

    assert_eq!(told(&get().await), (200, "\"key-1\";r=1;t=1", None));
    let reply = get().await;
    let policy = "\"key-1\";q=2;w=2, \"key-2\";q=4;w=3600";
    assert_eq!(reply.header("ratelimit-policy"), Some(policy));
    for _ in 0..5 {
        assert_eq!(told(&get().await), (429, "\"key-1\";r=0;t=2", Some(1)));
    }
    gateway.clock.turn_ms(2_000);
    // Two of the hour's four are left, whatever was refused meanwhile.
    assert_eq!(told(&get().await).0, 200);
    assert_eq!(told(&get().await).0, 200);
    gateway.clock.turn_ms(2_000);
    let reply = get().await;
    assert_eq!(told(&reply), (429, "\"key-2\";r=0;t=3596", Some(896)));
}

#[tokio::test]
async fn limits_of_key_product_and_route_are_told_and_held_narrow_before_wide() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .asking("rate_limits: [{ rate: 9/hour }]")
        .setting("products: { starter: { rate_limits: [{ rate: 3/hour }] } }")
        .start()
        .await;
    let fields = json!({"rate_limits": [{"rate": "5/hour"}], "products": ["starter"]});
    let key = gateway.create_key_with(fields).await;

    let reply = gateway.get("/").with(&key).await;
    let policy =
        "\"key-1\";q=5;w=3600, \"product-starter-1\";q=3;w=3600, \"route-api-1\";q=9;w=3600";
    assert_eq!(reply.header("ratelimit-policy"), Some(policy));
    assert_eq!(
        told(&reply),
        (200, "\"product-starter-1\";r=2;t=1200", None)
    );
    for _ in 0..2 {
        gateway.get("/").with(&key).await;
    }
    let reply = gateway.get("/").with(&key).await;
    assert_eq!(
        told(&reply),
        (429, "\"product-starter-1\";r=0;t=3600", Some(1_200))
    );

    // What a route allows is counted for each key.
    let other = gateway.create_key().await;
    let reply = gateway.get("/").with(&other).await;
    assert_eq!(told(&reply), (200, "\"route-api-1\";r=8;t=400", None));
}

#[tokio::test]
async fn a_request_costs_what_its_route_says() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .route("{ match: { path_prefix: /dear }, upstream: api, cost: 5 }")
        .start()
        .await;
    let key = limited(&gateway, "60/minute", 12).await;
    let dear = || gateway.get("/dear").with(&key);
    assert_eq!(told(&dear().await), (200, "\"key-1\";r=7;t=5", None));
    assert_eq!(told(&dear().await), (200, "\"key-1\";r=2;t=10", None));
    assert_eq!(told(&dear().await).2, Some(3));
    assert_eq!(
        told(&gateway.get("/").with(&key).await),
        (200, "\"key-1\";r=1;t=11", None)
    );
    gateway.clock.turn_ms(3_999);
    assert_eq!(dear().await.refusal(), "rate_limited");
    gateway.clock.turn_ms(1);
    assert_eq!(dear().await.status, 200);
}

#[tokio::test]
async fn a_shadow_limit_counts_what_it_would_refuse_and_refuses_nobody() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let limits = json!({"rate_limits": [{"rate": "1/hour", "enforce": "shadow"}]});
    let key = gateway.create_key_with(limits).await;
    for _ in 0..4 {
        let reply = gateway.get("/").with(&key).await;
        assert_eq!(told(&reply), (200, "", None));
        assert_eq!(reply.header("ratelimit-policy"), None);
    }
    assert_eq!(gateway.metric("portcullis_shadow_refused_total").await, 3.0);
}

#[tokio::test]
async fn keys_have_their_own_limits_and_callers_without_a_key_share_the_routes() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("rate_limits: [{ rate: 2/hour }]")
        .route(
            "{ name: open, match: { path_prefix: /open }, upstream: api, key: none, \
             rate_limits: [{ rate: 2/hour }] }",
        )
        .start()
        .await;
    let (one, two) = (gateway.create_key().await, gateway.create_key().await);
    for _ in 0..2 {
        assert_eq!(gateway.get("/").with(&one).await.status, 200);
        assert_eq!(gateway.get("/open").await.status, 200);
    }
    assert_eq!(gateway.get("/").with(&one).await.refusal(), "rate_limited");
    assert_eq!(gateway.get("/open").await.refusal(), "rate_limited");
    // A key shown where none is asked for buys nothing.
    assert_eq!(
        gateway.get("/open").with(&two).await.refusal(),
        "rate_limited"
    );
    assert_eq!(gateway.get("/").with(&two).await.status, 200);
}

/// Neither a new name nor a new rate gives a client at its limit a fresh burst.
#[tokio::test]
async fn a_changed_key_keeps_what_it_has_spent() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let key = limited(&gateway, "3/hour", 3).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
    }
    gateway.patch(&key, json!({"name": "other"})).await;
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");
    let wider = json!({"rate_limits": [{"rate": "6/hour"}]});
    gateway.patch(&key, wider).await;
    // An hour's worth was spent, and at twice the rate it is still an hour until all is back.
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");
    gateway.pause(&key, "suspend").await;
    gateway.pause(&key, "resume").await;
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "rate_limited");
    gateway.clock.turn_ms(600_000);
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
}

#[tokio::test]
async fn the_older_fields_are_sent_where_they_are_switched_on() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .setting("rate_limit_headers: { legacy: true }")
        .start()
        .await;
    let key = limited(&gateway, "60/minute", 5).await;
    let reply = gateway.get("/").with(&key).await;
    for (name, value) in [
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "4"),
        ("x-ratelimit-reset", "1"),
        ("ratelimit", "\"key-1\";r=4;t=1"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn an_upstreams_own_limit_fields_give_way_to_the_gates() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nRateLimit: \"x\";r=1\r\ncontent-length: 0\r\n\r\n")
            .await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let key = limited(&gateway, "60/minute", 5).await;
    let reply = gateway.get("/").with(&key).await;
    assert_eq!(reply.headers.get_all("ratelimit").iter().count(), 1);
    assert_eq!(reply.header("ratelimit"), Some("\"key-1\";r=4;t=1"));
}

#[tokio::test]
async fn so_many_of_a_keys_requests_may_be_in_flight_and_no_more() {
    // It answers when a body has ended, so a request lasts as long as the test likes.
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).embedded().start().await;
    let limits = json!({"concurrency": 2, "rate_limits": [{"rate": "5/hour"}]});
    let key = gateway.create_key_with(limits).await;
    let begin = async || {
        let mut connection = gateway.connect().await;
        let (ask, feed) = gateway.post("/").with(&key).feeding();
        let answer = connection.begin(ask);
        (connection, answer, feed)
    };
    let (_first, first, first_body) = begin().await;
    let second = begin().await;
    upstream.has_seen(2).await;

    let third = gateway.get("/").with(&key).await;
    assert_eq!(third.refusal(), "concurrency_exceeded");
    assert_eq!(third.retry_after(), Some(1));
    // Others are not held up by it, and it spent nothing.
    let other = gateway.create_key().await;
    assert_eq!(gateway.get("/").with(&other).await.status, 200);

    drop(first_body);
    let first = within("the first answer", first).await.unwrap();
    assert_eq!(first.reply().await.status, 200);
    let reply = gateway.get("/").with(&key).await;
    assert_eq!(told(&reply), (200, "\"key-1\";r=2;t=2160", None));
    // A client that leaves gives its place back too.
    drop(second);
    gateway.is_quiet().await;
    for _ in 0..2 {
        assert_eq!(gateway.ask(Method::GET, "/").with(&key).await.status, 200);
    }
}
