//! Keys over the admin API: made, found, changed, paused, ended.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::Method;
use portcullis::domain::secret::{Form, Hasher, form};
use portcullis::store::News;
use serde_json::{Value, json};

use crate::admin::harness::{Admin, bearer, request};

fn path(made: &Value) -> String {
    format!("/admin/keys/{}", made["key"]["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_new_key_shows_its_secret_once_and_keeps_only_its_hash() {
    let admin = Admin::start();
    let made = admin.make_key("billing-worker").await;
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(form("pk", secret.as_bytes()), Form::Ours);
    assert!(secret.starts_with("pk_live_"));
    let id: portcullis::domain::id::KeyId = made["key"]["id"].as_str().unwrap().parse().unwrap();
    assert!(secret.contains(id.chars()));

    let stored = admin.store.key(id).await.unwrap().unwrap();
    let hash = Hasher::default().hash(secret.as_bytes());
    assert!(stored.versions[0].hash.matches(&hash));
    let told = admin.get(&path(&made)).await;
    assert!(!told.text.contains(secret) && !format!("{stored:?}").contains(secret));
    assert_eq!(told.json["created_by"], "tok_config");
    assert_eq!(told.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn this_gate_acts_on_a_change_before_it_is_answered() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let revision = admin.store.revision().await.unwrap().0;
    assert_eq!(admin.applied.last(), revision);
    let reply = admin.call(Method::DELETE, &path(&made), None).await;
    assert_eq!(reply.json["revocation"]["revision"], revision + 1);
    assert_eq!(admin.applied.last(), revision + 1);
}

#[tokio::test]
async fn an_inline_owner_is_found_or_made_with_the_key() {
    let admin = Admin::start();
    let first = admin.make_key("a").await;
    let second = admin.make_key("b").await;
    assert_eq!(first["key"]["owner"], second["key"]["owner"]);
    assert_eq!(first["key"]["owner"]["name"], "Billing");
    let body = json!({"name": "c", "owner": {"name": "Billing", "type": "user"}});
    let other = admin.call(Method::POST, "/admin/keys", body).await.json;
    assert_ne!(other["key"]["owner"]["id"], first["key"]["owner"]["id"]);
    assert_eq!(admin.get("/admin/users").await.names().len(), 2);
}

#[tokio::test]
async fn everything_wrong_with_a_new_key_is_told_at_once_and_nothing_is_made() {
    let admin = Admin::start();
    let body = json!({
        "name": "", "owner": {"name": " x", "type": "team"}, "env": "prod", "products": ["gold"],
        "scopes": ["a b"], "allowed_methods": ["FETCH"], "allowed_paths": ["v1"],
        "allowed_ips": ["10.0.0.300"], "rate_limits": [{"rate": "10/second", "burst": 0}],
        "concurrency": 0, "quotas": [{"limit": 0, "per": "day", "on_day": 3}, {"limit": 1, "per": "hour"}],
        "risk": "none",
        "expires_at": "2020-01-01T00:00:00Z", "labels": {"": "x"},
        "rotation": {"interval_days": 0, "keep_previous": true, "grace": "73h"},
    });
    let reply = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(reply.problem(), (422, "invalid"));
    let mut pointers = reply.pointers();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/allowed_ips/0",
            "/allowed_methods/0",
            "/allowed_paths/0",
            "/concurrency",
            "/env",
            "/expires_at",
            "/labels/",
            "/name",
            "/owner/name",
            "/products/0",
            "/quotas/0/limit",
            "/quotas/0/on_day",
            "/quotas/1/per",
            "/rate_limits/0/burst",
            "/risk",
            "/rotation/grace",
            "/rotation/interval_days",
            "/scopes/0",
        ]
    );
    assert!(admin.get("/admin/keys").await.names().is_empty());
    assert!(admin.get("/admin/users").await.names().is_empty());
}

#[tokio::test]
async fn a_key_has_exactly_one_owner() {
    let admin = Admin::start();
    let owner = json!({"name": "Billing", "type": "team"});
    for (body, pointer) in [
        (json!({"name": "k"}), "/owner_id"),
        (
            json!({"name": "k", "owner_id": "usr_0000000000"}),
            "/owner_id",
        ),
        (json!({"name": "k", "owner_id": "Billing"}), "/owner_id"),
        (
            json!({"name": "k", "owner_id": "usr_0000000000", "owner": owner}),
            "/owner",
        ),
        (
            json!({"name": "k", "owner": {"name": "x", "type": "robot"}}),
            "/owner/type",
        ),
    ] {
        let reply = admin.call(Method::POST, "/admin/keys", body).await;
        assert_eq!(reply.problem(), (422, "invalid"));
        assert_eq!(reply.pointers(), [pointer]);
    }
}

#[tokio::test]
async fn a_patch_changes_what_is_given_and_nothing_else() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let patch = json!({
        "name": "renamed", "description": "why", "scopes": ["b", "a", "b"],
        "allowed_methods": ["GET"], "rate_limits": [{"rate": "5/minute", "enforce": "shadow"}],
        "expires_at": "2026-02-01T00:00:00Z",
    });
    let reply = admin.call(Method::PATCH, &path(&made), patch).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let key = &reply.json;
    assert_eq!(key["name"], "renamed");
    assert_eq!(key["scopes"], json!(["b", "a"]));
    assert_eq!(key["expires_at"], "2026-02-01T00:00:00.000Z");
    assert_eq!(
        key["rate_limits"],
        json!([{"rate": "5/minute", "burst": 5, "mode": "shared", "enforce": "shadow"}])
    );
    for field in ["id", "owner", "env", "versions", "created_at", "labels"] {
        assert_eq!(key[field], made["key"][field], "{field}");
    }
    let cleared = json!({"description": null, "expires_at": null, "rate_limits": []});
    let reply = admin.call(Method::PATCH, &path(&made), cleared).await;
    assert_eq!(reply.json["description"], Value::Null);
    assert_eq!(reply.json["expires_at"], Value::Null);
    assert_eq!(reply.json["rate_limits"], json!([]));
    assert_eq!(reply.json["name"], "renamed");
}

#[tokio::test]
async fn what_a_patch_may_not_touch_is_refused_by_its_name() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    for (body, pointer) in [
        (json!({"env": "test"}), "/env"),
        (json!({"status": "revoked"}), "/status"),
        (json!({"name": null}), "/name"),
        (json!({"concurrency": 0}), "/concurrency"),
        (
            json!({"quotas": [{"limit": 1, "per": "year"}]}),
            "/quotas/0/per",
        ),
    ] {
        let reply = admin.call(Method::PATCH, &path(&made), body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{body}");
        assert_eq!(reply.pointers(), [pointer]);
    }
}

#[tokio::test]
async fn a_key_is_paused_resumed_and_ended_for_ever() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = path(&made);
    for (step, status) in [
        ("suspend", "suspended"),
        ("suspend", "suspended"),
        ("resume", "active"),
    ] {
        let body = json!({"reason": "incident"});
        let reply = admin
            .call(Method::POST, &format!("{path}/{step}"), body)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json["status"], status);
    }
    let asked = format!("{path}?reason=left&wait=all&timeout=5s");
    let reply = admin.call(Method::DELETE, &asked, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json["key"]["status"], "revoked");
    let revocation = &reply.json["revocation"];
    assert_eq!(revocation["durable_on"], json!(["store", "gate-1"]));
    assert_eq!(revocation["applied_on"], json!(["gate-1"]));
    assert_eq!(revocation["pending"], json!([]));

    let again = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(again.status, 200);
    assert_eq!(
        again.json["key"], reply.json["key"],
        "not even its time moves"
    );
    for (method, path, body) in [
        (Method::POST, format!("{path}/suspend"), None),
        (Method::POST, format!("{path}/resume"), None),
        (Method::PATCH, path.clone(), Some(json!({"name": "n"}))),
    ] {
        let reply = admin.call(method, &path, body).await;
        assert_eq!(reply.problem(), (409, "key_revoked"), "{path}");
    }
}

#[tokio::test]
async fn the_audit_log_is_told_who_did_what_from_where_and_why() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let before = admin.store.revision().await.unwrap();
    let asked = format!("{}?reason=left", path(&made));
    let mut request = request(Method::DELETE, &asked, &[bearer()], None);
    let peer: SocketAddr = "[::ffff:203.0.113.7]:5".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let reply = admin.ask(request).await;

    let News::Changes(changes) = admin.store.since(before, 10).await.unwrap() else {
        panic!("the feed was trimmed");
    };
    let entry = &changes[0].1.audit[0];
    assert_eq!(entry.action.as_str(), "key_revocation");
    assert_eq!(entry.actor.id, "tok_config");
    assert_eq!(entry.address.as_deref(), Some("203.0.113.7"));
    assert_eq!(entry.request_id.as_deref(), reply.header("x-request-id"));
    assert_eq!(entry.reason.as_deref(), Some("left"));
    assert_eq!(entry.key.unwrap().to_string(), made["key"]["id"]);
    assert_eq!(entry.owner.unwrap().to_string(), made["key"]["owner"]["id"]);
    let [change] = entry.changes.as_slice() else {
        panic!("{:?}", entry.changes);
    };
    assert_eq!(
        (change.field.as_str(), &change.from, &change.to),
        ("status", &json!("active"), &json!("revoked"))
    );
}

#[tokio::test]
async fn a_step_that_changes_nothing_commits_nothing() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let before = admin.store.revision().await.unwrap();
    let path = path(&made);
    admin
        .call(Method::POST, &format!("{path}/resume"), None)
        .await;
    admin.call(Method::PATCH, &path, json!({"name": "k"})).await;
    assert_eq!(admin.store.revision().await.unwrap(), before);
}

#[tokio::test]
async fn a_protected_key_must_be_unprotected_first() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = path(&made);
    admin
        .call(Method::PATCH, &path, json!({"protected": true}))
        .await;
    let reply = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(reply.problem(), (409, "protected"));
    admin
        .call(Method::PATCH, &path, json!({"protected": false}))
        .await;
    assert_eq!(admin.call(Method::DELETE, &path, None).await.status, 200);
}

#[tokio::test]
async fn an_expired_key_is_not_revived_by_a_patch() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = path(&made);
    let end = json!({"expires_at": "2026-01-01T01:00:00Z"});
    admin.call(Method::PATCH, &path, end).await;
    admin.clock.turn(Duration::from_secs(3_600));
    assert_eq!(admin.get(&path).await.json["status"], "expired");
    let later = json!({"expires_at": "2027-01-01T00:00:00Z"});
    let reply = admin.call(Method::PATCH, &path, later).await;
    assert_eq!(reply.problem(), (409, "key_expired"));
}

#[tokio::test]
async fn nobody_changes_a_key_they_have_not_seen() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = path(&made);
    let seen = admin.get(&path).await.header("etag").unwrap().to_owned();
    let patch = async |tag: &str, name: &str| {
        let headers = [bearer(), ("if-match", tag)];
        let body = Some(json!({"name": name}));
        admin
            .ask(request(Method::PATCH, &path, &headers, body))
            .await
    };
    let changed = patch(&seen, "first").await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(seen.as_str()));
    assert_eq!(
        patch(&seen, "second").await.problem(),
        (412, "precondition_failed")
    );
    assert_eq!(
        patch("nonsense", "third").await.problem(),
        (400, "bad_request")
    );
    assert_eq!(admin.get(&path).await.json["name"], "first");
    assert_eq!(patch("*", "fourth").await.status, 200);
    let headers = [bearer(), ("if-match", seen.as_str())];
    let reply = admin
        .ask(request(Method::DELETE, &path, &headers, None))
        .await;
    assert_eq!(reply.problem(), (412, "precondition_failed"));
}

#[tokio::test]
async fn an_unknown_key_is_not_found_whatever_its_id_looks_like() {
    let admin = Admin::start();
    for id in [
        "key_0000000000",
        "usr_0000000000",
        "x",
        "%ff",
        "key_00000%2F000",
    ] {
        let reply = admin.get(&format!("/admin/keys/{id}")).await;
        assert_eq!(reply.problem(), (404, "not_found"), "{id}");
    }
}

#[tokio::test]
async fn a_list_is_filtered_sorted_and_paged() {
    let admin = Admin::start();
    for (name, env, team) in [
        ("beta", "live", "a"),
        ("Alpha", "test", "b"),
        ("gamma", "live", "b"),
    ] {
        let body = json!({"name": name, "env": env, "labels": {"team": team},
            "owner": {"name": name, "type": "user"}});
        admin.call(Method::POST, "/admin/keys", body).await;
        admin.clock.turn(Duration::from_secs(1));
    }
    for (query, names) in [
        ("", vec!["beta", "Alpha", "gamma"]),
        ("?sort=-created_at", vec!["gamma", "Alpha", "beta"]),
        ("?sort=name", vec!["Alpha", "beta", "gamma"]),
        ("?env=live", vec!["beta", "gamma"]),
        ("?name=ALPH", vec!["Alpha"]),
        ("?label=team", vec!["beta", "Alpha", "gamma"]),
        ("?label=team=b", vec!["Alpha", "gamma"]),
        ("?label=team%3Db&env=live", vec!["gamma"]),
        ("?status=active&name=&env=", vec!["beta", "Alpha", "gamma"]),
        ("?status=revoked", vec![]),
        ("?product=starter", vec![]),
        ("?stale=true", vec![]),
        ("?stale=false", vec!["beta", "Alpha", "gamma"]),
    ] {
        let reply = admin.get(&format!("/admin/keys{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text);
        assert_eq!(reply.names(), names, "{query}");
    }
    admin.clock.turn(Duration::from_secs(30 * 24 * 3_600 - 1));
    let stale = admin.get("/admin/keys?stale=true").await;
    assert_eq!(stale.names().len(), 3);
    assert_eq!(
        stale.json["items"][0]["badges"],
        json!(["potentially stale"])
    );
}

#[tokio::test]
async fn pages_leave_nothing_out_and_repeat_nothing() {
    let admin = Admin::start();
    for name in ["e", "b", "d", "a", "c"] {
        admin.make_key(name).await;
    }
    let mut names = Vec::new();
    let mut query = "?sort=name&limit=2".to_owned();
    loop {
        let page = admin.get(&format!("/admin/keys{query}")).await;
        assert!(page.names().len() <= 2);
        names.extend(page.names().into_iter().map(str::to_owned));
        let Some(cursor) = page.json["next_cursor"].as_str() else {
            break;
        };
        query = format!("?sort=name&limit=2&cursor={cursor}");
        let other = admin
            .get(&format!("/admin/keys?sort=-name&cursor={cursor}"))
            .await;
        assert_eq!(other.problem(), (400, "bad_cursor"));
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

/// A scope that nothing asks for and nothing grants would only look like a permission.
#[tokio::test]
async fn a_scope_that_does_not_exist_is_refused_and_one_that_stays_is_not() {
    let admin = Admin::start();
    let owner = json!({"name": "Billing", "type": "team"});
    let body = json!({"name": "k", "owner": owner, "scopes": ["a", "c", "orders:read"]});
    let reply = admin.call(Method::POST, "/admin/keys", body.clone()).await;
    assert_eq!(reply.problem(), (422, "invalid"));
    assert_eq!(reply.pointers(), ["/scopes/1"]);
    assert!(admin.get("/admin/keys").await.names().is_empty());

    let product = json!({"name": "pro", "scopes": ["c"]});
    let made = admin.call(Method::POST, "/admin/products", product).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let gone = admin
        .call(Method::DELETE, "/admin/products/pro", None)
        .await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let keeping = json!({"scopes": ["c", "a"]});
    let reply = admin.call(Method::PATCH, &path(&made.json), keeping).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let adding = json!({"scopes": ["c", "d"]});
    let reply = admin.call(Method::PATCH, &path(&made.json), adding).await;
    assert_eq!(reply.pointers(), ["/scopes/1"]);
}
