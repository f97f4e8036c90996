//! Three masters that share the hash slots between them.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

use super::guard::Guard;
use super::redis::{RedisServer, free_port};
use super::venv;

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts one of Redis.
    pub(crate) fn start() -> Self {
        Self::start_program(Path::new("redis-server"))
    }

    /// One of Redis that all tests of this process share, each under a prefix of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<(Cluster, Guard)> = OnceLock::new();
        let (cluster, _) = SHARED.get_or_init(|| Self::start().guarded());
        cluster
    }

    /// The same, of Valkey.
    pub(crate) fn shared_valkey() -> &'static Self {
        static SHARED: OnceLock<(Cluster, Guard)> = OnceLock::new();
        let start = || Self::start_program(&venv::valkey_server()).guarded();
        let (cluster, _) = SHARED.get_or_init(start);
        cluster
    }

    fn start_program(program: &Path) -> Self {
        let nodes: Vec<_> = (0..MASTERS).map(|_| start_node(program)).collect();
        let cluster = Self { nodes };
        for (at, node) in cluster.nodes.iter().enumerate() {
            let (first, last) = (at * SLOTS / MASTERS, (at + 1) * SLOTS / MASTERS - 1);
            let (first, last) = (first.to_string(), last.to_string());
            let () = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            let () = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        let first = &cluster.nodes[0];
        for other in &cluster.nodes[1..] {
            let bus: Vec<String> = other.ask(&["CONFIG", "GET", "cluster-port"]);
            let port = other.port().to_string();
            let () = first.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus[1]]);
        }
        cluster.agrees();
        cluster
    }

    fn guarded(self) -> (Self, Guard) {
        let guard = Guard::over(self.nodes.iter().map(RedisServer::remains));
        (self, guard)
    }

    /// Waits until every node serves and knows of all.
    pub(crate) fn agrees(&self) {
        let deadline = Instant::now() + STARTS_WITHIN;
        let is_ready = |node: &RedisServer| {
            let said: String = node.ask(&["CLUSTER", "INFO"]);
            said.contains("cluster_state:ok")
                && said.contains(&format!("cluster_known_nodes:{}", self.nodes.len()))
                && said.contains("cluster_slots_ok:16384")
        };
        while !self.nodes.iter().all(is_ready) {
            assert!(Instant::now() < deadline, "the cluster does not agree");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The nodes' addresses, as the configuration has them.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The slot of a key, and which node has it.
    pub(crate) fn place(&self, key: &str) -> (u16, usize) {
        let slot: u16 = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]);
        let ranges: Vec<Vec<redis::Value>> = self.nodes[0].ask(&["CLUSTER", "SLOTS"]);
        let owner = ranges.iter().find_map(|range| {
            let [
                redis::Value::Int(first),
                redis::Value::Int(last),
                redis::Value::Array(node),
                ..,
            ] = range.as_slice()
            else {
                return None;
            };
            let is_it = (*first..=*last).contains(&i64::from(slot));
            let redis::Value::Int(port) = node[1] else {
                return None;
            };
            is_it.then_some(port)
        });
        let port = owner.expect("a master of the slot");
        let is_it = |node: &RedisServer| i64::from(node.port()) == port;
        (
            slot,
            self.nodes.iter().position(is_it).expect("one of ours"),
        )
    }

    /// Begins to move a slot: from now on keys that are not there any more are asked for at the other.
    pub(crate) fn begin_to_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (giver, taker) = (&self.nodes[from], &self.nodes[to]);
        let () = taker.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(giver)]);
        let () = giver.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(taker)]);
    }

    /// Moves at most `most` keys of a slot; whether there were any.
    pub(crate) fn move_keys(&self, slot: u16, from: usize, to: usize, most: usize) -> bool {
        let (slot, most) = (slot.to_string(), most.to_string());
        let (giver, taker) = (&self.nodes[from], &self.nodes[to]);
        let keys: Vec<String> = giver.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, &most]);
        if keys.is_empty() {
            return false;
        }
        let port = taker.port().to_string();
        let mut ask = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        ask.extend(keys.iter().map(String::as_str));
        let () = giver.ask(&ask);
        true
    }

    /// Ends the move of a slot.
    pub(crate) fn end_move(&self, slot: u16, from: usize, to: usize) {
        let (slot, owner) = (slot.to_string(), id(&self.nodes[to]));
        for node in [to, from] {
            let () = self.nodes[node].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &owner]);
        }
    }
}

fn start_node(program: &Path) -> RedisServer {
    let bus = free_port().to_string();
    let settings = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "5000",
    ];
    RedisServer::start_program(program, &settings)
}

fn id(node: &RedisServer) -> String {
    node.ask(&["CLUSTER", "MYID"])
}

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
const STARTS_WITHIN: Duration = Duration::from_secs(20);
