//! Owners over the admin API.

use http::Method;
use serde_json::json;

use crate::admin::harness::{Admin, request};

#[tokio::test]
async fn an_owner_is_made_found_and_renamed() {
    let admin = Admin::start();
    let body = json!({"name": "Billing", "type": "team"});
    let made = admin.call(Method::POST, "/admin/users", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(admin.get(&path).await.json, made.json);
    let renamed = admin
        .call(Method::PATCH, &path, json!({"name": "Payments"}))
        .await;
    assert_eq!(renamed.json["name"], "Payments");
    assert_eq!(renamed.json["id"], made.json["id"]);
    assert_eq!(
        admin.get("/admin/users?name=PAY").await.names(),
        ["Payments"]
    );
    assert!(admin.get("/admin/users?name=bill").await.names().is_empty());
}

#[tokio::test]
async fn a_name_is_taken_once_per_type_whatever_the_case() {
    let admin = Admin::start();
    let make = async |name: &str, kind: &str| {
        let body = json!({"name": name, "type": kind});
        admin.call(Method::POST, "/admin/users", body).await
    };
    let first = make("Billing", "team").await;
    assert_eq!(make("billing", "team").await.problem(), (409, "conflict"));
    assert_eq!(make("Billing", "system").await.status, 201);
    let other = make("Other", "team").await;
    let path = format!("/admin/users/{}", other.json["id"].as_str().unwrap());
    let reply = admin
        .call(Method::PATCH, &path, json!({"name": "BILLING"}))
        .await;
    assert_eq!(reply.problem(), (409, "conflict"));
    let own = format!("/admin/users/{}", first.json["id"].as_str().unwrap());
    let reply = admin
        .call(Method::PATCH, &own, json!({"name": "BILLING"}))
        .await;
    assert_eq!(
        reply.json["name"], "BILLING",
        "its own name in other letters"
    );
}

/// A name that is taken is told from one that is not; whoever is bound to one owner sees no others.
#[tokio::test]
async fn an_owner_cannot_find_out_who_else_there_is_by_a_new_name() {
    let admin = Admin::start();
    let key = admin.make_key("k").await;
    let owner = &key["key"]["owner"];
    let path = format!("/admin/users/{}", owner["id"].as_str().unwrap());
    let other = json!({"name": "Other", "type": owner["type"]});
    let other = admin.call(Method::POST, "/admin/users", other).await;
    assert_eq!(other.status, 201, "{}", other.text);
    for role in ["operator", "admin"] {
        let token = admin.make_token(role, owner["id"].as_str()).await;
        let token = format!("Bearer {token}");
        let rename = async |name: &str| {
            let fields = [("authorization", token.as_str())];
            let body = Some(json!({"name": name}));
            let reply = admin
                .ask(request(Method::PATCH, &path, &fields, body))
                .await;
            assert_eq!(reply.problem(), (403, "forbidden"));
            reply.json["detail"].clone()
        };
        assert_eq!(rename("Other").await, rename("Free").await);
    }
    assert_eq!(admin.get(&path).await.json["name"], owner["name"]);
}

#[tokio::test]
async fn a_bad_owner_is_refused_by_its_fields() {
    let admin = Admin::start();
    let long = "x".repeat(129);
    for (body, pointer) in [
        (json!({"name": "", "type": "team"}), "/name"),
        (json!({"name": "a\nb", "type": "team"}), "/name"),
        (json!({"name": long, "type": "team"}), "/name"),
        (json!({"name": "a", "type": "robot"}), "/type"),
        (json!({"name": 1, "type": "team"}), "/name"),
        (json!({"name": "a", "type": "team", "age": 3}), "/age"),
    ] {
        let reply = admin.call(Method::POST, "/admin/users", body).await;
        assert_eq!(reply.problem(), (422, "invalid"));
        assert_eq!(reply.pointers(), [pointer]);
    }
    let body = json!({"name": null});
    let path = "/admin/users/usr_0000000000";
    let reply = admin.call(Method::PATCH, path, body).await;
    assert_eq!(reply.problem(), (422, "invalid"));
    let reply = admin.get("/admin/users/usr_0000000000").await;
    assert_eq!(reply.problem(), (404, "not_found"));
    let body = json!({"name": "x"});
    let reply = admin
        .call(Method::PATCH, "/admin/users/usr_0000000000", body)
        .await;
    assert_eq!(reply.problem(), (404, "not_found"));
}

#[tokio::test]
async fn owners_come_by_name_a_page_at_a_time() {
    let admin = Admin::start();
    for name in ["c", "A", "b"] {
        let body = json!({"name": name, "type": "user"});
        admin.call(Method::POST, "/admin/users", body).await;
    }
    let first = admin.get("/admin/users?limit=2").await;
    assert_eq!(first.names(), ["A", "b"]);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = admin
        .get(&format!("/admin/users?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(second.names(), ["c"]);
    assert!(second.json["next_cursor"].is_null());
    let elsewhere = admin
        .get(&format!("/admin/keys?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(elsewhere.problem(), (400, "bad_cursor"));
}
