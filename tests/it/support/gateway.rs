//! A gate: `app::start` in this process, on free ports, with a folder and a clock of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use portcullis::app::{self, Running, SystemClock};
use portcullis::config::{self, StoreChoice};
use portcullis::domain::time::{Clock, Timestamp};
use portcullis::domain::usage::Step;
use portcullis::store::Store;
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::node_key::NodeKey;
use portcullis::store::redis::{Local, RedisStore};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::{Ask, Connection};
use super::clock::{ManualClock, START_MS, eventually, within};
use super::raw::Raw;
use super::suite::{on_shared_redis, suite_is_on_redis};
use super::tls::Certificates;
use super::upstream::Upstream;

/// A gate that is about to start.
pub(crate) struct Builder {
    listener: String,
    pools: Vec<String>,
    routes: Vec<String>,
    settings: Vec<String>,
    drain: String,
    redis: Option<String>,
    needs_embedded: bool,
    is_on_system_clock: bool,
    workers: usize,
    node: String,
    token: Option<String>,
}

impl Builder {
    /// Its name among the gates that share a store.
    pub(crate) fn node(mut self, name: &str) -> Self {
        name.clone_into(&mut self.node);
        self
    }

    /// Operators show this token, at all gates that share a store.
    pub(crate) fn admin_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The first route asks for this too: fields as they stand in the file.
    pub(crate) fn asking(mut self, fields: &str) -> Self {
        let first = &mut self.routes[0];
        first.truncate(first.len() - " }".len());
        first.push_str(&format!(", {fields} }}"));
        self
    }

    /// One more route, as it stands in the file.
    pub(crate) fn route(mut self, route: &str) -> Self {
        self.routes.push(route.to_owned());
        self
    }

    /// The first upstream has this too: fields as they stand in the file.
    pub(crate) fn pool(mut self, fields: &str) -> Self {
        let first = &mut self.pools[0];
        first.truncate(first.len() - " }".len());
        first.push_str(&format!(", {fields} }}"));
        self
    }

    /// One more upstream: its name and fields as they stand in the file.
    pub(crate) fn upstream(mut self, text: &str) -> Self {
        self.pools.push(text.trim().to_owned());
        self
    }

    /// One more section of the file.
    pub(crate) fn setting(mut self, text: &str) -> Self {
        self.settings.push(text.to_owned());
        self
    }

    /// Requests in flight may go on for so long when it stops.
    pub(crate) fn draining(mut self, limit: &str) -> Self {
        limit.clone_into(&mut self.drain);
        self
    }

    /// Keeps its keys in the embedded store, whatever the suite is run on: for what is about that, and for limits to
    /// the token by a clock that is turned, since those that gates share go by the clock of Redis.
    pub(crate) fn embedded(mut self) -> Self {
        self.needs_embedded = true;
        self
    }

    /// Keeps its keys in Redis; what it counted is then not looked at when it is dropped.
    pub(crate) fn redis(self, url: &str) -> Self {
        self.over(&format!("redis: {{ urls: [\"{url}\"] }}"))
    }

    /// The same, with the store as it stands in the file.
    pub(crate) fn over(mut self, store: &str) -> Self {
        self.redis = Some(store.to_owned());
        self
    }

    /// Serves on so many cores; otherwise on one.
    pub(crate) fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Time passes by itself.
    pub(crate) fn on_system_clock(mut self) -> Self {
        self.is_on_system_clock = true;
        self
    }

    /// The listener speaks HTTP/2 too, by prior knowledge.
    pub(crate) fn h2c(mut self) -> Self {
        self.listener = "{ address: \"127.0.0.1:0\", h2c: true }".into();
        self
    }

    /// The listener speaks TLS.
    pub(crate) fn tls(mut self, certificates: &Certificates) -> Self {
        let certificates = certificates.yaml();
        self.listener =
            format!("{{ address: \"127.0.0.1:0\", tls: {{ certificates: {certificates} }} }}");
        self
    }

    /// Starts it.
    pub(crate) async fn start(self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let store = match &self.redis {
            Some(store) => store.clone(),
            None if suite_is_on_redis() && !self.needs_embedded => on_shared_redis(),
            None => format!("embedded: {{ path: {} }}", path("store")),
        };
        let text = format!(
            "listeners:\n  - {}\nadmin: {{ address: \"127.0.0.1:0\"{} }}\nnode: {}\nworkers: {}\ndrain: {}\n\
             store: {{ {store} }}\ndata_dir: {}\naccess_log: {{ to: {} }}\n\
             upstreams:\n{}\nroutes:\n{}\n{}\n",
            self.listener,
            self.token
                .as_ref()
                .map_or(String::new(), |token| format!(", token: {token}")),
            self.node,
            self.workers,
            self.drain,
            path("data"),
            path("access.log"),
            indented("  ", &self.pools),
            indented("  - ", &self.routes),
            self.settings.join("\n"),
        );
        let clock = Arc::<ManualClock>::default();
        let read_by_gate: Arc<dyn Clock> = if self.is_on_system_clock {
            Arc::new(SystemClock::new())
        } else {
            clock.clone()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut running = launch(&runtime, &text, &read_by_gate).await;
        // A second gate over one store makes no first token.
        let made = running.first_token.take();
        let made = made.map(|token| token.reveal().to_owned());
        Gateway {
            address: running.addresses[0],
            admin: running.admin,
            token: self.token.or(made).unwrap_or_default(),
            clock,
            read_by_gate,
            text,
            log: folder.path().join("access.log"),
            runtime: Some(runtime),
            running: Some(running),
            stopping: None,
            is_alone: self.redis.is_none(),
            folder,
        }
    }
}

async fn launch(runtime: &Runtime, text: &str, clock: &Arc<dyn Clock>) -> Running {
    let loaded = config::load_text(text, "test.yaml", &|_| None);
    assert!(loaded.is_ok(), "{}\n{text}", loaded.unwrap_err());
    let starting = app::start(loaded.unwrap(), Arc::clone(clock));
    runtime.spawn(starting).await.unwrap().unwrap()
}

fn indented(before: &str, lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("{before}{line}")).collect();
    lines.join("\n")
}

/// A gate that runs. Dropped, it is stopped, and must have counted all that it served.
pub(crate) struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
    token: String,
    /// What it goes by, unless on the system's clock.
    pub clock: Arc<ManualClock>,
    read_by_gate: Arc<dyn Clock>,
    text: String,
    log: PathBuf,
    runtime: Option<Runtime>,
    running: Option<Running>,
    stopping: Option<JoinHandle<()>>,
    /// Whether no other gate has its store.
    is_alone: bool,
    folder: TempDir,
}

impl Gateway {
    /// One route, by prefix, to one upstream `api`.
    pub(crate) fn routing(prefix: &str, upstream: &Upstream) -> Builder {
        Self::balancing(prefix, &[upstream])
    }

    /// One route, by prefix, to an upstream `api` of several endpoints.
    pub(crate) fn balancing(prefix: &str, endpoints: &[&Upstream]) -> Builder {
        let endpoints: Vec<String> = endpoints
            .iter()
            .map(|it| format!("\"http://{}\"", it.address()))
            .collect();
        Builder {
            listener: "{ address: \"127.0.0.1:0\" }".into(),
            pools: vec![format!("api: {{ endpoints: [{}] }}", endpoints.join(", "))],
            routes: vec![format!(
                "{{ name: api, match: {{ path_prefix: {prefix} }}, upstream: api }}"
            )],
            settings: Vec::new(),
            drain: "5s".into(),
            redis: None,
            needs_embedded: false,
            is_on_system_clock: false,
            workers: 1,
            node: "gate-1".into(),
            token: None,
        }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it keeps on its own disk.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where operators connect.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// A `GET`.
    pub(crate) fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    /// A `POST`.
    pub(crate) fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    /// Any request.
    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.address, method, path)
    }

    /// A connection that is kept.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::to(self.address).await
    }

    /// A connection that speaks HTTP/2 by prior knowledge.
    pub(crate) async fn http2(&self) -> Connection {
        Connection::http2(self.address).await
    }

    /// A connection that speaks bytes.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Sends bytes and reads until the gate closes.
    pub(crate) async fn send_raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut raw = self.raw().await;
        // A gate that refuses may close before it has read all.
        raw.try_write(bytes.as_ref()).await;
        raw.rest().await
    }

    /// The first so many lines of the access log, when they are there.
    pub(crate) async fn log_lines(&self, count: usize) -> Vec<Value> {
        eventually("lines in the access log", async || {
            let lines = self.log_now();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    /// The lines of the access log that are there now.
    pub(crate) fn log_now(&self) -> Vec<Value> {
        let text = self.log_text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The access log as it is now.
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until nothing is in flight to any endpoint, and no request of a client is under way.
    pub(crate) async fn is_quiet(&self) {
        eventually("nothing is in flight", async || {
            let metrics = self.admin(Method::GET, "/metrics", None).await;
            let in_flight = metrics
                .text()
                .lines()
                .filter(|line| line.starts_with("portcullis_endpoint_requests_in_flight{"))
                .any(|line| !line.ends_with(" 0"));
            (!in_flight).then_some(())
        })
        .await;
    }

    /// Begins to stop, as on SIGTERM.
    pub(crate) fn begin_stop(&mut self) {
        let running = self.running.take().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        self.stopping = Some(runtime.spawn(running.stop()));
    }

    /// Whether it has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopping.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(&mut self) {
        if let Some(stopping) = self.stopping.take() {
            within("the gate stops", stopping).await.unwrap();
        }
    }

    /// Stops, and starts again on the same folder. Its addresses are new.
    pub(crate) async fn restart(&mut self) {
        self.restart_after(async |_| {}).await;
    }

    /// The same, with something done to its store in between.
    pub(crate) async fn restart_after(&mut self, work: impl AsyncFnOnce(&dyn Store)) {
        self.begin_stop();
        self.stopped().await;
        if self.is_alone {
            let (store, _folder) = self.store().await;
            work(&*store).await;
            store.close().await;
        }
        let runtime = self.runtime.as_ref().unwrap();
        let running = launch(runtime, &self.text, &self.read_by_gate).await;
        self.address = running.addresses[0];
        self.admin = running.admin;
        self.running = Some(running);
    }

    /// What the store has of each key in the log: requests admitted and refused.
    ///
    /// Only when the gate has stopped: one at a time may have the store.
    async fn stored(&self) -> HashMap<String, u64> {
        let (store, _folder) = self.store().await;
        let (from, to) = (
            Timestamp::from_millis(0),
            Timestamp::from_millis(2 * START_MS),
        );
        let mut counts = HashMap::new();
        for id in self.logged().into_keys() {
            let buckets = eventually("the counts are read", async || {
                let buckets = store.usage(id.parse().unwrap(), Step::Day, from, to);
                buckets.await.ok()
            });
            let counted = buckets.await.into_iter().map(|bucket| {
                let refused: u64 = bucket.tally.refused.iter().map(|(_, count)| count).sum();
                bucket.tally.requests + refused
            });
            counts.insert(id, counted.sum());
        }
        store.close().await;
        counts
    }

    /// Its store, and what must live as long.
    async fn store(&self) -> (Box<dyn Store>, TempDir) {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let folder = tempfile::tempdir().unwrap();
        let loaded = config::load_text(&self.text, "test.yaml", &|_| None).unwrap();
        let store: Box<dyn Store> = match loaded.store {
            StoreChoice::Embedded { path } => Box::new(EmbeddedStore::open(&path, clock).unwrap()),
            StoreChoice::Redis(choice) => {
                let local = Local {
                    dir: folder.path(),
                    node_key: &NodeKey::given(&[7; 32]).unwrap(),
                    signed_head: None,
                    accepts_store: false,
                };
                let open = async || RedisStore::open(&choice, local, clock.clone()).await.ok();
                Box::new(eventually("the store opens", open).await)
            }
        };
        (store, folder)
    }

    /// How many requests of each key the access log has.
    fn logged(&self) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        for line in self.log_now() {
            if let Some(id) = line["key_id"].as_str() {
                *counts.entry(id.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

impl Drop for Gateway {
    /// Drains, and asserts that nothing is left: it stops in time, gives the store back, and the store
    /// has every request that the log has.
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let (running, stopping) = (self.running.take(), self.stopping.take());
        let stop = async {
            if let Some(running) = running {
                running.stop().await;
            }
            if let Some(stopping) = stopping {
                stopping.await.unwrap();
            }
        };
        // A runtime must not be waited for on a thread of another.
        let is_panicking = std::thread::panicking();
        let (in_time, stored) = std::thread::scope(|scope| {
            let stopped = scope.spawn(|| {
                let in_time = runtime.block_on(async { timeout(STOP_MAX, stop).await.is_ok() });
                let is_asked = in_time && !is_panicking && self.is_alone;
                let stored = is_asked.then(|| runtime.block_on(self.stored()));
                runtime.shutdown_background();
                (in_time, stored)
            });
            stopped.join().unwrap()
        });
        if is_panicking {
            return;
        }
        assert!(in_time, "the gate did not stop");
        if !self.is_alone {
            return;
        }
        let logged = self.logged();
        assert_eq!(
            stored,
            Some(logged),
            "what was served is not what was counted"
        );
    }
}

/// More than a drain may take.
const STOP_MAX: Duration = Duration::from_secs(20);
