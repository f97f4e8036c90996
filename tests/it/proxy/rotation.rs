//! A key with two secrets: who passes, until when, and that a rotation is felt by nobody who is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use portcullis::domain::change::Write;
use portcullis::domain::lifecycle::{self, NewVersion};
use portcullis::domain::secret::{Hasher, Secret};
use portcullis::domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::holders::rotate_mine;
use super::revocation::on_every_core;
use crate::store::things::commit;
use crate::support::admin::Key;
use crate::support::clock::START_MS;
use crate::support::{Ask, Gateway, Reply, Upstream, eventually, within};

/// The code of a refusal, or nothing for what was served.
fn outcome(reply: &Reply) -> Option<String> {
    (reply.status != 200).then(|| reply.refusal())
}

/// S0-06, S2-03, S2-12: to the millisecond, wherever the request arrives and whatever else is going on.
#[tokio::test]
async fn the_old_secret_works_until_grace_ends_on_every_core_under_load() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).workers(4).start().await;
    let old = gateway.create_key().await;
    let mut kept = on_every_core(&gateway, 4).await;
    let (new, _) = gateway.rotate(&old, json!({"grace": "10s"})).await;
    assert_eq!(new.id, old.id);

    let is_over = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for mut connection in on_every_core(&gateway, 4).await {
        let is_over = Arc::clone(&is_over);
        let (address, old, new) = (gateway.address(), old.clone(), new.clone());
        load.spawn(async move {
            let (mut was_refused, mut served) = (false, 0_u32);
            while !is_over.load(Ordering::Relaxed) {
                let [with_old, with_new] =
                    [&old, &new].map(|key| Ask::new(address, Method::GET, "/").with(key));
                match outcome(&connection.send(with_old).await).as_deref() {
                    None => {
                        assert!(!was_refused, "a retired secret came back");
                        served += 1;
                    }
                    Some(code) => {
                        assert_eq!(code, "key_retired");
                        was_refused = true;
                    }
                }
                assert_eq!(connection.send(with_new).await.status, 200);
            }
            (was_refused, served)
        });
    }
    // Load there must be, while the grace still runs and once it has ended.
    let before = upstream.requests();
    eventually("the load is on", async || {
        (upstream.requests() > before + 16).then_some(())
    })
    .await;

    gateway.clock.turn_ms(9_999);
    for connection in &mut kept {
        let reply = connection.send(gateway.get("/").with(&old)).await;
        assert_eq!(reply.status, 200);
        let retires = reply.header("x-portcullis-key-retires");
        assert_eq!(retires, Some("2026-01-01T00:00:10.000Z"));
    }
    gateway.clock.turn_ms(1);
    for connection in &mut kept {
        let reply = connection.send(gateway.get("/").with(&old)).await;
        assert_eq!(reply.refusal(), "key_retired");
    }
    gateway.clock.turn_ms(1);
    for connection in &mut kept {
        let reply = connection.send(gateway.get("/").with(&old)).await;
        assert_eq!((reply.status, &*reply.refusal()), (401, "key_retired"));
        let reply = connection.send(gateway.get("/").with(&new)).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("x-portcullis-key-retires").is_none());
    }
    // Each goes once more around at least: what it sends now is refused.
    let before = upstream.requests();
    eventually("the load goes on", async || {
        (upstream.requests() > before + 16).then_some(())
    })
    .await;
    is_over.store(true, Ordering::Relaxed);
    let (mut was_refused, mut served) = (false, 0);
    while let Some(ended) = within("the load ends", load.join_next()).await {
        let (refused, of_one) = ended.unwrap();
        was_refused |= refused;
        served += of_one;
    }
    assert!(served > 0, "nothing was sent while the grace ran");
    assert!(was_refused, "nothing was sent after the grace had ended");
}

/// S1-13: the same for the end of the key itself.
#[tokio::test]
async fn a_key_ends_at_the_same_millisecond_on_every_core() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).workers(4).start().await;
    let ending = json!({"expires_at": "2026-01-01T00:00:10.250Z"});
    let key = gateway.create_key_with(ending).await;
    let mut kept = on_every_core(&gateway, 4).await;
    for (turn, code) in [
        (10_249, None),
        (1, Some("key_expired")),
        (1, Some("key_expired")),
    ] {
        gateway.clock.turn_ms(turn);
        for connection in &mut kept {
            let reply = connection.send(gateway.get("/").with(&key)).await;
            assert_eq!(outcome(&reply).as_deref(), code);
        }
    }
}

/// S2-12: neither a connection nor a request of the old secret is cut, even with no grace at all.
#[tokio::test]
async fn a_rotation_cuts_no_kept_connection_and_no_request_in_flight() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway.create_key().await;
    let mut busy = gateway.connect().await;
    let mut kept = gateway.connect().await;
    assert_eq!(kept.send(gateway.get("/").with(&old)).await.status, 200);
    let (ask, feed) = gateway.post("/").with(&old).feeding();
    let answer = busy.begin(ask);
    assert!(feed.send("before, ").await);
    upstream.has_seen(2).await;

    let (new, _) = gateway.rotate(&old, json!({"grace": "0s"})).await;

    assert_eq!(
        kept.send(gateway.get("/").with(&old)).await.refusal(),
        "key_retired"
    );
    assert_eq!(kept.send(gateway.get("/").with(&new)).await.status, 200);
    assert!(feed.send("after").await);
    drop(feed);
    let reply = within("an answer", answer).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(!reply.reply().await.is_cut);
    let reply = busy.send(gateway.get("/").with(&new)).await;
    assert_eq!(reply.status, 200);
}

/// S4-11, S2-08: one version, and nothing beside it.
#[tokio::test]
async fn revoking_one_version_leaves_the_others_and_other_keys() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let first = gateway.create_key().await;
    let other = gateway.create_key().await;
    let (second, _) = gateway.rotate(&first, json!({})).await;
    let (third, _) = gateway.rotate(&first, json!({})).await;

    let path = format!("/admin/keys/{}/versions/2", first.id);
    let reply = gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text());

    for (key, code) in [
        (&first, None),
        (&second, Some("key_revoked")),
        (&third, None),
        (&other, None),
    ] {
        let reply = gateway.get("/").with(key).await;
        assert_eq!(outcome(&reply).as_deref(), code);
    }
    let path = format!("/admin/keys/{}/versions/3", first.id);
    assert_eq!(gateway.admin(Method::DELETE, &path, None).await.status, 409);
    assert_eq!(gateway.get("/").with(&third).await.status, 200);
}

#[tokio::test]
async fn a_suspended_key_is_refused_with_each_of_its_secrets_and_resumed_with_each() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway.create_key().await;
    let (new, _) = gateway.rotate(&old, json!({})).await;
    for (how, code) in [("suspend", Some("key_suspended")), ("resume", None)] {
        gateway.pause(&old, how).await;
        for key in [&old, &new] {
            let reply = gateway.get("/").with(key).await;
            assert_eq!(outcome(&reply).as_deref(), code);
        }
    }
    assert_eq!(upstream.requests(), 2);
}

/// S2-09: rotating refills nothing and doubles nothing.
#[tokio::test]
async fn limits_go_on_over_a_rotation_on_both_secrets_together() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).workers(2).start().await;
    let limits = json!({"rate_limits": [{"rate": "1/hour", "burst": 10}]});
    let old = gateway.create_key_with(limits).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").with(&old).await.status, 200);
    }

    let (new, _) = gateway.rotate(&old, json!({})).await;

    for turn in 0..5 {
        let key = if turn % 2 == 0 { &new } else { &old };
        assert_eq!(gateway.get("/").with(key).await.status, 200);
    }
    for key in [&old, &new] {
        assert_eq!(gateway.get("/").with(key).await.refusal(), "rate_limited");
    }
    assert_eq!(upstream.requests(), 10);
}

/// S1-11, S1-10, S3-07: each version's traffic is told apart, and a dead one's too.
#[tokio::test]
async fn traffic_is_told_apart_by_version_and_a_retired_secret_is_attributed() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway.create_key().await;
    let (new, _) = gateway.rotate(&old, json!({"grace": "1m"})).await;
    for key in [&old, &new, &new] {
        assert_eq!(gateway.get("/").with(key).await.status, 200);
    }
    gateway.clock.turn_ms(60_000);
    assert_eq!(gateway.get("/").with(&old).await.refusal(), "key_retired");

    let lines = gateway.log_lines(4).await;
    let told = |line: &Value| {
        (
            line["key_version"].as_u64(),
            line["fingerprint"].as_str().unwrap().to_owned(),
            line["code"].as_str().map(str::to_owned),
        )
    };
    assert_eq!(told(&lines[0]), (Some(1), old.fingerprint.clone(), None));
    assert_eq!(told(&lines[1]), (Some(2), new.fingerprint.clone(), None));
    let retired = (
        Some(1),
        old.fingerprint.clone(),
        Some("key_retired".to_owned()),
    );
    assert_eq!(told(&lines[3]), retired);
    assert_eq!(
        (&lines[3]["key_id"], &lines[3]["owner_id"]),
        (&json!(old.id), &json!(old.owner))
    );

    let path = format!("/admin/keys/{}/usage?by=version", old.id);
    eventually("both versions are counted apart", async || {
        let usage = gateway.admin(Method::GET, &path, None).await.json();
        let buckets = usage["buckets"].as_array().unwrap().clone();
        let of = |version: u64| {
            let mine = buckets.iter().filter(|it| it["version"] == version);
            mine.fold((0, 0), |(requests, retired), it| {
                let refused = it["refused"]["key_retired"].as_u64().unwrap_or(0);
                (
                    requests + it["requests"].as_u64().unwrap(),
                    retired + refused,
                )
            })
        };
        (of(1) == (1, 1) && of(2) == (2, 0)).then_some(())
    })
    .await;
}

/// What tells a caller that its secret ends is ours alone, in both directions.
#[tokio::test]
async fn only_the_gate_says_when_a_secret_retires() {
    let answer = "HTTP/1.1 200 OK\r\nX-Portcullis-Key-Retires: never\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::answering(answer).await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway
        .create_key_with(json!({"rate_limits": [{"rate": "2/hour"}]}))
        .await;
    let (new, _) = gateway.rotate(&old, json!({"grace": "1h"})).await;

    let ask = gateway.get("/").with(&new);
    let reply = ask.header("x-portcullis-key-retires", "never").await;
    assert_eq!(
        (reply.status, reply.header("x-portcullis-key-retires")),
        (200, None)
    );
    assert_eq!(upstream.last().header("x-portcullis-key-retires"), None);
    let reply = gateway.get("/").with(&old).await;
    let told: Vec<_> = reply
        .headers
        .get_all("x-portcullis-key-retires")
        .iter()
        .collect();
    assert_eq!(told, ["2026-01-01T01:00:00.000Z"]);
    // Not on a refusal: it is not the secret that is the matter there.
    let reply = gateway.get("/").with(&old).await;
    assert_eq!(reply.refusal(), "rate_limited");
    assert_eq!(reply.header("x-portcullis-key-retires"), None);
}

/// A key with one more version, pending, as automatic rotation leaves it: the key with that secret.
async fn pending(gateway: &mut Gateway, key: &Key) -> Key {
    let id = key.id.parse().unwrap();
    let secret = Secret::generate("pk", "live", id, |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok::<_, ()>(())
    });
    let secret = secret.unwrap();
    let new = NewVersion {
        hash: Hasher::default().hash(secret.reveal().as_bytes()),
        fingerprint: secret.fingerprint(),
    };
    gateway
        .restart_after(async |store| {
            let before = store.key(id).await.unwrap().unwrap();
            let now = Timestamp::from_millis(START_MS);
            let after = lifecycle::begin_rotation(before, new, now).unwrap();
            commit(store, vec![Write::Key(after)]).await;
        })
        .await;
    Key {
        secret: secret.reveal().to_owned(),
        fingerprint: secret.fingerprint().to_string(),
        ..key.clone()
    }
}

/// What the API says of each version, oldest first.
async fn states(gateway: &Gateway, key: &Key) -> Vec<String> {
    let path = format!("/admin/keys/{}", key.id);
    let told = gateway.admin(Method::GET, &path, None).await.json();
    let versions = told["versions"].as_array().unwrap().iter().rev();
    versions
        .map(|version| version["state"].as_str().unwrap().to_owned())
        .collect()
}

/// S3-04: whoever shows a secret has it, so the first use of a pending one makes it current; the version
/// before goes on.
#[tokio::test]
async fn the_first_use_of_a_pending_version_is_admitted_and_makes_it_current() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .route("{ match: { path_prefix: /orders }, upstream: api, scopes: [orders:read] }")
        .start()
        .await;
    let old = gateway.create_key().await;
    let new = pending(&mut gateway, &old).await;
    assert_eq!(states(&gateway, &old).await, ["current", "pending"]);
    assert_eq!(gateway.get("/").with(&old).await.status, 200);
    // What is not admitted is no use of it.
    assert_eq!(
        gateway.get("/orders").with(&new).await.refusal(),
        "scope_missing"
    );
    assert_eq!(states(&gateway, &old).await, ["current", "pending"]);

    for _ in 0..20 {
        let reply = gateway.get("/").with(&new).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            upstream.last().header("x-portcullis-key-version"),
            Some("2")
        );
    }

    eventually("the version is current", async || {
        let states = states(&gateway, &old).await;
        (states == ["previous", "current"]).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/").with(&old).await.status, 200);
    assert_eq!(gateway.get("/").with(&new).await.status, 200);
    let path = format!("/admin/keys/{}", old.id);
    let told = gateway.admin(Method::GET, &path, None).await.json();
    assert_eq!(told["fingerprint"], *new.fingerprint);
}

/// S2-01: the holder of a pending version may rotate too, and by that has it confirmed.
#[tokio::test]
async fn a_holder_may_rotate_with_a_version_that_is_still_pending() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway
        .create_key_with(json!({"self_rotation": true}))
        .await;
    let new = pending(&mut gateway, &old).await;
    let reply = rotate_mine(&gateway, &new).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["previous"]["number"], 2);
    assert_eq!(
        states(&gateway, &old).await,
        ["previous", "previous", "current"]
    );
    for key in [&old, &new] {
        assert_eq!(gateway.get("/").with(key).await.status, 200);
    }
}
