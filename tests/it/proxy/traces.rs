//! Spans of requests, and what upstreams are told of the trace they belong to (W3C Trace Context).

use http::Method;
use serde_json::{Value, json};

use crate::support::collector::Collector;
use crate::support::{Connection, Gateway, Upstream, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// The parts of a `traceparent` that an upstream saw: trace, span, flags.
fn parts(upstream: &Upstream) -> (String, String, String) {
    let seen = upstream.last();
    assert_eq!(seen.all("traceparent").len(), 1);
    let text = seen.header("traceparent").unwrap();
    let parts: Vec<&str> = text.split('-').map(str::trim).collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{text}");
    assert_eq!(
        (parts[1].len(), parts[2].len(), parts[3].len()),
        (32, 16, 2)
    );
    (parts[1].into(), parts[2].into(), parts[3].into())
}

/// S3-07, S3-20: the span says whose request it was, and no secret is in what is sent.
#[tokio::test]
async fn a_sampled_trace_goes_on_and_its_span_says_whose_request_it_was() {
    let (upstream, collector) = (Upstream::echo().await, Collector::answering(200));
    let gateway = Gateway::routing("/v1", &upstream)
        .setting(&collector.setting("0"))
        .start()
        .await;
    let key = gateway.create_key().await;

    let ask = gateway.post("/v1/CANARY-path?q=CANARY-query").with(&key);
    let ask = ask.header("traceparent", &traceparent("01"));
    let ask = ask
        .header("tracestate", "vendor=CANARY-state")
        .body("hello");
    let reply = ask.await;

    assert_eq!(reply.status, 200);
    let (trace, span, flags) = parts(&upstream);
    assert_eq!((&*trace, &*flags), (TRACE, "01"));
    assert_ne!(span, PARENT);
    assert_eq!(
        upstream.last().header("tracestate"),
        Some("vendor=CANARY-state")
    );
    let told = collector.spans(1).await.remove(0);
    let start = told["start"].as_u64().unwrap();
    assert_eq!(
        told,
        json!({
            "trace": TRACE, "span": span, "parent": PARENT, "name": "POST api", "kind": 2, "flags": 1,
            "status": 0, "start": start, "end": told["end"],
            "resource": {
                "service.name": "portcullis", "service.version": env!("CARGO_PKG_VERSION"),
                "service.instance.id": "gate-1",
            },
            "attributes": {
                "http.request.method": "POST", "http.response.status_code": 200,
                "portcullis.request.id": reply.header("x-request-id").unwrap(),
                "portcullis.key.id": key.id, "portcullis.key.version": 1,
                "portcullis.owner.id": key.owner, "portcullis.route": "api",
                "portcullis.upstream": "api", "portcullis.endpoint": upstream.address().to_string(),
                "portcullis.upstream.attempts": 1,
            },
        })
    );
    assert_eq!(start, 1_767_225_600_000 * 1_000_000);
    assert!(told["end"].as_u64() >= Some(start));
    let call = collector.calls().remove(0);
    assert!(
        call.head.starts_with("post /v1/traces http/1.1\r\n"),
        "{}",
        call.head
    );
    assert!(
        call.head
            .contains("content-type: application/x-protobuf\r\n")
    );
    assert!(
        call.head
            .contains("authorization: bearer canary-of-collector\r\n")
    );
    let sent = String::from_utf8_lossy(&call.body);
    assert!(
        !sent.contains("CANARY") && !sent.contains(&*key.secret),
        "{sent}"
    );
}

#[tokio::test]
async fn a_refusal_has_a_span_with_its_code_and_a_fault_is_marked() {
    let (upstream, collector) = (Upstream::refusing(), Collector::answering(200));
    let gateway = Gateway::routing("/v1", &upstream)
        .setting(&collector.setting("1"))
        .start()
        .await;
    let (key, revoked) = (gateway.create_key().await, gateway.create_key().await);
    gateway.revoke(&revoked).await;

    gateway.get("/v1").with(&revoked).await;
    gateway
        .get("/v1")
        .header("x-api-key", "CANARY-unknown")
        .await;
    gateway.get("/v1").with(&key).await;
    gateway.get("/nowhere").await;
    gateway.get("/.portcullis/me").with(&key).await;

    let spans = collector.spans(5).await;
    let told: Vec<Value> = spans
        .iter()
        .map(|span| {
            let of = |name: &str| span["attributes"][name].clone();
            json!([
                span["name"],
                of("http.response.status_code"),
                of("portcullis.refusal.code"),
                of("portcullis.key.id"),
                span["status"],
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["GET api", 401, "key_revoked", revoked.id, 0]),
            json!(["GET api", 401, "unknown_key", null, 0]),
            json!(["GET api", 502, "upstream_refused", key.id, 2]),
            json!(["GET", 404, "no_route", null, 0]),
            json!(["GET", 200, null, key.id, 0]),
        ]
    );
    let traces: std::collections::HashSet<String> =
        spans.iter().map(|span| span["trace"].to_string()).collect();
    assert_eq!(traces.len(), 5, "each began a trace of its own");
    for call in collector.calls() {
        assert!(!String::from_utf8_lossy(&call.body).contains("CANARY"));
    }
}

#[tokio::test]
async fn what_is_no_traceparent_is_replaced_and_its_state_goes_no_further() {
    let (upstream, collector) = (Upstream::echo().await, Collector::answering(200));
    let gateway = Gateway::routing("/", &upstream)
        .setting(&collector.setting("0"))
        .start()
        .await;
    let key = gateway.create_key().await;
    let wrong = [
        traceparent("01").to_uppercase(),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("{}-more", traceparent("01")),
        "'; drop table spans; --".to_owned(),
        "x".repeat(4_000),
    ];
    for wrong in wrong {
        let ask = gateway.get("/").with(&key).header("traceparent", &wrong);
        assert_eq!(ask.header("tracestate", "a=b").await.status, 200);
        let (trace, _, flags) = parts(&upstream);
        assert_ne!(trace, TRACE, "{wrong}");
        assert_eq!(flags, "00", "{wrong}");
        assert_eq!(upstream.last().header("tracestate"), None, "{wrong}");
    }
    let twice = gateway.get("/").with(&key);
    let twice = twice.header("traceparent", &traceparent("01"));
    twice.header("traceparent", &traceparent("01")).await;
    assert_ne!(parts(&upstream).0, TRACE);
    gateway
        .get("/")
        .with(&key)
        .header("tracestate", "a=b")
        .await;
    assert_eq!(upstream.last().header("tracestate"), None);
    // One that is sampled, so that those before it would be there too.
    let last = gateway
        .get("/")
        .with(&key)
        .header("traceparent", &traceparent("01"));
    last.await;
    assert_eq!(collector.spans(1).await.len(), 1);
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_passes_as_it_came_and_has_no_span() {
    let (upstream, collector) = (Upstream::echo().await, Collector::answering(200));
    let gateway = Gateway::routing("/", &upstream)
        .setting(&collector.setting("1"))
        .start()
        .await;
    let key = gateway.create_key().await;

    let ask = gateway
        .get("/")
        .with(&key)
        .header("traceparent", &traceparent("00"));
    ask.header("tracestate", "a=b").await;
    let seen = upstream.last();
    assert_eq!(seen.header("traceparent"), Some(&*traceparent("00")));
    assert_eq!(seen.header("tracestate"), Some("a=b"));

    gateway.get("/").with(&key).await;
    let (trace, span, flags) = parts(&upstream);
    assert_eq!(flags, "01");
    let spans = collector.spans(1).await;
    assert_eq!(spans.len(), 1);
    assert_eq!(
        (&spans[0]["trace"], &spans[0]["span"]),
        (&json!(trace), &json!(span))
    );
    assert_eq!(spans[0]["parent"], "");
}

#[tokio::test]
async fn without_a_collector_the_trace_is_left_to_client_and_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    for text in [&*traceparent("01"), "whatever this is"] {
        let ask = gateway.get("/").with(&key).header("traceparent", text);
        ask.header("tracestate", "a=b").await;
        let seen = upstream.last();
        assert_eq!(seen.all("traceparent"), [text]);
        assert_eq!(seen.header("tracestate"), Some("a=b"));
    }
}

/// As many spans wait as have room; the others are counted, and no request is refused or lost for it.
#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_no_request() {
    let (upstream, collector) = (Upstream::echo().await, Collector::answering(503));
    let gateway = Gateway::routing("/", &upstream)
        .setting(&collector.setting("1"))
        .start()
        .await;
    let key = gateway.create_key().await;
    let mut connection = Connection::to(gateway.address()).await;
    let one = connection.send(gateway.get("/").with(&key)).await;
    assert_eq!(one.status, 200);
    // From now on it holds on to a batch that is not taken.
    eventually("it was tried", async || {
        (!collector.calls().is_empty()).then_some(())
    })
    .await;
    for _ in 1..SENT {
        let reply = connection.send(gateway.get("/").with(&key)).await;
        assert_eq!(reply.status, 200);
    }

    let (sent, dropped) = counts(&gateway).await;
    assert_eq!(sent, 0);
    assert!(dropped >= SENT - HELD_MOST, "{dropped}");

    collector.answer(200);
    let (sent, dropped) = eventually("it takes what there is", async || {
        let (sent, dropped) = counts(&gateway).await;
        (sent + dropped == SENT).then_some((sent, dropped))
    })
    .await;
    assert_eq!(collector.spans(sent).await.len(), sent);
    assert!(
        sent <= HELD_MOST && dropped >= SENT - HELD_MOST,
        "{sent} {dropped}"
    );
}

/// How many spans were sent, and how many dropped.
async fn counts(gateway: &Gateway) -> (usize, usize) {
    let metrics = gateway.admin(Method::GET, "/metrics", None).await;
    let of = |name: &str| {
        let text = metrics.text();
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap().parse::<usize>().unwrap()
    };
    (
        of("portcullis_spans_sent_total"),
        of("portcullis_spans_dropped_total"),
    )
}

/// What is refused is dropped, counted and never sent again, and the next spans find the collector called.
#[tokio::test]
async fn refused_spans_are_dropped_and_those_after_them_are_sent() {
    let (upstream, collector) = (Upstream::echo().await, Collector::answering(400));
    let gateway = Gateway::routing("/", &upstream)
        .setting(&collector.setting("1"))
        .start()
        .await;
    let key = gateway.create_key().await;
    let settled = async |sent, dropped| {
        eventually("the span is settled", async || {
            (counts(&gateway).await == (sent, dropped)).then_some(())
        })
        .await;
    };

    assert_eq!(gateway.get("/refused").with(&key).await.status, 200);
    settled(0, 1).await;
    // All was read, and one span is not taken: 200 with a `partial_success`.
    collector.answer(200);
    collector.say(b"\x0a\x02\x08\x01");
    assert_eq!(gateway.get("/partly").with(&key).await.status, 200);
    settled(0, 2).await;
    collector.say(b"");
    let taken = gateway.get("/taken").with(&key).await;
    settled(1, 2).await;

    let calls = collector.calls();
    assert_eq!(calls.len(), 3, "nothing was sent again");
    let id = taken.header("x-request-id").unwrap();
    let last = String::from_utf8_lossy(&calls[2].body).into_owned();
    assert!(last.contains(id), "{last}");
}

/// More than find room, of which at most so many do: the queue, and a batch.
const SENT: usize = 2_700;
const HELD_MOST: usize = 2_048 + 512;

#[tokio::test]
async fn the_last_spans_are_sent_before_a_gate_is_gone() {
    let (upstream, collector) = (Upstream::echo().await, Collector::answering(200));
    let mut gateway = Gateway::routing("/", &upstream)
        .setting(&collector.setting("1"))
        .start()
        .await;
    let key = gateway.create_key().await;
    assert_eq!(gateway.get("/").with(&key).await.status, 200);
    gateway.begin_stop();
    gateway.stopped().await;
    assert_eq!(collector.spans(1).await.len(), 1);
}
