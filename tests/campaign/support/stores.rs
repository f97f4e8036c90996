//! A Redis master and its replica, and what may become of them.

use redis::Value;

use super::redis::RedisServer;
use super::watch::{SECOND, Watch};

/// Two servers, of which one is the master.
pub(crate) struct Stores {
    servers: [RedisServer; 2],
    master: usize,
}

impl Stores {
    /// Starts them, and waits until the replica follows.
    pub(crate) fn start(watch: Watch) -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let servers = [0, 1].map(|_| RedisServer::start_with(&quick));
        let stores = Self { servers, master: 0 };
        stores.follow();
        assert!(stores.is_followed(watch), "the replica follows");
        stores
    }

    pub(crate) fn port(&self) -> u16 {
        self.master().port()
    }

    pub(crate) fn master(&self) -> &RedisServer {
        &self.servers[self.master]
    }

    pub(crate) fn master_mut(&mut self) -> &mut RedisServer {
        &mut self.servers[self.master]
    }

    fn replica(&self) -> &RedisServer {
        &self.servers[1 - self.master]
    }

    /// Has the other one follow the master.
    fn follow(&self) {
        let port = self.port().to_string();
        self.replica().ask::<()>(&["REPLICAOF", "127.0.0.1", &port]);
    }

    /// Waits until the replica has all that the master has.
    pub(crate) fn is_followed(&self, watch: Watch) -> bool {
        let offset = |server: &RedisServer, at: usize| -> Option<i64> {
            let role: Vec<Value> = server.ask(&["ROLE"]);
            match role.get(at) {
                Some(Value::Int(offset)) => Some(*offset),
                _ => None,
            }
        };
        watch.wait_for(10 * SECOND, || {
            let role: Vec<Value> = self.replica().ask(&["ROLE"]);
            role.get(3) == Some(&Value::BulkString(b"connected".into()))
                && offset(self.replica(), 4) == offset(self.master(), 1)
        })
    }

    /// The replica gets no more from here on, as if it were cut off; the master goes on.
    pub(crate) fn cut_replica(&self) {
        self.replica().ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    }

    /// The replica becomes the master, with what it has; the master is gone.
    pub(crate) fn promote(&mut self) {
        self.servers[self.master].kill();
        self.cut_replica();
        self.master = 1 - self.master;
    }

    /// The former master comes back, with nothing, and follows the new one.
    pub(crate) fn return_as_replica(&mut self) {
        self.servers[1 - self.master].restart_empty();
        self.follow();
    }
}
