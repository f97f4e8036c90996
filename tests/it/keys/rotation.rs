//! Rotating keys: asked for through the API, seen at the gate.

use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::{Gateway, Upstream};

const HOUR_MS: u64 = 3_600_000;

/// What the gate says to a secret: the status, and the code if it is refused.
async fn verdict(gateway: &Gateway, key: &Key) -> (u16, String) {
    let reply = gateway.get("/").with(key).await;
    let code = if reply.status == 200 {
        String::new()
    } else {
        reply.refusal()
    };
    (reply.status, code)
}

fn admitted() -> (u16, String) {
    (200, String::new())
}

fn retired() -> (u16, String) {
    (401, "key_retired".into())
}

fn revoked() -> (u16, String) {
    (401, "key_revoked".into())
}

async fn read(gateway: &Gateway, key: &Key) -> Value {
    let path = format!("/admin/keys/{}", key.id);
    gateway.admin(Method::GET, &path, None).await.json()
}

/// What refuses a rotation, and that nothing was changed by asking.
async fn refused(gateway: &Gateway, key: &Key, body: Value) -> (u16, Value) {
    let before = read(gateway, key).await;
    let path = format!("/admin/keys/{}/rotate", key.id);
    let reply = gateway.admin(Method::POST, &path, Some(body)).await;
    assert_eq!(read(gateway, key).await["versions"], before["versions"]);
    (reply.status, reply.json())
}

/// For each delay there is, the old secret works to its last millisecond and not beyond, and the new one
/// from the first.
// S0-06 S1-08 S2-02 S2-03 S2-04 S2-10 S2-12
#[tokio::test]
async fn the_old_secret_works_for_the_chosen_time_to_the_millisecond() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    for (grace, ms) in [
        (None, 24 * HOUR_MS),
        (Some("1ms"), 1),
        (Some("1h"), HOUR_MS),
        (Some("3h"), 3 * HOUR_MS),
        (Some("48h"), 48 * HOUR_MS),
        (Some("72h"), 72 * HOUR_MS),
    ] {
        let old = gateway.create_key().await;
        let (new, rotated) = gateway.rotate(&old, json!({ "grace": grace })).await;
        assert_ne!(new.secret, old.secret);
        assert_eq!(rotated["key"]["version"], 2);
        assert_eq!(rotated["previous"]["number"], 1);
        assert_eq!(rotated["previous"]["fingerprint"], old.fingerprint.as_str());
        assert_eq!(verdict(&gateway, &new).await, admitted());
        gateway.clock.turn_ms(ms - 1);
        assert_eq!(verdict(&gateway, &old).await, admitted(), "{grace:?}");
        gateway.clock.turn_ms(1);
        assert_eq!(verdict(&gateway, &old).await, retired(), "{grace:?}");
        assert_eq!(verdict(&gateway, &new).await, admitted());
    }
}

// S2-03 S2-15
#[tokio::test]
async fn an_immediate_rotation_leaves_only_the_new_secret() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway.create_key().await;
    let (new, rotated) = gateway.rotate(&old, json!({"grace": "0s"})).await;
    assert_eq!(verdict(&gateway, &old).await, retired());
    assert_eq!(verdict(&gateway, &new).await, admitted());
    assert_eq!(
        rotated["previous"]["retires_at"],
        rotated["key"]["last_rotated_at"]
    );
    let list = gateway.admin(Method::GET, "/admin/keys", None).await.json();
    let versions = list["items"][0]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1, "lists carry live versions only");
    let all = read(&gateway, &new).await;
    let states = all["versions"].as_array().unwrap().iter();
    let states: Vec<&Value> = states.map(|version| &version["state"]).collect();
    assert_eq!(states, ["current", "retired"]);
}

/// All but the secret stays: what the key is, what it may, and what it has spent.
// S2-08 S2-09 S3-06
#[tokio::test]
async fn a_rotation_refills_nothing_and_touches_no_other_key() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let other = gateway.create_key().await;
    let limited = json!({
        "rate_limits": [{"rate": "3/hour"}], "description": "nightly", "labels": {"team": "x"},
        "risk": "high", "self_rotation": true, "metadata": {"a": 1},
    });
    let old = gateway.create_key_with(limited).await;
    for _ in 0..2 {
        assert_eq!(verdict(&gateway, &old).await, admitted());
    }
    let (before, others) = (read(&gateway, &old).await, read(&gateway, &other).await);
    let (new, _) = gateway.rotate(&old, json!({})).await;
    assert_eq!(verdict(&gateway, &new).await, admitted());
    for key in [&old, &new] {
        let (status, code) = verdict(&gateway, key).await;
        assert_eq!((status, &*code), (429, "rate_limited"));
    }
    let after = read(&gateway, &new).await;
    for (field, value) in before.as_object().unwrap() {
        let differs = [
            "version",
            "versions",
            "fingerprint",
            "last_rotated_at",
            "badges",
            "last_used_at",
        ];
        if !differs.contains(&field.as_str()) {
            assert_eq!(&after[field], value, "{field}");
        }
    }
    assert_eq!(after["badges"], json!(["rotating"]));
    assert_eq!(read(&gateway, &other).await, others);
    assert_eq!(verdict(&gateway, &other).await, admitted());
}

/// A second rotation neither prolongs nor cuts the grace that the first one promised.
// S2-03
#[tokio::test]
async fn a_promised_grace_is_kept_whatever_follows() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let first = gateway.create_key().await;
    let (second, _) = gateway.rotate(&first, json!({"grace": "1h"})).await;
    gateway.clock.turn_ms(HOUR_MS / 2);
    let (third, _) = gateway.rotate(&second, json!({"grace": "72h"})).await;
    let (fourth, _) = gateway.rotate(&third, json!({"grace": "0s"})).await;
    gateway.clock.turn_ms(HOUR_MS / 2 - 1);
    assert_eq!(verdict(&gateway, &first).await, admitted());
    gateway.clock.turn_ms(1);
    assert_eq!(verdict(&gateway, &first).await, retired());
    assert_eq!(verdict(&gateway, &second).await, admitted());
    assert_eq!(verdict(&gateway, &third).await, retired());
    assert_eq!(verdict(&gateway, &fourth).await, admitted());
}

#[tokio::test]
async fn after_a_leak_no_earlier_secret_works() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let first = gateway.create_key().await;
    let (second, _) = gateway.rotate(&first, json!({"grace": "72h"})).await;
    let leak = json!({"revoke_earlier": true, "reason": "suspected_compromise"});
    let (third, rotated) = gateway.rotate(&second, leak).await;
    assert_eq!(verdict(&gateway, &first).await, revoked());
    assert_eq!(verdict(&gateway, &second).await, revoked());
    assert_eq!(verdict(&gateway, &third).await, admitted());
    assert_eq!(
        rotated["previous"]["retires_at"],
        rotated["key"]["last_rotated_at"]
    );
}

/// Once the old one has gone quiet it is revoked alone; a dead secret that is still sent is attributed.
// S1-10 S1-11 S4-11
#[tokio::test]
async fn one_version_is_revoked_alone_and_its_use_is_attributed() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let old = gateway.create_key().await;
    let (new, _) = gateway.rotate(&old, json!({"grace": "1h"})).await;
    let version = |number: u16| format!("/admin/keys/{}/versions/{number}", old.id);
    let revoke = async |number| gateway.admin(Method::DELETE, &version(number), None).await;

    let current = revoke(2).await;
    assert_eq!(
        (current.status, &current.json()["code"]),
        (409, &json!("conflict"))
    );
    let unknown = revoke(3).await;
    assert_eq!(
        (unknown.status, &unknown.json()["code"]),
        (404, &json!("not_found"))
    );
    assert_eq!(verdict(&gateway, &old).await, admitted());

    let done = revoke(1).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["revocation"]["applied_on"], json!(["gate-1"]));
    assert_eq!(done.json()["key"]["status"], "active");
    assert_eq!(verdict(&gateway, &old).await, revoked());
    assert_eq!(verdict(&gateway, &new).await, admitted());
    let again = revoke(1).await;
    assert_eq!(again.status, 200);
    assert_eq!(
        again.json()["key"],
        done.json()["key"],
        "ending it again is nothing"
    );

    let lines = gateway.log_lines(3).await;
    let refused = lines
        .iter()
        .find(|line| line["code"] == "key_revoked")
        .unwrap();
    assert_eq!(refused["key_version"], 1);
    assert_eq!(refused["fingerprint"], old.fingerprint.as_str());
    let admitted = lines.last().unwrap();
    assert_eq!(admitted["key_version"], 2);
}

#[tokio::test]
async fn a_sixth_live_version_is_refused_and_there_is_room_once_one_has_ended() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let first = gateway.create_key().await;
    let mut secrets = vec![first.clone()];
    for _ in 0..4 {
        secrets.push(gateway.rotate(&first, json!({"grace": "1h"})).await.0);
    }
    for secret in &secrets {
        assert_eq!(verdict(&gateway, secret).await, admitted());
    }
    let (status, problem) = refused(&gateway, &first, json!({"grace": "1h"})).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("too_many_versions"))
    );
    gateway.clock.turn_ms(HOUR_MS);
    let (sixth, rotated) = gateway.rotate(&first, json!({"grace": "1h"})).await;
    assert_eq!(rotated["key"]["version"], 6);
    assert_eq!(verdict(&gateway, &sixth).await, admitted());
}

// S2-12
#[tokio::test]
async fn what_cannot_be_is_refused_at_its_place_and_nothing_is_changed() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    for (body, pointer, code) in [
        (json!({"grace": "259200001ms"}), "/grace", "too_long"),
        (json!({"grace": "4d"}), "/grace", "too_long"),
        (json!({"grace": "later"}), "/grace", "form"),
        (json!({"grace": 24}), "/grace", "type"),
        (
            json!({"grace": "1h", "revoke_earlier": true}),
            "/revoke_earlier",
            "ambiguous",
        ),
        (
            json!({"expires_at": "2025-01-01T00:00:00Z"}),
            "/expires_at",
            "past",
        ),
        (json!({"expires_at": "tomorrow"}), "/expires_at", "form"),
        (json!({"reason": "a\nb"}), "/reason", "length"),
        (json!({"delay": "1h"}), "/delay", "type"),
    ] {
        let (status, problem) = refused(&gateway, &key, body.clone()).await;
        assert_eq!(
            (status, &problem["code"]),
            (422, &json!("invalid")),
            "{body}"
        );
        let fault = &problem["errors"][0];
        assert_eq!(
            (&fault["code"], &fault["pointer"]),
            (&json!(code), &json!(pointer)),
            "{body}"
        );
    }
    assert_eq!(verdict(&gateway, &key).await, admitted());
}

/// An expired key lives again by a rotation with a new end; its old secrets stay dead, also the one that
/// had been promised longer.
// S2-10
#[tokio::test]
async fn an_expired_key_gets_a_new_life_and_its_old_secrets_do_not() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let ending = json!({"expires_at": "2026-01-01T01:00:00Z"});
    let first = gateway.create_key_with(ending).await;
    let (second, _) = gateway.rotate(&first, json!({"grace": "72h"})).await;
    gateway.clock.turn_ms(HOUR_MS);
    assert_eq!(
        verdict(&gateway, &second).await,
        (401, "key_expired".into())
    );
    let (status, problem) = refused(&gateway, &first, json!({})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("key_expired")));

    let again = json!({"expires_at": "2026-01-02T00:00:00Z", "grace": "72h"});
    let (third, rotated) = gateway.rotate(&first, again).await;
    assert_eq!(rotated["key"]["status"], "active");
    assert_eq!(verdict(&gateway, &third).await, admitted());
    assert_eq!(verdict(&gateway, &second).await, retired());
    assert_eq!(verdict(&gateway, &first).await, revoked());
}

// S1-13
#[tokio::test]
async fn a_suspended_key_may_be_rotated_and_a_revoked_one_never() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    gateway.pause(&key, "suspend").await;
    let (new, rotated) = gateway.rotate(&key, json!({})).await;
    assert_eq!(rotated["key"]["status"], "suspended");
    assert_eq!(verdict(&gateway, &new).await, (403, "key_suspended".into()));
    gateway.pause(&key, "resume").await;
    assert_eq!(verdict(&gateway, &new).await, admitted());

    gateway.revoke(&key).await;
    for body in [
        json!({}),
        json!({"expires_at": null}),
        json!({"revoke_earlier": true}),
    ] {
        let (status, problem) = refused(&gateway, &key, body).await;
        assert_eq!((status, &problem["code"]), (409, &json!("key_revoked")));
    }
    for secret in [&key, &new] {
        assert_eq!(verdict(&gateway, secret).await, revoked());
    }
}

#[tokio::test]
async fn nobody_rotates_a_key_they_have_not_seen() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let path = format!("/admin/keys/{}", key.id);
    let seen = gateway.admin(Method::GET, &path, None).await;
    let tag = seen.header("etag").unwrap().to_owned();
    gateway.patch(&key, json!({"concurrency": 5})).await;
    let rotate = async |tag: &str| {
        let ask = gateway.ask_admin(Method::POST, &format!("{path}/rotate"));
        ask.header("if-match", tag).await
    };
    let stale = rotate(&tag).await;
    assert_eq!(
        (stale.status, &stale.json()["code"]),
        (412, &json!("precondition_failed"))
    );
    assert_eq!(read(&gateway, &key).await["version"], 1);
    let seen = gateway.admin(Method::GET, &path, None).await;
    let rotated = rotate(seen.header("etag").unwrap()).await;
    assert_eq!(rotated.status, 200);
    assert_ne!(rotated.header("etag"), seen.header("etag"));
}

/// A rotation that is repeated under its idempotency key rotates once, and shows the secret once.
#[tokio::test]
async fn a_repeated_rotation_rotates_once() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let path = format!("/admin/keys/{}/rotate", key.id);
    let rotate = async |body: Value| {
        let ask = gateway.ask_admin(Method::POST, &path);
        ask.header("idempotency-key", "a-1").json(&body).await
    };
    let (a, b) = tokio::join!(
        rotate(json!({"grace": "1h"})),
        rotate(json!({"grace": "1h"}))
    );
    let (first, again) = if a.header("idempotency-replayed").is_none() {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let (first, again) = (first.json(), again.json());
    assert!(first["secret"].is_string());
    assert_eq!(again["secret"], Value::Null);
    assert_eq!(again["key"], first["key"]);
    assert_eq!(again["previous"], first["previous"]);
    assert_eq!(read(&gateway, &key).await["version"], 2);
    let other = rotate(json!({"grace": "2h"})).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (422, &json!("invalid"))
    );
    assert_eq!(read(&gateway, &key).await["version"], 2);
}

// S1-09 S2-05
#[tokio::test]
async fn where_reasons_are_asked_for_nothing_is_rotated_or_revoked_without_one() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .setting("audit: { require_reason: [rotate, revoke] }")
        .start()
        .await;
    let key = gateway.create_key().await;
    for body in [json!({}), json!({"reason": ""}), json!({"reason": "  "})] {
        let (status, problem) = refused(&gateway, &key, body).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!("/reason"))
        );
    }
    let (new, _) = gateway.rotate(&key, json!({"reason": "regular"})).await;
    for path in [
        format!("/admin/keys/{}/versions/1", key.id),
        format!("/admin/keys/{}", key.id),
    ] {
        let reply = gateway.admin(Method::DELETE, &path, None).await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (422, &json!("invalid")),
            "{path}"
        );
    }
    for secret in [&key, &new] {
        assert_eq!(verdict(&gateway, secret).await, admitted());
    }
    gateway.pause(&key, "suspend").await;
    let path = format!("/admin/keys/{}?reason=left", key.id);
    assert_eq!(gateway.admin(Method::DELETE, &path, None).await.status, 200);
}

/// A protected key is not revoked until it is unprotected, but its versions may be ended and replaced.
#[tokio::test]
async fn protection_guards_the_key_and_not_its_secrets() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key_with(json!({"protected": true})).await;
    let path = format!("/admin/keys/{}", key.id);
    let reply = gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (409, &json!("protected"))
    );
    let (new, _) = gateway.rotate(&key, json!({})).await;
    let old = format!("{path}/versions/1");
    assert_eq!(gateway.admin(Method::DELETE, &old, None).await.status, 200);
    assert_eq!(verdict(&gateway, &key).await, revoked());
    assert_eq!(verdict(&gateway, &new).await, admitted());
    gateway.patch(&key, json!({"protected": false})).await;
    gateway.revoke(&key).await;
    assert_eq!(verdict(&gateway, &new).await, revoked());
}
