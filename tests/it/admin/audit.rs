//! The audit log through the admin API: listed, filtered, exported and verified.

use std::sync::Arc;

use http::Method;
use portcullis::domain::audit::chain::Head;
use portcullis::domain::audit::verify::{Link, Walk};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::admin::harness::{Admin, Reply, Setup};
use crate::admin::shaken::{Shaken, SlowWalk};

fn key_of(made: &Value) -> &str {
    made["key"]["id"].as_str().unwrap()
}

fn types(reply: &Reply) -> Vec<&str> {
    let items = reply.json["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect()
}

async fn some_history(admin: &Admin) -> Value {
    let made = admin.make_key("k").await;
    let path = format!("/admin/keys/{}", key_of(&made));
    for (method, path) in [
        (Method::POST, format!("{path}/suspend")),
        (Method::POST, format!("{path}/resume")),
        (Method::DELETE, format!("{path}?reason=left")),
    ] {
        let reply = admin.call(method, &path, None).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    made
}

/// S4-08, S3-08: who, what, when and why, the newest first; both ends of a span of days belong to it.
#[tokio::test]
async fn what_was_done_is_listed_the_newest_first() {
    let admin = Admin::start();
    let made = some_history(&admin).await;
    let all = admin.get("/admin/audit-logs").await;
    let mut told = types(&all);
    assert_eq!(told.len(), 5);
    // All in one millisecond here, so in no order that means anything.
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "key_creation",
            "key_resumption",
            "key_revocation",
            "key_suspension",
            "owner_creation"
        ]
    );
    let revoked = admin.get("/admin/audit-logs?type=key_revocation").await;
    let entry = &revoked.json["items"][0];
    assert_eq!(entry["reason"], "left");
    assert_eq!(entry["key_id"], made["key"]["id"]);
    assert_eq!(entry["actor"]["id"], "tok_config");
    assert_eq!(entry["changes"][0]["to"], "revoked");

    for (query, count) in [
        ("start_date=2026-01-01&end_date=2026-01-01", 5),
        ("start_date=2026-01-02", 0),
        ("end_date=2025-12-31", 0),
        ("end_date=2026-01-01T00:00:00Z", 5),
        ("end_date=2025-12-31T23:59:59.999Z", 0),
        ("start_date=2026-01-01T00:00:00Z", 5),
        ("outcome=refused", 0),
        ("actor=tok_config", 5),
        ("actor=nobody", 0),
        ("type=request", 0),
        (&format!("key_id={}", key_of(&made)), 4),
        ("key_id=key_0000000000", 0),
    ] {
        let reply = admin.get(&format!("/admin/audit-logs?{query}")).await;
        assert_eq!(types(&reply).len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_meant_is_refused_by_its_parameter() {
    let admin = Admin::start();
    for query in [
        "type=key_destruction",
        "key_id=usr_0000000000",
        "key_version=70000",
        "owner=me",
        "start_date=yesterday",
        "end_date=2026-02-30",
        "outcome=perhaps",
        "format=xml",
        "since=2026-01-01",
    ] {
        let reply = admin.get(&format!("/admin/audit-logs?{query}")).await;
        assert_eq!(reply.problem(), (400, "bad_request"), "{query}");
        let (name, _) = query.split_once('=').unwrap();
        assert_eq!(reply.pointers(), [name]);
    }
}

#[tokio::test]
async fn pages_divide_the_list_and_a_cursor_belongs_to_its_query() {
    let admin = Admin::start();
    some_history(&admin).await;
    let whole = admin.get("/admin/audit-logs").await.json["items"].clone();
    let (mut parts, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = admin
            .get(&format!("/admin/audit-logs?limit=2&cursor={cursor}"))
            .await;
        parts.extend(reply.json["items"].as_array().unwrap().clone());
        match reply.json["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(Value::from(parts), whole);
    let reply = admin
        .get(&format!("/admin/audit-logs?type=session&cursor={cursor}"))
        .await;
    assert_eq!(reply.problem(), (400, "bad_cursor"));
}

/// S4-16: whoever has the export alone can tell that nothing in it was altered.
#[tokio::test]
async fn ndjson_verifies_by_itself_and_csv_has_a_line_an_entry() {
    let admin = Admin::start();
    some_history(&admin).await;
    let (mut lines, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = admin
            .get(&format!(
                "/admin/audit-logs?format=ndjson&limit=2&cursor={cursor}"
            ))
            .await;
        assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
        lines.extend(reply.text.lines().map(str::to_owned));
        match reply.header("x-next-cursor") {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let mut links: Vec<Link> = lines
        .iter()
        .map(|line| Link::of_line(line).unwrap())
        .collect();
    links.sort_by_key(|link| link.at.seq);
    let mut walk = Walk::new(Head::default(), []);
    links.into_iter().for_each(|link| walk.pass(link));
    let verdict = walk.end();
    assert_eq!((verdict.entries, verdict.fault), (5, None));

    let reply = admin.get("/admin/audit-logs?format=csv&limit=3").await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    let mut lines = reply.text.split_terminator("\r\n");
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("id,seq,timestamp,type,outcome,code,actor.type,")
    );
    assert_eq!(lines.count(), 3);
    let cursor = reply.header("x-next-cursor").unwrap();
    let rest = admin
        .get(&format!(
            "/admin/audit-logs?format=csv&limit=3&cursor={cursor}"
        ))
        .await;
    assert_eq!(rest.text.split_terminator("\r\n").count(), 2);
    assert_eq!(rest.header("x-next-cursor"), None);
}

#[tokio::test]
async fn the_chain_is_verified_where_it_lies() {
    let (admin, sql) = Admin::in_file();
    some_history(&admin).await;
    let reply = admin.get("/admin/audit-logs/verify").await;
    assert_eq!(
        reply.json,
        json!({"valid": true, "entries": 5, "last": 5, "fault": null, "signers": []})
    );
    sql.execute("DELETE FROM audit WHERE seq = 3", []).unwrap();
    let reply = admin.get("/admin/audit-logs/verify").await;
    assert_eq!(
        reply.json,
        json!({"valid": false, "entries": 4, "last": 5,
               "fault": {"seq": 3, "kind": "removed"}, "signers": []})
    );
}

/// S0-12, S4-14
#[tokio::test]
async fn a_bound_token_sees_its_owners_entries_only() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let owner = made["key"]["owner"]["id"].as_str().unwrap();
    let body = json!({"name": "other", "owner": {"name": "Other", "type": "team"}});
    let other = admin.call(Method::POST, "/admin/keys", body).await.json;
    let bound = admin.make_token("viewer", Some(owner)).await;
    let get = async |path: &str| admin.call_as(&bound, Method::GET, path, None).await;
    let reply = get("/admin/audit-logs").await;
    let items = reply.json["items"].as_array().unwrap();
    assert!(items.len() >= 2, "{}", reply.text);
    assert!(
        items.iter().all(|item| item["owner_id"] == owner),
        "{}",
        reply.text
    );
    let others = other["key"]["owner"]["id"].as_str().unwrap();
    assert!(types(&get(&format!("/admin/audit-logs?owner={others}")).await).is_empty());
    assert!(types(&get(&format!("/admin/audit-logs?key_id={}", key_of(&other))).await).is_empty());
    assert_eq!(
        get("/admin/audit-logs/verify").await.problem(),
        (403, "forbidden")
    );
}

/// S4-08, S1-13: a try that was refused was someone's action, too.
#[tokio::test]
async fn what_is_refused_to_someone_known_is_written_down() {
    let admin = Admin::start();
    let made = admin.make_key("k").await;
    let path = format!("/admin/keys/{}", key_of(&made));
    let viewer = admin.make_token("viewer", None).await;
    for (token, method, path, code) in [
        (Some(&viewer), Method::DELETE, path.as_str(), "forbidden"),
        (None, Method::PATCH, path.as_str(), "invalid"),
        (
            None,
            Method::DELETE,
            "/admin/keys/key_0000000000",
            "not_found",
        ),
        // Neither of these is an attempt: the one reads, the other is nobody's.
        (Some(&viewer), Method::GET, "/admin/tokens", "forbidden"),
        (
            Some(&"nobody".to_owned()),
            Method::DELETE,
            path.as_str(),
            "unauthenticated",
        ),
    ] {
        let body = (method == Method::PATCH).then(|| json!({"name": ""}));
        let reply = match token {
            Some(token) => admin.call_as(token, method, path, body).await,
            None => admin.call(method, path, body).await,
        };
        assert_eq!(reply.problem().1, code);
    }
    let log = admin.get("/admin/audit-logs?outcome=refused").await;
    let told = log.json["items"].as_array().unwrap();
    let mut told: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap();
            (text("type"), text("code"), text("key_id"))
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("key_revocation", "forbidden", key_of(&made)),
            ("key_revocation", "not_found", "key_0000000000"),
            ("key_update", "invalid", key_of(&made)),
        ]
    );
    let verdict = admin.get("/admin/audit-logs/verify").await;
    assert_eq!(verdict.json["valid"], true);
}

#[tokio::test]
async fn refusals_without_end_do_not_fill_the_log() {
    let admin = Admin::start();
    for _ in 0..130 {
        let reply = admin
            .call(Method::DELETE, "/admin/keys/key_0000000000", None)
            .await;
        assert_eq!(reply.problem(), (404, "not_found"));
    }
    let log = admin
        .get("/admin/audit-logs?outcome=refused&limit=1000")
        .await;
    assert_eq!(types(&log).len(), 100);
}

/// S4-08: what cannot be written down is not done, and is not done later either.
#[tokio::test]
async fn a_change_that_cannot_be_written_down_in_time_is_refused_and_not_in_force() {
    let (admin, sql) = Admin::in_file();
    admin.make_key("before").await;
    sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"name": "stalled", "owner": {"name": "Billing", "type": "team"}});

    let reply = admin.call(Method::POST, "/admin/keys", body).await;

    assert_eq!(reply.problem(), (503, "store_unavailable"));
    sql.execute_batch("ROLLBACK").unwrap();
    admin.make_key("after").await;
    let keys = admin.get("/admin/keys?sort=name").await;
    assert_eq!(keys.names(), ["after", "before"]);
    let log = admin.get("/admin/audit-logs?type=key_creation").await;
    assert_eq!(types(&log).len(), 2);
    let verdict = admin.get("/admin/audit-logs/verify").await;
    assert_eq!(verdict.json["valid"], true);
}

/// S4-16: whoever alters a row so that it cannot even be read is told of by name, and hides no other entry.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_hides_no_other() {
    for (altered, listed) in [
        ("version = 70000", 5),
        ("type = CAST(x'6bff' AS TEXT)", 5),
        ("actor = CAST(x'ff' AS TEXT)", 5),
        ("code = CAST(x'ff' AS TEXT)", 5),
        ("id = CAST(x'617564ff' AS TEXT)", 5),
        ("hash = x'00'", 4),
        ("body = x'00'", 4),
        ("veil = x'00'", 4),
    ] {
        let (admin, sql) = Admin::in_file();
        some_history(&admin).await;
        sql.execute(&format!("UPDATE audit SET {altered} WHERE seq = 3"), [])
            .unwrap();
        let reply = admin.get("/admin/audit-logs/verify").await;
        assert_eq!(reply.status, 200, "{altered}: {}", reply.text);
        let fault = json!({"seq": 3, "kind": "changed"});
        assert_eq!(reply.json["fault"], fault, "{altered}");
        let whole = admin.get("/admin/audit-logs").await;
        assert_eq!(types(&whole).len(), listed, "{altered}");
        // A page of one ends the list no sooner. (Where an id breaks off, what was written in the same
        // millisecond may be passed over from page to page; here that is everything.)
        let (mut found, mut cursor, mut pages) = (0, String::new(), 0);
        loop {
            let page = format!("/admin/audit-logs?limit=1&cursor={cursor}");
            let reply = admin.get(&page).await;
            found += types(&reply).len();
            pages += 1;
            assert!(pages <= 5, "{altered}");
            match reply.json["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert!(
            found == listed || altered.starts_with("id"),
            "{altered}: {found}"
        );
        assert!(admin.store.contact().is_up, "{altered}");
        admin.make_key("after").await;
    }
}

/// S4-08: a change whose entry would take the place of another is not made, rather than made untold.
#[tokio::test]
async fn a_change_whose_audit_entry_has_no_place_is_not_made() {
    let (admin, sql) = Admin::in_file();
    admin.make_key("before").await;
    sql.execute(
        "UPDATE meta SET value = zeroblob(40) WHERE name = 'audit_head'",
        [],
    )
    .unwrap();
    let body = json!({"name": "untold", "owner": {"name": "Other", "type": "team"}});

    let reply = admin.call(Method::POST, "/admin/keys", body).await;

    assert_eq!(reply.problem(), (503, "internal"));
    assert_eq!(admin.get("/admin/keys").await.names(), ["before"]);
    assert_eq!(admin.get("/admin/users").await.names(), ["Billing"]);
}

/// A walk keeps one of the store's few readers, which changes need too.
#[tokio::test]
async fn the_chain_is_walked_for_one_caller_at_a_time() {
    let slow = SlowWalk {
        begun: Arc::new(Notify::new()),
        go: Arc::new(Semaphore::new(0)),
    };
    let admin = Admin::over(Setup::default(), |store| {
        Arc::new(Shaken::walking_slowly(store, slow.clone()))
    });
    let path = "/admin/audit-logs/verify";
    {
        let mut first = Box::pin(admin.get(path));
        tokio::select! {
            reply = &mut first => panic!("{}", reply.text),
            () = slow.begun.notified() => {}
        }
        let second = admin.get(path).await;
        assert_eq!(second.problem(), (429, "too_many_requests"));
        assert!(second.header("retry-after").is_some());
        // Meanwhile keys are made and ended.
        some_history(&admin).await;
    }
    // The first caller is gone, but its walk still reads: the next one waits for it, then walks itself.
    let mut third = Box::pin(admin.get(path));
    tokio::select! {
        biased;
        reply = &mut third => panic!("{}", reply.text),
        () = std::future::ready(()) => {}
    }
    slow.go.add_permits(2);
    let reply = third.await;
    assert_eq!(reply.json["entries"], 5, "{}", reply.text);
    assert_eq!(slow.go.available_permits(), 0);
}
