//! What ends a key, or pauses it, is in force at the next request, wherever that arrives.

use http::Method;
use serde_json::json;

use crate::support::redis::RedisServer;
use crate::support::{Connection, Gateway, Upstream, eventually};

/// S1-13, S3-09: no core and no open connection goes on with a key that was revoked.
#[tokio::test]
async fn a_revoked_key_is_refused_at_once_on_every_core_and_open_connection() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).workers(4).start().await;
    let key = gateway.create_key().await;
    let other = gateway.create_key().await;
    let mut kept = on_every_core(&gateway, 4).await;
    for connection in &mut kept {
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.status, 200);
    }
    let served = upstream.requests();

    gateway.revoke(&key).await;

    for connection in &mut kept {
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.refusal(), "key_revoked");
    }
    assert_eq!(upstream.requests(), served);
    // S4-11: no other key is touched.
    for connection in &mut kept {
        let reply = connection.send(gateway.get("/").with(&other)).await;
        assert_eq!(reply.status, 200);
    }
}

/// S3-10: every key of an owner, on a connection that is open, protected ones too; and nobody else's.
#[tokio::test]
async fn an_owner_who_leaves_is_refused_at_once_with_every_key() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let leaving = json!({"owner": {"name": "Ann", "type": "user"}, "protected": true});
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(gateway.create_key_with(leaving.clone()).await);
    }
    let other = gateway.create_key().await;
    let mut connection = gateway.connect().await;
    for key in &keys {
        let reply = connection.send(gateway.get("/").with(key)).await;
        assert_eq!(reply.status, 200);
    }

    let path = format!("/admin/users/{}/keys/disable", keys[0].owner);
    let reply = gateway.admin(Method::POST, &path, None).await;

    assert_eq!(reply.json()["revoked"], 3, "{}", reply.text());
    for key in &keys {
        let reply = connection.send(gateway.get("/").with(key)).await;
        assert_eq!(reply.refusal(), "key_revoked");
    }
    let reply = connection.send(gateway.get("/").with(&other)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.requests(), 4);
}

/// Connections until every core has one.
pub(super) async fn on_every_core(gateway: &Gateway, cores: usize) -> Vec<Connection> {
    let mut connections = Vec::new();
    loop {
        assert!(connections.len() < 200, "some core never gets a connection");
        let mut connection = gateway.connect().await;
        let ready = gateway.get("/.portcullis/ready");
        assert_eq!(connection.send(ready).await.status, 200);
        connections.push(connection);
        let mut is_on_all = true;
        for core in 0..cores {
            let name = format!("portcullis_connections{{core=\"{core}\"}}");
            is_on_all &= gateway.metric(&name).await >= 1.0;
        }
        if is_on_all {
            return connections;
        }
    }
}

#[tokio::test]
async fn a_new_key_passes_as_soon_as_it_is_shown() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).workers(2).start().await;
    for _ in 0..20 {
        let key = gateway.create_key().await;
        assert_eq!(gateway.get("/").with(&key).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_is_suspended_and_resumed_at_once() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let mut connection = gateway.connect().await;
    for _ in 0..5 {
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.status, 200);
        gateway.pause(&key, "suspend").await;
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.refusal(), "key_suspended");
        gateway.pause(&key, "resume").await;
    }
    assert_eq!(upstream.requests(), 5);
}

#[tokio::test]
async fn a_key_ends_at_the_millisecond_it_expires() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let ending = json!({"expires_at": "2026-01-01T00:00:10.250Z"});
    let key = gateway.create_key_with(ending).await;
    gateway.clock.turn_ms(10_249);
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    gateway.clock.turn_ms(1);
    assert_eq!(gateway.get("/").with(&key).await.refusal(), "key_expired");
    let told = gateway
        .admin(Method::GET, &format!("/admin/keys/{}", key.id), None)
        .await;
    assert_eq!(told.json()["status"], "expired");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_when_the_gate_starts_again() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).start().await;
    let (revoked, kept) = (gateway.create_key().await, gateway.create_key().await);
    gateway.revoke(&revoked).await;

    gateway.restart().await;

    assert_eq!(
        gateway.get("/").with(&revoked).await.refusal(),
        "key_revoked"
    );
    assert_eq!(gateway.get("/").with(&kept).await.status, 200);
}

/// S3-10: the owner's record alone shuts out all its keys, at every gate, before any of them is ended.
#[tokio::test]
async fn an_owner_who_is_switched_off_is_refused_at_every_gate_at_once() {
    let redis = RedisServer::start();
    let upstream = Upstream::echo().await;
    let gate = async |node| {
        let gateway = Gateway::routing("/", &upstream)
            .node(node)
            .redis(&redis.url());
        gateway.start().await
    };
    let (here, there) = (gate("gate-1").await, gate("gate-2").await);
    let keys = [here.create_key().await, here.create_key().await];
    for key in &keys {
        eventually("the other gate knows the key", async || {
            (there.get("/").with(key).await.status == 200).then_some(())
        })
        .await;
    }
    let path = format!("/admin/users/{}/keys/disable", keys[0].owner);
    let reply = here.admin(Method::POST, &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["revoked"], 2);
    for key in &keys {
        assert_eq!(here.get("/").with(key).await.refusal(), "key_revoked");
        eventually("the other gate refuses", async || {
            let reply = there.get("/").with(key).await;
            (reply.status == 401).then(|| assert_eq!(reply.refusal(), "key_revoked"))
        })
        .await;
    }
}
