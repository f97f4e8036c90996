//! What the admin API says when the store does not do its part.

use std::sync::Arc;

use http::Method;
use portcullis::domain::key::Standing;
use portcullis::store::StoreError;
use serde_json::json;

use crate::admin::harness::{Admin, Setup, request};
use crate::admin::shaken::{Shake, Shaken};

fn shaken(shakes: Vec<Shake>) -> Admin {
    Admin::over(Setup::default(), |store| {
        Arc::new(Shaken::new(store, shakes))
    })
}

fn overtaken(times: usize) -> Vec<Shake> {
    (0..times).map(|_| Shake::Overtaken).collect()
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_as_such_and_nothing_is_made() {
    for (error, problem) in [
        (
            StoreError::unavailable("no route"),
            (503, "store_unavailable"),
        ),
        (
            StoreError::Full {
                source: "no space".into(),
            },
            (507, "store_full"),
        ),
        (
            StoreError::Unusable {
                place: "here".into(),
                reason: "broken".into(),
            },
            (503, "store_unavailable"),
        ),
        (
            StoreError::Corrupt {
                table: "keys",
                key: "broken".into(),
                source: "no route".into(),
            },
            (503, "internal"),
        ),
    ] {
        let admin = shaken(vec![Shake::Fails(error)]);
        let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
        let reply = admin.call(Method::POST, "/admin/keys", body).await;
        assert_eq!(reply.problem(), problem);
        assert!(!reply.text.contains("no route") && !reply.text.contains("broken"));
        assert!(admin.get("/admin/keys").await.names().is_empty());
        assert!(admin.get("/admin/users").await.names().is_empty());
        admin.make_key("next").await;
    }
}

#[tokio::test]
async fn a_secret_that_another_key_has_is_a_conflict() {
    let error = StoreError::DuplicateHash {
        key: "key_0000000000".parse().unwrap(),
    };
    let admin = shaken(vec![Shake::Fails(error)]);
    let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
    let reply = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(reply.problem(), (409, "duplicate_secret"));
    assert!(
        !reply.text.contains("key_0000000000"),
        "nor does it say whose"
    );
}

#[tokio::test]
async fn seven_lost_races_are_run_again_and_the_eighth_is_given_up() {
    let admin = shaken(overtaken(7));
    admin.make_key("k").await;
    assert_eq!(admin.store.revision().await.unwrap().0, 8);
    assert_eq!(admin.get("/admin/keys").await.names(), ["k"]);

    let admin = shaken(overtaken(8));
    let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
    let reply = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(reply.problem(), (503, "store_unavailable"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(admin.get("/admin/keys").await.names().is_empty());
}

#[tokio::test]
async fn changes_of_one_gate_do_not_overtake_each_other() {
    let admin = Admin::start();
    let made = futures_util::future::join_all((0..20).map(|n| {
        let admin = &admin;
        async move { admin.make_key(&format!("k{n}")).await }
    }));
    assert_eq!(made.await.len(), 20);
    assert_eq!(admin.store.revision().await.unwrap().0, 20);
    assert_eq!(
        admin.get("/admin/users").await.names(),
        ["Billing"],
        "made once"
    );
}

#[tokio::test]
async fn a_change_that_this_gate_does_not_act_on_is_not_called_done() {
    let admin = Admin::with(Setup {
        follows: false,
        ..Setup::default()
    });
    let body = json!({"name": "k", "owner": {"name": "Billing", "type": "team"}});
    let reply = admin.call(Method::POST, "/admin/keys", body).await;
    assert_eq!(reply.problem(), (503, "internal"));
    assert_eq!(
        admin.get("/admin/keys").await.names(),
        ["k"],
        "it is stored"
    );
}

#[tokio::test]
async fn a_panic_ends_its_call_and_nothing_else() {
    let admin = Admin::with(Setup {
        panics: true,
        ..Setup::default()
    });
    let reply = admin.ask(request(Method::GET, "/readyz", &[], None)).await;
    assert_eq!(reply.problem(), (503, "internal"));
    assert!(!reply.text.contains("as the test wants it"));
    assert_eq!(admin.get("/admin/keys").await.status, 200);
}

/// Nothing but the key itself may keep one from being revoked, nor its reader from learning that it is: not
/// its owner, its counts or the rules.
// S3-01
#[tokio::test]
async fn a_key_is_revoked_whatever_else_of_it_cannot_be_read() {
    for damage in [
        "UPDATE owners SET record = x'00'",
        "DROP TABLE last_used",
        "DROP TABLE rules",
    ] {
        let (admin, sql) = Admin::in_file();
        let made = admin.make_key("k").await;
        let path = format!("/admin/keys/{}", made["key"]["id"].as_str().unwrap());
        sql.execute_batch(damage).unwrap();
        for (method, path) in [
            (Method::POST, format!("{path}/suspend")),
            (Method::POST, format!("{path}/resume")),
            (Method::DELETE, path.clone()),
        ] {
            let reply = admin.call(method, &path, None).await;
            assert_eq!(reply.status, 200, "{damage}: {}", reply.text);
        }
        let id = made["key"]["id"].as_str().unwrap().parse().unwrap();
        let key = admin.store.key(id).await.unwrap().unwrap();
        assert!(matches!(key.standing, Standing::Revoked { .. }), "{damage}");
    }
}
