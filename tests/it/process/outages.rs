//! Usage is exact over a Redis that dies, comes back with what it had, or comes back empty, and over gates that
//! are stopped and killed meanwhile.

use std::time::Duration;

use super::gate::{Client, Gate, Setup, Upstream};
use crate::support::patience::until;
use crate::support::redis::RedisServer;

/// A gate over a Redis, and a key that is used.
struct Scene {
    redis: RedisServer,
    setup: Setup,
    gate: Option<Gate>,
    key: String,
    secret: String,
    sent: u64,
}

impl Scene {
    fn new() -> Self {
        let upstream = Upstream::start(0);
        let redis = RedisServer::start();
        let setup = Setup::over_redis(upstream.address, &redis.url(), "gate-1", "");
        let gate = setup.start();
        let (key, secret) = gate.create_key("counted");
        Self {
            redis,
            setup,
            gate: Some(gate),
            key,
            secret,
            sent: 0,
        }
    }

    fn gate(&self) -> &Gate {
        self.gate.as_ref().unwrap()
    }

    /// Every one of them passes, whatever Redis does.
    fn send(&mut self, count: usize) {
        let mut client = Client::new(self.gate().address, &self.secret).unwrap();
        assert_eq!(client.send(count), Ok(count));
        self.sent += count as u64;
    }

    fn usage(&self, field: &str) -> u64 {
        let (_, status) = self.gate().admin_call("GET", "/admin/status", "");
        status["usage"][field].as_u64().unwrap()
    }

    /// Waits until all that was sent before an outage is with the store.
    fn is_flushed(&self) {
        self.is_counted(self.sent);
        until("nothing waits", || {
            self.usage("spooled") + self.usage("queued") == 0
        });
    }

    /// Waits until all that was sent since the outage began lies on the disk.
    fn is_on_disk(&self, since: u64) {
        until("all is on the disk", || {
            self.setup.spooled() >= self.sent - since && self.usage("spooled") > 0
        });
        assert_eq!(self.usage("lost"), 0);
    }

    /// Waits until the store counts so many, and no more.
    fn is_counted(&self, expected: u64) {
        let path = format!("/admin/keys/{}/usage", self.key);
        until("all is counted", || {
            let (status, usage) = self.gate().admin_call("GET", &path, "");
            status == 200 && usage["total"]["requests"].as_u64() >= Some(expected)
        });
        assert_eq!(self.gate().counted(&self.key), expected);
    }
}

/// Killed under load and started again with its data, three times.
// S1-14
#[test]
fn every_request_is_counted_once_over_outages_of_redis() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.send(400);
        // Not waited for: some of it is on its way when Redis dies.
        let before = scene.sent;
        scene.redis.kill();
        scene.send(400);
        scene.is_on_disk(before);
        // What an operator asks of hours nobody knows; of minutes this gate does.
        let path = format!("/admin/keys/{}/usage", scene.key);
        let (status, refused) = scene.gate().admin_call("GET", &path, "");
        assert_eq!(
            (status, &refused["code"]),
            (503, &"store_unavailable".into())
        );
        let minutes = format!("{path}?step=1m");
        let known = || scene.gate().admin_call("GET", &minutes, "").1;
        until("this gate knows of all", || {
            known()["total"]["requests"].as_u64() >= Some(scene.sent)
        });
        let known = known();
        assert_eq!(known["total"]["requests"], scene.sent);
        assert!(known["last_used_at"].is_string());
        scene.redis.restart();
        scene.is_flushed();
    }
}

/// A batch that was frozen is on the disk, and is sent as what it was after the restart.
// S1-14
#[test]
fn a_gate_that_is_killed_in_an_outage_loses_at_most_the_last_second() {
    let mut scene = Scene::new();
    scene.send(100);
    scene.is_flushed();
    scene.redis.kill();
    let before = scene.sent;
    for _ in 0..3 {
        scene.send(200);
        scene.is_on_disk(before);
    }
    let frozen = scene.sent;
    scene.send(50);
    scene.gate.take().unwrap().kill();

    // It starts without Redis, and goes on.
    scene.gate = Some(scene.setup.start());
    scene.send(30);
    scene.redis.restart();
    let least = frozen + 30;
    let path = format!("/admin/keys/{}/usage", scene.key);
    until("all is counted", || {
        let (status, usage) = scene.gate().admin_call("GET", &path, "");
        status == 200 && usage["total"]["requests"].as_u64() >= Some(least)
    });
    until("nothing waits", || scene.usage("spooled") == 0);
    let counted = scene.gate().counted(&scene.key);
    assert!(
        (least..=least + 50).contains(&counted),
        "{counted} of {least} and 50"
    );
}

/// SIGTERM with Redis away: all of it is on the disk, and the next start sends it, once.
// S1-14
#[test]
fn a_gate_that_is_stopped_in_an_outage_loses_nothing() {
    let mut scene = Scene::new();
    scene.send(100);
    scene.is_flushed();
    let before = scene.sent;
    scene.redis.kill();
    scene.send(300);
    let said = scene.gate.take().unwrap().terminate();
    assert!(said.contains("its next start sends them"), "{said}");
    assert!(scene.setup.spooled() >= scene.sent - before);
    scene.redis.restart();
    for _ in 0..2 {
        scene.gate = Some(scene.setup.start());
        scene.is_flushed();
        scene.gate.take().unwrap().terminate();
    }
}

/// A Redis that came back empty is not taken for the store: the gate serves, says so, and keeps its counts until
/// the store is back.
// S1-14
#[test]
fn a_redis_that_came_back_empty_is_not_sent_what_the_store_should_have() {
    let mut scene = Scene::new();
    scene.send(100);
    scene.is_flushed();
    let backup = scene.redis.backup();
    scene.redis.kill();
    scene.send(100);
    scene.redis.restart_empty();
    until("it says so", || {
        let (_, status) = scene.gate().admin_call("GET", "/admin/status", "");
        let alarms = status["alarms"].as_array().unwrap();
        alarms
            .iter()
            .any(|alarm| alarm["code"] == "store_estranged")
    });
    scene.send(100);
    until("it is kept", || scene.usage("spooled") > 0);
    assert_eq!(scene.usage("lost"), 0);
    scene.redis.restore(&backup);
    scene.is_flushed();
}

/// Without its store a gate looks for it now and then, and is at rest between.
#[test]
fn a_gate_without_its_store_does_not_spin() {
    let mut scene = Scene::new();
    scene.send(10);
    scene.is_flushed();
    scene.redis.kill();
    until("the gate notices", || {
        let (_, status) = scene.gate().admin_call("GET", "/admin/status", "");
        status["store"]["state"] == "away"
    });
    let kept = scene.setup.spooled();
    let (began, before) = (up_time(), cpu_time(scene.gate()));
    // Each lies on the disk about a second later.
    for number in 1..=3 {
        scene.send(1);
        until("it is on the disk", || {
            scene.setup.spooled() >= kept + number
        });
    }
    let (took, used) = (up_time() - began, cpu_time(scene.gate()) - before);
    assert!(used < took / 2, "{used:?} of {took:?} were computed");
}

/// How long the machine has run (proc(5), `uptime`).
fn up_time() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    Duration::from_secs_f64(text.split(' ').next().unwrap().parse().unwrap())
}

/// How long a gate has computed (proc(5), `stat`), in hundredths of a second as Linux counts them.
fn cpu_time(gate: &Gate) -> Duration {
    let stat = gate.proc("stat");
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let of = |at: usize| -> u64 { fields.split(' ').nth(at).unwrap().parse().unwrap() };
    Duration::from_millis((of(11) + of(12)) * 10)
}
