//! Deadlines of HTTP/2 connections and streams, of uploads, and of upstreams that take none.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS,
    INITIAL_WINDOW_SIZE, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get,
    post,
};
use crate::support::raw::{code, status};
use crate::support::{Gateway, Upstream, eventually, within};

const LARGE: usize = 300_000;

/// An upstream whose answers are larger than what a client may leave untaken.
async fn large() -> Upstream {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
    Upstream::answering([head.into_bytes(), vec![b'x'; LARGE]].concat()).await
}

async fn gate(upstream: &Upstream, deadlines: &str) -> Gateway {
    Gateway::routing("/", upstream)
        .setting(&format!("deadlines: {{ {deadlines} }}"))
        .h2c()
        .start()
        .await
}

fn kinds(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.kind).collect()
}

/// It is told to go away, and does not even say that it heard it.
#[tokio::test]
async fn an_idle_http_2_connection_is_closed_though_its_client_answers_nothing() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "idle: 200ms").await;
    let key = gateway.create_key().await;
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    frames.write(get(1, &[("x-api-key", &key.secret)])).await;
    let came = kinds(&frames.rest().await);
    assert!(
        came.contains(&HEADERS) && came.contains(&GOAWAY),
        "{came:?}"
    );
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn an_http_2_connection_that_does_not_begin_is_closed() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "preface: 200ms").await;
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]);
    for begun in [
        &PREFACE[..10],
        PREFACE,
        &[PREFACE, &settings[..settings.len() - 1]].concat(),
    ] {
        let mut frames = Frames::silent(gateway.address()).await;
        frames.write(begun).await;
        frames.rest().await;
    }
    // Whoever has begun is not held to it.
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    let mut other = Frames::silent(gateway.address()).await;
    other.write(PREFACE).await;
    other.rest().await;
    frames.write(frame(PING, 0, 0, &[7; 8])).await;
    while frames.until(PING).await.payload != [7; 8] {}
}

/// Streams under way are no excuse: nothing else can come until a header block is whole.
#[tokio::test]
async fn a_header_block_that_is_not_continued_ends_its_connection() {
    let upstream = Upstream::stalling().await;
    let gateway = gate(&upstream, "head: 300ms").await;
    let key = gateway.create_key().await;
    let fields = block("GET", &[("x-api-key", &key.secret)]);
    let (first, rest) = fields.split_at(9);
    for partial in [
        frame(HEADERS, END_STREAM, 3, &fields),
        [
            frame(HEADERS, END_STREAM, 3, first),
            frame(CONTINUATION, 0, 3, rest),
        ]
        .concat(),
        frame(HEADERS, END_STREAM | END_HEADERS, 3, &fields)[..20].to_vec(),
    ] {
        let before = upstream.requests();
        let mut frames = Frames::connect(gateway.address(), &[]).await;
        frames.write(get(1, &[("x-api-key", &key.secret)])).await;
        upstream.has_seen(before + 1).await;
        frames.write(&partial).await;
        frames.rest().await;
        gateway.is_quiet().await;
        assert_eq!(upstream.requests(), before + 1);
    }
}

/// It was told, it does not answer, and nobody waits for the end of the drain time.
#[tokio::test]
async fn a_silent_http_2_client_does_not_hold_up_a_drain() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream)
        .draining("1h")
        .h2c()
        .start()
        .await;
    let key = gateway.create_key().await;
    let mut idle = Frames::connect(gateway.address(), &[]).await;
    idle.write(get(1, &[("x-api-key", &key.secret)])).await;
    idle.until(HEADERS).await;
    let mut unbegun = Frames::silent(gateway.address()).await;
    unbegun.write(&PREFACE[..10]).await;
    gateway.begin_stop();
    gateway.stopped().await;
    assert!(kinds(&idle.rest().await).contains(&GOAWAY));
}

/// What was answered goes out though its stream takes it slowly, and the gate is to stop.
#[tokio::test]
async fn a_drain_cuts_no_answer_that_is_on_its_way() {
    let upstream = Upstream::echo().await;
    let mut gateway = Gateway::routing("/", &upstream).h2c().start().await;
    let key = gateway.create_key().await;
    let mut frames = Frames::connect(gateway.address(), &[(INITIAL_WINDOW_SIZE, 2)]).await;
    frames.write(post(1, &[("x-api-key", &key.secret)])).await;
    frames.write(frame(DATA, END_STREAM, 1, b"hello")).await;
    assert_eq!(frames.until(DATA).await.payload, b"he");
    gateway.begin_stop();
    frames.until(GOAWAY).await;
    frames
        .write(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]))
        .await;
    assert_eq!(frames.until(DATA).await.payload, b"llo");
    gateway.stopped().await;
}

#[tokio::test]
async fn a_stream_whose_client_grants_no_window_is_reset_and_gives_everything_back() {
    let upstream = large().await;
    let gateway = gate(&upstream, "write_stall: 300ms").await;
    let key = gateway.create_key_with(json!({"concurrency": 1})).await;
    let mut lines = 0;
    for window in [0, 1_000] {
        let settings = [(INITIAL_WINDOW_SIZE, window)];
        let mut frames = Frames::connect(gateway.address(), &settings).await;
        frames.write(get(1, &[("x-api-key", &key.secret)])).await;
        assert_eq!(frames.until(RST_STREAM).await.stream, 1);
        gateway.is_quiet().await;
        lines += 1;
        let line = gateway.log_lines(lines).await.remove(lines - 1);
        assert_eq!((&line["status"], &line["cut"]), (&200.into(), &true.into()));
        // What the client did not take was not sent.
        assert_eq!(line["bytes_out"], window, "{line}");
        // The connection serves on, and the key's one place is free.
        let more = [
            get(3, &[("x-api-key", &key.secret)]),
            frame(WINDOW_UPDATE, 0, 3, &[0, 0x10, 0, 0]),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0x10, 0, 0]),
        ];
        frames.write(more.concat()).await;
        let mut came = 0;
        while came < LARGE {
            came += frames.until(DATA).await.payload.len();
        }
        lines += 1;
        let line = gateway.log_lines(lines).await.remove(lines - 1);
        assert_eq!(line["bytes_out"], LARGE, "{line}");
    }
}

/// A small answer fits into what hyper holds; the client still has to take it.
#[tokio::test]
async fn a_refusal_that_is_not_taken_is_not_held_for_ever() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "write_stall: 300ms").await;
    let mut frames = Frames::connect(gateway.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    frames.write(get(1, &[])).await;
    assert_eq!(frames.until(RST_STREAM).await.stream, 1);
    let line = gateway.log_lines(1).await.remove(0);
    assert_eq!(
        (&line["status"], &line["bytes_out"], &line["cut"]),
        (&401.into(), &0.into(), &true.into())
    );
}

#[tokio::test]
async fn a_stream_whose_client_sends_no_more_of_its_body_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "body_idle: 300ms").await;
    let key = gateway.create_key_with(json!({"concurrency": 1})).await;
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    for stream in [1, 3] {
        let fields = [("x-api-key", &*key.secret)];
        frames.write(post(stream, &fields)).await;
        // A whole frame, and the half of one.
        frames.write(frame(DATA, 0, stream, b"some")).await;
        if stream == 3 {
            frames.write(&frame(DATA, 0, stream, b"more")[..11]).await;
        }
        while frames.until(HEADERS).await.stream != stream {}
        gateway.is_quiet().await;
    }
    let lines = gateway.log_lines(2).await;
    for line in lines {
        assert_eq!(
            (&line["status"], &line["code"]),
            (&408.into(), &"request_timeout".into())
        );
    }
    for seen in upstream.seen() {
        assert!(!seen.text().ends_with("0\r\n\r\n"), "{}", seen.text());
    }
}

#[tokio::test]
async fn an_upstream_that_stops_reading_is_held_to_the_requests_time() {
    let upstream = Upstream::serving(async |mut socket| {
        socket.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none, body_max: 1GiB, timeouts: { request: 400ms }")
        .h2c()
        .start()
        .await;
    for mut connection in [gateway.connect().await, gateway.http2().await] {
        let (ask, feed) = gateway.post("/").feeding();
        let answer = connection.begin(ask);
        let mut feeding = JoinSet::new();
        feeding.spawn(async move {
            let block = vec![b'x'; 256 * 1024];
            while feed.send(block.clone()).await {}
        });
        let reply = within("an answer", answer).await.unwrap().reply().await;
        assert_eq!((reply.status, &*reply.refusal()), (504, "upstream_timeout"));
        drop(feeding);
    }
    gateway.is_quiet().await;
}

/// The request's time is the upstream's: what its client takes is not counted.
#[tokio::test]
async fn a_slow_client_does_not_use_up_its_upstreams_time() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none, timeouts: { request: 300ms }")
        .start()
        .await;
    let mut connection = gateway.connect().await;
    let (ask, feed) = gateway.post("/").feeding();
    let answer = connection.begin(ask);
    feed.send("a").await;
    // Until another request has used up all of its time.
    let stalled = Upstream::stalling().await;
    let other = Gateway::routing("/", &stalled)
        .asking("key: none, timeouts: { request: 700ms }")
        .start()
        .await;
    assert_eq!(other.get("/").await.status, 504);
    feed.send("b").await;
    drop(feed);
    let reply = within("an answer", answer).await.unwrap().reply().await;
    assert_eq!((reply.status, reply.text()), (200, "ab"));
}

/// On an h2c listener the first bytes are looked at before it is known what is spoken.
#[tokio::test]
async fn what_looks_like_http_2_at_first_gains_no_time_for_its_head() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "head: 3s, preface: 2900ms, idle: 1h").await;
    let mut raw = gateway.raw().await;
    raw.write("PR").await;
    let reply = timeout(Duration::from_secs(5), raw.rest_in_order()).await;
    let reply = reply.unwrap();
    assert_eq!((status(&reply), &*code(&reply)), (408, "request_timeout"));
    // And what began like it and is none is read from its first byte.
    let mut raw = gateway.raw().await;
    raw.write("PR").await;
    raw.write("OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&raw.reply().await), 501);
}

#[tokio::test]
async fn a_body_that_drips_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    let mut raw = gateway.raw().await;
    raw.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .await;
    // Never silent for long, and never done.
    eventually("it is given up", async || {
        let is_taken = raw.try_write(b"x").await;
        let is_over = !gateway.log_now().is_empty();
        (is_over || !is_taken).then_some(())
    })
    .await;
    let line = gateway.log_lines(1).await.remove(0);
    assert_eq!(
        (&line["status"], &line["code"]),
        (&408.into(), &"request_timeout".into())
    );
}

#[tokio::test]
async fn a_flood_of_frames_that_carry_nothing_ends_its_connection() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "idle: 1h").await;
    let key = gateway.create_key().await;
    for noise in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(2, 0, 1, &[0; 5]),
    ] {
        let mut frames = Frames::connect(gateway.address(), &[]).await;
        frames.write(get(1, &[("x-api-key", &key.secret)])).await;
        frames.until(HEADERS).await;
        let flood = noise.repeat(2_000);
        frames.try_write(&flood).await;
        frames.rest().await;
    }
    // A connection that talks no more than it needs to is left alone.
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    frames.write(frame(PING, 0, 0, &[7; 8]).repeat(500)).await;
    frames.write(get(1, &[("x-api-key", &key.secret)])).await;
    frames.until(HEADERS).await;
}

#[tokio::test]
async fn empty_frames_of_a_body_are_noise_too() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "idle: 1h").await;
    let key = gateway.create_key().await;
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    frames.write(post(1, &[("x-api-key", &key.secret)])).await;
    frames.try_write(frame(DATA, 0, 1, &[]).repeat(2_000)).await;
    frames.rest().await;
    gateway.is_quiet().await;
}

/// CVE-2023-44487: begun, reset, begun again.
#[tokio::test]
async fn streams_that_are_reset_as_soon_as_begun_end_their_connection() {
    let upstream = Upstream::stalling().await;
    let gateway = gate(&upstream, "idle: 1h").await;
    let key = gateway.create_key().await;
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    let fields = [("x-api-key", &*key.secret)];
    let pair = |n: u32| [get(n, &fields), frame(RST_STREAM, 0, n, &[0, 0, 0, 8])].concat();
    let flood: Vec<u8> = (0..2_000).flat_map(|n| pair(2 * n + 1)).collect();
    frames.try_write(&flood).await;
    frames.rest().await;
    gateway.is_quiet().await;
    assert!(upstream.requests() < 1_100, "{}", upstream.requests());
}

#[tokio::test]
async fn no_more_streams_than_are_allowed_are_served_at_once() {
    let upstream = Upstream::stalling().await;
    let gateway = gate(&upstream, "idle: 1h").await;
    let key = gateway.create_key().await;
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    let fields = [("x-api-key", &*key.secret)];
    let many: Vec<u8> = (0..101).flat_map(|n| get(2 * n + 1, &fields)).collect();
    frames.write(&many).await;
    let reset = frames.until(RST_STREAM).await;
    // REFUSED_STREAM: it may be tried again (RFC 9113 §8.7).
    assert_eq!((reset.stream, reset.payload), (201, vec![0, 0, 0, 7]));
    upstream.has_seen(100).await;
    assert_eq!(upstream.requests(), 100);
}

/// A block that is never whole is bounded in bytes as well as in time.
#[tokio::test]
async fn a_header_block_without_an_end_is_not_collected() {
    let upstream = Upstream::echo().await;
    let gateway = gate(&upstream, "idle: 1h").await;
    let mut frames = Frames::connect(gateway.address(), &[]).await;
    let field = block("GET", &[("x", &"y".repeat(10_000))]);
    frames.write(frame(HEADERS, END_STREAM, 1, &field)).await;
    let more = block("GET", &[("x", &"y".repeat(10_000))]).split_off(6);
    for _ in 0..100 {
        if !frames.try_write(frame(CONTINUATION, 0, 1, &more)).await {
            break;
        }
    }
    frames.rest().await;
    assert_eq!(upstream.connections(), 0);
}
