//! The dashboard as the gate serves it. What it does in a browser is tried in tests/browser.

use std::io::Read;

use flate2::read::GzDecoder;
use http::Method;

use crate::support::{Ask, Gateway, Reply, Upstream};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'self'";

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    (upstream, gateway)
}

fn get(gateway: &Gateway, path: &str) -> Ask {
    Ask::new(gateway.admin_address(), Method::GET, path).host("localhost")
}

/// The files that a page names.
fn named(page: &Reply) -> Vec<String> {
    let quoted = page.text().split('"');
    let paths = quoted.filter(|text| text.starts_with("/assets/"));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_is_under_a_strict_policy_wherever_it_is_asked_for() {
    let (_upstream, gateway) = gateway().await;
    for path in [
        "/",
        "/keys",
        "/keys/key_0000000000/usage",
        "/audit",
        "/settings",
        "/sign-in",
    ] {
        let page = get(&gateway, path).await;
        assert_eq!(page.status, 200, "{path}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", POLICY),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn what_the_page_names_is_there_and_kept_for_ever() {
    let (_upstream, gateway) = gateway().await;
    let page = get(&gateway, "/").await;
    let named = named(&page);
    assert_eq!(named.len(), 2, "a script and a style: {named:?}");
    for path in &named {
        let file = get(&gateway, path).await;
        assert_eq!(file.status, 200);
        let kind = if path.ends_with(".js") {
            "text/javascript"
        } else {
            "text/css"
        };
        assert!(
            file.header("content-type").unwrap().starts_with(kind),
            "{path}"
        );
        assert_eq!(
            file.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(file.header("content-security-policy"), Some(POLICY));
        assert!(!file.body.is_empty());
    }
    let icon = get(&gateway, "/icon.svg").await;
    assert_eq!(icon.header("content-type"), Some("image/svg+xml"));
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let (_upstream, gateway) = gateway().await;
    let page = get(&gateway, "/").await;
    let tag = page.header("etag").unwrap();

    let known = get(&gateway, "/keys").header("if-none-match", tag).await;
    assert_eq!(known.status, 304);
    assert!(known.body.is_empty());
    assert_eq!(known.header("etag"), Some(tag));

    let other = get(&gateway, "/")
        .header("if-none-match", "\"of-another-version\"")
        .await;
    assert_eq!((other.status, other.body), (200, page.body));
}

/// RFC 9110 §8.8.3: what differs by its encoding has tags of its own for each.
#[tokio::test]
async fn who_takes_gzip_is_sent_the_same_shorter_under_a_tag_of_its_own() {
    let (_upstream, gateway) = gateway().await;
    let page = get(&gateway, "/").await;
    let mut paths = named(&page);
    paths.push("/keys".to_owned());
    for path in &paths {
        let plain = get(&gateway, path).await;
        let packed = get(&gateway, path)
            .header("accept-encoding", "br, gzip")
            .await;
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert!(packed.body.len() < plain.body.len(), "{path}");
        let mut unpacked = Vec::new();
        GzDecoder::new(&*packed.body)
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain.body, "{path}");
        let (tag, other) = (
            packed.header("etag").unwrap(),
            plain.header("etag").unwrap(),
        );
        assert_ne!(tag, other, "{path}");
        for name in ["content-type", "cache-control", "content-security-policy"] {
            assert_eq!(packed.header(name), plain.header(name), "{path} {name}");
        }

        let known = async |encoding, tag| {
            let ask = get(&gateway, path).header("accept-encoding", encoding);
            ask.header("if-none-match", tag).await
        };
        let same = known("gzip", tag).await;
        assert_eq!((same.status, same.header("etag")), (304, Some(tag)));
        assert_eq!(same.header("content-encoding"), None);
        assert_eq!(known("identity", other).await.status, 304);
        assert_eq!(known("gzip", other).await.status, 200);
        assert_eq!(known("gzip;q=0", tag).await.status, 200);
        for reply in [&plain, &packed, &same] {
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"), "{path}");
        }
    }
}

#[tokio::test]
async fn no_call_and_no_probe_is_answered_by_the_page() {
    let (_upstream, gateway) = gateway().await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 401),
        ("/admin", 404),
        ("/admin/keys", 401),
        ("/admin/nothing", 404),
        ("/admin/session", 200),
        ("/nothing", 404),
        ("/keys/key_0000000000/usage/more", 404),
        ("/assets/nothing.js", 404),
        ("/assets/../index.html", 404),
        ("/assets/%2e%2e%2findex.html", 404),
        ("/index.html", 404),
        ("/ui/package.json", 404),
    ] {
        let reply = get(&gateway, path).await;
        assert_eq!(reply.status, status, "{path}");
        let kind = reply.header("content-type").unwrap_or_default();
        assert!(!kind.starts_with("text/html"), "{path}: {kind}");
    }
    let posted = Ask::new(gateway.admin_address(), Method::POST, "/keys")
        .host("localhost")
        .await;
    assert_eq!(posted.status, 405);
}

/// HARDENING §3: a page under a name that was made to lead here gets nothing.
#[tokio::test]
async fn under_a_foreign_name_there_is_no_page() {
    let (_upstream, gateway) = gateway().await;
    let admin = gateway.admin_address();
    for path in ["/", "/assets/index.js", "/admin/session"] {
        let reply = Ask::new(admin, Method::GET, path)
            .host("evil.example")
            .await;
        assert_eq!(reply.status, 421, "{path}");
    }
}

/// S0-03: of what it holds, nothing is told to who has not signed in.
#[tokio::test]
async fn the_page_itself_says_nothing_of_the_gate() {
    let (_upstream, gateway) = gateway().await;
    let key = gateway.create_key().await;
    let page = get(&gateway, &format!("/keys/{}", key.id)).await;
    assert!(!page.text().contains(&key.id));
    assert_eq!(page.body, get(&gateway, "/").await.body);
}
