//! Sessions of the dashboard: opened by a token or a link, for the dashboard's own page alone, and over with
//! what they stand for.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::admin::harness::{Admin, CONFIGURED, Reply, request};

const SESSION: &str = "/admin/session";
/// What a browser says of a call by the page it has from there.
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A browser that signed in.
struct Browser<'a> {
    admin: &'a Admin,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn signed_in(admin: &'a Admin, credential: Value) -> Self {
        let reply = open(admin, credential).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let cookie = reply.header("set-cookie").unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
        assert!(pair.starts_with("__Host-portcullis="), "{pair}");
        let cookie = pair.to_owned();
        Self { admin, cookie }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let mut headers = vec![("cookie", self.cookie.as_str())];
        headers.extend_from_slice(more);
        self.admin.ask(request(method, path, &headers, body)).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, &[SAME], None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.ask(method, path, &[SAME], body).await
    }
}

async fn open(admin: &Admin, credential: Value) -> Reply {
    let asked = request(Method::POST, SESSION, &[SAME], Some(credential));
    admin.ask(asked).await
}

async fn owner(admin: &Admin, name: &str) -> String {
    let body = json!({"name": name, "type": "user"});
    let made = admin.call(Method::POST, "/admin/users", body).await;
    made.json["id"].as_str().unwrap().to_owned()
}

async fn key(admin: &Admin, owner: &str) -> String {
    let body = json!({"name": "k", "owner_id": owner});
    let made = admin.call(Method::POST, "/admin/keys", body).await;
    format!("/admin/keys/{}", made.json["key"]["id"].as_str().unwrap())
}

/// The code of a link for this owner.
async fn link(admin: &Admin, owner: &str) -> String {
    let path = format!("/admin/users/{owner}/sign-in");
    let made = admin.call(Method::POST, &path, None).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = made.json["path"].as_str().unwrap();
    path.strip_prefix("/sign-in#").unwrap().to_owned()
}

/// S0-03.
#[tokio::test]
async fn a_token_opens_a_session_that_may_do_what_the_token_may() {
    let admin = Admin::start();
    let nobody = admin.ask(request(Method::GET, SESSION, &[], None)).await;
    assert_eq!(nobody.json, json!({"session": null}));

    let browser = Browser::signed_in(&admin, json!({"token": CONFIGURED})).await;

    let who = browser.get(SESSION).await.json;
    assert_eq!(who["session"]["role"], "admin");
    assert_eq!(who["session"]["owner"], Value::Null);
    let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
    let made = browser.call(Method::POST, "/admin/keys", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let viewer = admin.make_token("viewer", None).await;
    let viewer = Browser::signed_in(&admin, json!({"token": viewer})).await;
    assert_eq!(viewer.get("/admin/keys").await.status, 200);
    let refused = viewer.call(
        Method::POST,
        "/admin/users",
        Some(json!({"name": "a", "type": "user"})),
    );
    assert_eq!(refused.await.problem(), (403, "forbidden"));
}

#[tokio::test]
async fn who_signs_in_and_out_stands_in_the_audit_log() {
    let admin = Admin::start();
    let token = admin.make_token("operator", None).await;
    let browser = Browser::signed_in(&admin, json!({"token": token})).await;
    admin.clock.turn(Duration::from_secs(1));
    browser.call(Method::DELETE, SESSION, None).await;

    let log = admin.get("/admin/audit-logs?type=session").await;
    let entries = log.json["items"].as_array().unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (&entry["changes"][0]["to"], &entry["actor"]["name"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("closed"), &json!("operator")),
            (&json!("opened"), &json!("operator"))
        ]
    );
    assert!(!log.text.contains(&token));
}

#[tokio::test]
async fn what_opens_nothing_opens_no_session() {
    let admin = Admin::start();
    for credential in [
        json!({"token": "wrong"}),
        json!({"token": ""}),
        json!({"code": "wrong"}),
    ] {
        let reply = open(&admin, credential).await;
        assert_eq!(reply.problem(), (401, "unauthenticated"));
        assert_eq!(reply.header("set-cookie"), None);
    }
    for body in [
        json!({}),
        json!({"token": CONFIGURED, "code": "both"}),
        json!({"tokn": "a"}),
    ] {
        assert_eq!(open(&admin, body).await.problem(), (422, "invalid"));
    }
    for cookie in ["__Host-portcullis=made-up", "__Host-portcullis="] {
        let asked = request(
            Method::GET,
            "/admin/keys",
            &[("cookie", cookie), SAME],
            None,
        );
        assert_eq!(admin.ask(asked).await.problem(), (401, "unauthenticated"));
    }
}

#[tokio::test]
async fn many_wrong_tokens_at_the_login_have_to_wait_too() {
    let admin = Admin::start();
    for _ in 0..10 {
        assert_eq!(open(&admin, json!({"token": "wrong"})).await.status, 401);
    }
    let reply = open(&admin, json!({"code": "wrong"})).await;
    assert_eq!(reply.problem(), (429, "too_many_requests"));
    assert_eq!(open(&admin, json!({"token": CONFIGURED})).await.status, 200);
}

/// Cross-site request forgery, and its neighbours on other ports of this machine.
#[tokio::test]
async fn another_page_can_do_nothing_with_a_session_and_open_none() {
    let admin = Admin::start();
    let browser = Browser::signed_in(&admin, json!({"token": CONFIGURED})).await;
    let id = owner(&admin, "Ann").await;
    let path = key(&admin, &id).await;
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "http://localhost"),
        ],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
    ];
    for fields in foreign {
        for (method, path) in [
            (Method::DELETE, path.clone()),
            (Method::POST, format!("{path}/rotate")),
            (Method::POST, format!("/admin/users/{id}/keys/disable")),
            (Method::DELETE, SESSION.to_owned()),
        ] {
            let reply = browser.ask(method, &path, fields, None).await;
            assert_eq!(reply.problem(), (403, "forbidden"), "{fields:?} {path}");
        }
        if !fields.is_empty() {
            let body = Some(json!({"token": CONFIGURED}));
            let reply = admin
                .ask(request(Method::POST, SESSION, fields, body))
                .await;
            assert_eq!(reply.problem(), (403, "forbidden"), "{fields:?}");
            assert_eq!(reply.header("set-cookie"), None);
        }
    }
    let untouched = browser.get(&path).await.json;
    assert_eq!(untouched["status"], "active");
    assert_eq!(untouched["version"], 1);
    let read = browser.ask(
        Method::GET,
        "/admin/keys",
        &[("sec-fetch-site", "same-site")],
        None,
    );
    assert_eq!(read.await.problem(), (403, "forbidden"));

    let own = ("origin", "http://127.0.0.1");
    assert_eq!(
        browser
            .ask(Method::DELETE, &path, &[own], None)
            .await
            .status,
        200
    );
}

/// DNS rebinding: the name of another is sent, whatever address it was made to lead to.
#[tokio::test]
async fn under_a_foreign_name_there_is_no_page_and_no_session() {
    let admin = Admin::start();
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/keys"),
        (Method::POST, SESSION),
    ] {
        let mut asked = request(method, path, &[SAME], Some(json!({"token": CONFIGURED})));
        let host = asked
            .headers_mut()
            .insert("host", "evil.example".parse().unwrap());
        assert!(host.is_some());
        let reply = admin.ask(asked).await;
        assert_eq!(reply.problem(), (421, "misdirected"), "{path}");
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn beside_a_token_a_cookie_says_nothing() {
    let admin = Admin::start();
    let browser = Browser::signed_in(&admin, json!({"token": CONFIGURED})).await;
    let wrong = ("authorization", "Bearer wrong");
    let reply = browser
        .ask(Method::GET, "/admin/keys", &[wrong, SAME], None)
        .await;
    assert_eq!(reply.problem(), (401, "unauthenticated"));

    let viewer = format!("Bearer {}", admin.make_token("viewer", None).await);
    let fields = [("authorization", viewer.as_str())];
    let body = Some(json!({"name": "a", "type": "user"}));
    let reply = browser
        .ask(Method::POST, "/admin/users", &fields, body)
        .await;
    assert_eq!(reply.problem(), (403, "forbidden"));
    // Signing out by a token ends no session.
    browser.ask(Method::DELETE, SESSION, &fields, None).await;
    assert_eq!(browser.get("/admin/keys").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_by_signing_out() {
    let admin = Admin::start();
    let browser = Browser::signed_in(&admin, json!({"token": CONFIGURED})).await;
    let other = Browser::signed_in(&admin, json!({"token": CONFIGURED})).await;

    let out = browser.call(Method::DELETE, SESSION, None).await;

    assert!(out.header("set-cookie").unwrap().ends_with("; Max-Age=0"));
    assert_eq!(
        browser.get("/admin/keys").await.problem(),
        (401, "unauthenticated")
    );
    let who = browser.get(SESSION).await;
    assert_eq!(who.json, json!({"session": null}));
    assert!(who.header("set-cookie").unwrap().ends_with("; Max-Age=0"));
    assert_eq!(other.get("/admin/keys").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_half_an_hour_after_its_last_use() {
    let admin = Admin::start();
    let browser = Browser::signed_in(&admin, json!({"token": CONFIGURED})).await;
    for _ in 0..2 {
        admin.clock.turn(Duration::from_millis(30 * 60_000 - 1));
        assert_eq!(browser.get("/admin/keys").await.status, 200);
    }
    admin.clock.turn(Duration::from_mins(30));
    assert_eq!(
        browser.get("/admin/keys").await.problem(),
        (401, "unauthenticated")
    );
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let admin = Admin::start();
    let body = json!({"name": "t", "role": "operator"});
    let made = admin.call(Method::POST, "/admin/tokens", body).await.json;
    let browser = Browser::signed_in(&admin, json!({"token": made["secret"]})).await;
    assert_eq!(browser.get("/admin/keys").await.status, 200);

    let path = format!("/admin/tokens/{}", made["token"]["id"].as_str().unwrap());
    admin.call(Method::DELETE, &path, None).await;

    assert_eq!(
        browser.get("/admin/keys").await.problem(),
        (401, "unauthenticated")
    );
}

#[tokio::test]
async fn a_session_follows_the_role_of_its_token() {
    let admin = Admin::start();
    let body = json!({"name": "t", "role": "operator"});
    let made = admin.call(Method::POST, "/admin/tokens", body).await.json;
    let browser = Browser::signed_in(&admin, json!({"token": made["secret"]})).await;
    let path = format!("/admin/tokens/{}", made["token"]["id"].as_str().unwrap());
    admin
        .call(Method::PATCH, &path, json!({"role": "viewer"}))
        .await;

    let body = Some(json!({"name": "a", "type": "user"}));
    let reply = browser.call(Method::POST, "/admin/users", body).await;
    assert_eq!(reply.problem(), (403, "forbidden"));
}

/// S2-01, S4-14: an owner sees, rotates and revokes their own keys; the rest does not exist.
#[tokio::test]
async fn an_owner_signs_in_by_a_link_and_sees_their_own_keys_alone() {
    let admin = Admin::start();
    let (ann, bob) = (owner(&admin, "Ann").await, owner(&admin, "Bob").await);
    let (own, other) = (key(&admin, &ann).await, key(&admin, &bob).await);
    let code = link(&admin, &ann).await;

    let browser = Browser::signed_in(&admin, json!({"code": code})).await;

    let who = browser.get(SESSION).await.json;
    assert_eq!(who["session"]["owner"]["name"], "Ann");
    assert_eq!(
        who["session"]["actor"],
        json!({"type": "owner", "id": ann, "name": "Ann"})
    );
    let seen = browser.get("/admin/keys").await.json;
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    let rotated = browser
        .call(Method::POST, &format!("{own}/rotate"), Some(json!({})))
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    assert!(rotated.json["secret"].is_string());
    for (method, path) in [
        (Method::GET, other.clone()),
        (Method::POST, format!("{other}/rotate")),
        (Method::DELETE, other.clone()),
    ] {
        assert_eq!(
            browser.call(method, &path, None).await.problem(),
            (404, "not_found"),
            "{path}"
        );
    }
    for path in [
        "/admin/status",
        "/admin/tokens",
        "/admin/policies",
        "/metrics",
    ] {
        assert_eq!(
            browser.get(path).await.problem(),
            (403, "forbidden"),
            "{path}"
        );
    }
    let again = browser
        .call(Method::POST, &format!("/admin/users/{ann}/sign-in"), None)
        .await;
    assert_eq!(again.problem(), (403, "forbidden"));
    assert_eq!(browser.call(Method::DELETE, &own, None).await.status, 200);
    assert_eq!(admin.get(&other).await.json["status"], "active");

    // S1-09: the owner did it, and the log says so.
    let log = admin.get("/admin/audit-logs?type=key_rotation").await.json;
    assert_eq!(log["items"][0]["actor"]["id"], ann);
}

#[tokio::test]
async fn a_link_works_once_and_for_a_quarter_of_an_hour() {
    let admin = Admin::start();
    let ann = owner(&admin, "Ann").await;
    let (first, second, third) = (
        link(&admin, &ann).await,
        link(&admin, &ann).await,
        link(&admin, &ann).await,
    );
    assert_eq!(open(&admin, json!({"code": first})).await.status, 200);
    assert_eq!(
        open(&admin, json!({"code": first})).await.problem(),
        (401, "unauthenticated")
    );
    admin.clock.turn(Duration::from_millis(15 * 60_000 - 1));
    assert_eq!(open(&admin, json!({"code": second})).await.status, 200);
    admin.clock.turn(Duration::from_millis(1));
    assert_eq!(
        open(&admin, json!({"code": third})).await.problem(),
        (401, "unauthenticated")
    );
    // It is no token.
    let code = link(&admin, &ann).await;
    assert_eq!(
        open(&admin, json!({"token": code})).await.problem(),
        (401, "unauthenticated")
    );
}

/// S3-10: what an owner holds who is switched off ends, and letting them back in brings nothing back.
#[tokio::test]
async fn the_sessions_and_links_of_an_owner_end_with_them() {
    let admin = Admin::start();
    let ann = owner(&admin, "Ann").await;
    let browser = Browser::signed_in(&admin, json!({"code": link(&admin, &ann).await})).await;
    let unused = link(&admin, &ann).await;

    let path = format!("/admin/users/{ann}/keys/disable");
    admin.call(Method::POST, &path, json!({})).await;

    assert_eq!(
        browser.get("/admin/keys").await.problem(),
        (401, "unauthenticated")
    );
    let path = format!("/admin/users/{ann}/sign-in");
    let refused = admin.call(Method::POST, &path, None).await;
    assert_eq!(refused.problem(), (409, "owner_disabled"));

    let back = admin
        .call(
            Method::PATCH,
            &format!("/admin/users/{ann}"),
            json!({"disabled": false}),
        )
        .await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(
        browser.get("/admin/keys").await.problem(),
        (401, "unauthenticated")
    );
    assert_eq!(
        open(&admin, json!({"code": unused})).await.problem(),
        (401, "unauthenticated")
    );
    let anew = Browser::signed_in(&admin, json!({"code": link(&admin, &ann).await})).await;
    assert_eq!(anew.get("/admin/keys").await.status, 200);
}
