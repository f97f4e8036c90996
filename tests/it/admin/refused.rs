//! What the audit log is told of rotations, and of attempts that were refused.

use http::Method;
use portcullis::domain::audit::{AuditEntry, Outcome};
use portcullis::domain::change::Revision;
use portcullis::store::News;
use serde_json::{Value, json};

use crate::admin::harness::{Admin, Setup};
use crate::admin::shaken::{Shake, Shaken};

/// What was written to the audit log after `before`.
async fn entries(admin: &Admin, before: Revision) -> Vec<AuditEntry> {
    admin.writer.flush_refusals().await.unwrap();
    let News::Changes(changes) = admin.store.since(before, 100).await.unwrap() else {
        panic!("the feed was trimmed");
    };
    let changes = changes.into_iter();
    changes
        .flat_map(|(_, change)| change.audit.clone())
        .collect()
}

fn path(made: &Value) -> String {
    format!("/admin/keys/{}", made["key"]["id"].as_str().unwrap())
}

/// A rotation says who, when and why, and which secret took the place of which.
// S1-09 S2-05
#[tokio::test]
async fn a_rotation_is_told_with_both_fingerprints_and_its_reason() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let before = admin.store.revision().await.unwrap();
    let asked = json!({"grace": "1h", "reason": "suspected_compromise"});
    let rotate = format!("{}/rotate", path(&made));
    let reply = admin.call(Method::POST, &rotate, asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let secret = reply.json["secret"].as_str().unwrap();

    let entries = entries(&admin, before).await;
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert_eq!(entry.action.as_str(), "key_rotation");
    assert_eq!(entry.outcome, Outcome::Done);
    assert_eq!(entry.actor.id, "tok_config");
    assert_eq!(entry.request_id.as_deref(), reply.header("x-request-id"));
    assert_eq!(entry.reason.as_deref(), Some("suspected_compromise"));
    assert_eq!(entry.key.unwrap().to_string(), made["key"]["id"]);
    assert_eq!(entry.owner.unwrap().to_string(), made["key"]["owner"]["id"]);
    assert_eq!(entry.key_version, Some(2));
    let note = entry.rotation.as_ref().unwrap();
    assert_eq!(note.old_version, 1);
    assert_eq!(note.old_fingerprint.to_string(), made["key"]["fingerprint"]);
    assert_eq!(
        note.new_fingerprint.to_string(),
        reply.json["key"]["fingerprint"]
    );
    assert_eq!(note.grace.map(|grace| grace.as_secs()), Some(3_600));
    assert!(!format!("{entries:?}").contains(secret));
}

#[tokio::test]
async fn a_version_that_is_ended_by_hand_is_told_by_its_number() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let rotate = format!("{}/rotate", path(&made));
    admin
        .call(Method::POST, &rotate, json!({"grace": "1h"}))
        .await;
    let before = admin.store.revision().await.unwrap();
    let version = format!("{}/versions/1?reason=quiet", path(&made));
    assert_eq!(admin.call(Method::DELETE, &version, None).await.status, 200);
    let leak = json!({"revoke_earlier": true});
    assert_eq!(admin.call(Method::POST, &rotate, leak).await.status, 200);

    let entries = entries(&admin, before).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            let changes = entry.changes.iter();
            let changes: Vec<_> = changes
                .map(|change| {
                    (
                        change.field.as_str(),
                        change.from.clone(),
                        change.to.clone(),
                    )
                })
                .collect();
            (entry.action.as_str(), entry.key_version, changes)
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "key_revocation",
                Some(1),
                vec![("versions.1.state", json!("previous"), json!("revoked"))]
            ),
            (
                "key_rotation",
                Some(3),
                vec![("versions.2.state", json!("current"), json!("revoked"))]
            ),
        ]
    );
    assert_eq!(entries[0].reason.as_deref(), Some("quiet"));
}

/// Whoever is known and is refused is in the audit log, with what they tried and the code they got; what
/// they tried is not done.
#[tokio::test]
async fn a_refused_attempt_is_in_the_audit_log_with_its_code() {
    let admin = Admin::start();
    let live = admin.make_key("live").await;
    let gone = admin.make_key("gone").await;
    admin.call(Method::DELETE, &path(&gone), None).await;
    let (live, gone) = (path(&live), path(&gone));
    let operator = admin.make_token("operator", None).await;
    let before = admin.store.revision().await.unwrap();

    let rows = [
        (
            Method::POST,
            format!("{gone}/resume"),
            None,
            "key_resumption",
            None,
            "key_revoked",
        ),
        (
            Method::POST,
            format!("{gone}/rotate"),
            None,
            "key_rotation",
            None,
            "key_revoked",
        ),
        (
            Method::PATCH,
            gone.clone(),
            Some(json!({"name": "n"})),
            "key_update",
            None,
            "key_revoked",
        ),
        (
            Method::POST,
            format!("{live}/rotate"),
            Some(json!({"grace": "73h", "reason": "regular"})),
            "key_rotation",
            None,
            "invalid",
        ),
        (
            Method::DELETE,
            format!("{live}/versions/1"),
            None,
            "key_revocation",
            Some(1),
            "conflict",
        ),
        (
            Method::POST,
            "/admin/keys".to_owned(),
            Some(json!({"name": "", "owner": {"name": "x", "type": "team"}})),
            "key_creation",
            None,
            "invalid",
        ),
        (
            Method::DELETE,
            "/admin/keys/key_0000000000".to_owned(),
            None,
            "key_revocation",
            None,
            "not_found",
        ),
    ];
    let mut expected = Vec::new();
    for (method, path, body, action, version, code) in rows {
        let reply = admin.call_as(&operator, method, &path, body).await;
        assert_eq!(reply.problem().1, code, "{path}");
        expected.push((action, version, Outcome::Refused(code.to_owned())));
    }
    let entries = entries(&admin, before).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.action.as_str(),
                entry.key_version,
                entry.outcome.clone(),
            )
        })
        .collect();
    assert_eq!(told, expected);
    let refused = &entries[3];
    assert_eq!(refused.actor.name, "operator");
    assert_eq!(refused.reason.as_deref(), Some("regular"));
    assert!(refused.owner.is_some() && refused.request_id.is_some());
    assert!(entries.iter().all(|entry| entry.changes.is_empty()));
    let status = &admin.get(&live).await.json;
    assert_eq!(
        (&status["status"], &status["version"]),
        (&json!("active"), &json!(1))
    );
}

#[tokio::test]
async fn a_stale_tag_is_an_attempt_too_and_a_fault_of_ours_is_none() {
    let admin = Admin::start();
    let made = path(&admin.make_key("k").await);
    let before = admin.store.revision().await.unwrap();
    let field = ("authorization", "Bearer configured-token-of-the-tests");
    let headers = [field, ("if-match", "\"stale\"")];
    let asked = crate::admin::harness::request(Method::DELETE, &made, &headers, None);
    assert_eq!(
        admin.ask(asked).await.problem(),
        (412, "precondition_failed")
    );
    let told = entries(&admin, before).await;
    assert_eq!(
        told[0].outcome,
        Outcome::Refused("precondition_failed".to_owned())
    );

    let broken = std::io::Error::other("no route");
    let error = portcullis::store::StoreError::unavailable(broken);
    let admin = Admin::over(Setup::default(), |store| {
        std::sync::Arc::new(Shaken::new(store, [Shake::Fails(error)]))
    });
    let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
    let reply = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(reply.problem(), (503, "store_unavailable"));
    assert_eq!(admin.store.revision().await.unwrap().0, 0);
}

/// Where other gates' changes come first the rotation is run again; only the secret that was committed
/// is told, and it is the one whose hash is kept.
#[tokio::test]
async fn a_rotation_that_lost_races_shows_the_one_secret_that_was_kept() {
    let shakes = [Shake::Overtaken, Shake::Overtaken, Shake::Overtaken];
    let admin = Admin::over(Setup::default(), |store| {
        std::sync::Arc::new(Shaken::new(store, shakes))
    });
    let made = admin.make_key("k").await;
    let rotate = format!("{}/rotate", path(&made));
    let reply = admin.call(Method::POST, &rotate, json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let secret = reply.json["secret"].as_str().unwrap();
    let id = made["key"]["id"].as_str().unwrap().parse().unwrap();
    let key = admin.store.key(id).await.unwrap().unwrap();
    assert_eq!(key.versions.len(), 2);
    let kept = portcullis::domain::secret::Hasher::default().hash(secret.as_bytes());
    assert_eq!(key.versions[1].hash, kept);
}

/// A policy asks for a reason as the configuration can: of its keys alone, and the attempt is written down.
// S4-08 S4-15 S1-09
#[tokio::test]
async fn where_a_policy_asks_for_a_reason_nothing_is_done_without_one() {
    let admin = Admin::start();
    let body = json!({
        "name": "grave", "require_reason": true, "selector": {"label": "team=billing"},
    });
    let policy = admin.call(Method::POST, "/admin/policies", body).await;
    assert_eq!(policy.status, 201, "{}", policy.text);
    let labelled = json!({
        "name": "k", "owner": {"name": "Ann", "type": "user"}, "labels": {"team": "billing"},
    });
    let made = admin.call(Method::POST, "/admin/keys", labelled).await.json;
    let free = admin.make_key("free").await;
    let (path, free) = (path(&made), path(&free));
    let owner = made["key"]["owner"]["id"].as_str().unwrap();
    let disable = format!("/admin/users/{owner}/keys/disable");
    let as_it_was = admin.get(&path).await.json;
    let before = admin.store.revision().await.unwrap();

    let calls = [
        (Method::POST, format!("{path}/rotate"), "key_rotation"),
        (Method::POST, format!("{path}/suspend"), "key_suspension"),
        (
            Method::DELETE,
            format!("{path}/versions/1"),
            "key_revocation",
        ),
        (Method::DELETE, path.clone(), "key_revocation"),
        (Method::POST, disable.clone(), "owner_disable"),
    ];
    for (method, call, _) in &calls {
        let reply = admin.call(method.clone(), call, None).await;
        assert_eq!(reply.problem(), (422, "invalid"), "{call}");
        assert_eq!(reply.pointers(), ["/reason"], "{call}");
        assert_eq!(reply.json["errors"][0]["code"], "missing", "{call}");
    }
    assert_eq!(admin.get(&path).await.json, as_it_was);
    let entries = entries(&admin, before).await;
    let told: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(told, calls.clone().map(|(.., action)| action));
    assert!(
        entries
            .iter()
            .all(|it| it.outcome == Outcome::Refused("invalid".into()))
    );

    // With a reason, and for keys that the policy is not about, all goes on.
    let because = json!({"reason": "left"});
    for call in [format!("{path}/rotate"), format!("{path}/suspend")] {
        let reply = admin.call(Method::POST, &call, because.clone()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let resume = format!("{path}/resume");
    assert_eq!(admin.call(Method::POST, &resume, None).await.status, 200);
    let reply = admin.call(Method::POST, &disable, because).await;
    assert_eq!(reply.json["revoked"], 1, "{}", reply.text);
    // Nothing is left that the policy is about.
    assert_eq!(admin.call(Method::POST, &disable, None).await.status, 200);
    for call in [format!("{free}/rotate"), format!("{free}/suspend")] {
        assert_eq!(admin.call(Method::POST, &call, None).await.status, 200);
    }
    assert_eq!(admin.call(Method::DELETE, &free, None).await.status, 200);
}
