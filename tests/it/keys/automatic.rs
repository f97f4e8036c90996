//! Automatic rotation as clients see it: at a real gate, with real requests, over turned years.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::admin::Key;
use crate::support::{Gateway, Reply, Upstream, eventually};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn enable(gateway: &Gateway, rule: Value) -> Value {
    let path = "/admin/keys/rotation/enable";
    let reply = gateway.admin(Method::POST, path, Some(rule)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn told(gateway: &Gateway, key: &Key) -> Value {
    let path = format!("/admin/keys/{}", key.id);
    gateway.admin(Method::GET, &path, None).await.json()
}

/// Turns the clock, and waits until all keys have been looked at once more.
async fn turn(gateway: &Gateway, span: Duration) {
    let walks = gateway.metric("portcullis_key_walks_total").await;
    gateway.clock.turn(span);
    eventually("all keys are looked at", async || {
        let now = gateway.metric("portcullis_key_walks_total").await;
        (now > walks).then_some(())
    })
    .await;
}

/// A gate with a file for each key's secret, and a client that reads it before each request.
struct Reader {
    gateway: Gateway,
    folder: tempfile::TempDir,
    key: Key,
    /// The secrets it has seen, oldest first.
    seen: Vec<String>,
}

impl Reader {
    async fn start(upstream: &Upstream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sinks = format!(
            "sinks: {{ files: {{ kind: file, path: \"{}/{{id}}.json\", format: json }} }}",
            folder.path().display()
        );
        let gateway = Gateway::routing("/", upstream)
            .setting(&sinks)
            .start()
            .await;
        let key = gateway.create_key().await;
        Self {
            seen: vec![key.secret.clone()],
            gateway,
            folder,
            key,
        }
    }

    /// Reads the file, and sends a request with what is in it: which must pass.
    async fn request(&mut self) {
        let file = format!("{}.json", self.key.id.trim_start_matches("key_"));
        if let Ok(text) = std::fs::read_to_string(self.folder.path().join(file)) {
            let held: Value = serde_json::from_str(&text).unwrap();
            let secret = held["secret"].as_str().unwrap();
            if self.seen.last().is_none_or(|last| last != secret) {
                self.seen.push(secret.to_owned());
            }
        }
        let secret = self.seen.last().unwrap();
        let reply = self.gateway.get("/").header("x-api-key", secret).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Turns the clock by the interval, and sends requests until the key has its next version.
    async fn next_version(&mut self, number: u64) {
        self.gateway.clock.turn(DAY * 30);
        let mut tries = 0;
        loop {
            self.request().await;
            let key = told(&self.gateway, &self.key).await;
            if key["version"] == number {
                break;
            }
            tries += 1;
            assert!(tries < 10_000, "{key:#}");
        }
        // The new secret is in the file before it is current, so it is seen by now.
        self.request().await;
        assert_eq!(self.seen.len() as u64, number);
    }

    /// What is answered to who still sends the secret that was the newest so many versions ago.
    async fn reply_to(&self, back: usize) -> Reply {
        let secret = &self.seen[self.seen.len() - 1 - back];
        self.gateway.get("/").header("x-api-key", secret).await
    }
}

/// S3-02, S3-04, S0-16: the two most recent versions work, and no request is refused at any time.
#[tokio::test]
async fn a_client_that_reads_the_file_is_never_refused_with_two_versions_valid() {
    let upstream = Upstream::echo().await;
    let mut reader = Reader::start(&upstream).await;
    enable(
        &reader.gateway,
        json!({"interval_days": 30, "keep_previous": true}),
    )
    .await;
    for number in 2..=11 {
        reader.next_version(number).await;
        if number > 2 {
            // As soon as the gate has what is in the store.
            eventually("the one before the one before is refused", async || {
                (reader.reply_to(2).await.status == 401).then_some(())
            })
            .await;
        }
        let before = reader.reply_to(1).await;
        assert_eq!(before.status, 200, "the one before still works");
    }
}

/// S3-04: only the newest, but for the grace.
#[tokio::test]
async fn a_client_that_reads_the_file_is_never_refused_with_a_minutes_grace() {
    let upstream = Upstream::echo().await;
    let mut reader = Reader::start(&upstream).await;
    let rule = json!({"interval_days": 30, "keep_previous": false, "grace": "1m"});
    enable(&reader.gateway, rule).await;
    for number in 2..=11 {
        reader.next_version(number).await;
        // As soon as the gate has what is in the store.
        eventually("the version before says when it ends", async || {
            let reply = reader.reply_to(1).await;
            reply.header("x-portcullis-key-retires").map(drop)
        })
        .await;
        reader.gateway.clock.turn(Duration::from_millis(59_999));
        assert_eq!(reader.reply_to(1).await.status, 200, "a millisecond before");
        reader.gateway.clock.turn(Duration::from_millis(1));
        assert_eq!(reader.reply_to(1).await.status, 401, "and at its end");
        reader.request().await;
    }
}

/// S0-01, S0-02, S3-03: nobody to hand the secret to, so someone is reminded, and the key goes on.
#[tokio::test]
async fn without_a_way_of_delivery_a_year_locks_out_nobody() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::routing("/", &upstream).start().await;
    let key = gateway.create_key().await;
    enable(
        &gateway,
        json!({"interval_days": 90, "keep_previous": false}),
    )
    .await;
    for week in 0..52 {
        turn(&gateway, DAY * 7).await;
        let reply = gateway.get("/").with(&key).await;
        assert_eq!(reply.status, 200, "week {week}: {}", reply.text());
    }
    // The store is told of its last use once a second, by the machine's clock.
    let now = eventually("its use is known", async || {
        let now = told(&gateway, &key).await;
        (now["badges"] == json!(["rotation due"])).then_some(now)
    })
    .await;
    assert_eq!(now["version"], 1);
    assert_eq!(now["rotation"]["next_at"], "2026-04-01T00:00:00.000Z");
    let reminders = gateway
        .metric("portcullis_events_total{kind=\"key.rotation_due\"}")
        .await;
    assert!(reminders >= 30.0, "{reminders}");
    let path = "/admin/keys/rotation";
    let rules = gateway.admin(Method::GET, path, None).await.json();
    assert_eq!(rules["items"][0]["due"], 1);
}
