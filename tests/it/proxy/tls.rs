//! TLS in front: which certificate, which protocol, and for which names.

use http::{Method, Version};

use crate::support::tls::Certificates;
use crate::support::{Connection, Gateway, Upstream, eventually, within};

#[tokio::test]
async fn the_certificate_is_chosen_by_the_name_the_client_asks_for() {
    let upstream = Upstream::echo().await;
    let certificates = Certificates::new(&[&["a.example"], &["b.example", "*.c.example"]]);
    let gateway = Gateway::routing("/", &upstream)
        .tls(&certificates)
        .start()
        .await;
    for (name, expected) in [
        ("a.example", 0),
        ("b.example", 1),
        ("x.c.example", 1),
        ("B.example", 1),
    ] {
        let (_, shown) = certificates
            .connect(gateway.address(), name, &[])
            .await
            .unwrap();
        assert_eq!(shown, expected, "{name}");
    }
    // A name that none covers is shown the first, which its client does not trust for it.
    let refused = certificates
        .connect(gateway.address(), "d.example", &[])
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn the_protocol_is_agreed_on_in_the_handshake() {
    let upstream = Upstream::echo().await;
    let certificates = Certificates::new(&[&["a.example"]]);
    let gateway = Gateway::routing("/", &upstream)
        .tls(&certificates)
        .start()
        .await;
    let key = gateway.create_key().await;
    for (offered, is_http2) in [
        (&["h2", "http/1.1"][..], true),
        (&["h2"], true),
        (&["http/1.1"], false),
        (&[], false),
    ] {
        let (stream, _) = certificates
            .connect(gateway.address(), "a.example", offered)
            .await
            .unwrap();
        let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        assert_eq!(agreed, is_http2, "{offered:?}");
        let mut connection = Connection::over(stream, is_http2).await;
        let ask = gateway
            .post("/x")
            .host("a.example")
            .with(&key)
            .body("hello");
        let reply = connection.send(ask).await;
        assert_eq!((reply.status, reply.text()), (200, "hello"));
        let seen = upstream.last();
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(
            seen.header("forwarded"),
            Some("for=127.0.0.1;host=\"a.example\";proto=https")
        );
        let protocol = if is_http2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        assert_eq!(reply.version, protocol);
    }
}

/// RFC 9110 §7.4: a connection made for one name must not reach what stands behind another's certificate.
#[tokio::test]
async fn a_request_for_a_name_the_connection_was_not_made_for_is_421() {
    let upstream = Upstream::echo().await;
    let certificates = Certificates::new(&[&["a.example"], &["b.example", "*.c.example"]]);
    let gateway = Gateway::routing("/", &upstream)
        .tls(&certificates)
        .start()
        .await;
    let key = gateway.create_key().await;
    for (name, host, status) in [
        ("a.example", "a.example", 200),
        ("a.example", "A.example:443", 200),
        ("a.example", "b.example", 421),
        ("a.example", "d.example", 421),
        ("b.example", "x.c.example", 200),
        ("x.c.example", "y.c.example", 200),
        ("x.c.example", "a.example", 421),
    ] {
        for alpn in ["h2", "http/1.1"] {
            let offered = [alpn];
            let connecting = certificates.connect(gateway.address(), name, &offered);
            let (stream, _) = connecting.await.unwrap();
            let mut connection = Connection::over(stream, alpn == "h2").await;
            let reply = connection
                .send(gateway.get("/").host(host).with(&key))
                .await;
            assert_eq!(reply.status, status, "{name} {host} {alpn}");
            if status == 421 {
                assert_eq!(reply.refusal(), "misdirected");
            }
        }
    }
}

#[tokio::test]
async fn a_handshake_that_fails_or_stalls_is_counted_and_closed() {
    let upstream = Upstream::echo().await;
    let certificates = Certificates::new(&[&["a.example"]]);
    let gateway = Gateway::routing("/", &upstream)
        .tls(&certificates)
        .setting("deadlines: { handshake: 200ms }")
        .start()
        .await;
    gateway.send_raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut silent = gateway.raw().await;
    within("the gate gives up on it", silent.rest()).await;
    // Its connection is closed before it is counted.
    eventually("both are counted", async || {
        let failed = gateway
            .metric("portcullis_tls_handshakes_failed_total")
            .await;
        (failed == 2.0).then_some(())
    })
    .await;
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn when_each_certificate_ends_is_told_before_it_does() {
    let upstream = Upstream::echo().await;
    let certificates = Certificates::new(&[&["a.example"], &["b.example"]]);
    let gateway = Gateway::routing("/", &upstream)
        .tls(&certificates)
        .start()
        .await;
    let metrics = gateway.admin(Method::GET, "/metrics", None).await;
    let told = metrics.text().lines().filter_map(|line| {
        let rest = line.strip_prefix("portcullis_tls_certificate_end_seconds{certificate=\"")?;
        rest.split_once("\"} ")
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 2);
    for (file, end) in told {
        assert!(certificates.yaml().contains(file), "{file}");
        // What the certificates of the tests are made with: 4096-01-01.
        assert_eq!(end, "67090118400");
    }
}
