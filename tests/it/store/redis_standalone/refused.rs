//! Servers that are not what is needed, or do not let a gate do what it must: each says where and why, and
//! takes nothing from a gate that holds something.

use portcullis::config::{Certificate, RedisChoice, RedisTls};
use portcullis::domain::change::Revision;
use portcullis::store::{Feed, KeyStore, Store, StoreError};
use zeroize::Zeroizing;

use super::{Gate, chain, choice, making};
use crate::store::gate::acl;
use crate::store::things::key_id;
use crate::support::old_redis::OldRedis;
use crate::support::patience::eventually;
use crate::support::redis::{RedisServer, free_port};
use crate::support::tls::Authority;

/// The ACL of docs/operations.md is enough for all that a gate does.
#[tokio::test]
async fn the_acl_of_the_manual_is_enough() {
    let server = RedisServer::start();
    let choice = as_user(&server, &acl("pc"));
    let (a, b) = (
        Gate::of(&choice).await.unwrap(),
        Gate::of(&choice).await.unwrap(),
    );
    for number in 1..=3 {
        a.commits(making(number)).await;
    }
    b.reaches(3).await;
    assert_eq!(b.keys().await.0.len(), 3);
    // And no more than enough: nothing outside the prefix, nothing dangerous.
    let mut connection = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let () = redis::cmd("AUTH")
        .arg(&["gate", "acl-canary"])
        .query(&mut connection)
        .unwrap();
    for refused in [&["GET", "other"] as &[_], &["KEYS", "*"], &["FLUSHALL"]] {
        let answer: redis::RedisResult<redis::Value> = redis::cmd(refused[0])
            .arg(&refused[1..])
            .query(&mut connection);
        assert_eq!(answer.unwrap_err().code(), Some("NOPERM"), "{refused:?}");
    }
}

/// A user that may do less is told of, with the address; nothing is half written.
#[tokio::test]
async fn a_narrower_acl_is_told() {
    for missing in ["+@write", "+@scripting", "+info", "~{pc}:*"] {
        let server = RedisServer::start();
        let rules: Vec<_> = acl("pc").into_iter().filter(|it| it != missing).collect();
        let refused = Gate::of(&as_user(&server, &rules)).await.err().unwrap();
        assert!(
            matches!(refused, StoreError::Unavailable { .. }),
            "{refused:?}"
        );
        let text = chain(&refused);
        let told = format!("redis at {} does not permit its user", server.address());
        assert!(text.contains(&told), "without {missing}: {text}");
        assert!(!text.contains("acl-canary"), "{text}");
        assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0, "without {missing}");
    }
}

/// A server without memory refuses a change whole, and takes it when there is room; what is held is served.
#[tokio::test]
async fn a_server_out_of_memory_refuses_a_change_whole() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let sent = making(2);
    let text = gate.refuses(sent.clone()).await;
    let told = format!("redis at {} is out of memory", server.address());
    assert!(text.contains(&told), "{text}");
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 1);
    assert!(gate.store.key(key_id(1)).await.unwrap().is_some());
    assert!(gate.store.contact().is_up);

    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(gate.settles(sent).await.unwrap(), Revision(2));
}

/// A server that wants replicas and has none refuses a change whole, and says so.
#[tokio::test]
async fn a_server_with_too_few_replicas_refuses_a_change_whole() {
    let server = RedisServer::start();
    let gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    let () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let text = gate.refuses(making(2)).await;
    assert!(text.contains("has too few replicas"), "{text}");
    assert_eq!(server.ask::<u64>(&["XLEN", "{pc}:feed"]), 1);
    let () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(gate.settles(making(2)).await.unwrap(), Revision(2));
}

/// Data of somebody else's under our names is left as it is, and told.
#[tokio::test]
async fn data_of_somebody_elses_is_left_alone() {
    let server = RedisServer::start();
    let () = server.ask(&["SET", "{pc}:meta", "theirs"]);
    let refused = Gate::open(&server.url()).await.err().unwrap();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    let text = chain(&refused);
    let told = format!("redis at {} has data of somebody else's", server.address());
    assert!(text.contains(&told), "{text}");
    assert_eq!(server.ask::<String>(&["GET", "{pc}:meta"]), "theirs");
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 1);
}

/// A server of an older version is refused with its version, and gets no command that it might half do; a
/// gate that holds something serves it on.
#[tokio::test]
async fn an_older_version_is_refused_before_anything_is_asked_of_it() {
    let old = OldRedis::of("6.2.14");
    let refused = Gate::open(&old.url()).await.err().unwrap();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    let text = chain(&refused);
    let address = old.url().replace("redis://", "redis at ");
    assert!(
        text.contains(&format!("{address} is version 6.2.14: Redis 7")),
        "{text}"
    );

    let server = RedisServer::start();
    let mut gate = Gate::at(&server).await;
    gate.commits(making(1)).await;
    gate.store.close().await;
    gate.reopen(&old.url()).await;
    eventually("the gate notices", || !gate.store.contact().is_up).await;
    assert_eq!(gate.keys().await.0.len(), 1);
    assert_eq!(old.others(), 0);
}

/// TLS with an authority of one's own, and with a certificate for a server that asks for one.
#[tokio::test]
async fn tls_knows_the_server_and_is_known_to_it() {
    let authority = Authority::new();
    let (cert, key) = authority.vouch(&["gate"]);
    let (_server, url) = over_tls(&authority);
    let choice = RedisChoice {
        tls: RedisTls {
            ca: Some(authority.file()),
            certificate: Some(Certificate { cert, key }),
        },
        ..choice(&url)
    };
    let gate = Gate::of(&choice).await.unwrap();
    assert_eq!(gate.commits(making(1)).await, Revision(1));

    let refused = async |tls: RedisTls| {
        let choice = RedisChoice {
            tls,
            ..choice.clone()
        };
        chain(&Gate::of(&choice).await.err().unwrap())
    };
    let address = url.replace("rediss://", "redis at ");
    let told = format!("{address} cannot be reached");
    let other = Authority::new();
    let text = refused(RedisTls {
        ca: Some(other.file()),
        ..choice.tls.clone()
    })
    .await;
    assert!(text.contains(&told), "{text}");
    assert!(text.contains("invalid peer certificate"), "{text}");

    let text = refused(RedisTls {
        certificate: None,
        ..choice.tls.clone()
    })
    .await;
    assert!(text.contains(&address), "{text}");

    std::fs::remove_file(authority.file()).unwrap();
    let text = refused(choice.tls.clone()).await;
    assert!(text.contains(&told), "{text}");
    assert!(text.contains("ca.pem"), "{text}");
}

/// A server that speaks TLS to those it knows, and its address.
fn over_tls(authority: &Authority) -> (RedisServer, String) {
    let port = free_port().to_string();
    let (cert, key) = authority.vouch(&["localhost"]);
    let text = |path: std::path::PathBuf| path.display().to_string();
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "yes",
        "--tls-cert-file",
        &text(cert),
        "--tls-key-file",
        &text(key),
        "--tls-ca-cert-file",
        &text(authority.file()),
    ]);
    (server, format!("rediss://localhost:{port}"))
}

/// As a user of these rules.
fn as_user(server: &RedisServer, rules: &[String]) -> RedisChoice {
    let mut ask = vec!["ACL", "SETUSER", "gate", "on", ">acl-canary"];
    ask.extend(rules.iter().map(String::as_str));
    let () = server.ask(&ask);
    RedisChoice {
        username: Some("gate".to_owned()),
        password: Some(Zeroizing::new("acl-canary".to_owned())),
        ..choice(&server.url())
    }
}
