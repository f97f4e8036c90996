//! What goes on for long ends with the key it was asked with, and with nothing else.

use http::Method;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::support::client::Answer;
use crate::support::frames::{DATA, Frames, INITIAL_WINDOW_SIZE, WINDOW_UPDATE, frame, get};
use crate::support::patience::a_moment;
use crate::support::redis::RedisServer;
use crate::support::{Gateway, Upstream, eventually, within};

/// An API that answers with events: the first at once, another whenever it is told to.
struct Events {
    upstream: Upstream,
    next: watch::Sender<u32>,
    closed: mpsc::Receiver<String>,
}

impl Events {
    async fn start() -> Self {
        let (next, nexts) = watch::channel(0);
        let (close, closed) = mpsc::channel(16);
        let upstream = Upstream::serving(move |mut socket| {
            let (mut nexts, close) = (nexts.clone(), close.clone());
            async move {
                let Some(seen) = socket.head().await else {
                    return;
                };
                let key = seen.header("x-portcullis-key-id").unwrap().to_owned();
                socket
                    .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nevent: 0\r\n")
                    .await;
                loop {
                    tokio::select! {
                        some = socket.some() => if some.is_empty() { break },
                        told = nexts.changed() => {
                            let number = *nexts.borrow_and_update();
                            if told.is_err() {
                                break;
                            }
                            socket.write(format!("8\r\nevent: {number}\r\n")).await;
                        }
                    }
                }
                // The test may be over.
                let _ = close.send(key).await;
            }
        })
        .await;
        Self {
            upstream,
            next,
            closed,
        }
    }

    /// All of these get the next event.
    async fn reaches(&self, streams: &mut [&mut Answer]) {
        self.next.send_modify(|number| *number += 1);
        let event = format!("event: {}", *self.next.borrow());
        for stream in streams {
            assert_eq!(stream.some().await.unwrap(), event);
        }
    }

    /// The API sees that its stream for this key has ended, and of no other.
    async fn has_lost(&mut self, key: &str) {
        let closed = within("the API's stream ends", self.closed.recv()).await;
        assert_eq!(closed.as_deref(), Some(key));
        assert!(self.closed.is_empty());
    }
}

/// An API that reads a head and answers nothing, and says when its connection is closed.
async fn never_answering() -> (Upstream, mpsc::Receiver<()>) {
    let (close, closed) = mpsc::channel(16);
    let upstream = Upstream::serving(move |mut socket| {
        let close = close.clone();
        async move {
            socket.head().await;
            socket.closed().await;
            // The test may be over.
            let _ = close.send(()).await;
        }
    });
    (upstream.await, closed)
}

async fn is_cut(stream: Answer) {
    let reply = within("the stream ends", stream.reply()).await;
    assert!(reply.is_cut);
    assert!(reply.body.is_empty());
}

/// S3-09, S4-11.
#[tokio::test]
async fn a_stream_ends_with_its_key_and_no_other_does() {
    for is_http2 in [false, true] {
        let mut events = Events::start().await;
        let gateway = Gateway::routing("/", &events.upstream).h2c().start().await;
        let (key, other) = (gateway.create_key().await, gateway.create_key().await);
        let mut open = Vec::new();
        for key in [&key, &other] {
            let mut connection = if is_http2 {
                gateway.http2().await
            } else {
                gateway.connect().await
            };
            let mut stream = connection.open(gateway.get("/").with(key)).await;
            assert_eq!(stream.some().await.unwrap(), "event: 0");
            open.push((connection, stream));
        }
        let [(_one, ended), (_two, mut goes_on)] = <[_; 2]>::try_from(open).ok().unwrap();

        gateway.revoke(&key).await;

        is_cut(ended).await;
        events.has_lost(&key.id).await;
        events.reaches(&mut [&mut goes_on]).await;
    }
}

/// S2-05: a migration cuts nothing; what ends one version ends its streams alone.
#[tokio::test]
async fn a_rotation_ends_no_stream_and_a_revoked_version_its_own() {
    let mut events = Events::start().await;
    let gateway = Gateway::routing("/", &events.upstream).start().await;
    let old = gateway.create_key().await;
    let mut first = gateway.connect().await;
    let mut of_old = first.open(gateway.get("/").with(&old)).await;
    assert_eq!(of_old.some().await.unwrap(), "event: 0");

    let (new, _) = gateway.rotate(&old, json!({})).await;
    let mut second = gateway.connect().await;
    let mut of_new = second.open(gateway.get("/").with(&new)).await;
    assert_eq!(of_new.some().await.unwrap(), "event: 0");
    events.reaches(&mut [&mut of_old, &mut of_new]).await;

    let path = format!("/admin/keys/{}/versions/1", old.id);
    let reply = gateway.admin(Method::DELETE, &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    is_cut(of_old).await;
    events.has_lost(&old.id).await;
    events.reaches(&mut [&mut of_new]).await;

    // Nor does one that leaves the old secret no time.
    gateway.rotate(&new, json!({"grace": "0s"})).await;
    assert_eq!(gateway.get("/").with(&new).await.refusal(), "key_retired");
    events.reaches(&mut [&mut of_new]).await;
    gateway.revoke(&new).await;
    is_cut(of_new).await;
}

/// S3-10.
#[tokio::test]
async fn the_streams_of_an_owner_end_with_the_owner() {
    let events = Events::start().await;
    let gateway = Gateway::routing("/", &events.upstream).start().await;
    let leaving = json!({"owner": {"name": "Ann", "type": "user"}});
    let (key, other) = (
        gateway.create_key_with(leaving).await,
        gateway.create_key().await,
    );
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    let mut ended = one.open(gateway.get("/").with(&key)).await;
    let mut goes_on = two.open(gateway.get("/").with(&other)).await;
    for stream in [&mut ended, &mut goes_on] {
        assert_eq!(stream.some().await.unwrap(), "event: 0");
    }

    let path = format!("/admin/users/{}/keys/disable", key.owner);
    assert_eq!(gateway.admin(Method::POST, &path, None).await.status, 200);

    is_cut(ended).await;
    events.reaches(&mut [&mut goes_on]).await;
}

#[tokio::test]
async fn an_answer_that_never_pauses_ends_with_its_key() {
    let upstream = Upstream::serving(|mut socket| async move {
        socket.head().await;
        socket
            .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        while socket.try_write(b"4\r\nmore\r\n").await {}
    })
    .await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    let mut connection = gateway.connect().await;
    let mut stream = connection.open(gateway.get("/").with(&key)).await;
    assert!(stream.some().await.is_some());
    gateway.revoke(&key).await;
    let reply = within("the answer ends", stream.reply()).await;
    assert!(reply.is_cut);
}

/// Nothing of an answer goes to who was revoked before it began, and the client is told why.
#[tokio::test]
async fn a_request_that_waits_for_its_answer_ends_with_its_key() {
    let (upstream, mut closed) = never_answering().await;
    let gateway = Gateway::routing("/", &upstream).h2c().start().await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let key = gateway.create_key().await;
        let before = upstream.requests();
        let answer = connection.begin(gateway.get("/").with(&key));
        upstream.has_seen(before + 1).await;

        gateway.revoke(&key).await;

        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.reply().await.refusal(), "key_revoked");
        within("the API's connection closes", closed.recv()).await;
    }
}

/// A client that is given more than it takes, and takes a little now and then, so that nothing is asked of the API.
#[tokio::test]
async fn an_answer_that_its_client_hardly_takes_ends_with_its_key() {
    for is_http2 in [false, true] {
        let (close, mut closed) = mpsc::channel(16);
        let upstream = Upstream::serving(move |mut socket| {
            let close = close.clone();
            async move {
                socket.head().await;
                socket
                    .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await;
                let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                while socket.try_write(piece.as_bytes()).await {}
                let _ = close.send(()).await;
            }
        })
        .await;
        let gateway = Gateway::routing("/", &upstream)
            .setting("deadlines: { write_stall: 1h }")
            .h2c()
            .start()
            .await;
        let key = gateway.create_key().await;
        let mut frames = Frames::connect(gateway.address(), &[(INITIAL_WINDOW_SIZE, 1)]).await;
        let mut raw = gateway.raw().await;
        if is_http2 {
            frames.write(get(1, &[("x-api-key", &key.secret)])).await;
            frames.until(DATA).await;
        } else {
            let secret = &key.secret;
            raw.write(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {secret}\r\n\r\n"
            ))
            .await;
        }
        upstream.has_seen(1).await;

        gateway.revoke(&key).await;

        let closes = within("the API's connection closes", closed.recv());
        let taking = async {
            let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 3]);
            while is_http2 && frames.try_write(&update).await {
                a_moment().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = taking => {}
            closed = closes => assert!(closed.is_some()),
        }
        gateway.is_quiet().await;
    }
}

/// A client that streams to an API which answers at the end, as gRPC does.
#[tokio::test]
async fn a_body_on_its_way_up_ends_with_its_key() {
    let (upstream, mut closed) = never_answering().await;
    let gateway = Gateway::routing("/", &upstream).h2c().start().await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let key = gateway.create_key().await;
        let before = upstream.requests();
        let (ask, feed) = gateway.post("/").with(&key).feeding();
        let answer = connection.begin(ask);
        feed.send("one").await;
        upstream.has_seen(before + 1).await;

        gateway.revoke(&key).await;

        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.reply().await.refusal(), "key_revoked");
        within("the API's connection closes", closed.recv()).await;
        drop(feed);
    }
}

#[tokio::test]
async fn a_stream_ends_at_whatever_gate_it_is() {
    let redis = RedisServer::start();
    let mut events = Events::start().await;
    let gate = async |node| {
        let gate = Gateway::routing("/", &events.upstream).node(node);
        gate.redis(&redis.url()).start().await
    };
    let (here, there) = (gate("gate-1").await, gate("gate-2").await);
    let key = here.create_key().await;
    eventually("the other gate knows the key", async || {
        let own = there.get("/.portcullis/me").with(&key).await;
        (own.status == 200).then_some(())
    })
    .await;
    let mut connection = there.connect().await;
    let mut stream = connection.open(there.get("/").with(&key)).await;
    assert_eq!(stream.some().await.unwrap(), "event: 0");
    here.revoke(&key).await;
    is_cut(stream).await;
    events.has_lost(&key.id).await;
}
