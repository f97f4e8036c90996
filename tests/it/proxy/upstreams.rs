//! What the gate does when an upstream fails, and how it chooses among endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Gateway, Upstream, eventually, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn each_way_to_fail_has_its_code() {
    for (upstream, status, code) in [
        (Upstream::refusing(), 502, "upstream_refused"),
        (Upstream::resetting().await, 502, "upstream_reset"),
        (Upstream::answering_once("").await, 502, "upstream_reset"),
        (
            Upstream::answering_once("HTTP/1.1 200").await,
            502,
            "upstream_reset",
        ),
        (
            Upstream::answering_once("garbage\r\n\r\n").await,
            502,
            "upstream_invalid",
        ),
        (Upstream::stalling().await, 504, "upstream_timeout"),
    ] {
        let gateway = Gateway::routing("/", &upstream)
            .asking("timeouts: { request: 200ms }")
            .start()
            .await;
        let key = gateway.create_key().await;
        let reply = gateway.post("/x").with(&key).body("hello").await;
        assert_eq!((reply.status, &*reply.refusal()), (status, code));
        let line = gateway.log_lines(1).await.remove(0);
        assert_eq!(
            (&line["status"], &line["code"]),
            (&status.into(), &code.into())
        );
        assert_eq!(line["endpoint"], upstream.address().to_string());
        assert_eq!(line["attempts"], 1);
        assert!(upstream.requests() <= 1, "{code}: sent twice");
        gateway.is_quiet().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_where_it_should_is_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .upstream(&format!(
            "s: {{ endpoints: [\"https://{}\"] }}",
            upstream.address()
        ))
        .route("{ match: { path_prefix: /s }, upstream: s, key: none, timeouts: { connect: 1s } }")
        .start()
        .await;
    // The upstream waits for a head that a TLS greeting is not, so one of the two gives up.
    let code = gateway.get("/s").await.refusal();
    assert!(
        ["upstream_refused", "upstream_timeout"].contains(&&*code),
        "{code}"
    );
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn connections_to_an_endpoint_are_kept_and_used_again() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for n in 0..10 {
        let reply = gateway.post("/").body(format!("{n}")).await;
        assert_eq!(reply.text(), n.to_string());
    }
    assert_eq!((upstream.requests(), upstream.connections()), (10, 1));
}

#[tokio::test]
async fn a_connection_the_upstream_says_it_closes_is_not_used_again() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(gateway.post("/").body("x").await.status, 200);
    }
    assert_eq!((upstream.requests(), upstream.connections()), (5, 5));
}

/// An upstream that takes a second request on a kept connection, and closes without an answer.
async fn closing_on_the_second() -> Upstream {
    Upstream::serving(|mut socket| async move {
        socket.request().await;
        socket.write(OK).await;
        socket.request().await;
    })
    .await
}

/// RFC 9110 §9.2.2: what may be repeated is, on a fresh connection, once.
#[tokio::test]
async fn a_get_on_a_kept_connection_that_closes_is_sent_again() {
    let upstream = closing_on_the_second().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for n in 0..4 {
        assert_eq!(gateway.get(&format!("/{n}")).await.status, 200);
    }
    let lines: Vec<String> = upstream
        .seen()
        .iter()
        .map(|it| it.line().to_owned())
        .collect();
    let repeated = lines
        .iter()
        .filter(|line| *line == "GET /1 HTTP/1.1")
        .count();
    assert_eq!(repeated, 2, "{lines:?}");
    assert_eq!(gateway.log_lines(4).await[1]["attempts"], 2);
}

#[tokio::test]
async fn a_post_on_a_kept_connection_that_closes_is_not_sent_again() {
    let upstream = closing_on_the_second().await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    assert_eq!(gateway.get("/").await.status, 200);
    let reply = gateway.post("/pay").body("1").await;
    assert_eq!(reply.refusal(), "upstream_reset");
    let paid = upstream
        .seen()
        .iter()
        .filter(|it| it.line().contains("/pay"))
        .count();
    assert_eq!(paid, 1);
    // Nor one without a body.
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(gateway.post("/pay").await.refusal(), "upstream_reset");
    let paid = upstream
        .seen()
        .iter()
        .filter(|it| it.line().contains("/pay"))
        .count();
    assert_eq!(paid, 2);
}

#[tokio::test]
async fn what_an_endpoint_refuses_another_one_gets_with_its_body() {
    let (gone, here) = (Upstream::refusing(), Upstream::echo().await);
    let gateway = Gateway::balancing("/", &[&gone, &here])
        .asking("key: none")
        .pool("balance: round_robin")
        .start()
        .await;
    for n in 0..6 {
        let reply = gateway.post("/").body(format!("{n}")).await;
        assert_eq!(reply.text(), n.to_string());
    }
    assert_eq!(here.requests(), 6);
    // It is left alone for a second, so it was tried once.
    assert_eq!(
        gateway.metric("portcullis_upstream_retries_total").await,
        1.0
    );
    gateway.clock.turn_ms(999);
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(
        gateway.metric("portcullis_upstream_retries_total").await,
        1.0
    );
    gateway.clock.turn_ms(1);
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(
        gateway.metric("portcullis_upstream_retries_total").await,
        2.0
    );
}

#[tokio::test]
async fn when_all_refuse_one_is_tried_again_and_the_client_is_told() {
    let (one, two) = (Upstream::refusing(), Upstream::refusing());
    let gateway = Gateway::balancing("/", &[&one, &two])
        .asking("key: none")
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.refusal(), "upstream_refused");
    }
    let lines = gateway.log_lines(3).await;
    assert!(lines.iter().all(|line| line["attempts"] == 2), "{lines:?}");
}

#[tokio::test]
async fn round_robin_takes_one_after_the_other() {
    let endpoints = [
        Upstream::echo().await,
        Upstream::echo().await,
        Upstream::echo().await,
    ];
    let [one, two, three] = &endpoints;
    let gateway = Gateway::balancing("/", &[one, two, three])
        .asking("key: none")
        .pool("balance: round_robin")
        .start()
        .await;
    for _ in 0..9 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    for endpoint in &endpoints {
        assert_eq!(endpoint.requests(), 3);
    }
}

#[tokio::test]
async fn least_requests_leaves_the_busy_endpoint_alone() {
    let (one, two) = (Upstream::echo().await, Upstream::echo().await);
    let gateway = Gateway::balancing("/", &[&one, &two])
        .asking("key: none")
        .pool("balance: least_requests")
        .start()
        .await;
    let mut busy = gateway.connect().await;
    let (ask, feed) = gateway.post("/").feeding();
    let answer = busy.begin(ask);
    eventually("one is busy", async || {
        (one.requests() + two.requests() == 1).then_some(())
    })
    .await;
    let (busy_one, free) = if one.requests() == 1 {
        (&one, &two)
    } else {
        (&two, &one)
    };
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!((busy_one.requests(), free.requests()), (1, 20));
    drop(feed);
    assert_eq!(within("an answer", answer).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_endpoint_that_is_ill_is_taken_out_and_back_when_it_is_well() {
    let is_well = Arc::new(AtomicBool::new(true));
    let sick = {
        let is_well = Arc::clone(&is_well);
        Upstream::serving(move |mut socket| {
            let is_well = Arc::clone(&is_well);
            async move {
                while let Some(seen) = socket.request().await {
                    let is_down =
                        seen.line().contains("/health") && !is_well.load(Ordering::SeqCst);
                    let down = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
                    socket.write(if is_down { down } else { OK }).await;
                }
            }
        })
        .await
    };
    let steady = Upstream::echo().await;
    let gateway = Gateway::balancing("/", &[&sick, &steady])
        .asking("key: none")
        .pool(
            "balance: round_robin, \
             health: { path: /health, interval: 100ms, unhealthy_after: 2, healthy_after: 2 }",
        )
        .start()
        .await;
    let name = format!(
        "portcullis_endpoint_up{{upstream=\"api\",endpoint=\"{}\"}}",
        sick.address()
    );
    let until = async |value: f64| {
        eventually("the endpoint is judged anew", async || {
            (gateway.metric(&name).await == value).then_some(())
        })
        .await;
    };
    let spread = async || {
        let before = (sick.requests(), steady.requests());
        for _ in 0..6 {
            assert_eq!(gateway.get("/").await.status, 200);
        }
        (sick.requests() - before.0, steady.requests() - before.1)
    };
    assert_eq!(spread().await, (3, 3));
    is_well.store(false, Ordering::SeqCst);
    until(0.0).await;
    assert_eq!(spread().await, (0, 6));
    is_well.store(true, Ordering::SeqCst);
    until(1.0).await;
    assert_eq!(spread().await, (3, 3));
}

#[tokio::test]
async fn an_upstream_with_no_endpoint_that_is_well_is_503() {
    let upstream = Upstream::refusing();
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .pool("health: { path: /health, interval: 100ms, unhealthy_after: 1 }")
        .start()
        .await;
    let reply = eventually("the endpoint is taken out", async || {
        let reply = gateway.get("/").await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert_eq!(reply.refusal(), "no_healthy_upstream");
}

/// 1xx answers are steps on the way; the last one counts (RFC 9110 §15.2).
#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n{OK}"
    ))
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    for _ in 0..2 {
        let reply = gateway.get("/").await;
        assert_eq!((reply.status, reply.text()), (200, "ok"));
    }
}

/// Nobody asked to leave HTTP, so an upstream that does is no upstream.
#[tokio::test]
async fn a_101_that_nobody_asked_for_is_not_passed_on() {
    let upstream = Upstream::answering(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    )
    .await;
    let gateway = Gateway::routing("/", &upstream)
        .asking("key: none")
        .start()
        .await;
    let ask = gateway
        .get("/")
        .header("connection", "upgrade")
        .header("upgrade", "x");
    let reply = ask.await;
    assert_eq!((reply.status, &*reply.refusal()), (502, "upstream_invalid"));
}
