//! Stopping: no new connections, what is in flight finishes, nothing is forgotten.

use http::Method;

use crate::support::{Gateway, Upstream, eventually, within};

#[tokio::test]
async fn requests_in_flight_finish_and_nobody_new_gets_in() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .h2c()
        .workers(2)
        .start()
        .await;
    let key = gateway.create_key().await;
    let mut under_way = Vec::new();
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let (ask, feed) = gateway.post("/").with(&key).feeding();
        let answer = connection.begin(ask);
        feed.send("hello").await;
        under_way.push((connection, answer, feed));
    }
    upstream.has_seen(2).await;
    let mut idle = [gateway.connect().await, gateway.http2().await];
    for connection in &mut idle {
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.status, 200);
    }

    gateway.begin_stop();

    for connection in &mut idle {
        connection.closed().await;
    }
    eventually("new connections are refused", async || {
        let refused = tokio::net::TcpStream::connect(gateway.address()).await;
        refused.is_err().then_some(())
    })
    .await;
    assert!(!gateway.has_stopped());
    for (mut connection, answer, feed) in under_way {
        feed.send(" world").await;
        drop(feed);
        let reply = within("an answer", answer).await.unwrap().reply().await;
        assert_eq!((reply.status, reply.text()), (200, "hello world"));
        connection.closed().await;
    }
    gateway.stopped().await;
    assert_eq!(gateway.log_now().len(), 4);
}

/// RFC 9113 §6.8: a client that is told to go away opens its next stream elsewhere.
#[tokio::test]
async fn an_http_2_connection_takes_no_new_streams_while_it_drains() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).h2c().start().await;
    let key = gateway.create_key().await;
    let mut connection = gateway.http2().await;
    let (ask, feed) = gateway.post("/").with(&key).feeding();
    let answer = connection.begin(ask);
    upstream.has_seen(1).await;

    gateway.begin_stop();

    eventually("new streams are refused", async || {
        let late = within("an end", connection.begin(gateway.get("/").with(&key))).await;
        late.is_err().then_some(())
    })
    .await;
    drop(feed);
    assert_eq!(within("an answer", answer).await.unwrap().status, 200);
    gateway.stopped().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_and_counted() {
    let upstream = Upstream::stalling().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .draining("200ms")
        .start()
        .await;
    let key = gateway.create_key().await;
    let mut connection = gateway.connect().await;
    let answer = connection.begin(gateway.get("/").with(&key));
    upstream.has_seen(1).await;

    gateway.begin_stop();
    gateway.stopped().await;

    assert!(within("an end", answer).await.is_err());
    let lines = gateway.log_now();
    assert_eq!((lines.len(), &lines[0]["status"]), (1, &499.into()));
}

#[tokio::test]
async fn a_gate_with_nothing_to_do_stops_at_once() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .draining("1h")
        .start()
        .await;
    let mut idle = gateway.connect().await;
    let ready = gateway.get("/.portcullis/ready");
    assert_eq!(idle.send(ready).await.status, 200);
    let silent = gateway.raw().await;
    gateway.begin_stop();
    gateway.stopped().await;
    drop(silent);
}

#[tokio::test]
async fn the_last_count_is_with_the_store_when_the_gate_has_stopped() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).workers(2).start().await;
    let key = gateway.create_key().await;
    for n in 0..30 {
        let reply = gateway.post("/").with(&key).body("x".repeat(n)).await;
        assert_eq!(reply.status, 200);
    }
    gateway.restart().await;
    let path = format!("/admin/keys/{}/usage", key.id);
    let usage = gateway.admin(Method::GET, &path, None).await.json();
    let total = &usage["total"];
    assert_eq!(total["requests"], 30, "{usage}");
    assert_eq!(total["status"]["2xx"], 30, "{usage}");
    assert_eq!(
        (&total["bytes_in"], &total["bytes_out"]),
        (&435.into(), &435.into())
    );
}
