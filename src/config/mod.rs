//! From a file to a [`Config`] that cannot be wrong.
//!
//! `load` reads the file into a `tree` that knows the place of each value, and the `environment` into
//! that; `resolve` walks it, section by section, and gathers every fault with file, line and column.
//! Either there is a `Config` and everything in it may be relied on, or there are [`Faults`] and nothing
//! starts. What may stand in the file is one `table`: reader, [`schema()`] and [`reference_markdown`] all
//! come from it.

mod admin;
mod audit;
mod bounds;
mod environment;
mod fault;
mod fleet;
mod hosts;
mod key_source;
mod keys;
mod limits;
mod listeners;
mod load;
mod nearest;
mod node_key;
mod paths;
mod products;
mod redis;
mod reference;
mod resolve;
mod routes;
mod schema;
mod section;
mod sinks;
mod store;
mod table;
mod traces;
mod tree;
mod units;
mod upstreams;
mod walk;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::domain::audit::Action;
use crate::domain::product::Product;
use crate::domain::route::Route;
use crate::domain::secret::Hasher;
use crate::domain::upstream::Upstream;

pub use admin::{admin_token, short_token};
pub use fault::{Fault, Faults, Place};
pub use load::{endpoint, load, load_text};
pub use node_key::NodeSeed;
pub use reference::reference_markdown;
pub use schema::schema;
pub use sinks::{FileFormat, FileSink, NamePart, Sink, SinkKind};

/// Everything that was decided before the gate starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many cores serve requests; default: all.
    pub workers: Option<NonZeroUsize>,
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// Where operators connect.
    pub admin: Admin,
    /// Where keys are kept.
    pub store: StoreChoice,
    /// This gate's name; `None`: the one kept in `data_dir`, made at first start.
    pub node: Option<String>,
    /// What it signs with, where its environment gives that (`PORTCULLIS_NODE_KEY`); `None`: the key kept in
    /// `data_dir`, made at first start.
    pub node_key: Option<NodeSeed>,
    /// What this gate keeps on its own disk.
    pub data_dir: PathBuf,
    /// How secrets are made and hashed.
    pub keys: Keys,
    /// Where a line per request goes.
    pub access_log: AccessLog,
    /// Where spans of requests go, if anywhere.
    pub traces: Option<Traces>,
    /// What the audit log asks for.
    pub audit: Audit,
    /// Behaviour among several gates.
    pub fleet: Fleet,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What a client may send.
    pub bounds: Bounds,
    /// How long a client may take.
    pub deadlines: Deadlines,
    /// Whether the older `X-RateLimit-*` fields are sent too.
    pub legacy_rate_limit_headers: bool,
    /// How long requests in flight may go on after SIGTERM.
    pub drain: Duration,
    /// Named pools of endpoints.
    pub upstreams: Vec<Upstream>,
    /// The rules, in the order of the file.
    pub routes: Vec<Route>,
    /// Bundles of permissions and limits.
    pub products: Vec<Product>,
    /// Where the secrets of keys that rotate by themselves go.
    pub sinks: Vec<Sink>,
    /// The key that readable secrets are sealed with, where one is given.
    pub seal: Option<Seal>,
    /// SHA-256 of the file, hex: which configuration this is.
    pub digest: String,
    /// What is not wrong, but an operator should know.
    pub warnings: Vec<String>,
}

/// One address clients connect to.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS, if it speaks that.
    pub tls: Option<ListenerTls>,
    /// Whether HTTP/2 may be spoken without TLS, by prior knowledge (RFC 9113 §3.3).
    pub h2c: bool,
}

/// How a listener speaks TLS.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// Certificate chains, chosen by SNI; the first where none fits.
    pub certificates: Vec<Certificate>,
}

/// A certificate chain and its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// PEM file, leaf first.
    pub cert: PathBuf,
    /// PEM file.
    pub key: PathBuf,
}

/// The admin API's listener.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// The bootstrap token; `None`: one is made at first start and printed once.
    pub token: Option<Zeroizing<String>>,
    /// Whether `/metrics` is open to whoever reaches the listener.
    pub open_metrics: bool,
    /// Names, besides addresses and `localhost`, that a `Host` field may have here.
    pub hosts: Vec<String>,
}

/// Where keys are kept.
#[derive(Debug, Clone)]
pub enum StoreChoice {
    /// In a file below this directory.
    Embedded {
        /// The directory.
        path: PathBuf,
    },
    /// In a Redis or Valkey.
    Redis(Box<RedisChoice>),
}

/// Which Redis, and how it is reached.
#[derive(Debug, Clone)]
pub struct RedisChoice {
    /// Where its masters are found.
    pub site: RedisSite,
    /// The ACL user.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Zeroizing<String>>,
    /// With whom `rediss://` is spoken.
    pub tls: RedisTls,
    /// What every key of ours begins with.
    pub prefix: String,
}

/// Where the masters of a Redis are found. Addresses are `redis://` or `rediss://`, user and password in
/// them or apart.
#[derive(Debug, Clone)]
pub enum RedisSite {
    /// There is one, at this address.
    Standalone {
        /// The address.
        url: Zeroizing<String>,
    },
    /// There is one, and sentinels know where.
    Sentinel(RedisSentinel),
    /// There are several, and each knows of all.
    Cluster {
        /// Some of the nodes; at least one.
        urls: Vec<Zeroizing<String>>,
    },
}

/// Who knows where the master is.
#[derive(Debug, Clone)]
pub struct RedisSentinel {
    /// What the sentinels call it.
    pub master: String,
    /// The sentinels; at least one.
    pub urls: Vec<Zeroizing<String>>,
    /// Their ACL user.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Zeroizing<String>>,
}

/// With whom TLS is spoken.
#[derive(Debug, Clone, Default)]
pub struct RedisTls {
    /// PEM file with the authorities that are trusted; `None`: those of this machine.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks who we are.
    pub certificate: Option<Certificate>,
}

/// How secrets are made and hashed.
#[derive(Debug, Clone)]
pub struct Keys {
    /// What secrets begin with.
    pub prefix: String,
    /// Environments that keys may be made for; the first is the default.
    pub envs: Vec<String>,
    /// How secrets are hashed.
    pub hasher: Hasher,
    /// How long a secret that has ended is still known.
    pub tombstones_kept: Duration,
}

/// What the audit log asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// What is refused without a reason.
    pub require_reason: Vec<Action>,
    /// How long requests are kept on this gate's disk.
    pub requests_kept: Duration,
    /// How many bytes of it they may take.
    pub requests_max: u64,
}

/// Where a line per request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    None,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// Where spans of requests go, and which have one.
#[derive(Clone)]
pub struct Traces {
    /// Where they are posted to.
    pub endpoint: reqwest::Url,
    /// Which share of the requests that begin a trace has one, from 0 to 1.
    pub sample: f64,
    /// What the gate is called in them.
    pub service: String,
    /// What the collector is shown.
    pub authorization: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Traces({}, {})", self.endpoint, self.sample)
    }
}

/// Behaviour among several gates (CLUSTER.md §4).
#[derive(Debug, Clone)]
pub struct Fleet {
    /// How many gates there will ever be at once, if that is known.
    pub max_nodes: Option<u32>,
    /// After how long a silent gate's share is taken back.
    pub forget: Duration,
    /// How long a request may wait for a lease.
    pub lease_wait: Duration,
    /// After how much silence a gate falls back to its share.
    pub fallback_after: Duration,
    /// After how long without the store a gate stops serving.
    pub max_staleness: Duration,
}

/// What a client may send.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Bytes of a request target.
    pub target_max: usize,
    /// Bytes of a whole head.
    pub head_max: usize,
    /// Fields of a head.
    pub fields_max: usize,
    /// Connections at once, in all.
    pub connections_max: usize,
    /// Connections at once from one address (v6: one /64).
    pub connections_per_address_max: usize,
    /// Requests on one connection.
    pub requests_per_connection_max: u32,
    /// Streams at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// Bytes a second that a body must bring at least; 0 for no such rule.
    pub body_rate_min: u64,
    /// Wrong credentials a minute from one address (v6: one /64), before it is answered 429.
    pub failures_per_minute: u32,
}

/// How long a client may take.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For HTTP/2's preface and settings.
    pub preface: Duration,
    /// For a whole head, from its first byte.
    pub head: Duration,
    /// Between the bytes of a body.
    pub body_idle: Duration,
    /// Between requests on a kept connection.
    pub idle: Duration,
    /// For taking more of a response.
    pub write_stall: Duration,
}

/// What readable secrets are sealed with.
#[derive(Clone)]
pub struct Seal {
    /// Seals.
    pub key: Zeroizing<[u8; 32]>,
    /// Still open what they sealed.
    pub previous: Vec<Zeroizing<[u8; 32]>>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal(…, {} previous)", self.previous.len())
    }
}
