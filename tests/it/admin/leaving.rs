//! Owners who leave: switched off in one step, let back in, erased.

use http::Method;
use portcullis::store::News;
use serde_json::{Value, json};

use crate::admin::harness::Admin;

const OWNERS: &str = "/admin/users";

async fn owner(admin: &Admin, name: &str) -> String {
    let body = json!({"name": name, "type": "user"});
    let made = admin.call(Method::POST, OWNERS, body).await;
    made.json["id"].as_str().unwrap().to_owned()
}

async fn key(admin: &Admin, owner: &str, fields: Value) -> String {
    let mut body = json!({"name": "k", "owner_id": owner});
    let wanted = body.as_object_mut().unwrap();
    wanted.extend(fields.as_object().unwrap().clone());
    let made = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    format!("/admin/keys/{}", made.json["key"]["id"].as_str().unwrap())
}

/// S3-10, S4-17: refused from one change on, and each ended after it.
#[tokio::test]
async fn all_that_an_owner_holds_ends_with_one_change() {
    let admin = Admin::start();
    let (leaver, other) = (owner(&admin, "Ann").await, owner(&admin, "Bob").await);
    let keys = [
        key(&admin, &leaver, json!({})).await,
        key(&admin, &leaver, json!({"protected": true})).await,
        key(&admin, &leaver, json!({})).await,
        key(&admin, &leaver, json!({})).await,
    ];
    admin
        .call(Method::POST, &format!("{}/suspend", keys[2]), None)
        .await;
    admin.call(Method::DELETE, &keys[3], None).await;
    let ended_before = admin.get(&keys[3]).await.json;
    let theirs = key(&admin, &other, json!({})).await;
    let token = admin.make_token("operator", Some(&leaver)).await;
    let stays = admin.make_token("operator", Some(&other)).await;
    let before = admin.store.revision().await.unwrap();

    let path = format!("{OWNERS}/{leaver}/keys/disable");
    let body = json!({"reason": "left the company"});
    let reply = admin.call(Method::POST, &path, body).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json["revoked"], 3);
    assert_eq!(reply.json["tokens_ended"], 1);
    assert_eq!(reply.json["under_way"], false);
    assert!(reply.json["owner"]["disabled_at"].is_string());
    let after = admin.store.revision().await.unwrap();
    assert_eq!(reply.json["revocation"]["revision"], before.0 + 1);
    assert_eq!(admin.applied.last(), after.0, "and it is in force");
    for path in &keys {
        assert_eq!(admin.get(path).await.json["status"], "revoked", "{path}");
    }
    assert_eq!(admin.get(&keys[3]).await.json, ended_before);
    assert_eq!(admin.get(&theirs).await.json["status"], "active");
    let ask = async |token: &str| {
        let reply = admin.call_as(token, Method::GET, "/admin/keys", None);
        reply.await.status.as_u16()
    };
    assert_eq!(ask(&token).await, 401);
    assert_eq!(ask(&stays).await, 200);

    // S4-08: why, for the owner and for each key.
    let News::Changes(changes) = admin.store.since(before, 10).await.unwrap() else {
        panic!("the feed is gone");
    };
    let audit: Vec<_> = changes
        .iter()
        .flat_map(|(_, change)| &change.audit)
        .collect();
    let kinds: Vec<_> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "owner_disable",
            "token_revocation",
            "key_revocation",
            "key_revocation",
            "key_revocation"
        ]
    );
    assert!(audit.iter().all(|entry| entry.owner.is_some()));
    let reasons = audit.iter().map(|entry| entry.reason.as_deref());
    assert!(
        reasons
            .into_iter()
            .all(|why| why == Some("left the company"))
    );

    let again = admin.call(Method::POST, &path, None).await;
    assert_eq!(again.json["revoked"], 0);
    assert_eq!(admin.store.revision().await.unwrap(), after);
}

/// S3-10: new keys need an admin who lets the owner back in; what ended stays so.
#[tokio::test]
async fn a_disabled_owner_gets_no_keys_until_an_admin_lets_it_back_in() {
    let admin = Admin::start();
    let id = owner(&admin, "Ann").await;
    let old = key(&admin, &id, json!({})).await;
    let path = format!("{OWNERS}/{id}");
    admin
        .call(Method::POST, &format!("{path}/keys/disable"), None)
        .await;
    for owner in [
        json!({"owner_id": id}),
        json!({"owner": {"name": "ann", "type": "user"}}),
    ] {
        let mut body = json!({"name": "k"});
        body.as_object_mut()
            .unwrap()
            .extend(owner.as_object().unwrap().clone());
        let reply = admin.call(Method::POST, "/admin/keys", body).await;
        assert_eq!(reply.problem(), (409, "owner_disabled"));
    }
    let back = json!({"disabled": false});
    let operator = admin.make_token("operator", None).await;
    let reply = admin.call_as(&operator, Method::PATCH, &path, back.clone());
    assert_eq!(reply.await.problem(), (403, "forbidden"));
    let reply = admin.call(Method::PATCH, &path, json!({"disabled": true}));
    assert_eq!(reply.await.pointers(), ["/disabled"]);
    assert!(admin.get(&path).await.json["disabled_at"].is_string());

    let reply = admin.call(Method::PATCH, &path, back).await;
    assert!(reply.json["disabled_at"].is_null(), "{}", reply.text);
    key(&admin, &id, json!({})).await;
    assert_eq!(admin.get(&old).await.json["status"], "revoked");
}

/// S4-16: the person goes, the id stays; not while a key lives.
#[tokio::test]
async fn an_erased_owner_leaves_its_id_and_no_name() {
    let admin = Admin::start();
    let id = owner(&admin, "Ann Archer").await;
    let path = format!("{OWNERS}/{id}");
    let body = json!({"name": "ann's laptop", "role": "viewer", "owner_id": id});
    admin.call(Method::POST, "/admin/tokens", body).await;
    let old = key(&admin, &id, json!({})).await;
    admin
        .call(Method::POST, &format!("{old}/suspend"), None)
        .await;
    let reply = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(reply.problem(), (409, "conflict"));
    assert_eq!(admin.get(&path).await.json["name"], "Ann Archer");

    admin.call(Method::DELETE, &old, None).await;
    let reply = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json["id"], id);
    let pseudonym = format!("erased-{}", id.trim_start_matches("usr_"));
    assert_eq!(reply.json["name"], pseudonym);
    assert_eq!(admin.get(&old).await.json["owner"]["name"], pseudonym);
    for list in [OWNERS, "/admin/tokens"] {
        let told = admin.get(list).await.text.to_lowercase();
        assert!(!told.contains("ann"), "{told}");
    }
    let tokens = admin.get("/admin/tokens").await.json;
    assert!(tokens["items"][0]["revoked_at"].is_string());
    let at = admin.store.revision().await.unwrap();
    let again = admin.call(Method::DELETE, &path, None).await;
    assert_eq!(again.json, reply.json);
    assert_eq!(admin.store.revision().await.unwrap(), at);
    // The name is free for another.
    assert_ne!(owner(&admin, "Ann Archer").await, id);
}

/// S3-10: a token of an owner who is off opens nothing, though it is not ended itself yet, and no new one
/// is made.
#[tokio::test]
async fn no_token_of_a_disabled_owner_opens_anything() {
    use portcullis::domain::change::Write;
    use portcullis::domain::time::Timestamp;

    use crate::store::things::change;

    let admin = Admin::start();
    let id = owner(&admin, "Ann").await;
    let token = admin.make_token("operator", Some(&id)).await;
    let ask = async || {
        let reply = admin.call_as(&token, Method::GET, "/admin/keys", None);
        reply.await.status.as_u16()
    };
    assert_eq!(ask().await, 200);
    let mut off = admin
        .store
        .owner(id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    off.disabled_at = Some(Timestamp::from_millis(1));
    let expect = admin.store.revision().await.unwrap();
    let off = change(expect, vec![Write::Owner(off)]);
    admin.store.commit(off).await.unwrap();

    assert_eq!(ask().await, 401);
    let body = json!({"name": "new", "role": "viewer", "owner_id": id});
    let reply = admin.call(Method::POST, "/admin/tokens", body).await;
    assert_eq!(reply.problem(), (409, "owner_disabled"));
    // What is not ended yet would come back with its owner.
    let back = json!({"disabled": false});
    let path = format!("{OWNERS}/{id}");
    let reply = admin.call(Method::PATCH, &path, back).await;
    assert_eq!(reply.problem(), (409, "conflict"));
}

/// Of a change that cannot be made whole nothing is made: an owner that is refused its new name stays out.
#[tokio::test]
async fn an_owner_whose_new_name_is_refused_is_not_let_back_in() {
    let admin = Admin::start();
    let id = owner(&admin, "Ann").await;
    owner(&admin, "Bob").await;
    let path = format!("{OWNERS}/{id}");
    admin
        .call(Method::POST, &format!("{path}/keys/disable"), None)
        .await;
    for (name, problem) in [("", (422, "invalid")), ("Bob", (409, "conflict"))] {
        let before = admin.store.revision().await.unwrap();
        let both = json!({"disabled": false, "name": name});
        let reply = admin.call(Method::PATCH, &path, both).await;
        assert_eq!(reply.problem(), problem);
        assert!(admin.get(&path).await.json["disabled_at"].is_string());
        assert_eq!(admin.store.revision().await.unwrap(), before);
    }
    let both = json!({"disabled": false, "name": "Ann B"});
    let reply = admin.call(Method::PATCH, &path, both).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.json["disabled_at"].is_null());
    assert_eq!(reply.json["name"], "Ann B");
    let log = admin
        .get("/admin/audit-logs?type=owner_update&outcome=done")
        .await;
    let entries = log.json["items"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    let fields = entries[0]["changes"].as_array().unwrap().iter();
    let fields: Vec<_> = fields.map(|change| &change["field"]).collect();
    assert_eq!(fields, ["name", "disabled_at"]);
}
