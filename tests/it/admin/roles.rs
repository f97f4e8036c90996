//! Who may call what: every call there is, by everyone who might.

use http::Method;
use portcullis::admin::{Needs, Reach, calls};
use portcullis::domain::token::Role;
use serde_json::{Value, json};

use crate::admin::harness::{Admin, Setup, request};

/// What a browser says of a call by the page it has from there.
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

/// The table as it is meant to be; the one in the code is to be changed only together with this one.
const TABLE: [(&str, &str, &str); 52] = [
    ("POST", "/admin/keys", "operator"),
    ("GET", "/admin/keys", "viewer"),
    ("POST", "/admin/keys/import", "operator of all"),
    ("GET", "/admin/keys/rotation", "viewer of all"),
    ("POST", "/admin/keys/rotation/enable", "admin of all"),
    ("POST", "/admin/keys/rotation/disable", "admin of all"),
    ("GET", "/admin/keys/{key_id}", "viewer"),
    ("PATCH", "/admin/keys/{key_id}", "operator"),
    ("DELETE", "/admin/keys/{key_id}", "operator"),
    ("POST", "/admin/keys/{key_id}/suspend", "operator"),
    ("POST", "/admin/keys/{key_id}/resume", "operator"),
    ("POST", "/admin/keys/{key_id}/rotate", "operator"),
    (
        "DELETE",
        "/admin/keys/{key_id}/versions/{number}",
        "operator",
    ),
    ("POST", "/admin/keys/{key_id}/test", "viewer"),
    ("GET", "/admin/keys/{key_id}/usage", "viewer"),
    ("POST", "/admin/users", "operator of all"),
    ("GET", "/admin/users", "viewer"),
    ("GET", "/admin/users/{user_id}", "viewer"),
    ("PATCH", "/admin/users/{user_id}", "operator of all"),
    ("DELETE", "/admin/users/{user_id}", "admin of all"),
    (
        "POST",
        "/admin/users/{user_id}/keys/disable",
        "operator of all",
    ),
    ("POST", "/admin/users/{user_id}/sign-in", "operator of all"),
    ("GET", "/admin/session", "nobody"),
    ("POST", "/admin/session", "nobody"),
    ("DELETE", "/admin/session", "viewer"),
    ("POST", "/admin/tokens", "admin of all"),
    ("GET", "/admin/tokens", "admin of all"),
    ("PATCH", "/admin/tokens/{token_id}", "admin of all"),
    ("DELETE", "/admin/tokens/{token_id}", "admin of all"),
    ("POST", "/admin/products", "admin of all"),
    ("GET", "/admin/products", "viewer"),
    ("GET", "/admin/products/{product}", "viewer"),
    ("PATCH", "/admin/products/{product}", "admin of all"),
    ("DELETE", "/admin/products/{product}", "admin of all"),
    ("POST", "/admin/policies", "admin of all"),
    ("GET", "/admin/policies", "viewer of all"),
    ("POST", "/admin/policies/preview", "viewer of all"),
    ("GET", "/admin/policies/{policy_id}", "viewer of all"),
    ("PATCH", "/admin/policies/{policy_id}", "admin of all"),
    ("DELETE", "/admin/policies/{policy_id}", "admin of all"),
    ("GET", "/admin/audit-logs", "viewer"),
    ("GET", "/admin/audit-logs/verify", "viewer of all"),
    ("GET", "/admin/usage/summary", "viewer of all"),
    ("GET", "/admin/reports/access-review", "viewer"),
    ("GET", "/admin/live", "viewer"),
    ("GET", "/admin/nodes", "viewer of all"),
    ("DELETE", "/admin/nodes/{node}", "admin of all"),
    ("GET", "/admin/status", "viewer of all"),
    ("GET", "/metrics", "viewer of all"),
    ("GET", "/openapi.json", "nobody"),
    ("GET", "/healthz", "nobody"),
    ("GET", "/readyz", "nobody"),
];

#[test]
fn every_call_needs_what_it_is_meant_to_need() {
    let calls = calls();
    let told: Vec<(&str, &str, String)> = calls
        .iter()
        .map(|call| {
            let needs = match call.needs {
                Needs::Nothing => "nobody".into(),
                Needs::Metrics => "viewer of all".into(),
                Needs::Role(role, Reach::Owned) => role.as_str().into(),
                Needs::Role(role, Reach::Gate) => format!("{} of all", role.as_str()),
            };
            (call.method.as_str(), call.path, needs)
        })
        .collect();
    let meant = TABLE.map(|(method, path, needs)| (method, path, needs.to_owned()));
    assert_eq!(told, meant);
}

/// Somebody who calls, and what they may.
struct Somebody {
    what: String,
    role: Role,
    is_bound: bool,
    /// How they say who they are.
    shown: Shown,
}

enum Shown {
    Token(String),
    /// A session that this opens; signing out ends it, so each call has its own.
    Session(Value),
    /// A session by a link, which is made anew for each.
    Link(String),
}

impl Somebody {
    /// The header fields of a call, which are those of the dashboard's page where a session makes it.
    async fn fields(&self, admin: &Admin) -> Vec<(&'static str, String)> {
        let credential = match &self.shown {
            Shown::Token(token) => return vec![("authorization", format!("Bearer {token}"))],
            Shown::Session(credential) => credential.clone(),
            Shown::Link(owner) => {
                let path = format!("/admin/users/{owner}/sign-in");
                let link = admin.call(Method::POST, &path, None).await;
                let path = link.json["path"].as_str().unwrap();
                json!({"code": path.strip_prefix("/sign-in#").unwrap()})
            }
        };
        let opened = request(Method::POST, "/admin/session", &[SAME], Some(credential));
        let opened = admin.ask(opened).await;
        assert_eq!(opened.status, 200, "{}", opened.text);
        let cookie = opened.header("set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        vec![("cookie", cookie), (SAME.0, SAME.1.to_owned())]
    }

    /// By the router's own table.
    fn may(&self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Metrics => !self.is_bound,
            Needs::Role(needed, Reach::Owned) => self.role >= needed,
            Needs::Role(needed, Reach::Gate) => self.role >= needed && !self.is_bound,
        }
    }
}

/// Each role, for all and bound to an owner, by a token and by a session of it; and an owner by a link.
async fn everybody(admin: &Admin) -> Vec<Somebody> {
    let owner = admin.make_key("k").await["key"]["owner"]["id"].clone();
    let owner = owner.as_str().unwrap();
    let mut everybody = vec![Somebody {
        what: "an owner by a link".into(),
        role: Role::Operator,
        is_bound: true,
        shown: Shown::Link(owner.to_owned()),
    }];
    for bound_to in [None, Some(owner)] {
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            let token = admin.make_token(role.as_str(), bound_to).await;
            let session = json!({"token": token});
            let shown = [Shown::Token(token), Shown::Session(session)];
            everybody.extend(shown.map(|shown| Somebody {
                what: format!(
                    "{} bound to {bound_to:?} by a {}",
                    role.as_str(),
                    if matches!(shown, Shown::Token(_)) {
                        "token"
                    } else {
                        "session"
                    }
                ),
                role,
                is_bound: bound_to.is_some(),
                shown,
            }));
        }
    }
    everybody
}

/// A path that names nothing there is.
fn somewhere(path: &str) -> String {
    let path = path.replace("{key_id}", "key_0000000000");
    let path = path.replace("{user_id}", "usr_0000000000");
    let path = path.replace("{token_id}", "tok_0000000000");
    let path = path.replace("{policy_id}", "pol_0000000000");
    path.replace("{number}", "1")
        .replace("{node}", "gate-9")
        .replace("{product}", "none")
}

/// The whole matrix, of the one table that the router and the document are made of. S0-12, S4-14.
#[tokio::test]
async fn every_role_gets_through_to_its_calls_and_to_no_others() {
    let admin = Admin::start();
    let mut refused = 0;
    for somebody in everybody(&admin).await {
        for call in calls() {
            let fields = somebody.fields(&admin).await;
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let path = somewhere(call.path);
            let asked = request(call.method.clone(), &path, &fields, None);
            let what = format!("{}: {} {path}", somebody.what, call.method);
            if somebody.may(call.needs) {
                // Of a stream that stays open, the head is enough.
                let status = admin.send(asked).await.status().as_u16();
                assert!(![401, 403].contains(&status), "{what}: {status}");
            } else {
                assert_eq!(
                    admin.ask(asked).await.problem(),
                    (403, "forbidden"),
                    "{what}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[tokio::test]
async fn nobody_gets_through_without_a_token_that_is_good() {
    let admin = Admin::start();
    let ended = admin.make_token("admin", None).await;
    let tokens = admin.get("/admin/tokens").await.json;
    let id = tokens["items"][0]["id"].as_str().unwrap();
    let revoked = admin
        .call(Method::DELETE, &format!("/admin/tokens/{id}"), None)
        .await;
    assert_eq!(revoked.status, 200);
    let ended = format!("Bearer {ended}");
    for call in calls() {
        let path = somewhere(call.path);
        let what = format!("{} {path}", call.method);
        let reply = admin
            .ask(request(call.method.clone(), &path, &[], None))
            .await;
        if call.method == Method::POST && path == "/admin/session" {
            // Signing in needs nothing but what is shown there, and nothing was.
            assert_eq!(reply.problem(), (415, "unsupported_media_type"));
        } else if call.needs == Needs::Nothing {
            assert_eq!(reply.status, 200, "{what}");
        } else {
            assert_eq!(reply.problem(), (401, "unauthenticated"), "{what}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            let stale = [("cookie", "__Host-portcullis=gone"), SAME];
            let shown = [("authorization", ended.as_str())];
            for fields in [&stale[..], &shown[..]] {
                let asked = request(call.method.clone(), &path, fields, None);
                let reply = admin.ask(asked).await;
                // Many wrong tokens of one address are told to wait, which is no way in either.
                let (status, _) = reply.problem();
                assert!([401, 429].contains(&status), "{what}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn metrics_are_open_where_the_configuration_says_so() {
    let open = Admin::with(Setup {
        open_metrics: true,
        ..Setup::default()
    });
    let reply = open.ask(request(Method::GET, "/metrics", &[], None)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
}

#[tokio::test]
async fn to_a_bound_token_only_its_owner_exists() {
    let admin = Admin::start();
    let theirs = admin.make_key("theirs").await;
    let body = json!({"name": "mine", "owner": {"name": "Me", "type": "user"}});
    let mine = admin.call(Method::POST, "/admin/keys", body).await.json;
    let my_id = mine["key"]["owner"]["id"].as_str().unwrap();
    let their_id = theirs["key"]["owner"]["id"].as_str().unwrap();
    let token = admin.make_token("operator", Some(my_id)).await;
    let call = async |method, path: &str, body| admin.call_as(&token, method, path, body).await;

    let path = format!("/admin/keys/{}", theirs["key"]["id"].as_str().unwrap());
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/suspend")),
        (Method::POST, format!("{path}/rotate")),
        (Method::DELETE, format!("{path}/versions/1")),
        (Method::GET, format!("{path}/usage")),
        (Method::GET, format!("/admin/users/{their_id}")),
    ] {
        let reply = call(method, &path, None).await;
        assert_eq!(reply.problem(), (404, "not_found"), "{path}");
    }
    assert_eq!(
        call(Method::GET, "/admin/keys", None).await.names(),
        ["mine"]
    );
    let asked = format!("/admin/keys?owner={their_id}");
    assert!(call(Method::GET, &asked, None).await.names().is_empty());
    assert_eq!(
        call(Method::GET, "/admin/users", None).await.names(),
        ["Me"]
    );

    for owner in [
        json!({"name": "x", "owner_id": their_id}),
        json!({"name": "x", "owner": {"name": "Billing", "type": "team"}}),
        json!({"name": "x", "owner": {"name": "Nobody yet", "type": "team"}}),
    ] {
        let reply = call(Method::POST, "/admin/keys", Some(owner)).await;
        assert_eq!(reply.problem(), (422, "invalid"));
    }
    let own = json!({"name": "x", "owner_id": my_id});
    assert_eq!(
        call(Method::POST, "/admin/keys", Some(own)).await.status,
        201
    );
    let status = admin.get(&path).await.json["status"].clone();
    assert_eq!(
        status, "active",
        "nothing was done to the other owner's key"
    );
}
