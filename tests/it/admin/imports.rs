//! Taking over secrets there are already.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request};
use portcullis::domain::change::Revision;
use portcullis::store::{News, StoreError};
use serde_json::{Value, json};

use crate::admin::harness::{Admin, Reply, Setup, bearer};
use crate::admin::shaken::{Shake, Shaken};

async fn send(admin: &Admin, query: &str, body: impl Into<Body>) -> Reply {
    let (name, token) = bearer();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/admin/keys/import{query}"))
        .header("host", "127.0.0.1")
        .header(name, token)
        .header("content-type", "application/x-ndjson")
        .body(body.into())
        .unwrap();
    admin.ask(request).await
}

async fn import(admin: &Admin, query: &str, text: &str) -> Vec<Value> {
    let reply = send(admin, query, text.to_owned()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let lines = reply.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn line(name: &str, secret: &str) -> String {
    let owner = json!({"name": "Billing", "type": "team"});
    format!(
        "{}\n",
        json!({"name": name, "owner": owner, "secret": secret})
    )
}

#[tokio::test]
async fn each_line_is_done_or_told_why_not_and_the_others_are_made() {
    let admin = Admin::start();
    let long = "x".repeat(513);
    let owner = json!({"name": "Billing", "type": "team"});
    let text = [
        line("first", "canary-number-one"),
        "\n".to_owned(),
        line("twin", "canary-number-one"),
        line("second", "canary-number-two"),
        "canary no json\n".to_owned(),
        line("blank", "canary with blanks"),
        line("comma", "canary,with,commas"),
        line("long", &long),
        // Our own form with a wrong checksum would be refused unseen.
        line(
            "mistyped",
            "pk_live_3fXk29QmZa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaAAAAAA",
        ),
        format!("{}\n", json!({"name": "none", "owner": owner})),
        format!(
            "{}\n",
            json!({"name": "both", "owner": owner, "secret": "a", "sha256": "b"})
        ),
        format!(
            "{}\n",
            json!({"name": "short", "owner": owner, "sha256": "canary"})
        ),
        format!(
            "{}\n",
            json!({"name": "field", "owner": owner, "secret": "canary-number-three", "colour": 1})
        ),
        format!(
            "{}\n",
            json!({"name": "scope", "owner": owner, "secret": "canary-number-four", "scopes": ["zz"]})
        ),
        json!({"name": "last", "owner": owner, "sha256": "ab".repeat(32)}).to_string(),
    ]
    .concat();

    let told = import(&admin, "", &text).await;

    let short: Vec<(u64, &str, Vec<&str>)> = told
        .iter()
        .map(|line| {
            let errors = line["errors"].as_array().unwrap().iter();
            let pointers = errors.map(|error| error["pointer"].as_str().unwrap());
            let word = line["code"].as_str().or(line["outcome"].as_str());
            (
                line["line"].as_u64().unwrap(),
                word.unwrap(),
                pointers.collect(),
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            (1, "done", vec![]),
            (3, "duplicate_secret", vec![]),
            (4, "done", vec![]),
            (5, "invalid", vec![""]),
            (6, "invalid", vec!["/secret"]),
            (7, "invalid", vec!["/secret"]),
            (8, "invalid", vec!["/secret"]),
            (9, "invalid", vec!["/secret"]),
            (10, "invalid", vec!["/secret"]),
            (11, "invalid", vec!["/sha256"]),
            (12, "invalid", vec!["/sha256"]),
            (13, "invalid", vec!["/colour"]),
            (14, "invalid", vec!["/scopes/0"]),
            (15, "done", vec![]),
        ]
    );
    let said = serde_json::to_string(&told).unwrap();
    assert!(!said.contains("canary"), "no secret is told: {said}");
    let names = admin.get("/admin/keys?sort=name").await;
    assert_eq!(names.names(), ["first", "last", "second"]);
    assert_eq!(
        told[0]["fingerprint"],
        names.json["items"][0]["fingerprint"]
    );
    assert_eq!(
        admin.get("/admin/users").await.names(),
        ["Billing"],
        "made once"
    );

    // One change, with an entry for each.
    let News::Changes(changes) = admin.store.since(Revision(0), 10).await.unwrap() else {
        panic!("the feed is gone");
    };
    let entries = changes.iter().flat_map(|(_, change)| &change.audit);
    let kinds: Vec<_> = entries.map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        kinds,
        ["owner_creation", "key_import", "key_import", "key_import"]
    );
}

#[tokio::test]
async fn a_secret_that_no_header_could_carry_is_not_taken_over() {
    let admin = Admin::start();
    for (length, is_taken) in [(0, false), (1, true), (512, true), (513, false)] {
        let told = import(&admin, "", &line("k", &"x".repeat(length))).await;
        if is_taken {
            assert_eq!(told[0]["outcome"], "done", "{length}");
        } else {
            assert_eq!(told[0]["code"], "invalid", "{length}");
            assert_eq!(told[0]["errors"][0]["pointer"], "/secret", "{length}");
        }
    }
    assert_eq!(admin.get("/admin/keys").await.names().len(), 2);
}

/// Whoever may import is told of a secret whether some key has it, and may take one before its key is made.
#[tokio::test]
async fn an_owner_cannot_find_out_whether_a_secret_is_anothers() {
    let admin = Admin::start();
    import(&admin, "", &line("theirs", "secret-of-client-a")).await;
    let own = admin.make_key("own").await["key"]["owner"]["id"].clone();
    for role in ["operator", "admin"] {
        let token = admin.make_token(role, own.as_str()).await;
        for query in ["", "?dry_run=true"] {
            let mut answers = Vec::new();
            for secret in ["secret-of-client-a", "secret-of-client-b"] {
                let line = json!({"name": "guess", "owner_id": own, "secret": secret});
                let request = Request::builder()
                    .method(Method::POST)
                    .uri(format!("/admin/keys/import{query}"))
                    .header("host", "127.0.0.1")
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", "application/x-ndjson")
                    .body(Body::from(line.to_string()))
                    .unwrap();
                let reply = admin.ask(request).await;
                assert_eq!(reply.problem(), (403, "forbidden"), "{role} {query}");
                answers.push(reply.json["detail"].clone());
            }
            assert_eq!(answers[0], answers[1], "no secret is told from another");
        }
    }
    let made = admin.get("/admin/keys?sort=name").await;
    assert_eq!(made.names(), ["own", "theirs"], "nothing was made");
}

#[tokio::test]
async fn a_second_import_of_the_same_file_makes_nothing() {
    let admin = Admin::start();
    let text = line("a", "secret-of-client-a") + &line("b", "secret-of-client-b");
    import(&admin, "", &text).await;
    let revision = admin.store.revision().await.unwrap();
    let told = import(&admin, "", &text).await;
    assert!(told.iter().all(|line| line["code"] == "duplicate_secret"));
    assert_eq!(admin.store.revision().await.unwrap(), revision);
    assert_eq!(admin.get("/admin/keys").await.names().len(), 2);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let admin = Admin::start();
    let text = line("a", "secret-of-client-a")
        + &line("b", "secret-of-client-a")
        + &line("", "secret-of-client-c");
    let revision = admin.store.revision().await.unwrap();
    let tried = import(&admin, "?dry_run=true", &text).await;
    assert_eq!(admin.store.revision().await.unwrap(), revision);
    assert!(admin.get("/admin/users").await.names().is_empty());
    let mut done = import(&admin, "?dry_run=false", &text).await;
    assert!(done[0]["key_id"].is_string());
    done[0]["key_id"] = Value::Null;
    assert_eq!(tried, done);
}

#[tokio::test]
async fn what_is_no_import_is_refused_as_a_whole() {
    let admin = Admin::start();
    let json = admin.call(Method::POST, "/admin/keys/import", json!({}));
    assert_eq!(json.await.problem(), (415, "unsupported_media_type"));
    let reply = send(&admin, "?dry_run=perhaps", "").await;
    assert_eq!(reply.problem(), (400, "bad_request"));
    let reply = send(&admin, "", "x".repeat(70_000)).await;
    assert_eq!(reply.problem(), (422, "invalid"));
    let empty = send(&admin, "", "").await;
    assert_eq!((empty.status.as_u16(), empty.text.as_str()), (200, ""));
}

/// Several changes' worth of lines, and lines that arrive in pieces.
#[tokio::test]
async fn thousands_of_lines_are_taken_up_as_they_arrive() {
    let admin = Admin::start();
    let text: String = (0..1_001)
        .map(|number| line(&format!("k{number}"), &format!("secret-of-client-{number}")))
        .collect();
    let pieces: Vec<Result<String, std::io::Error>> = text
        .as_bytes()
        .chunks(777)
        .map(|piece| Ok(String::from_utf8(piece.to_vec()).unwrap()))
        .collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let reply = send(&admin, "", body).await;
    assert_eq!(reply.text.lines().count(), 1_001);
    assert!(reply.text.lines().all(|line| line.contains("\"done\"")));
}

fn pieces(pieces: Vec<Result<String, std::io::Error>>) -> Body {
    Body::from_stream(futures_util::stream::iter(pieces))
}

fn told(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let lines = reply.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// An import that breaks off has made what came before, whole, and nothing else; and it says so.
#[tokio::test]
async fn an_import_that_breaks_off_tells_what_it_did_and_where_it_stopped() {
    for (rest, code) in [
        (Err(std::io::Error::other("gone")), "bad_request"),
        (Ok("x".repeat(70_000)), "invalid"),
    ] {
        let admin = Admin::start();
        let text: String = (0..250)
            .map(|number| line(&format!("k{number}"), &format!("secret-of-client-{number}")))
            .collect();
        let reply = send(&admin, "", pieces(vec![Ok(text), rest])).await;
        let told = told(&reply);
        let (stopped, done) = told.split_last().unwrap();
        assert_eq!(done.len(), 250);
        assert!(done.iter().all(|line| line["outcome"] == "done"));
        assert_eq!(
            (&stopped["outcome"], &stopped["code"]),
            (&json!("stopped"), &json!(code))
        );
        let made = admin.get("/admin/keys?limit=1000").await;
        assert_eq!(made.names().len(), 250);
    }
}

/// The store goes away in the middle: what it took is told all the same, and what it did not is not made.
#[tokio::test]
async fn a_store_that_goes_away_in_the_middle_loses_nothing_that_was_told() {
    let shakes = [Shake::Passes, Shake::Fails(StoreError::unavailable("gone"))];
    let admin = Admin::over(Setup::default(), |store| {
        Arc::new(Shaken::new(store, shakes))
    });
    let text: String = (0..450)
        .map(|number| line(&format!("k{number}"), &format!("secret-of-client-{number}")))
        .collect();
    let told = told(&send(&admin, "", text).await);
    let (stopped, done) = told.split_last().unwrap();
    assert_eq!(done.len(), 200);
    assert_eq!(stopped["outcome"], "stopped");
    assert_eq!(stopped["code"], "store_unavailable");
    let made = admin.get("/admin/keys?limit=1000").await;
    assert_eq!(made.names().len(), 200);
}

/// What is told is kept until the end, so a body of tiny lines must not become gigabytes of answers.
#[tokio::test]
async fn an_import_of_too_many_lines_stops_and_says_at_which() {
    let admin = Admin::start();
    let text = "1\n".repeat(50_001);
    let told = told(&send(&admin, "?dry_run=true", text).await);
    let (stopped, refused) = told.split_last().unwrap();
    assert_eq!(refused.len(), 50_000);
    assert!(refused.iter().all(|line| line["outcome"] == "refused"));
    assert_eq!(stopped["outcome"], "stopped");
    assert_eq!(stopped["code"], "body_too_large");
    assert_eq!(stopped["line"], 50_000);
    let detail = stopped["detail"].as_str().unwrap();
    assert!(detail.contains("50,000 lines"), "{detail}");
}

/// However a body is cut into pieces, a line has at most 64 KiB.
#[tokio::test]
async fn a_line_is_too_long_however_it_arrives() {
    let admin = Admin::start();
    let owner = json!({"name": "Billing", "type": "team"});
    let made =
        json!({"name": "k", "owner": owner, "secret": "a-secret-of-before", "description": ""});
    let of = |length: usize| {
        let line = made.to_string();
        let filled = " ".repeat(length - line.len() - 1);
        format!("{line}{filled}\n")
    };
    for (length, is_taken) in [(65_536, true), (65_537, false)] {
        let text = of(length);
        let cut = text.chars().collect::<Vec<_>>();
        let cut = cut.chunks(777).map(|piece| Ok(piece.iter().collect()));
        for body in [Body::from(text.clone()), pieces(cut.collect())] {
            let reply = send(&admin, "?dry_run=true", body).await;
            if is_taken {
                assert_eq!(told(&reply)[0]["outcome"], "done");
            } else {
                assert_eq!(reply.problem(), (422, "invalid"));
                assert_eq!(reply.json["errors"][0]["code"], "too_long");
            }
        }
    }
}

#[tokio::test]
async fn ndjson_may_say_how_its_text_is_coded() {
    let admin = Admin::start();
    for (kind, status) in [
        ("application/x-ndjson; charset=utf-8", 200),
        ("Application/X-NDJSON", 200),
        ("application/x-ndjsonp", 415),
    ] {
        let (name, token) = bearer();
        let request = Request::builder()
            .method(Method::POST)
            .uri("/admin/keys/import?dry_run=true")
            .header("host", "127.0.0.1")
            .header(name, token)
            .header("content-type", kind)
            .body(Body::from(line("a", "secret-of-client-a")))
            .unwrap();
        assert_eq!(admin.ask(request).await.status, status, "{kind}");
    }
}
