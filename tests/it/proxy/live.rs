//! Watching requests as they finish at several gates over one Redis, through one of them.

use std::cell::Cell;

use http::Method;
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::redis::RedisServer;
use crate::support::suite::{on, on_cluster, on_sentinels, on_valkey};
use crate::support::{Connection, Gateway, Upstream, eventually, within};

const TOKEN: &str = "a-token-that-all-gates-know-0123456789";

async fn gate(upstream: &Upstream, store: &str, node: &str) -> Gateway {
    Gateway::routing("/", upstream)
        .node(node)
        .admin_token(TOKEN)
        .over(store)
        .on_system_clock()
        .start()
        .await
}

/// A stream of events, and what of it was read.
struct Live {
    reply: Answer,
    text: String,
    _connection: Connection,
}

impl Live {
    async fn of(gate: &Gateway, query: &str) -> Self {
        let mut connection = Connection::to(gate.admin_address()).await;
        let path = format!("/admin/live{query}");
        let reply = connection.open(gate.ask_admin(Method::GET, &path)).await;
        assert_eq!(reply.status, 200);
        Self {
            reply,
            text: String::new(),
            _connection: connection,
        }
    }

    /// The next event: its name, and what it says.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                // A comment keeps the connection warm.
                if let Some((name, data)) = event.split_once("\ndata: ") {
                    let name = name.strip_prefix("event: ").unwrap().to_owned();
                    return (name, serde_json::from_str(data).unwrap());
                }
                continue;
            }
            let more = within("an event", self.reply.some()).await.unwrap();
            self.text.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// The events up to the first that is `wanted`, which is the last of them.
    async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        let found = async {
            loop {
                let (name, data) = self.next().await;
                let is_it = wanted(&name, &data);
                all.push((name, data));
                if is_it {
                    break;
                }
            }
        };
        within("the event that is waited for", found).await;
        all
    }

    /// Waits until it is said that these tell, these do not, and how the store is.
    async fn stands(&mut self, gates: &[&str], missing: &[&str], store: &str) {
        let wanted = json!({"gates": gates, "missing": missing, "store": store});
        self.until(|name, data| name == "gates" && *data == wanted)
            .await;
    }
}

fn is_request(at: &'static str, path: &'static str) -> impl Fn(&str, &Value) -> bool {
    move |name, data| name == "request" && data["node"] == at && data["path"] == path
}

/// Requests of every gate are seen at one, with the conditions that were asked for, and nothing lies in the store
/// before someone watches nor after.
async fn every_gate_is_seen_through_one(store: &str) {
    let upstream = Upstream::echo().await;
    let here = gate(&upstream, store, "gate-1").await;
    let there = gate(&upstream, store, "gate-2").await;
    let (key, other) = (here.create_key().await, here.create_key().await);
    there.hears_of(&key).await;
    there.hears_of(&other).await;
    assert!(there.get("/unseen").with(&key).await.status == 200);

    let mut live = Live::of(&here, &format!("?key_id={}", key.id)).await;
    live.stands(&["gate-1", "gate-2"], &[], "up").await;
    there.get("/not-asked-for").with(&other).await;
    there.get("/there").with(&key).await;
    here.get("/here").with(&key).await;
    let mut seen = live.until(is_request("gate-2", "/there")).await;
    if !seen.iter().any(|(_, data)| data["path"] == "/here") {
        seen.extend(live.until(is_request("gate-1", "/here")).await);
    }
    let requests = seen.iter().filter(|(name, _)| name == "request");
    let mut paths: Vec<&str> = requests
        .map(|(_, data)| data["path"].as_str().unwrap())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/here", "/there"]);
    assert!(seen.iter().all(|(name, _)| name != "dropped"), "{seen:?}");

    // One gate alone, another than the one that is asked.
    let mut one = Live::of(&here, "?node=gate-2&route=api&method=POST").await;
    one.stands(&["gate-2"], &[], "up").await;
    here.post("/elsewhere").with(&key).await;
    there.get("/by-another-method").with(&key).await;
    there.post("/asked-for").with(&key).await;
    let seen = one.until(is_request("gate-2", "/asked-for")).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_a_redis_is_seen_through_one() {
    let redis = RedisServer::start();
    every_gate_is_seen_through_one(&on(&redis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_sentinels_is_seen_through_one() {
    every_gate_is_seen_through_one(&on_sentinels()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_a_cluster_is_seen_through_one() {
    every_gate_is_seen_through_one(&on_cluster()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gate_over_a_valkey_is_seen_through_one() {
    every_gate_is_seen_through_one(&on_valkey()).await;
}

/// What two gates count is told a second later, and is exactly what they served; nothing is published before
/// anyone watches, and nothing after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_every_gate_are_exact_and_nothing_is_left_behind() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let store = on(&redis);
    let here = gate(&upstream, &store, "gate-1").await;
    let there = gate(&upstream, &store, "gate-2").await;
    let key = here.create_key().await;
    there.hears_of(&key).await;
    let left = || -> Vec<String> {
        let asked: Vec<String> = redis.ask(&["KEYS", "{pc}:asked"]);
        let told: Vec<String> = redis.ask(&["KEYS", "{pc}:told:*"]);
        [asked, told].concat()
    };
    assert!(left().is_empty());

    let mut live = Live::of(&here, "?summary=1s").await;
    live.stands(&["gate-1", "gate-2"], &[], "up").await;
    // A gate that is asked begins to count with the next second.
    for node in ["gate-1", "gate-2"] {
        live.until(|name, data| name == "summary" && data["node"] == node)
            .await;
    }
    for _ in 0..30 {
        assert_eq!(here.get("/").with(&key).await.status, 200);
        assert_eq!(there.get("/").with(&key).await.status, 200);
        assert_eq!(there.get("/").await.refusal(), "missing_key");
    }
    let mut counted = std::collections::BTreeMap::<(String, String), u64>::new();
    let mut dropped = 0;
    let all = async {
        while counted.values().sum::<u64>() < 90 {
            let (name, data) = live.next().await;
            if name == "dropped" {
                dropped += data["count"].as_u64().unwrap();
            }
            for row in data["keys"].as_array().into_iter().flatten() {
                let id = row["id"].as_str().unwrap_or("none").to_owned();
                let node = data["node"].as_str().unwrap().to_owned();
                *counted.entry((node, id)).or_default() += row["requests"].as_u64().unwrap();
                let is_refused = row["id"].is_null();
                assert_eq!(row["refused"] == row["requests"], is_refused, "{row}");
            }
        }
    };
    within("all are counted", all).await;
    let of = |node: &str, id: &str| counted.get(&(node.to_owned(), id.to_owned())).copied();
    assert_eq!(of("gate-1", &key.id), Some(30));
    assert_eq!(of("gate-2", &key.id), Some(30));
    assert_eq!((of("gate-2", "none"), dropped), (Some(30), 0));
    assert!(!left().is_empty());

    drop(live);
    eventually("nothing is asked nor told any more", async || {
        left().is_empty().then_some(())
    })
    .await;
}

/// A store that is away takes the others' part out of the stream, which says so and goes on; when it is back,
/// so are they, and what was missed is told or counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_the_stream_says_who_is_missing_and_goes_on() {
    let (mut redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let store = on(&redis);
    let here = gate(&upstream, &store, "gate-1").await;
    let there = gate(&upstream, &store, "gate-2").await;
    let key = here.create_key().await;
    there.hears_of(&key).await;
    let mut live = Live::of(&here, "").await;
    live.stands(&["gate-1", "gate-2"], &[], "up").await;

    redis.kill();
    live.until(|name, data| name == "gates" && data["store"] == "away")
        .await;
    live.stands(&["gate-1"], &["gate-2"], "away").await;
    assert_eq!(there.get("/missed").with(&key).await.status, 200);
    assert_eq!(here.get("/here").with(&key).await.status, 200);
    let seen = live.until(is_request("gate-1", "/here")).await;
    assert!(seen.iter().all(|(_, data)| data["path"] != "/missed"));

    redis.restart();
    // Whichever is known first: that the gate tells again, or what it could not tell; if its last words were still on
    // their way, they come now.
    let (is_back, missed) = (Cell::new(false), Cell::new(None));
    let is_told = is_request("gate-2", "/missed");
    live.until(|name, data| {
        if name == "gates" {
            let both = json!({"gates": ["gate-1", "gate-2"], "missing": [], "store": "up"});
            is_back.set(*data == both);
        }
        if name == "dropped" && data["node"] == "gate-2" {
            missed.set(data["count"].as_u64());
        }
        if is_told(name, data) {
            missed.set(Some(1));
        }
        is_back.get() && missed.get().is_some()
    })
    .await;
    assert_eq!(missed.get(), Some(1));
    assert_eq!(there.get("/back").with(&key).await.status, 200);
    live.until(is_request("gate-2", "/back")).await;
}

/// A gate that stops is no longer told of; one that does not answer is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_goes_is_told_of_and_one_that_never_answers_is_missing() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let store = on(&redis);
    let here = gate(&upstream, &store, "gate-1").await;
    let there = gate(&upstream, &store, "gate-2").await;
    let mut live = Live::of(&here, "").await;
    live.stands(&["gate-1", "gate-2"], &[], "up").await;
    drop(there);
    live.stands(&["gate-1"], &[], "up").await;

    // It beats, and knows of no questions.
    let (seconds, _): (u64, u64) = redis.ask(&["TIME"]);
    let row = format!("ff 5 0 {} up 86400 0.0.9", (seconds + 3_600) * 1_000);
    let _: u64 = redis.ask(&["HSET", "{pc}:nodes", "gate-9", &row]);
    live.stands(&["gate-1"], &["gate-9"], "up").await;
}

/// However much finishes elsewhere, what cannot be told is counted, and the answers that lie in the store are few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_to_be_told_is_counted() {
    let (redis, upstream) = (RedisServer::start(), Upstream::echo().await);
    let store = on(&redis);
    let here = gate(&upstream, &store, "gate-1").await;
    let there = gate(&upstream, &store, "gate-2").await;
    let key = here.create_key().await;
    there.hears_of(&key).await;
    let mut live = Live::of(&here, "?node=gate-2").await;
    live.stands(&["gate-2"], &[], "up").await;
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\n", key.secret);
    let (one, last) = (
        format!("{request}\r\n"),
        format!("{request}Connection: close\r\n\r\n"),
    );
    let clients = (0..20).map(|_| async {
        let answers = there.send_raw(one.repeat(99) + &last).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 100);
    });
    futures_util::future::join_all(clients).await;
    let (mut told, mut dropped) = (0, 0);
    let all = async {
        while told + dropped < 2_000 {
            match live.next().await {
                (name, _) if name == "request" => told += 1,
                (name, data) if name == "dropped" => dropped += data["count"].as_u64().unwrap(),
                _ => {}
            }
        }
    };
    within("all are told of or counted", all).await;
    assert_eq!(told + dropped, 2_000);
    assert!(told > 0);
}
