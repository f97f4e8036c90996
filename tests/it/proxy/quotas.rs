//! Quotas, exactly: what passes, what is refused and until when, and what no change of a key and no restart
//! gives back.

use http::Method;
use portcullis::domain::event::{Event, EventKind, EventPlace};
use portcullis::store::Store;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::{Gateway, Reply, Upstream, eventually};

/// A key with these quotas of its own.
async fn allowed(gateway: &Gateway, quotas: Value) -> Key {
    gateway.create_key_with(json!({"quotas": quotas})).await
}

/// How many of so many requests pass; the others must be refused for their quota.
async fn passed(gateway: &Gateway, key: &Key, requests: usize) -> usize {
    let mut connection = gateway.connect().await;
    let mut passed = 0;
    for _ in 0..requests {
        let reply = connection.send(gateway.get("/").with(key)).await;
        if reply.status == 200 {
            passed += 1;
        } else {
            assert_eq!(reply.refusal(), "quota_exhausted");
        }
    }
    passed
}

/// The quotas of a key as the admin API has them.
async fn shown(gateway: &Gateway, key: &Key) -> Value {
    let path = format!("/admin/keys/{}", key.id);
    gateway.admin(Method::GET, &path, None).await.json()["quotas"].clone()
}

async fn used(gateway: &Gateway, key: &Key) -> Value {
    shown(gateway, key).await[0]["used"].clone()
}

fn told(reply: &Reply) -> (u16, &str, Option<u64>) {
    let level = reply.header("ratelimit").unwrap_or_default();
    (reply.status, level, reply.retry_after())
}

// The clock begins at midnight, 2026-01-01, a Thursday.
const DAY_MS: u64 = 86_400_000;

/// S1-13: exactly so many pass in a period, the next one passes at its boundary and not a millisecond
/// before.
#[tokio::test]
async fn exactly_the_allowance_passes_and_it_renews_at_the_boundary() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = allowed(&gateway, json!([{"limit": 10, "per": "day"}])).await;
    let left_s = DAY_MS / 1_000;

    let first = gateway.get("/").with(&key).await;
    assert_eq!(
        told(&first),
        (200, &*format!("\"key-day\";r=9;t={left_s}"), None)
    );
    assert_eq!(
        first.header("ratelimit-policy"),
        Some("\"key-day\";q=10;w=86400")
    );
    assert_eq!(passed(&gateway, &key, 20).await, 9);
    let refused = gateway.get("/").with(&key).await;
    assert_eq!(
        told(&refused),
        (429, &*format!("\"key-day\";r=0;t={left_s}"), Some(left_s))
    );
    assert_eq!(upstream.requests(), 10);
    let quota = &shown(&gateway, &key).await[0];
    assert_eq!((&quota["used"], &quota["limit"]), (&json!(10), &json!(10)));
    assert!(
        quota["renews_at"]
            .as_str()
            .unwrap()
            .ends_with("T00:00:00.000Z")
    );

    gateway.clock.turn_ms(DAY_MS - 1);
    assert_eq!(
        gateway.get("/").with(&key).await.refusal(),
        "quota_exhausted"
    );
    gateway.clock.turn_ms(1);
    assert_eq!(used(&gateway, &key).await, 0);
    assert_eq!(passed(&gateway, &key, 20).await, 10);
    assert_eq!(upstream.requests(), 20);
}

/// A quota belongs to the key: no other field, no other limit, no restart gives back what was spent.
#[tokio::test]
async fn no_change_of_a_key_and_no_restart_gives_back_what_was_spent() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let key = allowed(&gateway, json!([{"limit": 10, "per": "month"}])).await;
    assert_eq!(passed(&gateway, &key, 4).await, 4);
    gateway
        .patch(&key, json!({"name": "renamed", "scopes": ["a"]}))
        .await;
    assert_eq!(used(&gateway, &key).await, 4);
    gateway
        .patch(&key, json!({"quotas": [{"limit": 6, "per": "month"}]}))
        .await;
    assert_eq!(passed(&gateway, &key, 10).await, 2);
    gateway
        .patch(
            &key,
            json!({"quotas": [{"limit": 5, "per": "day"}, {"limit": 9, "per": "month"}]}),
        )
        .await;
    assert_eq!(shown(&gateway, &key).await[1]["used"], 6);
    gateway.restart().await;
    assert_eq!(shown(&gateway, &key).await[1]["used"], 6);
    assert_eq!(passed(&gateway, &key, 10).await, 3);
    gateway.restart().await;
    assert_eq!(passed(&gateway, &key, 3).await, 0);
    assert_eq!(upstream.requests(), 9);
    let quotas = shown(&gateway, &key).await;
    assert_eq!(
        (&quotas[0]["used"], &quotas[1]["used"]),
        (&json!(3), &json!(9))
    );
}

#[tokio::test]
async fn credits_are_topped_up_by_raising_their_limit_and_never_renew() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = allowed(&gateway, json!([{"limit": 3, "per": "total"}])).await;
    assert_eq!(passed(&gateway, &key, 5).await, 3);
    gateway.clock.turn_ms(400 * DAY_MS);
    let refused = gateway.get("/").with(&key).await;
    assert_eq!(refused.refusal(), "quota_exhausted");
    assert_eq!(told(&refused), (429, "\"key-total\";r=0", Some(3_600)));
    assert_eq!(shown(&gateway, &key).await[0]["renews_at"], Value::Null);
    gateway
        .patch(&key, json!({"quotas": [{"limit": 5, "per": "total"}]}))
        .await;
    assert_eq!(passed(&gateway, &key, 5).await, 2);
}

/// A product's quota is counted for each key of its own, after the key's.
#[tokio::test]
async fn quotas_of_key_and_product_hold_together() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("products: { starter: { quotas: [{ limit: 3, per: week }] } }")
        .start()
        .await;
    let fields = json!({"products": ["starter"], "quotas": [{"limit": 5, "per": "day"}]});
    let (one, two) = (
        gateway.create_key_with(fields.clone()).await,
        gateway.create_key_with(fields).await,
    );
    let reply = gateway.get("/").with(&one).await;
    let policy = "\"key-day\";q=5;w=86400, \"product-starter-week\";q=3;w=604800";
    assert_eq!(reply.header("ratelimit-policy"), Some(policy));
    assert!(
        told(&reply)
            .1
            .starts_with("\"product-starter-week\";r=2;t=")
    );
    assert_eq!(passed(&gateway, &one, 10).await, 2);
    assert_eq!(passed(&gateway, &two, 10).await, 3);
    // What the product refused was not spent of the key's own.
    assert_eq!(used(&gateway, &one).await, 3);
}

#[tokio::test]
async fn a_soft_quota_counts_and_refuses_nobody() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let key = allowed(&gateway, json!([{"limit": 2, "per": "day", "hard": false}])).await;
    let reply = gateway.get("/").with(&key).await;
    assert_eq!(
        (reply.header("ratelimit"), reply.header("ratelimit-policy")),
        (None, None)
    );
    assert_eq!(passed(&gateway, &key, 4).await, 4);
    assert_eq!(used(&gateway, &key).await, 5);
    assert_eq!(gateway.metric("portcullis_shadow_refused_total").await, 3.0);
    gateway.restart().await;
    assert_eq!(used(&gateway, &key).await, 5);
}

#[tokio::test]
async fn a_request_spends_what_its_route_costs_and_gives_back_what_its_rate_limit_took() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .asking("cost: 4")
        .start()
        .await;
    let fields =
        json!({"quotas": [{"limit": 10, "per": "day"}], "rate_limits": [{"rate": "100/hour"}]});
    let key = gateway.create_key_with(fields).await;
    assert_eq!(passed(&gateway, &key, 8).await, 2);
    assert_eq!(used(&gateway, &key).await, 8);
    // Of the rate limit's hundred, two requests took eight.
    gateway.patch(&key, json!({"quotas": []})).await;
    let reply = gateway.get("/").with(&key).await;
    assert!(
        told(&reply).1.starts_with("\"key-1\";r=88;"),
        "{}",
        told(&reply).1
    );
}

/// Each threshold is told of once in a period, also over a restart.
#[tokio::test]
async fn thresholds_are_told_of_once() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let key = allowed(&gateway, json!([{"limit": 10, "per": "day"}])).await;
    let reached = async |gateway: &Gateway| {
        let mut counts = Vec::new();
        for percent in [50, 80, 90, 100] {
            let name = format!("portcullis_quota_reached_total{{percent=\"{percent}\"}}");
            counts.push(gateway.metric(&name).await as u32);
        }
        counts
    };
    let comes = async |gateway: &Gateway, wanted: [u32; 4]| {
        eventually("thresholds", async || {
            (reached(gateway).await == wanted.to_vec()).then_some(())
        })
        .await;
    };
    assert_eq!(passed(&gateway, &key, 8).await, 8);
    comes(&gateway, [1, 1, 0, 0]).await;
    gateway.restart().await;
    assert_eq!(passed(&gateway, &key, 4).await, 2);
    comes(&gateway, [0, 0, 1, 1]).await;
}

/// What the outbox has told of quotas: percentages, in its order; each event names what it is of.
async fn told_of(store: &dyn Store, key: &Key) -> Vec<u64> {
    let events = store.events(EventPlace::default(), 100).await.unwrap();
    let events = events.into_iter().map(|(_, event)| event);
    let reached = events.filter(|event| event.kind == EventKind::QuotaReached);
    let percent = |event: Event| {
        assert_eq!(event.data["key_id"], key.id);
        event.data["percent"].as_u64().unwrap()
    };
    reached.map(percent).collect()
}

/// S2-09: a gate that starts again when little is left knows how little, lets exactly that pass, and tells of
/// each threshold once, however often it starts.
#[tokio::test]
async fn a_gate_that_starts_again_near_the_end_of_a_quota_knows_what_is_left_and_what_was_told() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).workers(2).start().await;
    let key = allowed(&gateway, json!([{"limit": 100, "per": "day"}])).await;
    assert_eq!(passed(&gateway, &key, 97).await, 97);
    for left in [3, 2] {
        gateway
            .restart_after(async |store| {
                assert_eq!(told_of(store, &key).await, [50, 80, 90]);
            })
            .await;
        assert_eq!(used(&gateway, &key).await, 100 - left);
        let reply = gateway.get("/").with(&key).await;
        assert!(
            told(&reply)
                .1
                .starts_with(&format!("\"key-day\";r={};", left - 1))
        );
    }
    gateway.restart().await;
    assert_eq!(passed(&gateway, &key, 5).await, 1);
    assert_eq!(upstream.requests(), 100);
    for _ in 0..2 {
        gateway
            .restart_after(async |store| {
                assert_eq!(told_of(store, &key).await, [50, 80, 90, 100]);
            })
            .await;
        assert_eq!(passed(&gateway, &key, 3).await, 0);
    }
    // The next period has events of its own.
    gateway.clock.turn_ms(DAY_MS);
    assert_eq!(passed(&gateway, &key, 50).await, 50);
    gateway
        .restart_after(async |store| {
            assert_eq!(told_of(store, &key).await, [50, 80, 90, 100, 50]);
        })
        .await;
}

/// Of a limit that changed it is told anew: a raised one what is reached of it then, a lowered one at once.
#[tokio::test]
async fn a_limit_that_changes_is_told_of_anew() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let key = allowed(&gateway, json!([{"limit": 10, "per": "total"}])).await;
    assert_eq!(passed(&gateway, &key, 20).await, 10);
    gateway
        .restart_after(async |store| {
            assert_eq!(told_of(store, &key).await, [50, 80, 90, 100]);
        })
        .await;
    gateway
        .patch(&key, json!({"quotas": [{"limit": 20, "per": "total"}]}))
        .await;
    // Half of it was told of as all of the ten.
    assert_eq!(passed(&gateway, &key, 6).await, 6);
    gateway
        .restart_after(async |store| {
            assert_eq!(told_of(store, &key).await, [50, 80, 90, 100, 80]);
        })
        .await;
    gateway
        .patch(&key, json!({"quotas": [{"limit": 17, "per": "total"}]}))
        .await;
    assert_eq!(passed(&gateway, &key, 6).await, 1);
    gateway
        .restart_after(async |store| {
            let all = told_of(store, &key).await;
            assert_eq!(all[5..], [50, 80, 90, 100]);
        })
        .await;
}

/// A period begins where it was asked to, in the month that lacks that day too, and not a millisecond before.
#[tokio::test]
async fn a_period_begins_on_the_day_that_was_chosen() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let month = allowed(
        &gateway,
        json!([{"limit": 2, "per": "month", "on_day": 31}]),
    )
    .await;
    let week = allowed(&gateway, json!([{"limit": 1, "per": "week", "on_day": 3}])).await;
    for (key, limit) in [(&month, 2), (&week, 1)] {
        assert_eq!(passed(&gateway, key, 4).await, limit);
    }
    let renews = async |key: &Key| shown(&gateway, key).await[0]["renews_at"].clone();
    assert_eq!(renews(&month).await, "2026-01-31T00:00:00.000Z");
    // The first Wednesday of the year.
    assert_eq!(renews(&week).await, "2026-01-07T00:00:00.000Z");
    assert_eq!(shown(&gateway, &month).await[0]["on_day"], 31);
    let refused = gateway.get("/").with(&month).await;
    let level = format!("\"key-month@31\";r=0;t={}", 30 * DAY_MS / 1_000);
    assert_eq!(told(&refused), (429, &*level, Some(30 * DAY_MS / 1_000)));

    gateway.clock.turn_ms(6 * DAY_MS - 1);
    assert_eq!(passed(&gateway, &week, 2).await, 0);
    gateway.clock.turn_ms(1);
    assert_eq!(passed(&gateway, &week, 2).await, 1);
    gateway.clock.turn_ms(24 * DAY_MS - 1);
    assert_eq!(passed(&gateway, &month, 2).await, 0);
    gateway.clock.turn_ms(1);
    assert_eq!(used(&gateway, &month).await, 0);
    assert_eq!(passed(&gateway, &month, 4).await, 2);
    // February has no 31st.
    assert_eq!(renews(&month).await, "2026-02-28T00:00:00.000Z");
    gateway.clock.turn_ms(28 * DAY_MS);
    assert_eq!(passed(&gateway, &month, 4).await, 2);
    assert_eq!(renews(&month).await, "2026-03-31T00:00:00.000Z");
    assert_eq!(upstream.requests(), 2 + 1 + 1 + 2 + 2);

    let body = json!({"quotas": [{"limit": 1, "per": "month", "on_day": 32},
        {"limit": 1, "per": "day", "on_day": 1}]});
    let path = format!("/admin/keys/{}", month.id);
    let reply = gateway.admin(Method::PATCH, &path, Some(body)).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!(shown(&gateway, &month).await[0]["on_day"], 31);
}

/// The older fields tell of a quota where it is nearest its end, and of no reset where there is none.
#[tokio::test]
async fn the_older_fields_tell_of_quotas_too() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .embedded()
        .setting("rate_limit_headers: { legacy: true }")
        .start()
        .await;
    let older = |reply: &Reply| {
        ["limit", "remaining", "reset"].map(|name| {
            let value = reply.header(&format!("x-ratelimit-{name}"));
            value.map(|text| text.parse::<u64>().unwrap())
        })
    };
    let fields =
        json!({"quotas": [{"limit": 2, "per": "day"}], "rate_limits": [{"rate": "5/hour"}]});
    let key = gateway.create_key_with(fields).await;
    for (status, left) in [(200, 1), (200, 0), (429, 0)] {
        let reply = gateway.get("/").with(&key).await;
        assert_eq!(reply.status, status);
        assert_eq!(older(&reply), [Some(2), Some(left), Some(DAY_MS / 1_000)]);
    }
    gateway.clock.turn_ms(DAY_MS - 1);
    let refused = gateway.get("/").with(&key).await;
    assert_eq!(older(&refused), [Some(2), Some(0), Some(1)]);
    let credits = allowed(&gateway, json!([{"limit": 1, "per": "total"}])).await;
    for status in [200, 429] {
        let reply = gateway.get("/").with(&credits).await;
        assert_eq!(reply.status, status);
        assert_eq!(older(&reply), [Some(1), Some(0), None]);
    }
}

/// A list says of every key what one key's own page says.
#[tokio::test]
async fn a_list_tells_what_is_used_of_each_key() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let twice = json!([{"limit": 9, "per": "day"}, {"limit": 9, "per": "month", "hard": false}]);
    let keys = [
        (allowed(&gateway, json!([])).await, 2),
        (allowed(&gateway, twice).await, 3),
        (
            allowed(&gateway, json!([{"limit": 5, "per": "week"}])).await,
            0,
        ),
        (
            allowed(&gateway, json!([{"limit": 5, "per": "total"}])).await,
            4,
        ),
    ];
    for (key, requests) in &keys {
        assert_eq!(passed(&gateway, key, *requests).await, *requests);
    }
    let list = gateway.admin(Method::GET, "/admin/keys", None).await.json();
    for (key, requests) in &keys {
        let mut items = list["items"].as_array().unwrap().iter();
        let item = items.find(|item| item["id"] == key.id).unwrap();
        assert_eq!(item["quotas"], shown(&gateway, key).await);
        for quota in item["quotas"].as_array().unwrap() {
            assert_eq!(quota["used"], *requests);
        }
    }
}

/// A key's first request waits for its quota instead of being refused, however many come at once.
#[tokio::test]
async fn no_request_of_a_cold_key_is_refused_while_there_is_some_left() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).workers(4).start().await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(
            allowed(
                &gateway,
                json!([{"limit": 4, "per": "day"}, {"limit": 5, "per": "month"}]),
            )
            .await,
        );
    }
    let asks = keys.iter().flat_map(|key| {
        let ask = || gateway.get("/").with(key);
        [ask(), ask(), ask(), ask(), ask(), ask()]
    });
    let sent = asks.map(|ask| async { ask.await.status });
    let statuses = futures_util::future::join_all(sent).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 80);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40);
}

/// What is told never contradicts what is enforced: the limit that refuses is the one that is told of.
#[tokio::test]
async fn a_refusal_by_quota_tells_of_the_quota_though_a_limit_has_run_out_too() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway
        .create_key_with(json!({
            "quotas": [{"limit": 2, "per": "day"}],
            "rate_limits": [{"rate": "3/hour", "burst": 3}],
        }))
        .await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
    }
    let refused = gateway.get("/").with(&key).await;
    assert_eq!(refused.refusal(), "quota_exhausted");
    let left_s = DAY_MS / 1_000;
    let level = format!("\"key-day\";r=0;t={left_s}");
    assert_eq!(told(&refused), (429, &*level, Some(left_s)));
}
