//! The admin API's socket: deadlines, a bound, and how it ends.

use futures_util::future::join_all;
use http::Method;

use crate::support::raw::{Raw, status};
use crate::support::{Connection, Gateway, Upstream, within};

async fn gate(deadlines: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream)
        .draining("1h")
        .setting(&format!("deadlines: {{ {deadlines} }}"))
        .start()
        .await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_head_that_does_not_come_whole_ends_its_connection() {
    let (_upstream, gateway) = gate("head: 300ms").await;
    for begun in ["", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let mut raw = Raw::connect(gateway.admin_address()).await;
        raw.write(begun).await;
        let reply = raw.rest().await;
        assert!(reply.is_empty() || status(&reply) == 408, "{reply}");
    }
    // A connection that is kept serves on, if its next head comes in time.
    let mut raw = Raw::connect(gateway.admin_address()).await;
    for _ in 0..3 {
        raw.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        assert_eq!(status(&raw.reply().await), 200);
    }
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn so_many_connections_are_served_at_once_and_the_next_waits() {
    let (_upstream, gateway) = gate("head: 10m").await;
    let ask = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let served = (0..256).map(async |_| {
        let mut raw = Raw::connect(gateway.admin_address()).await;
        raw.write(ask).await;
        assert_eq!(status(&raw.reply().await), 200);
        raw
    });
    let mut served = join_all(served).await;
    let mut next = Raw::connect(gateway.admin_address()).await;
    next.write(ask).await;
    // The others are still answered, and it is not.
    for raw in &mut served[..3] {
        raw.write(ask).await;
        assert_eq!(status(&raw.reply().await), 200);
    }
    assert!(next.is_silent());
    drop(served.pop());
    assert_eq!(status(&next.reply().await), 200);
}

#[tokio::test]
async fn what_is_watched_ends_in_good_order_when_the_gate_stops() {
    let (_upstream, mut gateway) = gate("head: 10m").await;
    let mut idle = Raw::connect(gateway.admin_address()).await;
    let mut connection = Connection::to(gateway.admin_address()).await;
    let mut live = connection
        .open(gateway.ask_admin(Method::GET, "/admin/live"))
        .await;
    assert_eq!(live.status, 200);
    assert_eq!(gateway.get("/.portcullis/ready").await.status, 200);
    for name in ["event: gates", "event: request"] {
        let some = within("an event", live.some()).await.unwrap();
        assert!(some.starts_with(name.as_bytes()), "{some:?}");
    }
    gateway.begin_stop();
    gateway.stopped().await;
    let reply = within("the end of it", live.reply()).await;
    assert!(!reply.is_cut);
    assert_eq!(idle.rest().await, "");
}

/// RFC 9112 §9.3: nothing can follow a body that was not read, and whoever sends it is told.
#[tokio::test]
async fn a_call_refused_before_its_body_was_read_says_that_the_connection_closes() {
    let (_upstream, gateway) = gate("head: 10m").await;
    let ask = async |length: &str| {
        let mut raw = Raw::connect(gateway.admin_address()).await;
        let head = format!("POST /admin/keys HTTP/1.1\r\nHost: localhost\r\n{length}\r\n");
        raw.write(&head).await;
        raw.reply().await.to_ascii_lowercase()
    };
    let refused = ask("Content-Length: 100\r\n").await;
    assert!(refused.starts_with("http/1.1 401"), "{refused}");
    assert!(refused.contains("connection: close\r\n"), "{refused}");
    let refused = ask("").await;
    assert!(!refused.contains("connection: close"), "{refused}");
}
